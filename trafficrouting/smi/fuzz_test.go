package smi

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"

	"github.com/headway-rollouts/headway/trafficrouting"
)

var (
	someName = rapid.SampledFrom([]string{"stable", "canary", "exp-a", "exp-b", "images", ""})
	someKey  = rapid.OneOf(
		rapid.SampledFrom([]string{"service", "backends", "weight", "matches", "a/b~c"}), rapid.StringMatching(`[a-z]{1,8}`))
	someScalar = rapid.OneOf(
		rapid.SampledFrom([]any{nil, true, "", "20", "500m", "1e9", "canary", 0.5, 20.0, int64(0), int64(1), int64(80), int64(-1), int64(1) << 62}),
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

// someBackend is mostly one that somebody would write.
func someBackend(t *rapid.T) any {
	if rapid.IntRange(0, 7).Draw(t, "odd backend") == 0 {
		return someValue(t, 2)
	}
	b := map[string]any{"service": someName.Draw(t, "service"), "weight": someScalar.Draw(t, "weight")}
	if rapid.Bool().Draw(t, "has more") {
		b["x-"+someKey.Draw(t, "key")] = someValue(t, 1)
	}
	return b
}

// someTrafficSplit is legal, odd or impossible.
func someTrafficSplit(t *rapid.T) *unstructured.Unstructured {
	list := make([]any, rapid.IntRange(0, 6).Draw(t, "backends"))
	for i := range list {
		list[i] = someBackend(t)
	}
	obj := trafficSplit("web", list...)
	obj.SetUID("uid")
	obj.SetResourceVersion("7")
	for range rapid.IntRange(0, 2).Draw(t, "unknown fields") {
		at := rapid.SampledFrom([][]string{{"x"}, {"spec", "x"}, {"status"}}).Draw(t, "place")
		if err := unstructured.SetNestedField(obj.Object, someValue(t, 2), at...); err != nil {
			t.Fatal(err)
		}
	}
	if rapid.IntRange(0, 9).Draw(t, "odd place") == 0 {
		at := rapid.SampledFrom([][]string{{"spec"}, {"spec", "service"}, {"spec", "backends"}}).Draw(t, "place")
		if err := unstructured.SetNestedField(obj.Object, someValue(t, 2), at...); err != nil {
			t.Fatal(err)
		}
	}
	switch rapid.IntRange(0, 5).Draw(t, "owner") {
	case 0:
		obj.SetOwnerReferences(nil)
	case 1:
		obj.SetOwnerReferences([]metav1.OwnerReference{{Kind: "ConfigMap", Name: "x", UID: "x"}})
	case 2:
		owners := obj.GetOwnerReferences()
		owners[0].UID = "another"
		obj.SetOwnerReferences(owners)
	}
	return obj
}

func someSplit(t *rapid.T) trafficrouting.Split {
	left := int32(total)
	draw := func(label string) int32 {
		weight := rapid.Int32Range(0, left).Draw(t, label)
		left -= weight
		return weight
	}
	canary := draw("canary")
	var additional []trafficrouting.Backend
	for _, service := range []string{"exp-b", "exp-a"} {
		if rapid.Bool().Draw(t, "with "+service) {
			additional = append(additional, trafficrouting.Backend{Service: service, Weight: draw(service)})
		}
	}
	return splitOf(canary, additional...)
}

// TestTranslateProperties says what holds for every TrafficSplit, named or not, and every split.
func TestTranslateProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, checkTranslate)
}

func FuzzTranslate(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(checkTranslate))
}

func checkTranslate(t *rapid.T) {
	ro, f := rollout(), found{kind: kind.WithVersion("v1alpha3")}
	switch rapid.IntRange(0, 4).Draw(t, "spec") {
	case 0:
		ro = naming("other")
	case 1:
		ro.Spec.Strategy.Canary.TrafficRouting = nil
	case 2:
		ro.Spec.Strategy.Canary.CanaryService = ""
	}
	in, _ := intentOf(ro)
	obj := someTrafficSplit(t)
	before := obj.DeepCopy()
	switch {
	case in.name == "web":
		f.named = obj
	case metav1.IsControlledBy(obj, ro):
		f.strays = append(f.strays, obj)
	}
	if seen, _ := in.observed(f); seen.CanaryWeight < 0 || seen.CanaryWeight > total {
		t.Fatalf("observed weight %d", seen.CanaryWeight)
	}
	split := someSplit(t)
	needed, foreign := in.writes(f, split)
	if diff := cmp.Diff(before, obj); diff != "" {
		t.Fatalf("what was read was changed:\n%s", diff)
	}
	after := obj
	for _, todo := range needed {
		switch {
		case todo.create:
			checkCarries(t, in, todo.obj, split)
		case !todo.delete:
			after = written(t, todo)
		}
	}
	if len(f.strays) > 0 && len(needed) > 0 && listOf(after).away(in.stable) > 0 {
		t.Fatalf("what is not named still shares traffic after %v", needed)
	}
	checkRest(t, before, after)
	if f.named != nil && foreign == nil {
		checkCarries(t, in, after, split)
	}
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
	f := found{kind: kind.WithVersion("v1alpha3"), named: after}
	seen, err := in.observed(f)
	want := trafficrouting.Observed{Exists: true, CanaryWeight: split.Canary.Weight, InSync: true}
	if sides := sides(split); len(sides) > 2 {
		want.Additional = sides[1 : len(sides)-1]
	}
	if diff := cmp.Diff(want, seen); diff != "" || err != nil {
		t.Fatalf("error %v, observed after writing %s (-want +got):\n%s", err, split, diff)
	}
	if again, _ := in.writes(f, split); len(again) > 0 {
		t.Fatalf("a second time: %+v", again[0].patch)
	}
	if sum, _ := listOf(after).sum(); sum != int64(total)*thousandths {
		t.Fatalf("the weights sum to %d thousandths", sum)
	}
}

// checkRest compares everything but the root, the weights, the list itself and the owner; and what the
// backends hold beside their weights, where they stay.
func checkRest(t *rapid.T, before, after *unstructured.Unstructured) {
	if _, ok := before.Object["spec"].(map[string]any); !ok {
		return // It is made anew.
	}
	rest := func(obj *unstructured.Unstructured) (string, map[string]string) {
		obj = obj.DeepCopy()
		each := map[string]string{}
		for _, b := range listOf(obj).backends {
			fields := listIn(obj)[b.at].(map[string]any)
			delete(fields, "weight")
			if _, again := each[b.service]; !again {
				each[b.service] = encode(t, fields)
			}
		}
		spec := obj.Object["spec"].(map[string]any)
		delete(spec, "service")
		delete(spec, "backends")
		obj.SetOwnerReferences(nil)
		return encode(t, obj.Object), each
	}
	was, backendsBefore := rest(before)
	is, backendsAfter := rest(after)
	if diff := cmp.Diff(was, is); diff != "" {
		t.Fatalf("what is not the router's changed (-before +after):\n%s", diff)
	}
	for service, text := range backendsAfter {
		if old, ok := backendsBefore[service]; ok && old != text {
			t.Fatalf("the backend of %s changed: %s", service, cmp.Diff(old, text))
		}
	}
}

func encode(t *rapid.T, value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
