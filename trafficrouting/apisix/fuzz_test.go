package apisix

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
)

var (
	someName   = rapid.SampledFrom([]string{"web", "api", "beta", "gamma", "other"})
	someWeight = rapid.OneOf(rapid.Just[any](nil), rapid.Map(rapid.Int64Range(-1, 101), func(n int64) any { return n }),
		rapid.SampledFrom([]any{"20", 20.5, true, int64(1) << 40, object{}}))
	someValue = rapid.OneOf(rapid.SampledFrom([]any{nil, true, int64(7), 1.5, "text", []any{"a"}, []any{nil, int64(1)}, object{"a": object{}}, object{}, []any{}}))
)

// rarely draws something else than what belongs there.
func rarely(t *rapid.T, label string, value any) any {
	if rapid.IntRange(0, 19).Draw(t, label+" odd") == 0 {
		return someValue.Draw(t, label)
	}
	return value
}

// strewn adds members that no version knows.
func strewn(t *rapid.T, label string, obj object) object {
	for _, key := range rapid.SliceOfN(rapid.SampledFrom([]string{"x-new", "timeout", "upstreams", "priority", "plugins"}), 0, 2).Draw(t, label+" fields") {
		if _, there := obj[key]; !there {
			obj[key] = someValue.Draw(t, label+" field")
		}
	}
	return obj
}

func someRule(t *rapid.T) any {
	backends := []any{}
	for range rapid.IntRange(0, 4).Draw(t, "backends") {
		one := object{"serviceName": rapid.SampledFrom([]string{"stable", "canary", "stable", "canary", "images"}).Draw(t, "service")}
		if weight := someWeight.Draw(t, "weight"); weight != nil {
			one["weight"] = weight
		}
		backends = append(backends, rarely(t, "backend", strewn(t, "backend", one)))
	}
	if rapid.Bool().Draw(t, "usable") {
		backends = []any{backend("canary", rapid.Int64Range(0, 100).Draw(t, "canary")), strewn(t, "stable", backend("stable", 5)), backend("images", 1)}
	}
	return rarely(t, "rule", strewn(t, "rule", object{
		"name": rarely(t, "name", someName.Draw(t, "name")), "backends": rarely(t, "backends", backends),
		"match": rarely(t, "match", strewn(t, "match", object{"paths": []any{"/*"}, "exprs": rarely(t, "exprs", []any{})})),
	}))
}

func someRoute(t *rapid.T, name string) *unstructured.Unstructured {
	rules := []any{}
	for range rapid.IntRange(0, 3).Draw(t, "rules") {
		rules = append(rules, someRule(t))
	}
	obj := route(name, rules...)
	obj.Object["spec"] = rarely(t, "spec", strewn(t, "spec", object{"http": rarely(t, "http", rules)}))
	obj.SetUID("uid")
	obj.SetResourceVersion("7")
	if rapid.Bool().Draw(t, "marked") {
		mark := trafficrouting.Mark{Rollout: rapid.SampledFrom([]string{"shop/web", "shop/web", "shop/other"}).Draw(t, "marked by"), Stable: "stable", Canary: "canary"}
		mark.Routes = rapid.SliceOfN(someName, 0, 2).Draw(t, "marked rules")
		obj.SetAnnotations(map[string]string{markKey: mark.String(), "a": "b"})
	}
	return obj
}

