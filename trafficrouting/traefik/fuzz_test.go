package traefik

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
)

var (
	someName = rapid.SampledFrom([]string{"stable", "canary", "former", "images", ""})
	someKey  = rapid.OneOf(
		rapid.SampledFrom([]string{"name", "kind", "namespace", "weight", "port", "services", "weighted", "a/b~c"}),
		rapid.StringMatching(`[a-z]{1,8}`))
	someScalar = rapid.OneOf(
		rapid.SampledFrom([]any{nil, true, "", "20", "canary", 0.5, int64(0), int64(1), int64(80), int64(-1), int64(1) << 40}),
		rapid.Map(rapid.String(), func(s string) any { return s }))
)

// someValue is any JSON value of a small depth.
func someValue(t *rapid.T, depth int) any {
	switch kind := rapid.IntRange(0, 3).Draw(t, "type"); {
	case depth > 0 && kind == 0:
		list := make([]any, rapid.IntRange(0, 3).Draw(t, "length"))
		for i := range list {
			list[i] = someValue(t, depth-1)
		}
		return list
	case depth > 0 && kind == 1:
		fields := map[string]any{}
		for range rapid.IntRange(0, 3).Draw(t, "fields") {
			fields[someKey.Draw(t, "key")] = someValue(t, depth-1)
		}
		return fields
	}
	return someScalar.Draw(t, "value")
}

// someEntry is mostly one that a user would write.
func someEntry(t *rapid.T) any {
	if rapid.IntRange(0, 7).Draw(t, "odd entry") == 0 {
		return someValue(t, 2)
	}
	e := map[string]any{"name": someName.Draw(t, "name"), "port": int64(80)}
	for key, values := range map[string][]any{
		"kind": {"Service", "TraefikService", "", nil}, "namespace": {"shop", "other", ""},
		"weight": {nil, "20", int64(0), int64(1), int64(20), int64(80), int64(1 << 31), int64(-3), 1.5},
	} {
		if rapid.Bool().Draw(t, "has "+key) {
			e[key] = rapid.SampledFrom(values).Draw(t, key)
		}
	}
	if rapid.Bool().Draw(t, "has more") {
		e["x-"+someKey.Draw(t, "key")] = someValue(t, 1)
	}
	return e
}

// someTraefikService is legal, odd or impossible.
func someTraefikService(t *rapid.T) *unstructured.Unstructured {
	entries := make([]any, rapid.IntRange(0, 7).Draw(t, "entries"))
	for i := range entries {
		entries[i] = someEntry(t)
	}
	obj := traefikService("web", entries...)
	obj.SetUID("uid")
	obj.SetResourceVersion("7")
	for range rapid.IntRange(0, 2).Draw(t, "unknown fields") {
		at := rapid.SampledFrom([][]string{{"x"}, {"spec", "x"}, {"spec", "weighted", "x"}, {"status"}}).Draw(t, "place")
		if err := unstructured.SetNestedField(obj.Object, someValue(t, 2), at...); err != nil {
			t.Fatal(err)
		}
	}
	if rapid.IntRange(0, 9).Draw(t, "odd place") == 0 {
		at := rapid.SampledFrom([][]string{{"spec"}, {"spec", "weighted"}, {"spec", "weighted", "services"}}).Draw(t, "place")
		if err := unstructured.SetNestedField(obj.Object, someValue(t, 2), at...); err != nil {
			t.Fatal(err)
		}
	}
	annotations := map[string]string{"example.com/note": "kept"}
	mark := rapid.SampledFrom([]string{
		"", "odd", "{}", trafficrouting.Mark{Rollout: "shop/web", Stable: "stable", Canary: "canary"}.String(),
		trafficrouting.Mark{Rollout: "shop/web", Stable: "images", Canary: "former"}.String(),
		trafficrouting.Mark{Rollout: "shop/api", Stable: "stable", Canary: "canary"}.String(),
	}).Draw(t, "mark")
	if mark != "" {
		annotations[v1alpha1.RoutedByAnnotation] = mark
	}
	if rapid.Bool().Draw(t, "annotated") || mark != "" {
		obj.SetAnnotations(annotations)
	}
	return obj
}

// TestTranslateProperties says what holds for every TraefikService, named or not, and every split.
func TestTranslateProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, checkTranslate)
}

