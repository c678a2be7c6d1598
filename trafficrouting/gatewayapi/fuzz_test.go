package gatewayapi

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"pgregory.net/rapid"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
)

var (
	someText   = rapid.SampledFrom([]string{"", "stable", "canary", "baseline", "images", "/", "/api", "beta", "Exact", "x"})
	someWeight = rapid.SampledFrom([]any{nil, nil, 0, 1, 50, 100, 300, 1_000_000, -1, 1.5, 1e40, "20", []any{}})
	// someJSON is what a field may hold that no version of the API knows, and what known ones should not hold.
	someJSON = rapid.SampledFrom([]any{nil, true, 7, -1.5, "text", []any{}, map[string]any{}, []any{map[string]any{"a": "b"}}, map[string]any{"c": []any{1}}})
)

// oneIn is true once in so many draws.
func oneIn(t *rapid.T, n int, label string) bool { return rapid.IntRange(1, n).Draw(t, label) == n }

// strange adds unknown fields to an object, and sometimes spoils a known one.
func strange(t *rapid.T, object map[string]any) map[string]any {
	if oneIn(t, 3, "unknown") {
		object["fieldOfTheFuture"] = someJSON.Draw(t, "unknown value")
	}
	if oneIn(t, 40, "spoil") {
		for _, key := range slices.Sorted(maps.Keys(object)) {
			if oneIn(t, 3, "spoil "+key) {
				object[key] = someJSON.Draw(t, "spoiled "+key)
			}
		}
	}
	return object
}

func someBackend(t *rapid.T) map[string]any {
	ref := map[string]any{"name": someText.Draw(t, "service"), "port": 80}
	if oneIn(t, 2, "is stable") {
		ref["name"] = "stable"
	}
	if weight := someWeight.Draw(t, "weight"); weight != nil {
		ref["weight"] = weight
	}
	if oneIn(t, 8, "namespace") {
		ref["namespace"] = rapid.SampledFrom([]string{"shop", "other"}).Draw(t, "its namespace")
	}
	if oneIn(t, 8, "kind") {
		ref["kind"] = rapid.SampledFrom([]string{"Service", "ServiceImport"}).Draw(t, "its kind")
	}
	return strange(t, ref)
}

func someMatch(t *rapid.T) map[string]any {
	match := map[string]any{}
	if oneIn(t, 2, "has path") {
		kind := rapid.SampledFrom([]string{exact, pathPrefix, regex}).Draw(t, "path type")
		match["path"] = strange(t, map[string]any{"type": kind, "value": "/" + someText.Draw(t, "path")})
	}
	if oneIn(t, 3, "has header") {
		match["headers"] = []any{strange(t, map[string]any{"name": "x-beta", "value": someText.Draw(t, "header")})}
	}
	return strange(t, match)
}

func someRoute(t *rapid.T) (kind, *unstructured.Unstructured) {
	k := rapid.SampledFrom(kinds).Draw(t, "kind")
	var rules []any
	for range rapid.IntRange(0, 3).Draw(t, "rules") {
		raw := map[string]any{}
		var refs, matches []any
		for range rapid.IntRange(0, 4).Draw(t, "backends") {
			refs = append(refs, someBackend(t))
		}
		raw["backendRefs"] = refs
		for range rapid.IntRange(0, 2).Draw(t, "matches") {
			matches = append(matches, someMatch(t))
		}
		if k.matches && matches != nil {
			raw["matches"] = matches
		}
		if oneIn(t, 4, "has name") {
			raw["name"] = someText.Draw(t, "name")
		}
		if oneIn(t, 4, "rewrites") {
			raw["filters"] = []any{strange(t, map[string]any{
				"type":       "URLRewrite",
				"urlRewrite": map[string]any{"path": map[string]any{"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}},
			})}
		}
		rules = append(rules, strange(t, raw))
	}
	metadata := map[string]any{"name": "web", "namespace": "shop", "uid": "uid", "resourceVersion": "7"}
	if oneIn(t, 2, "has labels") {
		metadata["labels"] = map[string]any{"team": "shop"}
	}
	if oneIn(t, 3, "is marked") {
		mark := trafficrouting.Mark{Rollout: "shop/web", Stable: "stable", Canary: rapid.SampledFrom([]string{"canary", "images"}).Draw(t, "marked canary")}
		mark.Routes = memory{label: defaultLabelKey, sides: []string{"baseline"}, routes: []made{{headerRoute("beta", "a", "b"), nil}}}.notes()
		metadata["annotations"] = map[string]any{v1alpha1.RoutedByAnnotation: mark.String()}
	}
	return k, normal(t, map[string]any{
		"apiVersion": group + "/v1", "kind": k.name, "metadata": metadata, "spec": strange(t, map[string]any{"rules": rules}),
	})
}

func someSplit(t *rapid.T, total int32) trafficrouting.Split {
	split := splitOf(rapid.Int32Range(0, total).Draw(t, "canary weight"))
	split.MaxWeight, split.Stable.Weight = total, total-split.Canary.Weight
	if oneIn(t, 3, "has a side") {
		side := rapid.Int32Range(0, split.Stable.Weight).Draw(t, "side weight")
		split.Additional = []trafficrouting.Backend{{Service: "baseline", Weight: side}}
		split.Stable.Weight -= side
	}
	if oneIn(t, 3, "has headers") {
		split.Routes = append(split.Routes, headerRoute(rapid.SampledFrom([]string{"beta", "No_Name"}).Draw(t, "header route"), "X-Beta", "yes"))
	}
	if oneIn(t, 3, "has a mirror") {
		split.Routes = append(split.Routes, trafficrouting.ManagedRoute{Name: "mirror", Percentage: 20, Mirror: []v1alpha1.RouteMatch{
			{Path: &v1alpha1.StringMatch{Prefix: "/api"}}, {Headers: map[string]v1alpha1.StringMatch{"b": {Prefix: "c"}}},
		}})
	}
	return split
}

// TestTranslateProperties says what holds for every route, however odd, and every split.
func TestTranslateProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, checkTranslate)
}

