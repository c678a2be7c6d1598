package istio

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/routertest"
)

// both are the weights of VirtualService web, and what its DestinationRule selects.
func wantWeights(t *testing.T, w *routertest.World, want ...int32) {
	t.Helper()
	if got, err := weights(stored(t, w, services, "web")); err != nil || !slices.Equal(got, want) {
		t.Errorf("weights %v, %v, want %v", got, err, want)
	}
}

func TestWhatARolloutLeavesIsAsItsUsersMadeIt(t *testing.T) {
	for name, unname := range map[string]func(*v1alpha1.Rollout){
		"another router is named": func(ro *v1alpha1.Rollout) {
			routing := ro.Spec.Strategy.Canary.TrafficRouting
			routing.Istio, routing.Nginx = nil, &v1alpha1.NginxTrafficRouting{}
		},
		"the Rollout is gone": func(ro *v1alpha1.Rollout) { ro.Spec = v1alpha1.RolloutSpec{} },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, between("web", "web/stable", "web/canary"), subsetsOfWeb("web-rule"))
			ro := managing(subsetSplit(), "vip")
			split := subsets(20, "aaaa", "bbbb")
			split.Stable.Weight, split.Additional = 70, []trafficrouting.Backend{{Service: "try-a", Hash: "cccc", Weight: 10}}
			split.Routes = routes()["a header as a whole"]
			apply(t, w, ro, split)
			unname(ro)
			w.Writes()
			apply(t, w, ro, splitOf(0))
			wantWrites(t, w, "patch web", "patch web-rule")
			for _, given := range []client.Object{between("web", "web/stable", "web/canary"), subsetsOfWeb("web-rule")} {
				got := stored(t, w, given.GetObjectKind().GroupVersionKind(), given.GetName())
				if diff := cmp.Diff(content(given), content(got)); diff != "" {
					t.Errorf("%s (-as made +as left):\n%s", given.GetName(), diff)
				}
				if annotations := got.GetAnnotations(); len(annotations) > 0 {
					t.Errorf("%s has %v", given.GetName(), annotations)
				}
			}
			apply(t, w, ro, splitOf(0))
			wantWrites(t, w)
			if got := observe(t, w, ro); !cmp.Equal(got, trafficrouting.Observed{InSync: true}) {
				t.Errorf("observed %+v, want nothing", got)
			}
		})
	}
}

// Without another route there is no other traffic to move, so the planner brings it home first.
func TestAWeightThatNothingElseCarriesWaits(t *testing.T) {
	w := subsetWorld(t, 20)
	ro := subsetSplit()
	ro.Spec.Strategy.Canary.TrafficRouting = nil
	apply(t, w, ro, subsets(20, "aaaa", "bbbb"))
	wantWrites(t, w)
	if got := observe(t, w, ro); got.CanaryWeight != 20 || !got.Exists || !got.InSync {
		t.Errorf("observed %+v, want the weight of 20", got)
	}
}

// The hashes stay as long as the routes share traffic between the subsets.
func TestADestinationRuleIsReleasedAfterItsRoutes(t *testing.T) {
	w := subsetWorld(t, 20)
	ro := subsetSplit()
	ro.Spec.Strategy.Canary.TrafficRouting = nil
	w.Fail = func(client.Object) error { return errRefused }
	if _, err := New(w.Client).Apply(t.Context(), trafficrouting.Ref{Rollout: ro}, splitOf(0)); err == nil {
		t.Error("no error, want the refusal")
	}
	wantWrites(t, w, "patch web")
}

func TestAWrongSpecKeepsItsMarkAndObeysAWeightOfZero(t *testing.T) {
	w := subsetWorld(t, 20)
	ro := subsetSplit()
	ro.Spec.Strategy.Canary.TrafficRouting.Istio.DestinationRule.CanarySubsetName = ""
	ref := trafficrouting.Ref{Rollout: ro}
	for _, c := range []struct {
		weight int32
		writes []string
	}{{20, nil}, {10, nil}, {0, []string{"patch web"}}, {0, nil}} {
		_, err := New(w.Client).Apply(t.Context(), ref, subsets(c.weight, "aaaa", "bbbb"))
		wantField(t, err, "spec.strategy.canary.trafficRouting.istio.destinationRule.canarySubsetName")
		wantWrites(t, w, c.writes...)
	}
	if len(trafficrouting.MarkKeys(stored(t, w, services, "web"))) == 0 {
		t.Error("the mark is gone, and a corrected spec may name it again")
	}
	apply(t, w, subsetSplit(), subsets(30, "aaaa", "bbbb"))
	wantWeights(t, w, 70, 30)
}

