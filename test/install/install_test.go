// Package install tests what users apply: the manifests of config on a real API server that enforces
// the restricted Pod Security Standard, the rights they give, the samples, and the binary run with
// exactly those rights. It knows nothing of what the controllers do.
package install

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/headway-rollouts/headway/test/kube"
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	code := kube.Main(m)
	removeBinary()
	os.Exit(code)
}

// render is kubectl kustomize of a folder of config.
func render(t *testing.T, dir string) []*unstructured.Unstructured {
	t.Helper()
	return build(t, filesys.MakeFsOnDisk(), filepath.Join(kube.Root(), "config", dir))
}

// overlay renders a kustomization of a user's, whose paths start with config/.
func overlay(t *testing.T, kustomization string) []*unstructured.Unstructured {
	t.Helper()
	fs := filesys.MakeFsInMemory()
	if err := copyInto(fs, filepath.Join(kube.Root(), "config"), "/config"); err != nil {
		t.Fatal(err)
	}
	if err := fs.WriteFile("/mine/kustomization.yaml", []byte(kustomization)); err != nil {
		t.Fatal(err)
	}
	return build(t, fs, "/mine")
}

func copyInto(fs filesys.FileSystem, from, to string) error {
	return filepath.WalkDir(from, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("copying %s: %w", path, err)
		}
		return fs.WriteFile(to+path[len(from):], data)
	})
}

func build(t *testing.T, fs filesys.FileSystem, path string) []*unstructured.Unstructured {
	t.Helper()
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(fs, path)
	if err != nil {
		t.Fatalf("rendering %s: %v", path, err)
	}
	var objects []*unstructured.Unstructured
	for _, r := range resources.Resources() {
		fields, err := r.Map()
		if err != nil {
			t.Fatalf("reading %s: %v", r.CurId(), err)
		}
		objects = append(objects, &unstructured.Unstructured{Object: fields})
	}
	return objects
}

// documents is the objects as one YAML stream.
func documents(t *testing.T, objects []*unstructured.Unstructured) []byte {
	t.Helper()
	var out []byte
	for _, obj := range objects {
		doc, err := yaml.Marshal(obj.Object)
		if err != nil {
			t.Fatal(err)
		}
		out = append(append(out, "---\n"...), doc...)
	}
	return out
}

// convert reads objects of one kind as their type.
func convert[T any](t *testing.T, objects []*unstructured.Unstructured, kind string) []T {
	t.Helper()
	var out []T
	for _, obj := range objects {
		if obj.GetKind() != kind {
			continue
		}
		var typed T
		if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(obj.Object, &typed, true); err != nil {
			t.Fatalf("%s %s: %v", kind, obj.GetName(), err)
		}
		out = append(out, typed)
	}
	return out
}
