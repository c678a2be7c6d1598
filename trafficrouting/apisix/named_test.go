package apisix

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/routertest"
)

// This file has the bug reports of the incumbent, and what the tables do not say.

func splitOf(weight int32, routes ...trafficrouting.ManagedRoute) trafficrouting.Split {
	return trafficrouting.Split{
		MaxWeight: 100, Routes: routes,
		Stable: trafficrouting.Backend{Service: "stable", Weight: 100 - weight},
		Canary: trafficrouting.Backend{Service: "canary", Weight: weight},
	}
}

func apply(t *testing.T, w *routertest.World, ro *v1alpha1.Rollout, split trafficrouting.Split) []trafficrouting.Change {
	t.Helper()
	changes, err := New(w.Client).Apply(t.Context(), trafficrouting.Ref{Rollout: ro}, split)
	if err != nil {
		t.Fatal(err)
	}
	return changes
}

func stored(t *testing.T, w *routertest.World, name string) *unstructured.Unstructured {
	t.Helper()
	found := &unstructured.Unstructured{}
	found.SetGroupVersionKind(v2)
	if err := w.Direct.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: name}, found); err != nil {
		t.Fatal(err)
	}
	return found
}

// The incumbent could not create the route of setHeaderRoute: "apisixroutes set-header not found", since its
// role lacked create and delete. Here a refusal is an error that names the write, and the weight still moves.
func TestArgo4185AHeaderRouteThatMayNotBeMadeIsAnErrorThatSaysSo(t *testing.T) {
	w, ro := routertest.NewWorld(t, kinds(), route("web", both("web"))), managing(rollout(), "set-header")
	refusal := errors.New("may not create apisixroutes")
	w.Fail = func(obj client.Object) error {
		if obj.GetName() == "set-header" {
			return refusal
		}
		return nil
	}
	route := trafficrouting.ManagedRoute{Name: "set-header", Headers: headers("trace", "exact", "debug")}
	changes, err := New(w.Client).Apply(t.Context(), trafficrouting.Ref{Rollout: ro}, splitOf(20, route))
	if !errors.Is(err, refusal) || err.Error() != "creating ApisixRoute set-header: may not create apisixroutes" {
		t.Errorf("error %v", err)
	}
	if diff := cmp.Diff([]trafficrouting.Change{{Reason: "UpdatedApisixRoute", Message: "Updating ApisixRoute `web` to desiredWeight '20'"}}, changes); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

// What the report that asked for header routes wants: a step changes the match of the route that is there,
// and a later one removes it, while the weights move on.
func TestArgo2668AStepChangesTheMatchOfItsRouteAndAnotherRemovesIt(t *testing.T) {
	w, ro := routertest.NewWorld(t, kinds(), route("web", both("web"))), managing(rollout(), "set-header-1")
	agent := func(regex string) trafficrouting.ManagedRoute {
		return trafficrouting.ManagedRoute{Name: "set-header-1", Headers: headers("agent", "regex", regex)}
	}
	var got []string
	for _, split := range []trafficrouting.Split{
		splitOf(20), splitOf(20, agent("firefox(.*)")), splitOf(20, agent("chrome(.*)")), splitOf(40, agent("chrome(.*)")), splitOf(40),
	} {
		apply(t, w, ro, split)
		got = append(got, append(w.Writes(), "-")...)
	}
	want := []string{"patch web", "-", "create set-header-1", "-", "patch set-header-1", "-", "patch web", "-", "delete set-header-1", "-"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("writes (-want +got):\n%s", diff)
	}
}

// "The official instance of splitting traffic by request header didn't work": the example of the guide, with
// a route that has no weights, and a header route at weight 0.
func TestArgo3974TheExampleOfTheGuideRoutesByHeader(t *testing.T) {
	guide := route("web", object{
		"name": "web", "match": object{"paths": []any{"/*"}},
		"backends": []any{object{"serviceName": "stable", "servicePort": int64(80)}, object{"serviceName": "canary", "servicePort": int64(80)}},
	})
	w, ro := routertest.NewWorld(t, kinds(), guide), managing(rollout("web"), "set-header")
	apply(t, w, ro, splitOf(0, trafficrouting.ManagedRoute{Name: "set-header", Headers: headers("trace", "exact", "debug")}))
	want := object{"ingressClassName": "apisix", "http": []any{object{
		"name": "web", "priority": int64(1), "backends": []any{backend("canary", 100)},
		"match": object{"paths": []any{"/*"}, "exprs": []any{
			object{"subject": object{"scope": "Header", "name": "trace"}, "op": "Equal", "value": "debug"},
		}},
	}}}
	if diff := cmp.Diff(want, stored(t, w, "set-header").Object["spec"]); diff != "" {
		t.Errorf("the header route (-want +got):\n%s", diff)
	}
}

func TestOnlyTheFormOfAHeaderRouteMakesAnOwnedRouteOurs(t *testing.T) {
	w, ro := routertest.NewWorld(t, kinds(), owned(route("own", both("own")))), rollout()
	ro.Spec.Strategy = v1alpha1.RolloutStrategy{}
	seen, err := New(w.Client).Observe(t.Context(), trafficrouting.Ref{Rollout: ro})
	if diff := cmp.Diff(trafficrouting.Observed{InSync: true}, seen); diff != "" || err != nil {
		t.Errorf("error %v, observed (-want +got):\n%s", err, diff)
	}
}

func TestAHeaderRouteOfAnEarlierSpecGoesWithoutAPISIX(t *testing.T) {
	w, ro := routertest.NewWorld(t, kinds(), route("web", both("web"))), managing(rollout(), "beta")
	apply(t, w, ro, splitOf(0, trafficrouting.ManagedRoute{Name: "beta", Headers: headers("a", "exact", "b")}))
	ro.Spec.Strategy.Canary.TrafficRouting = nil
	seen, err := New(w.Client).Observe(t.Context(), trafficrouting.Ref{Rollout: ro})
	want := trafficrouting.Observed{Exists: true, Routes: []trafficrouting.ManagedRoute{{Name: "beta"}}}
	if diff := cmp.Diff(want, seen); diff != "" || err != nil {
		t.Errorf("error %v, observed (-want +got):\n%s", err, diff)
	}
	w.Writes()
	apply(t, w, ro, splitOf(0))
	apply(t, w, ro, splitOf(0))
	if diff := cmp.Diff([]string{"delete beta"}, w.Writes()); diff != "" {
		t.Errorf("writes (-want +got):\n%s", diff)
	}
}

func TestAHeaderRouteThatAFinalizerHoldsIsDeletedOnce(t *testing.T) {
	w, ro := routertest.NewWorld(t, kinds(), route("web", both("web"))), managing(rollout(), "beta")
	apply(t, w, ro, splitOf(0, trafficrouting.ManagedRoute{Name: "beta", Headers: headers("a", "exact", "b")}))
	held := stored(t, w, "beta")
	held.SetFinalizers([]string{"example.com/hold"})
	if err := w.Direct.Update(t.Context(), held); err != nil {
		t.Fatal(err)
	}
	w.Writes()
	apply(t, w, ro, splitOf(0))
	apply(t, w, ro, splitOf(0))
	if diff := cmp.Diff([]string{"delete beta"}, w.Writes()); diff != "" {
		t.Errorf("writes (-want +got):\n%s", diff)
	}
}

func TestWhatWasRoutedWaitsForThePlannerWhereThereIsNoRouterAnyMore(t *testing.T) {
	w, ro := routertest.NewWorld(t, kinds(), route("web", both("web"))), rollout()
	apply(t, w, ro, splitOf(50))
	w.Writes()
	ro.Spec.Strategy.Canary.TrafficRouting = nil
	for _, weight := range []int32{20, 0, 0} {
		apply(t, w, ro, splitOf(weight))
		if weight > 0 && len(w.Writes()) > 0 {
			t.Error("it was taken while pods share the traffic that it has")
		}
	}
	if diff := cmp.Diff([]string{"patch web"}, w.Writes()); diff != "" {
		t.Errorf("writes (-want +got):\n%s", diff)
	}
	if keys := trafficrouting.MarkKeys(stored(t, w, "web")); len(keys) > 0 {
		t.Errorf("it still has the marks of %v", keys)
	}
}

func TestAHeaderRouteThatNobodyCanReadIsNotInSync(t *testing.T) {
	w, ro := routertest.NewWorld(t, kinds(), route("web", both("web"))), managing(rollout(), "beta")
	beta := trafficrouting.ManagedRoute{Name: "beta", Headers: headers("a", "exact", "b")}
	for name, spoil := range map[string]func(object){
		"its rule leads elsewhere":   func(rule object) { rule["backends"] = []any{backend("stable", 100)} },
		"its rule has no expression": func(rule object) { delete(rule["match"].(object), "exprs") },
		"its rule matches a cookie": func(rule object) {
			rule["match"].(object)["exprs"].([]any)[0].(object)["subject"] = object{"scope": "Cookie", "name": "a"}
		},
		"it comes after the rule itself": func(rule object) { rule["priority"] = int64(-1) },
		"it has no plugins":              func(rule object) { delete(rule, "plugins") },
	} {
		t.Run(name, func(t *testing.T) {
			apply(t, w, ro, splitOf(20, beta))
			spoiled := stored(t, w, "beta")
			http, _ := httpOf(spoiled)
			spoil(http[0].(object))
			if err := w.Direct.Update(t.Context(), spoiled); err != nil {
				t.Fatal(err)
			}
			seen, err := New(w.Client).Observe(t.Context(), trafficrouting.Ref{Rollout: ro})
			want := trafficrouting.Observed{Exists: true, CanaryWeight: 20, Routes: []trafficrouting.ManagedRoute{{Name: "beta"}}}
			if diff := cmp.Diff(want, seen); diff != "" || err != nil {
				t.Errorf("error %v, observed (-want +got):\n%s", err, diff)
			}
			apply(t, w, ro, splitOf(20, beta))
			seen, err = New(w.Client).Observe(t.Context(), trafficrouting.Ref{Rollout: ro})
			want = trafficrouting.Observed{Exists: true, InSync: true, CanaryWeight: 20, Routes: []trafficrouting.ManagedRoute{beta}}
			if diff := cmp.Diff(want, seen); diff != "" || err != nil {
				t.Errorf("error %v, observed afterwards (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestASplitThatIsNotForThisRolloutIsRefused(t *testing.T) {
	beta := trafficrouting.ManagedRoute{Name: "beta", Headers: headers("a", "exact", "b")}
	gamma := trafficrouting.ManagedRoute{Name: "gamma", Headers: headers("a", "exact", "b")}
	for name, spoil := range map[string]func(*trafficrouting.Split){
		"another stable Service": func(s *trafficrouting.Split) { s.Stable.Service = "other" },
		"sides exchanged":        func(s *trafficrouting.Split) { s.Stable, s.Canary = s.Canary, s.Stable },
		"another total":          func(s *trafficrouting.Split) { s.MaxWeight, s.Stable.Weight = 1000, 980 },
		"a side of an Experiment": func(s *trafficrouting.Split) {
			s.Additional = []trafficrouting.Backend{{Service: "a", Weight: 5}}
			s.Stable.Weight -= 5
		},
		"a route that is not listed": func(s *trafficrouting.Split) { s.Routes[0].Name = "delta" },
		"a route twice":              func(s *trafficrouting.Split) { s.Routes[1].Name = "beta" },
		"another order":              func(s *trafficrouting.Split) { slices.Reverse(s.Routes) },
		"a mirror":                   func(s *trafficrouting.Split) { s.Routes[0].Mirror = make([]v1alpha1.RouteMatch, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			w := routertest.NewWorld(t, kinds(), route("web", both("web")))
			split := splitOf(20, beta, gamma)
			spoil(&split)
			if _, err := New(w.Client).Apply(t.Context(), trafficrouting.Ref{Rollout: managing(rollout(), "beta", "gamma")}, split); err == nil {
				t.Error("no error, want one")
			}
			if writes := w.Writes(); len(writes) > 0 {
				t.Errorf("wrote %v, want nothing", writes)
			}
		})
	}
}

func TestAnUnusableSpecIsAnErrorOfItsField(t *testing.T) {
	step := func(match v1alpha1.HeaderRoutingMatch) func(*v1alpha1.CanaryStrategy) {
		return func(c *v1alpha1.CanaryStrategy) {
			header := &v1alpha1.SetHeaderRoute{Name: "beta", Match: []v1alpha1.HeaderRoutingMatch{match}}
			c.Steps = []v1alpha1.CanaryStep{{}, {SetHeaderRoute: header}}
		}
	}
	ten := int32(10)
	for _, c := range []struct {
		name  string
		spoil func(*v1alpha1.CanaryStrategy)
		field string
	}{
		{"no stable Service", func(c *v1alpha1.CanaryStrategy) { c.StableService = "" }, "stableService"},
		{"no canary Service", func(c *v1alpha1.CanaryStrategy) { c.CanaryService = "" }, "canaryService"},
		{"one Service for both", func(c *v1alpha1.CanaryStrategy) { c.CanaryService = "stable" }, "canaryService"},
		{"another total", func(c *v1alpha1.CanaryStrategy) { c.TrafficRouting.MaxTrafficWeight = &ten }, "trafficRouting.maxTrafficWeight"},
		{"a rule named twice", func(c *v1alpha1.CanaryStrategy) { c.TrafficRouting.Apisix.Route.Rules = []string{"a", "a"} }, "trafficRouting.apisix.route.rules[1]"},
		{"a header without a name", step(v1alpha1.HeaderRoutingMatch{HeaderValue: &v1alpha1.StringMatch{Exact: "a"}}), "steps[1].setHeaderRoute.match[0]"},
		{"a header without a value", step(v1alpha1.HeaderRoutingMatch{HeaderName: "a"}), "steps[1].setHeaderRoute.match[0]"},
		{"a value in no way", step(v1alpha1.HeaderRoutingMatch{HeaderName: "a", HeaderValue: &v1alpha1.StringMatch{}}), "steps[1].setHeaderRoute.match[0]"},
		{"a value in two ways", step(v1alpha1.HeaderRoutingMatch{HeaderName: "a", HeaderValue: &v1alpha1.StringMatch{Exact: "a", Regex: "b"}}), "steps[1].setHeaderRoute.match[0]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ro := rollout()
			c.spoil(ro.Spec.Strategy.Canary)
			w := routertest.NewWorld(t, kinds(), route("web", both("web")))
			_, err := New(w.Client).Observe(t.Context(), trafficrouting.Ref{Rollout: ro})
			var got *field.Error
			if !errors.As(err, &got) {
				t.Fatalf("error %v, want a *field.Error", err)
			}
			if want := "spec.strategy.canary." + c.field; got.Field != want {
				t.Errorf("field %s, want %s", got.Field, want)
			}
		})
	}
}

func TestStepsThatRemoveAskForNothing(t *testing.T) {
	ro := rollout()
	ro.Spec.Strategy.Canary.Steps = []v1alpha1.CanaryStep{
		{SetMirrorRoute: &v1alpha1.SetMirrorRoute{Name: "a"}}, {SetHeaderRoute: &v1alpha1.SetHeaderRoute{Name: "web"}},
	}
	if _, err := intentOf(ro); err != nil {
		t.Error(err)
	}
}

func TestTwoServicesThatSwapRolesAreRoutedByTheirRoles(t *testing.T) {
	ro := rollout()
	canary := ro.Spec.Strategy.Canary
	canary.StableService, canary.CanaryService = "", ""
	canary.PingPong = &v1alpha1.PingPongSpec{PingService: "canary", PongService: "stable"}
	ro.Status.Canary.StablePingPong = v1alpha1.PPPong
	w := routertest.NewWorld(t, kinds(), route("web", both("web")))
	apply(t, w, ro, splitOf(20))
	if got, _ := weights(stored(t, w, "web")); !slices.Equal(got, []int32{80, 20}) {
		t.Errorf("weights %v, want 80 and 20", got)
	}
}

func TestNamesListsTheRouteAndThoseOfSteps(t *testing.T) {
	want := []string{"shop/web", "shop/beta", "shop/gamma"}
	if got := Names(managing(rollout("a"), "beta", "gamma")); !slices.Equal(got, want) {
		t.Errorf("names %q, want %q", got, want)
	}
	for _, ro := range []*v1alpha1.Rollout{nil, {}, {Spec: v1alpha1.RolloutSpec{Strategy: v1alpha1.RolloutStrategy{Canary: &v1alpha1.CanaryStrategy{}}}}} {
		if got := Names(ro); got != nil {
			t.Errorf("names %q of a Rollout without APISIX, want none", got)
		}
	}
}
