package istio

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
)

var (
	someHost   = rapid.SampledFrom([]string{"stable", "canary", "stable.shop.svc.cluster.local", "try-a", "web", "images", ""})
	someSubset = rapid.SampledFrom([]string{"", "", "stable", "canary", "mine", "try-a", "old"})
	someWeight = rapid.OneOf(rapid.SampledFrom([]any{nil, int64(0), int64(20), int64(100), int64(2147483647)}),
		rapid.Map(rapid.Int64Range(0, 100), func(n int64) any { return n }))
	someKey = rapid.OneOf(rapid.SampledFrom([]string{"name", "match", "route", "weight", "destination", "host", "subset", "labels", "http", "a/b~c"}),
		rapid.StringMatching(`[a-z]{1,8}`))
	someScalar = rapid.OneOf(rapid.SampledFrom([]any{nil, true, "", "20", "canary", 0.5, int64(0), int64(80), int64(-1), int64(1) << 40}),
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
		members := map[string]any{}
		for range rapid.IntRange(0, 3).Draw(t, "members") {
			members[someKey.Draw(t, "key")] = someValue(t, depth-1)
		}
		return members
	}
	return someScalar.Draw(t, "scalar")
}

// someDestinations are those of a route; most have both sides.
func someDestinations(t *rapid.T) []any {
	all := []any{}
	add := func(host, subset string) {
		d := map[string]any{"host": host}
		if subset != "" {
			d["subset"] = subset
		}
		if rapid.Bool().Draw(t, "has port") {
			d["port"] = map[string]any{"number": int64(8080)}
		}
		made := map[string]any{"destination": d, "later": someScalar.Draw(t, "later")}
		if weight := someWeight.Draw(t, "weight"); weight != nil {
			made["weight"] = weight
		}
		all = append(all, made)
	}
	if rapid.IntRange(0, 9).Draw(t, "both sides") > 0 {
		bySubset := rapid.Bool().Draw(t, "by subset")
		for _, side := range []string{"stable", "canary"} {
			if bySubset {
				add("web", side)
			} else {
				add(side, "")
			}
		}
	}
	for range rapid.IntRange(0, 2).Draw(t, "others") {
		add(someHost.Draw(t, "host"), someSubset.Draw(t, "subset"))
	}
	return all
}

func someRoutes(t *rapid.T, section string) []any {
	var all []any
	for range rapid.IntRange(0, 3).Draw(t, section+" routes") {
		made := map[string]any{"route": someDestinations(t), "later": someValue(t, 2)}
		if name := rapid.SampledFrom([]string{"", "primary", "primary", "images", "vip", "copy"}).Draw(t, "name"); section == http && name != "" {
			made["name"] = name
		}
		if rapid.Bool().Draw(t, "matches") {
			port := rapid.SampledFrom([]int64{443, 9000}).Draw(t, "port")
			made["match"] = []any{map[string]any{"port": port}}
		}
		all = append(all, made)
	}
	return all
}

func someVirtualService(t *rapid.T) *unstructured.Unstructured {
	spec := map[string]any{"hosts": []any{"web"}, "later": someValue(t, 2)}
	for _, section := range []string{http, tls, tcp} {
		if routes := someRoutes(t, section); len(routes) > 0 {
			spec[section] = routes
		}
	}
	return someObject(t, "VirtualService", spec)
}

func someDestinationRule(t *rapid.T) *unstructured.Unstructured {
	var all []any
	names := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"mine", "try-a", "old"}), 0, 3, rapid.ID).Draw(t, "subsets")
	for _, name := range append(names, "canary", "stable") {
		made := map[string]any{"name": name, "later": someScalar.Draw(t, "later")}
		if rapid.Bool().Draw(t, "has labels") {
			made["labels"] = map[string]any{"app": "web"}
		}
		if rapid.Bool().Draw(t, "has hash") {
			made["labels"] = map[string]any{hashLabel: rapid.SampledFrom([]string{"aaaa", "bbbb", ""}).Draw(t, "hash")}
		}
		all = append(all, made)
	}
	return someObject(t, "DestinationRule", map[string]any{"host": "web", "later": someValue(t, 2), "subsets": all})
}

// someObject has annotations as anybody may have left them, and now and then anything anywhere.
func someObject(t *rapid.T, kind string, spec map[string]any) *unstructured.Unstructured {
	obj := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "networking.istio.io/v1", "kind": kind, "later": someScalar.Draw(t, "later"),
		"metadata": map[string]any{"name": "web", "namespace": "shop", "uid": "u", "resourceVersion": "7"}, "spec": spec,
	}}
	annotations := map[string]string{}
	if rapid.Bool().Draw(t, "noted") {
		annotations["example.com/note"] = "kept"
	}
	if rapid.IntRange(0, 2).Draw(t, "marked") == 0 {
		entries := []string{"http/primary", "http/images", "managed/vip", "side/try-a", "side/old", "subset/old", "bare/http/primary", ""}
		mark := trafficrouting.Mark{Rollout: "shop/web", Stable: "stable", Canary: "canary", Routes: entries}
		annotations[v1alpha1.RoutedByAnnotation] = mark.String()
	}
	if len(annotations) > 0 {
		obj.SetAnnotations(annotations)
	}
	if rapid.IntRange(0, 4).Draw(t, "broken") == 0 {
		obj.Object["spec"] = broken(t, obj.Object["spec"], 6)
	}
	return obj
}