func someHeaders(t *rapid.T) []v1alpha1.HeaderRoutingMatch {
	text := rapid.OneOf(rapid.StringN(1, 8, -1), rapid.SampledFrom([]string{"^a.*", "(?:^a.*)", `^\..*`, "^.*", "(?:)", `a\`, `^a\.*`}))
	var all []v1alpha1.HeaderRoutingMatch
	for range rapid.IntRange(1, 3).Draw(t, "matches") {
		way := rapid.SampledFrom([]string{"exact", "prefix", "regex"}).Draw(t, "way")
		all = append(all, headers(rapid.SampledFrom([]string{"a", "User-Agent"}).Draw(t, "header"), way, text.Draw(t, "value"))...)
	}
	return all
}

// TestTranslateProperties says what holds for every spec, every route and whatever somebody did to the
// header routes.
func TestTranslateProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, checkTranslate)
}

func FuzzTranslate(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(checkTranslate))
}

func checkTranslate(t *rapid.T) {
	ro := managing(rollout(rapid.SliceOfNDistinct(someName, 0, 2, rapid.ID).Draw(t, "rules")...), "beta", "gamma")
	if rapid.IntRange(0, 9).Draw(t, "spec") == 0 {
		ro.Spec.Strategy.Canary.TrafficRouting.Apisix.Route = nil
	}
	in, _ := intentOf(ro)
	var w world
	var routes []trafficrouting.ManagedRoute
	for _, name := range []string{"beta", "gamma"} {
		if rapid.Bool().Draw(t, name) {
			routes = append(routes, trafficrouting.ManagedRoute{Name: name, Headers: someHeaders(t)})
		}
		if rapid.Bool().Draw(t, name+" made") {
			w.made = append(w.made, owned(someRoute(t, name)))
		}
	}
	if in.usable {
		w.base = someRoute(t, "web")
	}
	if rapid.Bool().Draw(t, "stray") {
		stray := someRoute(t, "stray")
		stray.SetAnnotations(map[string]string{markKey: trafficrouting.Mark{Rollout: "shop/web", Stable: "stable", Canary: "canary", Routes: []string{"web"}}.String()})
		w.strays = append(w.strays, stray)
	}
	split := in.splitAt(rapid.Int32Range(0, total).Draw(t, "weight"), routes)
	if seen, _ := in.observed(w); seen.CanaryWeight < 0 || seen.CanaryWeight > total {
		t.Fatalf("observed %+v", seen)
	}
	before := textOf(t, w)
	todo, failures := in.plan(w, split)
	next := carriedOut(t, w, todo)
	if diff := cmp.Diff(before, textOf(t, w)); diff != "" {
		t.Fatalf("what was read was changed:\n%s", diff)
	}
	if again, _ := in.plan(next, split); len(again) > 0 {
		t.Fatalf("a second time: %+v", again)
	}
	checkRest(t, in, w, next)
	for _, err := range failures {
		if err != nil {
			return
		}
	}
	if seen, _ := in.observed(next); in.usable && (!seen.InSync || seen.CanaryWeight < split.Canary.Weight || !trafficrouting.EqualRoutes(seen.Routes, routes)) {
		t.Fatalf("observed %+v after %s", seen, split)
	}
	for _, named := range in.rules {
		at, _ := named.find(next.base)
		http, _ := httpOf(next.base)
		if got := shareOf(http[at], "stable", "canary"); got != split.Canary.Weight {
			t.Fatalf("rule %s asks for %d after %s", named.name, got, split)
		}
	}
}

func owned(obj *unstructured.Unstructured) *unstructured.Unstructured {
	obj.SetOwnerReferences([]metav1.OwnerReference{*metav1.NewControllerRef(rollout(), v1alpha1.RolloutKind)})
	return obj
}

// carriedOut is the world after the writes, as the API server would store it.
func carriedOut(t *rapid.T, w world, todo []write) world {
	stored := func(obj *unstructured.Unstructured) *unstructured.Unstructured {
		for _, one := range todo {
			switch obj.GetName() {
			case nameOf(one.remove):
				return nil
			case nameOf(one.change):
				return patched(t, obj, one)
			}
		}
		return obj
	}
	var next world
	if w.base != nil {
		next.base = stored(w.base)
	}
	for _, made := range w.made {
		if after := stored(made); after != nil {
			next.made = append(next.made, after)
		}
	}
	for _, stray := range w.strays {
		if after := stored(stray); len(trafficrouting.MarkKeys(after)) > 0 {
			next.strays = append(next.strays, after)
		}
	}
	for _, one := range todo {
		if one.create != nil {
			next.made = append(next.made, one.create)
		}
	}
	return next
}

func nameOf(obj *unstructured.Unstructured) string {
	if obj == nil {
		return ""
	}
	return obj.GetName()
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

func textOf(t *rapid.T, w world) string {
	text, err := json.Marshal([]any{w.base, w.made, w.strays})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// checkRest compares everything in the routes of users that is not the router's: all but the mark, and the
// weights of the two sides in the rules that the spec or the mark names.
func checkRest(t *rapid.T, in intent, before, after world) {
	ours := map[string][]string{}
	rest := func(w world) map[string]string {
		texts := map[string]string{}
		for _, obj := range append([]*unstructured.Unstructured{w.base}, w.strays...) {
			if obj == nil {
				continue
			}
			if mark, ok := trafficrouting.MarkFor(obj, in.rollout); ok {
				ours[obj.GetName()] = append(ours[obj.GetName()], mark.Routes...)
			}
			texts[obj.GetName()] = stripped(t, obj, ours[obj.GetName()])
		}
		return texts
	}
	for _, named := range in.rules {
		ours["web"] = append(ours["web"], named.name)
	}
	was := rest(before)
	for name, now := range rest(after) {
		if diff := cmp.Diff(was[name], now); diff != "" {
			t.Fatalf("the rest of %s changed:\n%s", name, diff)
		}
	}
}

func stripped(t *rapid.T, obj *unstructured.Unstructured, ours []string) string {
	rest := obj.DeepCopy()
	annotations := rest.GetAnnotations()
	if delete(annotations, markKey); len(annotations) == 0 {
		annotations = nil
	}
	rest.SetAnnotations(annotations)
	http, _ := httpOf(rest)
	for _, rule := range http {
		name, _ := member(rule, "name").(string)
		backends, _ := member(rule, "backends").([]any)
		for _, backend := range backends {
			if service := member(backend, "serviceName"); slices.Contains(ours, name) && (service == "stable" || service == "canary") {
				delete(backend.(object), "weight")
			}
		}
	}
	text, err := rest.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
