package ambassador

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

var (
	someValue = rapid.SampledFrom([]any{nil, true, int64(7), 1.5, "text", []any{"a"}, []any{nil, int64(1)}, object{"a": object{}}, object{}, []any{}})
	someKey   = rapid.SampledFrom([]string{"prefix", "hostname", "host", "timeout_ms", "x-new", "labels"})
)

func someMapping(t *rapid.T, name string) *unstructured.Unstructured {
	spec := object{}
	for range rapid.IntRange(0, 4).Draw(t, "fields") {
		spec[someKey.Draw(t, "key")] = someValue.Draw(t, "value")
	}
	if rapid.IntRange(0, 9).Draw(t, "has service") > 0 {
		spec["service"] = rapid.SampledFrom([]any{"stable", "stable:80", "https://stable.shop", "canary", "http://canary.shop:80", "other", "://", int64(1)}).Draw(t, "service")
	}
	if rapid.Bool().Draw(t, "has weight") {
		spec["weight"] = rapid.SampledFrom([]any{nil, int64(0), int64(20), int64(100), int64(101), int64(-1), "20", 1.5, object{}}).Draw(t, "weight")
	}
	obj := base(name)
	obj.SetLabels(rapid.MapOfN(rapid.SampledFrom([]string{"host", "a/b", "c~d"}), rapid.SampledFrom([]string{"", "x", "y"}), 0, 2).Draw(t, "labels"))
	obj.SetUID("uid")
	obj.SetResourceVersion("7")
	if obj.Object["spec"] = spec; rapid.IntRange(0, 19).Draw(t, "odd") == 0 {
		obj.Object["spec"] = someValue.Draw(t, "spec")
	}
	switch rapid.IntRange(0, 3).Draw(t, "owner") {
	case 0:
	case 1:
		obj.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "a", UID: "a"}})
	default:
		obj.SetOwnerReferences([]metav1.OwnerReference{*metav1.NewControllerRef(rollout(), v1alpha1.RolloutKind)})
	}
	return obj
}

// TestTranslateProperties says what holds for every pair of Mappings, whatever somebody did to them.
func TestTranslateProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, checkTranslate)
}

func FuzzTranslate(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(checkTranslate))
}

func checkTranslate(t *rapid.T) {
	in, err := intentOf(rollout("web"))
	if err != nil {
		t.Fatal(err)
	}
	p := pair{target: in.targets[0]}
	if rapid.IntRange(0, 9).Draw(t, "has base") > 0 {
		p.base = someMapping(t, "web")
	}
	if rapid.Bool().Draw(t, "has canary") {
		p.canary = someMapping(t, "web-canary")
	}
	weight := rapid.Int32Range(0, total).Draw(t, "weight")
	var strays []*unstructured.Unstructured
	if rapid.Bool().Draw(t, "has stray") {
		strays = append(strays, someMapping(t, "old-canary"))
	}
	checkRuns(t, in, world{pairs: []pair{p}, strays: strays}, weight)
}

// checkRuns applies a weight until nothing is written.
func checkRuns(t *rapid.T, in intent, w world, weight int32) {
	for range 3 {
		before := w
		seen, _ := in.observed(w)
		if seen.CanaryWeight < 0 || seen.CanaryWeight > total {
			t.Fatalf("observed %+v", seen)
		}
		todo, failures := in.plan(w, weight)
		w = carriedOut(t, w, todo)
		checkRest(t, before.pairs[0].canary, w.pairs[0].canary)
		if len(todo) > 0 {
			continue
		}
		if len(failures) == 0 && w.pairs[0].base != nil && (!seen.InSync || !seen.Exists || seen.CanaryWeight != weight || len(w.strays) > 0) {
			t.Fatalf("observed %+v at rest after weight %d, with strays %v", seen, weight, w.strays)
		}
		if canary := w.pairs[0].canary; weight == 0 && canary != nil && in.ours(canary) {
			t.Fatalf("the canary Mapping is there at weight 0: %v", canary)
		}
		return
	}
	t.Fatalf("it writes for ever: %+v", w)
}

// carriedOut is the world after the writes, as the API server would store it.
func carriedOut(t *rapid.T, w world, todo []write) world {
	stored := func(obj *unstructured.Unstructured) *unstructured.Unstructured {
		for _, one := range todo {
			switch {
			case obj == nil:
			case one.remove == obj:
				return nil
			case one.change == obj:
				return patched(t, obj, one)
			}
		}
		return obj
	}
	next := world{pairs: []pair{w.pairs[0]}}
	next.pairs[0].canary = stored(w.pairs[0].canary)
	for _, stray := range w.strays {
		if after := stored(stray); after != nil {
			next.strays = append(next.strays, after)
		}
	}
	for _, one := range todo {
		if one.create != nil {
			next.pairs[0].canary = one.create
		}
	}
	return next
}

func patched(t *rapid.T, obj *unstructured.Unstructured, todo write) *unstructured.Unstructured {
	data, err := todo.patch.Data(obj)
	if err != nil {
		t.Fatal(err)
	}
	operations, err := jsonpatch.DecodePatch(data)
	if err != nil {
		t.Fatal(err)
	}
	text, err := obj.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if text, err = operations.Apply(text); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	after := &unstructured.Unstructured{}
	if err := after.UnmarshalJSON(text); err != nil {
		t.Fatal(err)
	}
	return after
}

// checkRest compares the metadata that is not the router's.
func checkRest(t *rapid.T, before, after *unstructured.Unstructured) {
	if before == nil || after == nil {
		return
	}
	labels := after.GetLabels()
	for key := range before.GetLabels() {
		if _, kept := labels[key]; !kept {
			t.Fatalf("label %s is gone", key)
		}
	}
	for i, owner := range before.GetOwnerReferences() {
		if diff := cmp.Diff(owner, after.GetOwnerReferences()[i]); diff != "" {
			t.Fatalf("an owner changed:\n%s", diff)
		}
	}
	if diff := cmp.Diff(before.GetAnnotations(), after.GetAnnotations()); diff != "" {
		t.Fatalf("the annotations changed:\n%s", diff)
	}
}