// broken replaces something in a value by anything.
func broken(t *rapid.T, value any, depth int) any {
	switch value := value.(type) {
	case map[string]any:
		if keys := sortedKeys(value); depth > 0 && len(keys) > 0 {
			key := rapid.SampledFrom(keys).Draw(t, "into")
			value[key] = broken(t, value[key], depth-1)
			return value
		}
	case []any:
		if depth > 0 && len(value) > 0 {
			i := rapid.IntRange(0, len(value)-1).Draw(t, "at")
			value[i] = broken(t, value[i], depth-1)
			return value
		}
	}
	return someValue(t, 2)
}

func someRollout(t *rapid.T) *v1alpha1.Rollout {
	ro := hostSplit("web")
	if rapid.Bool().Draw(t, "subsets") {
		ro = subsetSplit()
		rule := ro.Spec.Strategy.Canary.TrafficRouting.Istio.DestinationRule
		rule.Name = "web"
		if rapid.Bool().Draw(t, "keeps") {
			rule.AdditionalSubsetNames = []string{"mine"}
		}
	}
	vs := ro.Spec.Strategy.Canary.TrafficRouting.Istio.VirtualService
	if rapid.IntRange(0, 3).Draw(t, "lists no routes") == 0 {
		vs.Routes = nil
	}
	if rapid.Bool().Draw(t, "lists others") {
		vs.TLSRoutes, vs.TCPRoutes = []v1alpha1.TLSRoute{{Port: 443}}, []v1alpha1.TCPRoute{{Port: 9000}}
	}
	return managing(ro, "vip", "copy")
}

func someSplit(t *rapid.T, in intent) trafficrouting.Split {
	canary := rapid.Int32Range(0, total).Draw(t, "canary")
	extra := rapid.Int32Range(0, total-canary).Draw(t, "extra")
	hash := rapid.SampledFrom([]string{"", "aaaa", "bbbb", "cccc"})
	split := trafficrouting.Split{
		MaxWeight: total,
		Stable:    trafficrouting.Backend{Service: in.sides.stable, Hash: hash.Draw(t, "stable hash"), Weight: total - canary},
		Canary:    trafficrouting.Backend{Service: in.sides.canary, Hash: hash.Draw(t, "canary hash"), Weight: canary},
	}
	if rapid.Bool().Draw(t, "experiment") {
		split.Stable.Weight -= extra
		split.Additional = []trafficrouting.Backend{
			{Service: "try-a", Hash: hash.Draw(t, "hash"), Weight: extra / 2}, {Service: "try-b", Hash: "dddd", Weight: extra - extra/2},
		}
	}
	given := routes()["headers before a mirror"]
	split.Routes = given[rapid.IntRange(0, 2).Draw(t, "from"):]
	return split
}

// TestTranslateProperties says what holds for every split and whatever stands in the objects.
func TestTranslateProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, checkTranslate)
}

func FuzzTranslate(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(checkTranslate))
}

func checkTranslate(t *rapid.T) {
	ro := someRollout(t)
	in, err := intentOf(ro)
	if err != nil {
		t.Fatal(err)
	}
	objects := []*unstructured.Unstructured{someVirtualService(t), someDestinationRule(t)}
	split := someSplit(t, in)
	if err := in.checkSplit(split); err != nil {
		t.Fatal(err)
	}
	read := []*unstructured.Unstructured{objects[0].DeepCopy(), objects[1].DeepCopy()}
	first := worldOf(in, objects)
	if seen := in.observed(first); seen.CanaryWeight < 0 || seen.CanaryWeight > total {
		t.Fatalf("observed weight %d", seen.CanaryWeight)
	}
	if !applied(t, in, split, objects, read) {
		return
	}
	checkAfter(t, in, split, objects)
	if first.named[0].state == fit {
		checkRest(t, first.named[0], read[0], objects[0])
	}
	goHome(t, in, objects)
}

// applied carries a split out until nothing is left to write, which takes two times at most; false
// when something is wrong with the objects.
func applied(t *rapid.T, in intent, split trafficrouting.Split, objects, read []*unstructured.Unstructured) bool {
	for round := range 3 {
		w := worldOf(in, objects)
		stages, err := in.plan(w, split)
		writes := run(t, stages, objects)
		if round == 0 && !cmp.Equal(read, []*unstructured.Unstructured{w.named[0].vs.obj, objectOf(w, objects)}) {
			t.Fatal("what was read was changed")
		}
		if err != nil || len(w.failures) > 0 {
			return false
		}
		if len(writes) == 0 {
			return true
		}
		if round == 2 {
			t.Fatalf("a third time it writes %+v", writes)
		}
	}
	return false
}

