package apisix

import (
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/routertest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// given is the content of an .in.yaml file: a world, and the split to apply to it.
type given struct {
	Rollout v1alpha1.Rollout  `json:"rollout"`
	Objects []json.RawMessage `json:"objects"`
	Split   struct {
		Stable     int32                         `json:"stable"`
		Canary     int32                         `json:"canary"`
		Additional map[string]int32              `json:"additional,omitempty"`
		Routes     []trafficrouting.ManagedRoute `json:"routes,omitempty"`
	} `json:"split"`
}

// outcome is what a world comes to in an .out.yaml file.
type outcome struct {
	Observed     observation             `json:"observed"`
	ObserveError []string                `json:"observeError,omitempty"`
	Writes       []map[string]any        `json:"writes,omitempty"`
	Events       []trafficrouting.Change `json:"events,omitempty"`
	Error        []string                `json:"error,omitempty"`
	After        []map[string]any        `json:"after,omitempty"`
}

// observation is what is observed, without what this router never tells.
type observation struct {
	Exists  bool                          `json:"exists"`
	Canary  int32                         `json:"canary"`
	InSync  bool                          `json:"inSync"`
	Unowned bool                          `json:"unowned,omitempty"`
	Routes  []trafficrouting.ManagedRoute `json:"routes,omitempty"`
}

func TestTranslateGolden(t *testing.T) {
	inputs, err := filepath.Glob("testdata/*.in.yaml")
	if err != nil || len(inputs) == 0 {
		t.Fatalf("found %d inputs, error %v", len(inputs), err)
	}
	for _, path := range inputs {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".in.yaml"), func(t *testing.T) {
			got, err := yaml.Marshal(outcomeOf(t, readGiven(t, path)))
			if err != nil {
				t.Fatal(err)
			}
			compareFile(t, strings.TrimSuffix(path, ".in.yaml")+".out.yaml", got)
		})
	}
}

func readGiven(t *testing.T, path string) given {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var g given
	if err := yaml.UnmarshalStrict(text, &g); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return g
}

func compareFile(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: run the test with -update and read what it wrote", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func outcomeOf(t *testing.T, g given) outcome {
	t.Helper()
	w := routertest.NewWorld(t, kinds(), g.objects(t)...)
	seen := &recorder{Client: w.Client}
	router, ref := New(seen), trafficrouting.Ref{Rollout: &g.Rollout}
	var out outcome
	o, err := router.Observe(t.Context(), ref)
	out.Observed = observation{o.Exists, o.CanaryWeight, o.InSync, o.Unowned, o.Routes}
	out.ObserveError = lines(err)
	out.Events, err = router.Apply(t.Context(), ref, g.split())
	out.Error, out.Writes = lines(err), seen.writes
	if len(out.Writes) > 0 {
		out.After = after(t, w)
	}
	return out
}

func (g given) objects(t *testing.T) []client.Object {
	t.Helper()
	var objects []client.Object
	for _, text := range g.Objects {
		obj := &unstructured.Unstructured{}
		if err := obj.UnmarshalJSON(text); err != nil {
			t.Fatalf("reading %s: %v", text, err)
		}
		objects = append(objects, obj)
	}
	return objects
}

func (g given) split() trafficrouting.Split {
	stable, canary := g.Rollout.CanaryServices()
	split := trafficrouting.Split{
		MaxWeight: g.Split.Stable + g.Split.Canary,
		Stable:    trafficrouting.Backend{Service: stable, Weight: g.Split.Stable},
		Canary:    trafficrouting.Backend{Service: canary, Weight: g.Split.Canary},
		Routes:    g.Split.Routes,
	}
	for service, weight := range g.Split.Additional {
		split.MaxWeight += weight
		split.Additional = append(split.Additional, trafficrouting.Backend{Service: service, Weight: weight})
	}
	return split
}

func lines(err error) []string {
	if err == nil {
		return nil
	}
	return strings.Split(err.Error(), "\n")
}

// after is everything in the world, without what every write changes.
func after(t *testing.T, w *routertest.World) []map[string]any {
	t.Helper()
	var all []map[string]any
	for _, kind := range kinds().Foreign {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
		for _, obj := range w.Objects(t, list) {
			content := obj.(*unstructured.Unstructured)
			content.SetResourceVersion("")
			content.SetManagedFields(nil)
			all = append(all, content.Object)
		}
	}
	return all
}

// recorder keeps what is written.
type recorder struct {
	client.Client

	writes []map[string]any
}

func (r *recorder) Create(ctx context.Context, obj client.Object, opts ...client.CreateOption) error {
	r.writes = append(r.writes, map[string]any{"create": obj.GetName()})
	return r.Client.Create(ctx, obj, opts...)
}

func (r *recorder) Delete(ctx context.Context, obj client.Object, opts ...client.DeleteOption) error {
	r.writes = append(r.writes, map[string]any{"delete": obj.GetName()})
	return r.Client.Delete(ctx, obj, opts...)
}

func (r *recorder) Patch(ctx context.Context, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
	data, err := patch.Data(obj)
	if err != nil {
		return err
	}
	var operations []map[string]any
	if err := json.Unmarshal(data, &operations); err != nil {
		return err
	}
	r.writes = append(r.writes, map[string]any{"patch": obj.GetName(), "operations": operations})
	return r.Client.Patch(ctx, obj, patch, opts...)
}