func FuzzTranslate(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(checkTranslate))
}

func checkTranslate(t *rapid.T) {
	k, obj := someRoute(t)
	ro := rollout(&v1alpha1.GatewayAPITrafficRouting{HTTPRoute: "web"})
	total := rapid.SampledFrom([]int32{1, 100, 1000, maxWeight}).Draw(t, "total")
	ro.Spec.Strategy.Canary.TrafficRouting.MaxTrafficWeight = &total
	in, err := intentOf(ro)
	if err != nil {
		t.Fatal(err)
	}
	r := route{kind: k, obj: obj, path: field.NewPath("route"), managed: k.matches && rapid.Bool().Draw(t, "managed")}
	before := obj.DeepCopy()
	first := in.view(r)
	split := someSplit(t, total)
	todo, err := in.todo(first, split)
	if diff := cmp.Diff(before.Object, obj.Object); diff != "" {
		t.Fatalf("what was read was changed (-before +after):\n%s", diff)
	}
	if err != nil && !home(split) {
		if !todo.Empty() {
			t.Fatalf("error %v together with a write", err)
		}
		return
	}
	after, operations := applied(t, obj, todo)
	r.obj = after
	second := in.view(r)
	checkRest(t, first, second)
	if err == nil {
		checkSeen(t, in, second, split)
		checkWeights(t, in, second, split)
	}
	if again, _ := in.todo(second, split); !again.Empty() {
		_, more := applied(t, after, again)
		t.Fatalf("after %v a second time %v", operations, more)
	}
	goHome(t, in, r)
}

// checkSeen compares what is observed with what was applied.
func checkSeen(t *rapid.T, in intent, v view, split trafficrouting.Split) {
	if !v.managed {
		split.Routes = nil
	}
	s := in.see(v)
	got := fmt.Sprint(s.weight, s.additional)
	sides := map[string]int32{}
	for _, side := range split.Additional {
		if _, there := s.additional[side.Service]; there || side.Weight > 0 {
			sides[side.Service] = side.Weight
		}
	}
	if want := fmt.Sprint(split.Canary.Weight, sides); got != want || !s.whole || !trafficrouting.EqualRoutes(s.routes, split.Routes) {
		t.Fatalf("observed %s, %+v (whole: %t), want %s, %+v", got, s.routes, s.whole, want, split.Routes)
	}
}

// checkWeights sums up the weights of ours in every rule.
func checkWeights(t *rapid.T, in intent, v view, split trafficrouting.Split) {
	if home(split) {
		return
	}
	for _, r := range v.weighted {
		sum := v.sides.count(r)
		if sum.foreign == 0 && sum.ours() != int64(in.total) && !still(split) || sum.ours() > maxWeight && !still(split) {
			t.Fatalf("ours sum to %d of %d beside %d in %v", sum.ours(), in.total, sum.foreign, r.raw)
		}
	}
}

// checkRest compares everything that is not the router's.
func checkRest(t *rapid.T, before, after view) {
	rest := func(v view) string {
		rules := []any{}
		for i, r := range v.rules {
			if v.made[i] {
				continue
			}
			raw := any(nil)
			if r.raw != nil {
				raw = restOf(before.sides, before.earlier, r)
			} else {
				raw = list(child(v.obj.Object, "spec"), "rules")[i]
			}
			rules = append(rules, raw)
		}
		object := v.obj.DeepCopy()
		if rulesOf(object, "shop") != nil && len(v.rules) > 0 {
			object.Object["spec"].(map[string]any)["rules"] = rules
		}
		for _, name := range []string{"annotations", "labels"} {
			members := child(child(object.Object, "metadata"), name)
			delete(members, v1alpha1.RoutedByAnnotation)
			delete(members, defaultLabelKey)
			if len(members) == 0 {
				delete(child(object.Object, "metadata"), name)
			}
		}
		return encoded(object.Object)
	}
	if diff := cmp.Diff(rest(before), rest(after)); diff != "" {
		t.Fatalf("what is not ours changed (-before +after):\n%s", diff)
	}
}

// restOf is a rule without our sides.
func restOf(s, earlier sides, r rule) map[string]any {
	if !s.owns(r) {
		if !earlier.owns(r) {
			return r.raw
		}
		s = earlier
	}
	var refs []any
	for i, element := range list(r.raw, "backendRefs") {
		if service := r.backends[i].service; !s.has(service) && service != "baseline" {
			refs = append(refs, element)
		} else if service != "baseline" && service != s.canary {
			ref := with(r.backends[i].raw, nil)
			delete(ref, "weight")
			refs = append(refs, ref)
		}
	}
	return with(r.raw, map[string]any{"backendRefs": refs})
}

// goHome brings the route back: nothing of ours is left but weights.
func goHome(t *rapid.T, in intent, r route) {
	r.path = nil
	todo, err := in.translate(in.view(r), in.homeSplit())
	if err != nil {
		t.Fatalf("going home: %v", err)
	}
	r.obj, _ = applied(t, r.obj, todo)
	v := in.view(r)
	if s := in.see(v); s.weight != 0 || len(s.additional) > 0 || len(s.routes) > 0 || v.mine || slices.Contains(v.made, true) {
		t.Fatalf("at home: %+v in %v", s, r.obj.Object)
	}
	if r.obj.GetLabels()[defaultLabelKey] != "" {
		t.Fatalf("at home: labels %v", r.obj.GetLabels())
	}
}
