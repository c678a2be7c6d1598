package istio

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/routertest"
)

// Reports of users of argo-rollouts, by number. What the planner must do about the same reports is
// tested there.

// subsetWorld is one in which the canary subset of revision bbbb has a weight.
func subsetWorld(t *testing.T, weight int32) *routertest.World {
	t.Helper()
	w := newWorld(t, between("web", "web/stable", "web/canary"), subsetsOfWeb("web-rule"))
	apply(t, w, subsetSplit(), subsets(weight, "aaaa", "bbbb"))
	w.Writes()
	return w
}

// managing is a Rollout that may add routes.
func managing(ro *v1alpha1.Rollout, names ...string) *v1alpha1.Rollout {
	for _, name := range names {
		routing := ro.Spec.Strategy.Canary.TrafficRouting
		routing.ManagedRoutes = append(routing.ManagedRoutes, v1alpha1.MangedRoutes{Name: name})
	}
	return ro
}

// The pods of a revision were deleted while the DestinationRule still led to them: what it selects
// is reported, also when nothing shares traffic.
func TestArgo4560WhatTheDestinationRuleSelectsIsReported(t *testing.T) {
	w := subsetWorld(t, 0)
	if got := observe(t, w, subsetSplit()).Selects; got == nil || *got != (trafficrouting.Selection{Stable: "aaaa", Canary: "bbbb"}) {
		t.Errorf("selects %+v", got)
	}
	change(t, w, rules, "web-rule", func(obj client.Object) {
		delete(elements(content(obj), "subsets")[1]["labels"].(map[string]any), hashLabel)
	})
	if got := observe(t, w, subsetSplit()).Selects; got == nil || *got != (trafficrouting.Selection{Canary: "bbbb"}) {
		t.Errorf("selects %+v after the hash was taken away", got)
	}
}

// A third revision came while the canary had weight, and the subset moved 9 ms before the weight
// went: 503.
func TestArgo4564TheWeightGoesBeforeTheSubsetMoves(t *testing.T) {
	w := subsetWorld(t, 5)
	apply(t, w, subsetSplit(), subsets(0, "aaaa", "cccc"))
	wantWrites(t, w, "patch web", "patch web-rule")
}

// The same, and the weight could not be written: then the subset must stay.
func TestArgo4612ASubsetDoesNotMoveWhileItsWeightCannotGo(t *testing.T) {
	w := subsetWorld(t, 5)
	w.Fail = func(obj client.Object) error {
		if obj.GetName() == "web" {
			return errRefused
		}
		return nil
	}
	_, err := New(w.Client).Apply(t.Context(), trafficrouting.Ref{Rollout: subsetSplit()}, subsets(0, "aaaa", "cccc"))
	if !errors.Is(err, errRefused) {
		t.Errorf("error %v, want the refusal", err)
	}
	if got := observe(t, w, subsetSplit()); got.CanaryWeight != 5 || got.Selects.Canary != "bbbb" {
		t.Errorf("observed %+v, want the weight of 5 on bbbb", got)
	}
}

// At a promotion it is the other way round: the stable subset gets the traffic, so it moves first,
// and the weight stays while that fails.
func TestTheStableSubsetMovesBeforeItGetsTheTraffic(t *testing.T) {
	w := subsetWorld(t, 100)
	w.Fail = func(client.Object) error { return errRefused }
	ref := trafficrouting.Ref{Rollout: subsetSplit()}
	if _, err := New(w.Client).Apply(t.Context(), ref, subsets(0, "bbbb", "bbbb")); !errors.Is(err, errRefused) {
		t.Errorf("error %v, want the refusal", err)
	}
	wantWrites(t, w, "patch web-rule")
	w.Fail = nil
	apply(t, w, subsetSplit(), subsets(0, "bbbb", "bbbb"))
	wantWrites(t, w, "patch web-rule", "patch web")
}

// The first weight of a canary waits for the hash of its subset.
func TestASubsetSelectsItsRevisionBeforeItGetsWeight(t *testing.T) {
	w := newWorld(t, between("web", "web/stable", "web/canary"), subsetsOfWeb("web-rule"))
	w.Fail = func(obj client.Object) error {
		if obj.GetName() == "web-rule" {
			return errRefused
		}
		return nil
	}
	if _, err := New(w.Client).Apply(t.Context(), trafficrouting.Ref{Rollout: subsetSplit()}, subsets(10, "aaaa", "bbbb")); err == nil {
		t.Error("no error, want the refusal")
	}
	wantWrites(t, w, "patch web-rule")
}