func objectOf(w world, objects []*unstructured.Unstructured) *unstructured.Unstructured {
	switch {
	case w.rule != nil:
		return w.rule.rule.obj
	case len(w.strayRules) > 0:
		return w.strayRules[0].rule.obj
	}
	return objects[1]
}

// checkAfter observes what was applied, and adds the weights up.
func checkAfter(t *rapid.T, in intent, split trafficrouting.Split, objects []*unstructured.Unstructured) {
	w := worldOf(in, objects)
	seen := in.observed(w)
	carries := slices.ContainsFunc(w.named[0].weighted, func(r route) bool { return r.section == http })
	if carries && !trafficrouting.EqualRoutes(seen.Routes, split.Routes) {
		t.Fatalf("observed the routes %+v, want %+v", seen.Routes, split.Routes)
	}
	if !seen.InSync && (carries || len(split.Routes) == 0) {
		t.Fatalf("observed %+v, want it in sync", seen)
	}
	for _, r := range w.named[0].weighted {
		sum, kept := int64(0), int64(0)
		for _, d := range r.to {
			sum += int64(d.weight)
			if in.rule != nil && slices.Contains(in.rule.AdditionalSubsetNames, d.subset) {
				kept += int64(d.weight)
			}
		}
		want := total + max(0, kept-int64(split.Stable.Weight))
		if sum != want {
			t.Fatalf("the weights of %s are %+v: a sum of %d, want %d", r.id(), r.to, sum, want)
		}
	}
	if seen.CanaryWeight != split.Canary.Weight {
		t.Fatalf("observed weight %d, want %d", seen.CanaryWeight, split.Canary.Weight)
	}
}

// checkRest compares everything in a VirtualService that is not ours.
func checkRest(t *rapid.T, n named, before, after *unstructured.Unstructured) {
	touched := map[string]bool{}
	for _, r := range append(n.dropped(), n.weighted...) {
		touched[fmt.Sprintf("%s/%d", r.section, r.index-len(managedBefore(before, r)))] = true
	}
	if diff := cmp.Diff(rest(before, touched), rest(after, touched)); diff != "" {
		t.Fatalf("what is not ours changed (-before +after):\n%s", diff)
	}
}

var managedNames = []any{"vip", "copy"}

// managedBefore are the managed routes before another one, by which its position may change.
func managedBefore(obj *unstructured.Unstructured, r route) []map[string]any {
	if r.section != http {
		return nil
	}
	ahead := elements(obj.Object["spec"], http)[:r.index]
	return slices.DeleteFunc(ahead, func(route map[string]any) bool { return !slices.Contains(managedNames, route["name"]) })
}

// rest is an object without its mark, its managed routes, and the destinations of the routes that are
// touched, by section and place among those that are not managed.
func rest(obj *unstructured.Unstructured, touched map[string]bool) map[string]any {
	left := obj.DeepCopy()
	annotations := left.GetAnnotations()
	delete(annotations, v1alpha1.RoutedByAnnotation)
	if len(annotations) == 0 {
		annotations = nil
	}
	left.SetAnnotations(annotations)
	for _, section := range []string{http, tls, tcp} {
		own := slices.DeleteFunc(elements(left.Object["spec"], section), func(route map[string]any) bool {
			return section == http && slices.Contains(managedNames, route["name"])
		})
		for i, route := range own {
			if touched[fmt.Sprintf("%s/%d", section, i)] {
				delete(route, "route")
			}
		}
		left.Object["own "+section] = own
		if spec, ok := left.Object["spec"].(map[string]any); ok {
			delete(spec, section)
		}
	}
	return left.Object
}

// goHome releases everything, as when the Rollout is gone.
func goHome(t *rapid.T, in intent, objects []*unstructured.Unstructured) {
	gone := intent{rollout: in.rollout.DeepCopy(), usable: true}
	gone.rollout.Spec = v1alpha1.RolloutSpec{}
	for range 2 {
		stages, err := gone.plan(worldOf(gone, objects), trafficrouting.Split{})
		if err != nil {
			t.Fatal(err)
		}
		run(t, stages, objects)
	}
	if w := worldOf(gone, objects); len(w.strays)+len(w.strayRules) > 0 {
		t.Fatalf("still marked: %v", objects)
	}
	for _, s := range elements(objects[1].Object["spec"], "subsets") {
		labels, _ := s["labels"].(map[string]any)
		if in.rule != nil && labels[hashLabel] != nil && slices.Contains([]any{"stable", "canary", "try-b"}, s["name"]) &&
			objects[1].GetAnnotations()[v1alpha1.ManagedByAnnotation] != "" {
			t.Fatalf("subset %v still selects a revision", s["name"])
		}
	}
}