// A route that the spec asks for is missing, or the DestinationRule is: an abort still goes through.
func TestAnAbortReachesRoutesThatNoLongerFit(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*testing.T, *routertest.World)
		ro    func(*v1alpha1.Rollout)
	}{
		"the DestinationRule is gone": {spoil: func(t *testing.T, w *routertest.World) {
			if err := w.Direct.Delete(t.Context(), stored(t, w, rules, "web-rule")); err != nil {
				t.Fatal(err)
			}
		}},
		"a subset is gone": {spoil: func(t *testing.T, w *routertest.World) {
			change(t, w, rules, "web-rule", func(obj client.Object) { content(obj)["subsets"] = []any{} })
		}},
		"another route is named": {ro: func(ro *v1alpha1.Rollout) {
			ro.Spec.Strategy.Canary.TrafficRouting.Istio.VirtualService.Routes = []string{"secondary"}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w, ro := subsetWorld(t, 20), subsetSplit()
			if c.spoil != nil {
				c.spoil(t, w)
			}
			if c.ro != nil {
				c.ro(ro)
			}
			w.Writes()
			for _, weight := range []int32{30, 0} {
				seen, err := New(w.Client).Observe(t.Context(), trafficrouting.Ref{Rollout: ro})
				if err == nil || seen.CanaryWeight != 20 || seen.InSync {
					t.Errorf("observed %+v, %v, want the weight of 20 and an error", seen, err)
				}
				if _, err := New(w.Client).Apply(t.Context(), trafficrouting.Ref{Rollout: ro}, subsets(weight, "aaaa", "bbbb")); err == nil {
					t.Error("no error, want one about the spec")
				}
			}
			wantWrites(t, w, "patch web")
			wantWeights(t, w, 100, 0)
		})
	}
}

func TestAnObjectOfAnotherRolloutIsRefused(t *testing.T) {
	for kind, obj := range map[string]client.Object{"virtualService": between("web", "web/stable", "web/canary"), "destinationRule": subsetsOfWeb("web-rule")} {
		t.Run(kind, func(t *testing.T) {
			w := subsetWorld(t, 0)
			change(t, w, obj.GetObjectKind().GroupVersionKind(), obj.GetName(), stolen)
			ref := trafficrouting.Ref{Rollout: subsetSplit()}
			_, err := New(w.Client).Apply(t.Context(), ref, subsets(20, "aaaa", "cccc"))
			wantField(t, err, "spec.strategy.canary.trafficRouting.istio."+kind+".name")
			for _, write := range w.Writes() {
				if write == "patch "+obj.GetName() {
					t.Errorf("%s, want it left alone", write)
				}
			}
		})
	}
}

// A name that another Rollout gave to a route of its own is not ours to take away.
func TestTheManagedRouteOfAnotherRolloutIsNotTakenAway(t *testing.T) {
	w := newWorld(t, teams("web", "api-stable", "api-canary"))
	other := managing(hostSplit("web"), "vip")
	other.Name = "api"
	other.Spec.Strategy.Canary.StableService, other.Spec.Strategy.Canary.CanaryService = "api-stable", "api-canary"
	other.Spec.Strategy.Canary.TrafficRouting.Istio.VirtualService.Routes = []string{"api"}
	split := splitOf(20)
	split.Stable.Service, split.Canary.Service, split.Routes = "api-stable", "api-canary", routes()["a header as a whole"]
	apply(t, w, other, split)
	w.Writes()
	ro := managing(hostSplit("web"), "vip")
	_, err := New(w.Client).Apply(t.Context(), trafficrouting.Ref{Rollout: ro}, splitOf(50))
	wantField(t, err, "spec.strategy.canary.trafficRouting.istio.virtualService.name")
	wantWrites(t, w)
	if got := observe(t, w, other); !got.InSync || len(got.Routes) != 1 {
		t.Errorf("the other Rollout observed %+v", got)
	}
}