// The destinations of an Experiment stayed behind, with their shares, after it was over. The mark
// tells them from others', also when the spec does not.
func TestArgo4831TheDestinationsOfAnExperimentGoWithIt(t *testing.T) {
	split := splitOf(10)
	split.Stable.Weight, split.Additional = 70, []trafficrouting.Backend{{Service: "try-a", Weight: 20}}
	for name, after := range map[string]func(*v1alpha1.Rollout){
		"when it is over":          func(*v1alpha1.Rollout) {},
		"when no router is named":  func(ro *v1alpha1.Rollout) { ro.Spec.Strategy.Canary.TrafficRouting = nil },
		"when the spec is wrong":   func(ro *v1alpha1.Rollout) { ro.Spec.Strategy.Canary.StableService = "" },
		"when the Rollout is gone": func(ro *v1alpha1.Rollout) { ro.Spec = v1alpha1.RolloutSpec{} },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, between("web", "stable", "canary"))
			apply(t, w, hostSplit("web"), split)
			if got, err := weights(stored(t, w, services, "web")); err != nil || !slices.Equal(got, []int32{70, 10, 20}) {
				t.Fatalf("weights %v, %v", got, err)
			}
			ro := hostSplit("web")
			after(ro)
			if _, err := New(w.Client).Apply(t.Context(), trafficrouting.Ref{Rollout: ro}, splitOf(0)); err != nil {
				t.Log(err)
			}
			if got, err := weights(stored(t, w, services, "web")); err != nil || !slices.Equal(got, []int32{100, 0}) {
				t.Errorf("weights %v, %v, want what the author wrote", got, err)
			}
		})
	}
}

// Weights below zero and weights that overflow reached the mesh.
func TestArgo3467And3474NoWeightIsBelowZeroOrOverflows(t *testing.T) {
	rule := &v1alpha1.IstioDestinationRule{StableSubsetName: "stable", CanarySubsetName: "canary", AdditionalSubsetNames: []string{"mine"}}
	in := intent{rule: rule, sides: sides{bySubset: true, stableSubset: "stable", canarySubset: "canary"}}
	for _, c := range []struct {
		name         string
		mine, canary int32
		want         []int32
	}{
		{"what others keep is taken from the stable side", 10, 20, []int32{10, 70, 20}},
		{"to the last of it", 30, 70, []int32{30, 0, 70}},
		{"and no further", 30, 90, []int32{30, 0, 90}},
		{"also when they keep more than there is", 2147483647, 100, []int32{2147483647, 0, 100}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := route{to: []destination{{subset: "mine", weight: c.mine}, {subset: "stable", weight: 2147483647}, {subset: "canary"}}}
			got, missing := in.wishOf(splitOf(c.canary)).weights(r)
			if diff := cmp.Diff(c.want, got); diff != "" || len(missing) > 0 {
				t.Errorf("weights (-want +got):\n%s, missing %v", diff, missing)
			}
		})
	}
}

// Once a release was done, Git tools saw another object than the one in Git. All that is left is an
// annotation, which they do not compare.
func TestArgo2463And3854AfterAReleaseTheObjectIsAsItsAuthorWroteIt(t *testing.T) {
	given := plain("plain") // Its canaries have no weight at all.
	w := newWorld(t, given.DeepCopy())
	ro := hostSplit("plain")
	for _, weight := range []int32{5, 50, 100, 0} {
		apply(t, w, ro, splitOf(weight))
	}
	if diff := cmp.Diff(given.Object["spec"], stored(t, w, services, "plain").Object["spec"]); diff != "" {
		t.Errorf("spec (-as in Git +after the release):\n%s", diff)
	}
	if got := observe(t, w, ro); !got.InSync || got.CanaryWeight != 0 {
		t.Errorf("observed %+v, want it at rest", got)
	}
	w.Writes()
	apply(t, w, ro, splitOf(0))
	wantWrites(t, w)
}

// A tool applied the object from Git in the middle of a release: that is seen, and put right.
func TestArgo849AnObjectAppliedFromGitIsSeenAndPutRight(t *testing.T) {
	w := subsetWorld(t, 20)
	change(t, w, services, "web", func(obj client.Object) {
		primary(obj)[0]["weight"] = int64(100)
		delete(primary(obj)[1], "weight")
	})
	if got := observe(t, w, subsetSplit()); got.CanaryWeight != 0 {
		t.Errorf("observed %+v, want no weight", got)
	}
	apply(t, w, subsetSplit(), subsets(20, "aaaa", "bbbb"))
	if got := observe(t, w, subsetSplit()); got.CanaryWeight != 20 || !got.InSync {
		t.Errorf("observed %+v, want 20", got)
	}
}

