package istio

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/routertest"
)

func refuse(name string) func(client.Object) error {
	return func(obj client.Object) error {
		if obj.GetName() == name {
			return errRefused
		}
		return nil
	}
}

// What is to be written in the DestinationRule at any time does not delay traffic that leaves the canary.
func TestTrafficThatLeavesTheCanaryDoesNotWaitForTheDestinationRule(t *testing.T) {
	w := subsetWorld(t, 20)
	change(t, w, rules, "web-rule", func(obj client.Object) {
		annotations := obj.GetAnnotations()
		delete(annotations, v1alpha1.ManagedByAnnotation)
		obj.SetAnnotations(annotations)
	})
	w.Fail = refuse("web-rule")
	ref := trafficrouting.Ref{Rollout: subsetSplit()}
	if _, err := New(w.Client).Apply(t.Context(), ref, subsets(0, "aaaa", "bbbb")); !errors.Is(err, errRefused) {
		t.Errorf("error %v, want the refusal", err)
	}
	wantWrites(t, w, "patch web", "patch web-rule")
	wantWeights(t, w, 100, 0)
}

func TestAnEmptyHashLeavesASubsetAsItIs(t *testing.T) {
	w := subsetWorld(t, 20)
	apply(t, w, subsetSplit(), subsets(20, "", ""))
	wantWrites(t, w)
	if got := observe(t, w, subsetSplit()).Selects; *got != (trafficrouting.Selection{Stable: "aaaa", Canary: "bbbb"}) {
		t.Errorf("selects %+v", got)
	}
}

// A subset without a hash selects the pods of all revisions.
func TestASideOfAnExperimentWithoutAHashIsRefused(t *testing.T) {
	w := subsetWorld(t, 20)
	split := subsets(20, "aaaa", "bbbb")
	split.Stable.Weight, split.Additional = 70, []trafficrouting.Backend{{Service: "try-a", Weight: 10}}
	if _, err := New(w.Client).Apply(t.Context(), trafficrouting.Ref{Rollout: subsetSplit()}, split); err == nil {
		t.Error("no error, want one")
	}
	wantWrites(t, w)
}

// A subset that was there before an Experiment of its name is not ours to remove.
func TestASubsetThatSomebodyElseMadeIsNotRemoved(t *testing.T) {
	w := subsetWorld(t, 20)
	split := subsets(20, "aaaa", "bbbb")
	split.Stable.Weight, split.Additional = 70, []trafficrouting.Backend{{Service: "mine", Hash: "cccc", Weight: 10}}
	apply(t, w, subsetSplit(), split)
	apply(t, w, subsetSplit(), subsets(20, "aaaa", "bbbb"))
	if _, ok := readRule(t, w).hash("mine"); !ok {
		t.Error("the subset is gone")
	}
}

func readRule(t *testing.T, w *routertest.World) destinationRule {
	t.Helper()
	rule, err := readDestinationRule(stored(t, w, rules, "web-rule"))
	if err != nil {
		t.Fatal(err)
	}
	return rule
}

func TestTheAnnotationOfAnotherRolloutStays(t *testing.T) {
	w := subsetWorld(t, 20)
	change(t, w, rules, "web-rule", func(obj client.Object) {
		annotations := obj.GetAnnotations()
		annotations[v1alpha1.ManagedByAnnotation] = "other"
		obj.SetAnnotations(annotations)
	})
	gone := subsetSplit()
	gone.Spec = v1alpha1.RolloutSpec{}
	apply(t, w, gone, trafficrouting.Split{})
	want := map[string]string{v1alpha1.ManagedByAnnotation: "other"}
	if diff := cmp.Diff(want, stored(t, w, rules, "web-rule").GetAnnotations()); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
}

// secondary adds a route with both sides that the spec does not mean.
func secondary(obj client.Object, stable, canary int64) {
	spec := content(obj)
	spec[http] = append(spec[http].([]any), map[string]any{"name": "secondary", "route": []any{
		map[string]any{"destination": map[string]any{"host": "web", "subset": "stable"}, "weight": stable},
		map[string]any{"destination": map[string]any{"host": "web", "subset": "canary"}, "weight": canary},
	}})
}