// The roles of ping and pong change without a write of weights; a mark that told the former ones
// would bring the traffic to the former version.
func TestTheMarkFollowsServicesThatSwapTheirRoles(t *testing.T) {
	ro := hostSplit("web")
	canary := ro.Spec.Strategy.Canary
	canary.StableService, canary.CanaryService, canary.PingPong = "", "", &v1alpha1.PingPongSpec{PingService: "ping", PongService: "pong"}
	split := func(stable, canary string, weight int32) trafficrouting.Split {
		s := splitOf(weight)
		s.Stable.Service, s.Canary.Service = stable, canary
		return s
	}
	w := newWorld(t, between("web", "ping", "pong"))
	apply(t, w, ro, split("ping", "pong", 100))
	ro.Status.Canary.StablePingPong = v1alpha1.PPPong
	if got := observe(t, w, ro); got.CanaryWeight != 0 || got.InSync {
		t.Errorf("observed %+v, want no weight, and a mark that is not in sync", got)
	}
	apply(t, w, ro, split("pong", "ping", 0))
	wantWeights(t, w, 0, 100)
	ro.Spec = v1alpha1.RolloutSpec{}
	apply(t, w, ro, splitOf(0))
	wantWeights(t, w, 0, 100)
}

// Entries of the spec that name the same VirtualService are one: it is written once.
func TestAVirtualServiceNamedTwiceIsWrittenOnce(t *testing.T) {
	ro := hostSplit("web", "web.shop")
	ro.Spec.Strategy.Canary.TrafficRouting.Istio.VirtualServices[1].Routes = []string{"second"}
	given := between("web", "stable", "canary")
	list := content(given)[http].([]any)
	second := given.DeepCopy().Object["spec"].(map[string]any)[http].([]any)[1].(map[string]any)
	second["name"] = "second"
	content(given)[http] = append(list, second)
	w := newWorld(t, given)
	apply(t, w, ro, splitOf(20))
	wantWrites(t, w, "patch web")
	wantWeights(t, w, 80, 20)
}

// Which destinations of a route are whose.
func TestDestinationsAreKnownByHostOrSubset(t *testing.T) {
	hosts := sides{stable: "stable", canary: "canary"}
	subsets := sides{bySubset: true, stableSubset: "stable", canarySubset: "canary"}
	mixed := sides{bySubset: true, stableSubset: "v1", canarySubset: "v2", stable: "web", canary: "web-canary"}
	for _, c := range []struct {
		name string
		s    sides
		d    destination
		want side
	}{
		{"a Service by its name", hosts, destination{host: "canary"}, canarySide},
		{"a Service by its full name", hosts, destination{host: "stable.shop.svc.cluster.local"}, stableSide},
		{"another Service", hosts, destination{host: "canary2"}, nobodys},
		{"no host", hosts, destination{}, nobodys},
		{"a subset of a Service, where no subsets are named", hosts, destination{host: "canary", subset: "v1"}, canarySide},
		{"a subset", subsets, destination{host: "web", subset: "canary"}, canarySide},
		{"another subset", subsets, destination{host: "web", subset: "mine"}, nobodys},
		{"no subset", subsets, destination{host: "canary"}, nobodys},
		{"another subset of the stable Service", mixed, destination{host: "web", subset: "v3"}, nobodys},
		{"the canary subset of the stable Service", mixed, destination{host: "web", subset: "v2"}, canarySide},
		{"the canary Service itself", mixed, destination{host: "web-canary"}, canarySide},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.s.of(c.d); got != c.want {
				t.Errorf("side %d, want %d", got, c.want)
			}
		})
	}
}

func TestShareIsThePartOfAHundred(t *testing.T) {
	weighing := func(weights ...int32) route {
		r := route{}
		for i, weight := range weights {
			r.to = append(r.to, destination{host: []string{"canary", "stable", "other"}[i], weight: weight})
		}
		return r
	}
	for _, c := range []struct {
		name string
		r    route
		want int32
	}{
		{"a share of a hundred is as written", weighing(20, 80), 20},
		{"of less than a hundred it is larger, rounded up", weighing(1, 2), 34},
		{"of more it is not smaller", weighing(90, 0, 30), 90},
		{"all of it", weighing(7), 100},
		{"the only destination gets everything", weighing(0), 100},
		{"no weight at all is nothing", weighing(0, 0), 0},
		{"nothing", weighing(0, 100), 0},
		{"more than a hundred is a hundred", weighing(2147483647, 2147483647), 100},
		{"no destination", route{}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := (sides{stable: "stable", canary: "canary"}).share([]route{c.r}, canarySide); got != c.want {
				t.Errorf("share %d, want %d", got, c.want)
			}
		})
	}
}