// With steps that add routes, RemoveManagedRoutes wrote the object on every pass, for ever.
func TestARolloutAtRestWithStepsThatAddRoutesWritesNothing(t *testing.T) {
	ro := managing(hostSplit("web"), "vip")
	ro.Spec.Strategy.Canary.Steps = []v1alpha1.CanaryStep{{SetHeaderRoute: &v1alpha1.SetHeaderRoute{
		Name: "vip", Match: routes()["a header as a whole"][0].Headers,
	}}}
	w := newWorld(t, between("web", "stable", "canary"))
	for range 3 {
		apply(t, w, ro, splitOf(0))
		if got := observe(t, w, ro); !got.InSync {
			t.Errorf("observed %+v, want it in sync", got)
		}
	}
	wantWrites(t, w)
}

// Each pass added the route of a header once more, until the object was full.
func TestArgo2769ARouteIsThereOnce(t *testing.T) {
	ro := managing(hostSplit("web"), "vip")
	w := newWorld(t, between("web", "stable", "canary"))
	split := splitOf(26)
	split.Routes = routes()["a header as a whole"]
	for _, weight := range []int32{26, 26, 50} {
		split.Stable.Weight, split.Canary.Weight = 100-weight, weight
		apply(t, w, ro, split)
	}
	var names []any
	for _, route := range elements(content(stored(t, w, services, "web")), http) {
		names = append(names, route["name"])
	}
	if diff := cmp.Diff([]any{"vip", "images", "primary"}, names); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
}

// A match by withoutHeaders was written back as one that matches everything, because the types did
// not know the member. The duty "what is not the router's stays byte for byte" has one, too.
func TestArgo2767MatchesOfOtherRoutesStayAsTheyStand(t *testing.T) {
	w := newWorld(t, between("web", "stable", "canary"))
	ro := managing(hostSplit("web"), "vip")
	split := splitOf(20)
	split.Routes = routes()["a header as a whole"]
	apply(t, w, ro, split)
	apply(t, w, ro, splitOf(0))
	before, after := between("web", "stable", "canary"), stored(t, w, services, "web")
	if diff := cmp.Diff(before.Object["spec"], after.Object["spec"]); diff != "" {
		t.Errorf("spec (-before +after):\n%s", diff)
	}
}

// Destinations that the spec lists keep their weights, and subsets that it does not even list stay
// in the DestinationRule.
func TestArgo3125SubsetsOfOthersStay(t *testing.T) {
	w := subsetWorld(t, 20)
	var names []any
	for _, s := range elements(content(stored(t, w, rules, "web-rule")), "subsets") {
		names = append(names, s["name"])
	}
	if diff := cmp.Diff([]any{"mine", "stable", "canary"}, names); diff != "" {
		t.Errorf("subsets (-want +got):\n%s", diff)
	}
}

// Rollouts whose VirtualService has TLS routes only did not end: managed routes were looked for in
// its HTTP routes.
func TestArgo2501AVirtualServiceWithoutHTTPEndsItsRelease(t *testing.T) {
	w := newWorld(t, plain("plain"))
	ro := managing(hostSplit("plain"), "vip")
	apply(t, w, ro, splitOf(100))
	apply(t, w, ro, splitOf(0))
	if got := observe(t, w, ro); got.CanaryWeight != 0 || !got.InSync {
		t.Errorf("observed %+v, want it at rest", got)
	}
}

// The port of a route to the canary is the canary's: the first destination may have another.
func TestArgo4481AManagedRouteHasThePortOfTheCanary(t *testing.T) {
	r := route{to: []destination{{host: "stable", port: 8080}, {host: "canary", port: 9090}}}
	s := sides{stable: "stable", canary: "canary"}
	if got := frameOf(s, r, nil).canary; !same(got, destinationFor("canary", "", 9090)) {
		t.Errorf("destination %v, want port 9090", got)
	}
	r.to[1].port = 0
	if got := frameOf(s, r, nil).canary; !same(got, destinationFor("canary", "", 8080)) {
		t.Errorf("destination %v, want the port of the first destination", got)
	}
}