func FuzzTranslate(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(checkTranslate))
}

func checkTranslate(t *rapid.T) {
	ro, f := rollout(), found{}
	if rapid.Bool().Draw(t, "unnamed") {
		ro.Spec.Strategy.Canary.TrafficRouting.Traefik.WeightedTraefikServiceName = rapid.SampledFrom([]string{"", "other"}).Draw(t, "name")
	}
	if rapid.IntRange(0, 3).Draw(t, "unrouted") == 0 {
		ro.Spec.Strategy.Canary.TrafficRouting = nil
	}
	in, _ := intentOf(ro)
	obj := someTraefikService(t)
	before := obj.DeepCopy()
	switch {
	case in.name == "web":
		f.named = obj
	case in.marked(obj) != (sides{}):
		f.strays = append(f.strays, obj)
	}
	seen, _ := in.observed(f)
	if seen.CanaryWeight < 0 || seen.CanaryWeight > total {
		t.Fatalf("observed weight %d", seen.CanaryWeight)
	}
	split := in.splitAt(rapid.Int32Range(0, total).Draw(t, "weight"))
	needed, unusable := in.writes(f, split)
	if diff := cmp.Diff(before, obj); diff != "" {
		t.Fatalf("what was read was changed:\n%s", diff)
	}
	after := obj
	if len(needed) == 1 {
		after = written(t, needed[0])
	} else if len(needed) > 1 {
		t.Fatalf("%d writes for one object", len(needed))
	}
	checkRest(t, in, before, after)
	if f.named != nil && unusable == nil {
		checkCarries(t, in, after, split)
	}
	checkAgain(t, in, after, split)
}

// written is an object after a write, as the API server would store it.
func written(t *rapid.T, todo write) *unstructured.Unstructured {
	data, err := todo.patch.Data(todo.obj)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(todo.obj.Object)
	if err != nil {
		t.Fatal(err)
	}
	operations, err := jsonpatch.DecodePatch(data)
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

func checkCarries(t *rapid.T, in intent, after *unstructured.Unstructured, split trafficrouting.Split) {
	seen, err := in.observed(found{named: after})
	if want := (trafficrouting.Observed{Exists: true, CanaryWeight: split.Canary.Weight, InSync: true}); err != nil || !cmp.Equal(want, seen) {
		t.Fatalf("observed %+v, error %v after writing %s", seen, err, split)
	}
	sums := map[string]int64{}
	for _, e := range entriesOf(after) {
		if name := serviceOf(e, "shop"); name != "" {
			sums[name] += entryOf(0, e).weight
		}
	}
	if sums["stable"] != int64(split.Stable.Weight) || sums["canary"] != int64(split.Canary.Weight) {
		t.Fatalf("weights %v after writing %s", sums, split)
	}
}

// checkAgain says that a second time nothing is written, whether or not the object is still marked.
func checkAgain(t *rapid.T, in intent, after *unstructured.Unstructured, split trafficrouting.Split) {
	f := found{}
	switch {
	case in.name == "web":
		f.named = after
	case in.marked(after) != (sides{}):
		f.strays = append(f.strays, after)
	}
	if again, _ := in.writes(f, split); len(again) > 0 {
		t.Fatalf("a second time: %+v", again[0].patch)
	}
}

// checkRest compares everything but the mark and the weights of those who are or were sides.
func checkRest(t *rapid.T, in intent, before, after *unstructured.Unstructured) {
	was := in.marked(before)
	rest := func(obj *unstructured.Unstructured) string {
		obj = obj.DeepCopy()
		for _, e := range entriesOf(obj) {
			switch name := serviceOf(e, "shop"); name {
			case "":
			case in.sides.stable, in.sides.canary, was.stable, was.canary:
				delete(e.(map[string]any), "weight")
			}
		}
		strip := obj.GetAnnotations()
		if delete(strip, v1alpha1.RoutedByAnnotation); len(strip) == 0 {
			strip = nil
		}
		obj.SetAnnotations(strip)
		text, err := json.Marshal(obj.Object)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if diff := cmp.Diff(rest(before), rest(after)); diff != "" {
		t.Fatalf("what is not the router's changed (-before +after):\n%s", diff)
	}
}
