package istio

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
)

// What is written of a DestinationRule in one pass, and whether before or after the routes.
func TestASubsetChangesWhileItHasNoWeight(t *testing.T) {
	in := intent{rule: &v1alpha1.IstioDestinationRule{}, sides: sides{bySubset: true, stableSubset: "stable", canarySubset: "canary"}}
	n := namedRule{
		rule: destinationRule{subsets: []subset{{name: "stable", hash: "aaaa"}, {name: "canary", hash: "bbbb"}, {name: "old", hash: "x"}}},
		rec:  record{subsets: []string{"old"}},
	}
	kept := n
	kept.rec = record{}
	try := []trafficrouting.Backend{{Service: "try", Hash: "dddd"}}
	for _, c := range []struct {
		name           string
		n              namedRule
		from, to       int32 // of the canary
		stable, canary string
		additional     []trafficrouting.Backend
		now            []string
		after          bool
	}{
		{"nothing", kept, 20, 20, "aaaa", "bbbb", nil, nil, false},
		{"a canary moves at rest", kept, 0, 0, "aaaa", "cccc", nil, []string{"canary"}, false},
		{"a canary moves before it gets weight", kept, 0, 10, "aaaa", "cccc", nil, []string{"canary"}, false},
		{"a canary moves after it lost its weight", kept, 10, 0, "aaaa", "cccc", nil, []string{"canary"}, true},
		{"the stable side moves before it gets weight", kept, 100, 0, "bbbb", "bbbb", nil, []string{"stable"}, false},
		{"the stable side moves after it lost its weight", kept, 50, 100, "cccc", "bbbb", nil, []string{"stable"}, true},
		{"of both sides only the one that gets weight moves now", kept, 100, 0, "bbbb", "cccc", nil, []string{"stable"}, false},
		{"and the other way round", kept, 0, 100, "cccc", "dddd", nil, []string{"canary"}, false},
		{"a subset is added before it gets weight", kept, 20, 10, "aaaa", "bbbb", try, []string{"try"}, false},
		{"a subset is removed after it lost its weight", n, 10, 20, "aaaa", "bbbb", nil, []string{"-old"}, true},
		{"one is added now, and another removed the next time", n, 10, 20, "aaaa", "bbbb", try, []string{"try"}, false},
		{"what has weight throughout goes with traffic that rises", kept, 10, 20, "aaaa", "cccc", nil, []string{"canary"}, false},
		{"and after traffic that falls", kept, 20, 10, "aaaa", "cccc", nil, []string{"canary"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			moves := shift{stableFrom: total - c.from, stableTo: total - c.to, canaryFrom: c.from, canaryTo: c.to}
			split := subsets(c.to, c.stable, c.canary)
			split.Additional = c.additional
			e, err := in.edits(c.n, split, moves)
			if err != nil {
				t.Fatal(err)
			}
			now, after := e.order(moves)
			var names []string
			for _, next := range now {
				if next.remove {
					next.name = "-" + next.name
				}
				names = append(names, next.name)
			}
			if diff := cmp.Diff(c.now, names); diff != "" || after != c.after {
				t.Errorf("after the routes %t, want %t; edits (-want +got):\n%s", after, c.after, diff)
			}
		})
	}
}

// A route that the spec named before has weight, too.
func TestASubsetWaitsForARouteThatTheSpecNoLongerNames(t *testing.T) {
	w := subsetWorld(t, 20)
	change(t, w, services, "web", func(obj client.Object) { secondary(obj, 100, 0) })
	ro := subsetSplit()
	ro.Spec.Strategy.Canary.TrafficRouting.Istio.VirtualService.Routes = []string{"secondary"}
	apply(t, w, ro, subsets(10, "aaaa", "cccc"))
	wantWrites(t, w, "patch web", "patch web-rule")
	if former := primary(stored(t, w, services, "web")); former[0]["weight"] != int64(100) || former[1]["weight"] != int64(0) {
		t.Errorf("the former route has %v", former)
	}
}

