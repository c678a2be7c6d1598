package smi

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
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

// given is the content of an .in.yaml file: a world, and the weights to give the sides in it.
type given struct {
	Rollout v1alpha1.Rollout            `json:"rollout"`
	Objects []unstructured.Unstructured `json:"objects"`
	Split   struct {
		Stable     int32            `json:"stable"`
		Canary     int32            `json:"canary"`
		Additional map[string]int32 `json:"additional"`
	} `json:"split"`
	// Serves is the version that the cluster serves; v1alpha3 when it is empty.
	Serves string `json:"serves"`
}

// outcome is the content of an .out.yaml file: what is observed before, what is written, and the
// objects after it.
type outcome struct {
	Observed observation                 `json:"observed"`
	Error    string                      `json:"error,omitempty"`
	Writes   []wrote                     `json:"writes,omitempty"`
	Changes  []string                    `json:"changes,omitempty"`
	After    []unstructured.Unstructured `json:"after"`
}

type observation struct {
	Exists       bool             `json:"exists"`
	CanaryWeight int32            `json:"canaryWeight"`
	Additional   map[string]int32 `json:"additional,omitempty"`
	InSync       bool             `json:"inSync"`
	Unowned      bool             `json:"unowned,omitempty"`
}

type wrote struct {
	Object string `json:"object"`
	Patch  []any  `json:"patch,omitempty"`
	Create any    `json:"create,omitempty"`
	Delete bool   `json:"delete,omitempty"`
}

func TestGolden(t *testing.T) {
	inputs, err := filepath.Glob("testdata/*.in.yaml")
	if err != nil || len(inputs) < 12 {
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
	objects := make([]client.Object, len(g.Objects))
	for i := range g.Objects {
		objects[i] = &g.Objects[i]
	}
	version := "v1alpha3"
	if g.Serves != "" {
		version = g.Serves
	}
	w := routertest.NewWorld(t, serving(version), objects...)
	recorded := &recorder{Client: w.Client}
	router, ref := New(recorded), trafficrouting.Ref{Rollout: &g.Rollout}
	seen, observeErr := router.Observe(t.Context(), ref)
	split := trafficrouting.Split{MaxWeight: g.Split.Stable + g.Split.Canary}
	split.Stable.Service, split.Canary.Service = g.Rollout.CanaryServices()
	split.Stable.Weight, split.Canary.Weight = g.Split.Stable, g.Split.Canary
	for service, weight := range g.Split.Additional { // In any order.
		split.Additional = append(split.Additional, trafficrouting.Backend{Service: service, Weight: weight})
		split.MaxWeight += weight
	}
	changes, err := router.Apply(t.Context(), ref, split)
	if (err == nil) != (observeErr == nil) {
		t.Errorf("observing: %v, but applying: %v", observeErr, err)
	}
	out := outcome{
		Observed: observation{Exists: seen.Exists, CanaryWeight: seen.CanaryWeight, InSync: seen.InSync, Unowned: seen.Unowned},
		Writes:   recorded.writes, After: stored(t, w, version),
	}
	for _, side := range seen.Additional {
		out.Observed.Additional = with(out.Observed.Additional, side)
	}
	if err != nil {
		out.Error = err.Error()
	}
	for _, change := range changes {
		out.Changes = append(out.Changes, change.Reason+": "+change.Message)
	}
	return out
}

func with(sides map[string]int32, side trafficrouting.Backend) map[string]int32 {
	if sides == nil {
		sides = map[string]int32{}
	}
	sides[side.Service] = side.Weight
	return sides
}

// stored are all TrafficSplits of a world.
func stored(t *testing.T, w *routertest.World, version string) []unstructured.Unstructured {
	t.Helper()
	var list unstructured.UnstructuredList
	list.SetGroupVersionKind(kind.WithVersion(version).GroupVersion().WithKind("TrafficSplitList"))
	if err := w.Direct.List(t.Context(), &list); err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// recorder keeps the writes that it passes on. It refuses to write a reply into what was read, which
// belongs to a cache.
type recorder struct {
	client.Client

	writes []wrote
}

func (r *recorder) Patch(ctx context.Context, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
	if obj.GetUID() != "" {
		return fmt.Errorf("the reply would be written into the %s that was read", obj.GetName())
	}
	data, err := patch.Data(obj)
	if err != nil {
		return err
	}
	one := wrote{Object: obj.GetName()}
	if err := json.Unmarshal(data, &one.Patch); err != nil {
		return err
	}
	r.writes = append(r.writes, one)
	return r.Client.Patch(ctx, obj, patch, opts...)
}

func (r *recorder) Create(ctx context.Context, obj client.Object, opts ...client.CreateOption) error {
	r.writes = append(r.writes, wrote{Object: obj.GetName(), Create: obj.DeepCopyObject()})
	return r.Client.Create(ctx, obj, opts...)
}

func (r *recorder) Delete(ctx context.Context, obj client.Object, opts ...client.DeleteOption) error {
	r.writes = append(r.writes, wrote{Object: obj.GetName(), Delete: true})
	return r.Client.Delete(ctx, obj, opts...)
}
