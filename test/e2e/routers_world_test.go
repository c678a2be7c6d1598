package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/test/kube"
)

// meshes are the definitions of the kinds that routers steer, installed once in the shared cluster.
var meshes struct {
	once sync.Once
	err  error
}

// newMeshWorld is a world whose cluster serves the kinds of Istio, the Gateway API, Traefik, SMI and
// Ambassador. APISIX is left out: a test of its own lets it come and go.
func newMeshWorld(t *testing.T) *world {
	t.Helper()
	cluster := kube.Shared(t)
	meshes.once.Do(func() { meshes.err = installMeshes(cluster) })
	if meshes.err != nil {
		t.Fatalf("installing the definitions of meshes: %v", meshes.err)
	}
	return newWorld(t)
}

func installMeshes(cluster *kube.Cluster) error {
	istio, err := kube.ModuleDir(context.Background(), ".", "istio.io/api")
	if err != nil {
		return err
	}
	gateway, err := kube.ModuleDir(context.Background(), "test/traffic/traefik", "sigs.k8s.io/gateway-api")
	if err != nil {
		return err
	}
	dirs := []string{filepath.Join(istio, "kubernetes"), filepath.Join(gateway, "config", "crd", "experimental"), "testdata/definitions"}
	for _, dir := range dirs {
		if err := cluster.InstallCRDs(context.Background(), dir); err != nil {
			return fmt.Errorf("installing %s: %w", dir, err)
		}
	}
	return nil
}

func sample(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(kube.Root(), "config", "samples", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

var (
	virtualService = schema.GroupVersionKind{Group: "networking.istio.io", Version: "v1", Kind: "VirtualService"}
	httpRoute      = schema.GroupVersionKind{Group: "gateway.networking.k8s.io", Version: "v1", Kind: "HTTPRoute"}
	traefikService = schema.GroupVersionKind{Group: "traefik.io", Version: "v1alpha1", Kind: "TraefikService"}
)

// object reads an object of a foreign kind; it must exist.
func (w *world) object(kind schema.GroupVersionKind, name string) *unstructured.Unstructured {
	w.Helper()
	obj := &unstructured.Unstructured{}
	obj.SetGroupVersionKind(kind)
	if err := w.client.Get(w.Context(), client.ObjectKey{Namespace: w.namespace, Name: name}, obj); err != nil {
		w.Fatal(err)
	}
	return obj
}

// istioWeights are the weights of the destinations of a VirtualService's HTTP routes, by their hosts and subsets.
func istioWeights(obj *unstructured.Unstructured) map[string]int64 {
	weights := map[string]int64{}
	routes, _, _ := unstructured.NestedSlice(obj.Object, "spec", "http")
	for _, route := range routes {
		destinations, _, _ := unstructured.NestedSlice(route.(map[string]any), "route")
		for _, d := range destinations {
			host, _, _ := unstructured.NestedString(d.(map[string]any), "destination", "host")
			if subset, has, _ := unstructured.NestedString(d.(map[string]any), "destination", "subset"); has {
				host = subset
			}
			weights[host], _, _ = unstructured.NestedInt64(d.(map[string]any), "weight")
		}
	}
	return weights
}

// changes collects what an object of a foreign kind was, version by version.
type changes struct {
	mu       sync.Mutex
	versions []*unstructured.Unstructured
}

// follow collects the versions of the objects of a kind in the namespace from now on.
func (w *world) follow(resource schema.GroupVersionResource) *changes {
	w.Helper()
	all, err := dynamic.NewForConfig(w.cluster.Config)
	if err != nil {
		w.Fatal(err)
	}
	of := all.Resource(resource).Namespace(w.namespace)
	list, err := of.List(w.Context(), metav1.ListOptions{})
	if err != nil {
		w.Fatal(err)
	}
	events, err := of.Watch(w.Context(), metav1.ListOptions{ResourceVersion: list.GetResourceVersion()})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(events.Stop)
	c := &changes{}
	go func() {
		for e := range events.ResultChan() {
			obj, ok := e.Object.(*unstructured.Unstructured)
			if !ok || e.Type == watch.Deleted {
				continue
			}
			c.mu.Lock()
			c.versions = append(c.versions, obj)
			c.mu.Unlock()
		}
	}()
	return c
}

// of are the versions of the object with a name.
func (c *changes) of(name string) []*unstructured.Unstructured {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []*unstructured.Unstructured
	for _, v := range c.versions {
		if v.GetName() == name {
			out = append(out, v)
		}
	}
	return out
}