// The spec lists a route that is not there. What counts then are the routes that were given weights;
// where that is not known, all that could have been.
func TestRoutesThatDoNotFitAreSeenForWhatTheyShare(t *testing.T) {
	ro := subsetSplit()
	ro.Spec.Strategy.Canary.TrafficRouting.Istio.VirtualService.Routes = []string{"primary", "missing"}
	for name, c := range map[string]struct {
		spoil func(client.Object)
		want  int32
	}{
		"routes that were weighted":     {func(obj client.Object) { secondary(obj, 40, 60) }, 20},
		"all routes without a mark":     {func(obj client.Object) { secondary(obj, 40, 60); obj.SetAnnotations(nil) }, 60},
		"what cannot be read, as all":   {func(obj client.Object) { primary(obj)[0]["weight"] = "many" }, 100},
		"a single route that is no mix": {func(obj client.Object) { primary(obj)[0]["weight"], primary(obj)[1]["weight"] = int64(0), int64(1) }, 100},
	} {
		t.Run(name, func(t *testing.T) {
			w := subsetWorld(t, 20)
			change(t, w, services, "web", c.spoil)
			seen, err := New(w.Client).Observe(t.Context(), trafficrouting.Ref{Rollout: ro})
			if err == nil || seen.CanaryWeight != c.want || seen.InSync {
				t.Errorf("observed %+v, %v, want the weight %d and an error", seen, err, c.want)
			}
		})
	}
}

// A stray that cannot be understood counts as all of the traffic, and keeps the hashes it may lead to.
func TestAStrayThatCannotBeUnderstoodKeepsItsDestinationRule(t *testing.T) {
	w := subsetWorld(t, 20)
	change(t, w, services, "web", func(obj client.Object) { primary(obj)[0]["weight"] = "many" })
	ro := subsetSplit()
	ro.Spec.Strategy.Canary.TrafficRouting = nil
	ref := trafficrouting.Ref{Rollout: ro}
	seen, err := New(w.Client).Observe(t.Context(), ref)
	if err == nil || seen.CanaryWeight != 100 || seen.InSync {
		t.Errorf("observed %+v, %v, want all of the traffic and an error", seen, err)
	}
	if _, err := New(w.Client).Apply(t.Context(), ref, splitOf(0)); err == nil {
		t.Error("no error, want one that names the VirtualService")
	}
	wantWrites(t, w)
}

// twoSplits is a Rollout that shares traffic between subsets in two VirtualServices.
func twoSplits() *v1alpha1.Rollout {
	ro := subsetSplit()
	istio := ro.Spec.Strategy.Canary.TrafficRouting.Istio
	istio.VirtualServices, istio.VirtualService = []v1alpha1.IstioVirtualService{{Name: "web"}, {Name: "api"}}, nil
	for i := range istio.VirtualServices {
		istio.VirtualServices[i].Routes = []string{"primary"}
	}
	return ro
}

// Nobody knows what the canary gets in one of two VirtualServices, so its subset does not move for
// the weight that it is to get in the other.
func TestASubsetWithAWeightThatNobodyKnowsDoesNotMove(t *testing.T) {
	ro := twoSplits()
	for name, spoil := range map[string]func(client.Object){
		"cannot be understood": func(obj client.Object) { primary(obj)[0]["weight"] = "many" },
		"has another route": func(obj client.Object) {
			elements(content(obj), http)[1]["name"] = "renamed"
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, between("web", "web/stable", "web/canary"), between("api", "web/stable", "web/canary"), subsetsOfWeb("web-rule"))
			apply(t, w, ro, subsets(20, "aaaa", "bbbb"))
			change(t, w, services, "web", func(obj client.Object) { primary(obj)[0]["weight"], primary(obj)[1]["weight"] = int64(100), int64(0) })
			change(t, w, services, "api", spoil)
			if _, err := New(w.Client).Apply(t.Context(), trafficrouting.Ref{Rollout: ro}, subsets(10, "aaaa", "cccc")); err == nil {
				t.Error("no error, want one that names the VirtualService")
			}
			wantWrites(t, w, "patch web")
		})
	}
}

// The canary subset may have weight in a VirtualService that cannot be written now.
func TestASubsetWaitsForEveryVirtualService(t *testing.T) {
	ro := twoSplits()
	for name, spoil := range map[string]func(client.Object){
		"one that is another Rollout's": stolen,
		"one that cannot be understood": func(obj client.Object) { primary(obj)[0]["weight"] = "many" },
		"one whose route is gone":       func(obj client.Object) { content(obj)[http] = []any{} },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, between("web", "web/stable", "web/canary"), between("api", "web/stable", "web/canary"), subsetsOfWeb("web-rule"))
			apply(t, w, ro, subsets(5, "aaaa", "bbbb"))
			change(t, w, services, "api", spoil)
			if _, err := New(w.Client).Apply(t.Context(), trafficrouting.Ref{Rollout: ro}, subsets(0, "aaaa", "cccc")); err == nil {
				t.Error("no error, want one that names the VirtualService")
			}
			wantWrites(t, w, "patch web")
		})
	}
}