func TestOnlyTheFirstDestinationOfASideGetsItsWeight(t *testing.T) {
	w := wish{sides: sides{stable: "stable", canary: "canary"}, stableWeight: 80, canaryWeight: 20}
	r := route{to: []destination{{host: "canary", port: 1}, {host: "stable", port: 1}, {host: "canary", port: 2, weight: 5}, {host: "stable", port: 2, weight: 9}}}
	if got, _ := w.weights(r); !slices.Equal(got, []int32{20, 80, 0, 0}) {
		t.Errorf("weights %v", got)
	}
}

// What others keep, they keep when the Rollout goes.
func TestDestinationsOfOthersKeepTheirWeightsWhenTheTrafficGoesHome(t *testing.T) {
	given := between("web", "web/stable", "web/canary")
	for _, route := range content(given)[http].([]any) {
		if route := route.(map[string]any); route["name"] == "primary" {
			route["route"] = append(route["route"].([]any), map[string]any{"destination": map[string]any{"host": "web", "subset": "mine"}, "weight": int64(10)})
		}
	}
	w := newWorld(t, given, subsetsOfWeb("web-rule"))
	ro := subsetSplit()
	ro.Spec.Strategy.Canary.TrafficRouting.Istio.DestinationRule.AdditionalSubsetNames = []string{"mine"}
	apply(t, w, ro, subsets(20, "aaaa", "bbbb"))
	wantWeights(t, w, 70, 20, 10)
	ro.Spec = v1alpha1.RolloutSpec{}
	apply(t, w, ro, trafficrouting.Split{})
	wantWeights(t, w, 90, 0, 10)
}

// Of several routes with one name the first carries the weights, and only it comes home.
func TestAnotherRouteOfTheSameNameIsLeftAlone(t *testing.T) {
	w := subsetWorld(t, 20)
	change(t, w, services, "web", func(obj client.Object) {
		secondary(obj, 40, 60)
		elements(content(obj), http)[2]["name"] = "primary"
	})
	gone := subsetSplit()
	gone.Spec = v1alpha1.RolloutSpec{}
	apply(t, w, gone, trafficrouting.Split{})
	for i, want := range map[int][]any{1: {int64(100), int64(0)}, 2: {int64(40), int64(60)}} {
		of := elements(elements(content(stored(t, w, services, "web")), http)[i], "route")
		if got := []any{of[0]["weight"], of[1]["weight"]}; !cmp.Equal(want, got) {
			t.Errorf("route %d has the weights %v, want %v", i, got, want)
		}
	}
}

// Somebody took the stable side out of a route: there is no home, so the route is left to them.
func TestARouteWithoutAStableSideIsLeftToWhoeverMadeItSo(t *testing.T) {
	w := subsetWorld(t, 20)
	change(t, w, services, "web", func(obj client.Object) {
		primary(obj)[0]["destination"].(map[string]any)["subset"] = "mine"
	})
	gone := subsetSplit()
	gone.Spec = v1alpha1.RolloutSpec{}
	apply(t, w, gone, trafficrouting.Split{})
	wantWeights(t, w, 80, 20)
	if keys := trafficrouting.MarkKeys(stored(t, w, services, "web")); len(keys) > 0 {
		t.Errorf("it still carries the marks of %v", keys)
	}
}

// A route that another Rollout's step added cannot carry our weights.
func TestTheManagedRouteOfAnotherRolloutCarriesNoWeights(t *testing.T) {
	vs := between("web", "stable", "canary")
	elements(content(vs), http)[1]["name"] = "vip"
	mark := trafficrouting.Mark{Rollout: "shop/other", Routes: []string{"managed/vip"}}
	vs.SetAnnotations(map[string]string{v1alpha1.RoutedByAnnotation: mark.String()})
	ro := hostSplit("web")
	ro.Spec.Strategy.Canary.TrafficRouting.Istio.VirtualService.Routes = []string{"vip"}
	w := newWorld(t, vs)
	_, err := New(w.Client).Apply(t.Context(), trafficrouting.Ref{Rollout: ro}, splitOf(20))
	wantField(t, err, "spec.strategy.canary.trafficRouting.istio.virtualService.routes[0]")
	wantWrites(t, w)
}
