package kube

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/yaml"
)

const (
	fieldManager = "test-kube"

	// Limits on what Apply reads: the API server takes 3 MiB for an object.
	largestDocument = 3 << 20
	mostDocuments   = 1000

	// discoveryLimit bounds the wait for a kind whose CRD is new.
	discoveryLimit = 10 * time.Second
)

var crds = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// Apply makes the cluster's objects equal to the documents, by server-side apply in
// their order. Namespaced objects without a namespace go to the given one.
func (c *Cluster) Apply(ctx context.Context, namespace string, yamlDocs []byte) error {
	objects, err := decode(yamlDocs)
	if err != nil {
		return err
	}
	for _, obj := range objects {
		if err := c.applyObject(ctx, namespace, obj); err != nil {
			return fmt.Errorf("applying %s %s: %w", obj.GetKind(), obj.GetName(), err)
		}
	}
	return nil
}

func (c *Cluster) applyObject(ctx context.Context, namespace string, obj *unstructured.Unstructured) error {
	mapping, err := c.mapping(ctx, obj.GroupVersionKind())
	if err != nil {
		return err
	}
	var client dynamic.ResourceInterface = c.dynamic.Resource(mapping.Resource)
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		if obj.GetNamespace() == "" {
			obj.SetNamespace(namespace)
		}
		client = c.dynamic.Resource(mapping.Resource).Namespace(obj.GetNamespace())
	}
	_, err = client.Apply(ctx, obj.GetName(), obj, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
	return err
}

// mapping finds the resource of a kind, and waits a while for one that is new.
func (c *Cluster) mapping(ctx context.Context, kind schema.GroupVersionKind) (*meta.RESTMapping, error) {
	ctx, cancel := context.WithTimeout(ctx, discoveryLimit)
	defer cancel()
	for {
		m, err := c.mapper.RESTMapping(kind.GroupKind(), kind.Version)
		if err == nil {
			return m, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("finding its resource: %w", err)
		case <-time.After(pollInterval):
			c.mapper.Reset()
		}
	}
}

// InstallCRDs applies every CustomResourceDefinition under the folder and waits until
// all are Established and discovery tells of them: a client made before that knows
// no such kind.
func (c *Cluster) InstallCRDs(ctx context.Context, dir string) error {
	var definitions []*unstructured.Unstructured
	files := os.DirFS(dir)
	err := fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".yaml" {
			return err
		}
		data, err := fs.ReadFile(files, path)
		if err != nil {
			return err
		}
		objects, err := decode(data)
		if err != nil {
			return fmt.Errorf("reading %s: %w", path, err)
		}
		for _, obj := range objects {
			if obj.GetKind() != "CustomResourceDefinition" {
				continue
			}
			if err := c.applyObject(ctx, "", obj); err != nil {
				return fmt.Errorf("applying %s: %w", path, err)
			}
			definitions = append(definitions, obj)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("installing CRDs from %s: %w", dir, err)
	}
	c.mapper.Reset()
	for _, definition := range definitions {
		if err := c.waitEstablished(ctx, definition.GetName()); err != nil {
			return fmt.Errorf("waiting for CRD %s: %w", definition.GetName(), err)
		}
		if err := c.waitDiscovered(ctx, definition); err != nil {
			return fmt.Errorf("waiting for CRD %s: %w", definition.GetName(), err)
		}
	}
	return nil
}

// waitDiscovered waits until discovery tells of every served version of a definition,
// which is up to a second after it is Established.
func (c *Cluster) waitDiscovered(ctx context.Context, definition *unstructured.Unstructured) error {
	var crd apiextensionsv1.CustomResourceDefinition
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(definition.Object, &crd); err != nil {
		return fmt.Errorf("reading it: %w", err)
	}
	for _, version := range crd.Spec.Versions {
		kind := schema.GroupVersionKind{Group: crd.Spec.Group, Version: version.Name, Kind: crd.Spec.Names.Kind}
		if !version.Served {
			continue
		}
		if _, err := c.mapping(ctx, kind); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) waitEstablished(ctx context.Context, name string) error {
	for {
		crd, err := c.dynamic.Resource(crds).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		// A new CRD has null for conditions, which NestedSlice refuses.
		field, _, _ := unstructured.NestedFieldNoCopy(crd.Object, "status", "conditions")
		conditions, _ := field.([]any)
		if slices.ContainsFunc(conditions, established) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not established: %w, conditions %v", ctx.Err(), conditions)
		case <-time.After(pollInterval):
		}
	}
}

func established(condition any) bool {
	fields, ok := condition.(map[string]any)
	return ok && fields["type"] == "Established" && fields["status"] == "True"
}

// decode reads the objects of a multi-document YAML; lists become their items.
func decode(yamlDocs []byte) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(yamlDocs)))
	for n := 1; ; n++ {
		doc, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		switch {
		case err != nil:
			return nil, fmt.Errorf("reading document %d: %w", n, err)
		case len(doc) > largestDocument:
			return nil, fmt.Errorf("document %d has %d bytes, more than %d", n, len(doc), largestDocument)
		case n > mostDocuments:
			return nil, fmt.Errorf("more than %d documents", mostDocuments)
		}
		obj := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(doc, &obj.Object); err != nil {
			return nil, fmt.Errorf("reading document %d: %w", n, err)
		}
		switch {
		case len(obj.Object) == 0: // Only comments.
		case obj.IsList():
			list, err := obj.ToList()
			if err != nil {
				return nil, fmt.Errorf("reading the list in document %d: %w", n, err)
			}
			for i := range list.Items {
				out = append(out, &list.Items[i])
			}
		default:
			out = append(out, obj)
		}
	}
}

func newMapper(client discovery.DiscoveryInterface) *restmapper.DeferredDiscoveryRESTMapper {
	return restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client))
}