// A mirror route has a copy of the weights, by which the canary may get more than by the route itself.
func TestTheWeightsOfAMirrorRouteCount(t *testing.T) {
	w := newWorld(t, between("web", "stable", "canary"))
	ro := managing(hostSplit("web"), "copy")
	split := splitOf(20)
	split.Routes = routes()["a mirror"]
	apply(t, w, ro, split)
	change(t, w, services, "web", func(obj client.Object) {
		copied := elements(elements(content(obj), http)[0], "route")
		copied[0]["weight"], copied[1]["weight"] = int64(10), int64(90)
	})
	seen := observe(t, w, ro)
	want := trafficrouting.Observed{Exists: true, CanaryWeight: 90, Routes: []trafficrouting.ManagedRoute{{Name: "copy"}}}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("observed (-want +got):\n%s", diff)
	}
}

// A route of a managed name that is not as it is written counts as one that matches nothing known.
func TestAManagedRouteThatSomebodyChangedIsSeenAndPutRight(t *testing.T) {
	header, mirror := routes()["a header as a whole"], routes()["a mirror"]
	match := func(obj client.Object) map[string]any { return elements(elements(content(obj), http)[0], "match")[0] }
	for name, c := range map[string]struct {
		routes []trafficrouting.ManagedRoute
		spoil  func(client.Object)
	}{
		"matches gone":             {header, func(obj client.Object) { delete(elements(content(obj), http)[0], "match") }},
		"another match beside":     {header, func(obj client.Object) { match(obj)["uri"] = map[string]any{"prefix": "/a"} }},
		"a member of a later type": {header, func(obj client.Object) { match(obj)["later"] = true }},
		"another destination":      {header, func(obj client.Object) { elements(elements(content(obj), http)[0], "route")[0]["weight"] = int64(5) }},
		"a percentage of nothing": {mirror, func(obj client.Object) {
			elements(content(obj), http)[0]["mirrorPercentage"] = map[string]any{"value": "NaN"}
		}},
		"a percentage beyond": {mirror, func(obj client.Object) {
			elements(content(obj), http)[0]["mirrorPercentage"] = map[string]any{"value": int64(1) << 40}
		}},
		"a part of a percent": {mirror, func(obj client.Object) {
			elements(content(obj), http)[0]["mirrorPercentage"] = map[string]any{"value": 0.5}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, between("web", "stable", "canary"))
			ro := managing(hostSplit("web"), c.routes[0].Name)
			split := splitOf(20)
			split.Routes = c.routes
			apply(t, w, ro, split)
			change(t, w, services, "web", c.spoil)
			want := trafficrouting.Observed{Exists: true, CanaryWeight: 20, Routes: []trafficrouting.ManagedRoute{{Name: c.routes[0].Name}}}
			if diff := cmp.Diff(want, observe(t, w, ro)); diff != "" {
				t.Errorf("observed (-want +got):\n%s", diff)
			}
			apply(t, w, ro, split)
			if got := observe(t, w, ro); !got.InSync || !trafficrouting.EqualRoutes(got.Routes, c.routes) {
				t.Errorf("observed %+v afterwards", got)
			}
		})
	}
}

// TLS and TCP routes are chosen by exactly one port and exactly the SNI hosts.
func TestRoutesAreChosenByWhatTheyMatch(t *testing.T) {
	both := "route: [{destination: {host: stable}, weight: 100}, {destination: {host: canary}}]"
	spec := strings.ReplaceAll(`
tls:
- {match: [{port: 443, sniHosts: [a]}, {port: 8443, sniHosts: [a]}], BOTH}
- {match: [{port: 443, sniHosts: [b]}, {port: 443, sniHosts: [a]}], BOTH}
- {match: [{port: 443, sniHosts: [a]}], BOTH}
- {match: [{sniHosts: [a]}], BOTH}
tcp:
- {match: [{port: 9000}, {port: 9001}], BOTH}
- {match: [{port: 9000}], BOTH}
- {match: [{port: 9000, sourceLabels: {app: x}}], BOTH}
- {BOTH}
`, "BOTH", both)
	vs, err := readVirtualService(object(services, "web", spec))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		spec v1alpha1.IstioVirtualService
		want []int // positions in both sections
	}{
		"by port and hosts in any order": {v1alpha1.IstioVirtualService{
			TLSRoutes: []v1alpha1.TLSRoute{{Port: 443, SNIHosts: []string{"a", "b", "a"}}}, TCPRoutes: []v1alpha1.TCPRoute{{}},
		}, []int{1, 3}},
		"all that match": {v1alpha1.IstioVirtualService{
			TLSRoutes: []v1alpha1.TLSRoute{{Port: 443, SNIHosts: []string{"a"}}, {SNIHosts: []string{"a"}}}, TCPRoutes: []v1alpha1.TCPRoute{{Port: 9000}},
		}, []int{2, 3, 1, 2}},
		"none": {v1alpha1.IstioVirtualService{TLSRoutes: []v1alpha1.TLSRoute{{Port: 8443, SNIHosts: []string{"a"}}}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, _ := selection{spec: c.spec}.choose(vs, nil)
			var at []int
			for _, r := range got {
				at = append(at, r.index)
			}
			if diff := cmp.Diff(c.want, at); diff != "" {
				t.Errorf("positions (-want +got):\n%s", diff)
			}
		})
	}
}

// A specification of many megabytes is not decoded on every pass.
func TestASpecThatIsTooLargeIsNotRead(t *testing.T) {
	vs := between("web", "stable", "canary")
	content(vs)["later"] = strings.Repeat("x", maxSize)
	if _, err := readVirtualService(vs); err == nil {
		t.Error("no error, want one about its size")
	}
}

// Istio takes durations in units that protobuf's own JSON does not. An object that has one is steered as any other.
func TestDurationsAreReadAsIstioReadsThem(t *testing.T) {
	w := subsetWorld(t, 20)
	change(t, w, services, "web", func(obj client.Object) {
		elements(content(obj), http)[0]["timeout"] = "1m"
		elements(content(obj), http)[0]["retries"] = map[string]any{"attempts": int64(2), "perTryTimeout": "500ms"}
	})
	change(t, w, rules, "web-rule", func(obj client.Object) {
		content(obj)["trafficPolicy"] = map[string]any{"outlierDetection": map[string]any{"interval": "5m", "baseEjectionTime": "1h15m"}}
	})
	ro := subsetSplit()
	seen, err := New(w.Client).Observe(t.Context(), trafficrouting.Ref{Rollout: ro})
	if err != nil || seen.CanaryWeight != 20 || !seen.InSync {
		t.Errorf("observed %+v, error %v", seen, err)
	}
	apply(t, w, ro, subsets(0, "aaaa", "bbbb"))
	if seen, err = New(w.Client).Observe(t.Context(), trafficrouting.Ref{Rollout: ro}); err != nil || seen.CanaryWeight != 0 {
		t.Errorf("after the abort %+v, error %v", seen, err)
	}
}

// Another Rollout marks a route that this one marked before: what this one gave its canary is seen, and
// comes home, also while nothing else may be done.
func TestWhatARolloutGaveComesHomeAlsoWhenAnotherOneMarksItsRoute(t *testing.T) {
	w := subsetWorld(t, 20)
	change(t, w, services, "web", func(obj client.Object) {
		other := trafficrouting.Mark{Rollout: "shop/other", Stable: "a", Canary: "b", Routes: []string{"http/primary"}}
		obj.SetAnnotations(map[string]string{v1alpha1.RoutedByAnnotation: other.Beside(obj)})
	})
	ref := trafficrouting.Ref{Rollout: subsetSplit()}
	if seen, err := New(w.Client).Observe(t.Context(), ref); err == nil || seen.CanaryWeight != 20 || seen.InSync {
		t.Errorf("observed %+v, error %v, want the weight of 20 and an error", seen, err)
	}
	if _, err := New(w.Client).Apply(t.Context(), ref, subsets(0, "aaaa", "bbbb")); err == nil {
		t.Error("no error, want one that names the other Rollout")
	}
	if seen, _ := New(w.Client).Observe(t.Context(), ref); seen.CanaryWeight != 0 {
		t.Errorf("observed %+v after the abort", seen)
	}
}
