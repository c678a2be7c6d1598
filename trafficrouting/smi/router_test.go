package smi

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/routertest"
)

func serving(versions ...string) routertest.Kinds {
	kinds := routertest.Kinds{Scheme: runtime.NewScheme()}
	for _, version := range versions {
		kinds.Foreign = append(kinds.Foreign, kind.WithVersion(version))
	}
	return kinds
}

func rollout() *v1alpha1.Rollout {
	return &v1alpha1.Rollout{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", UID: "rollout-uid"},
		Spec: v1alpha1.RolloutSpec{Strategy: v1alpha1.RolloutStrategy{Canary: &v1alpha1.CanaryStrategy{
			CanaryService: "canary", StableService: "stable",
			TrafficRouting: &v1alpha1.RolloutTrafficRouting{SMI: &v1alpha1.SMITrafficRouting{}},
		}}},
	}
}

// to is an element of the list of backends.
func to(service string, weight any) any { return map[string]any{"service": service, "weight": weight} }

// trafficSplit is one of version v1alpha3 that the Rollout controls.
func trafficSplit(name string, list ...any) *unstructured.Unstructured {
	obj := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{
		"service": "stable", "backends": list, "matches": []any{map[string]any{"kind": "HTTPRouteGroup", "name": "api"}},
	}}}
	obj.SetGroupVersionKind(kind.WithVersion("v1alpha3"))
	obj.SetNamespace("shop")
	obj.SetName(name)
	obj.SetOwnerReferences([]metav1.OwnerReference{*metav1.NewControllerRef(rollout(), v1alpha1.RolloutKind)})
	return obj
}

// harness serves a Rollout whose TrafficSplit is made in a version.
func harness(version string, change func(*v1alpha1.SMITrafficRouting)) routertest.Harness {
	return routertest.Harness{
		Kinds:  serving(version),
		Router: func(c client.Client) trafficrouting.Router { return New(c) },
		Rollout: func(total *int32) *v1alpha1.Rollout {
			ro := rollout()
			ro.Spec.Strategy.Canary.TrafficRouting.MaxTrafficWeight = total
			change(ro.Spec.Strategy.Canary.TrafficRouting.SMI)
			return ro
		},
		Totals:     []int32{100},
		Given:      func() []client.Object { return nil },
		Odd:        func() map[string][]client.Object { return odd(version) },
		Managed:    func(client.Object) bool { return true },
		Strip:      func(obj client.Object) { unstructured.RemoveNestedField(content(obj), "spec", "backends") },
		Weights:    weights,
		Spoil:      spoils(),
		Unname:     unnames(),
		Additional: true,
		Steal: func(obj client.Object) {
			owners := obj.GetOwnerReferences()
			owners[0].UID = "somebody-else"
			obj.SetOwnerReferences(owners)
		},
	}
}

func content(obj client.Object) map[string]any { return obj.(*unstructured.Unstructured).Object }

func listIn(obj client.Object) []any {
	list, _, _ := unstructured.NestedFieldNoCopy(content(obj), "spec", "backends")
	elements, _ := list.([]any)
	return elements
}

func weights(obj client.Object) ([]int32, error) {
	var all []int32
	for _, b := range listIn(obj) {
		weight, ok := b.(map[string]any)["weight"].(int64)
		if !ok {
			return nil, fmt.Errorf("the backend %v has no number", b)
		}
		all = append(all, int32(weight))
	}
	return all, nil
}

func spoils() map[string]func(client.Object) {
	canary := func(weight any) func(client.Object) {
		return func(obj client.Object) { listIn(obj)[0].(map[string]any)["weight"] = weight }
	}
	spec := func(key string, value any) func(client.Object) {
		return func(obj client.Object) { content(obj)["spec"].(map[string]any)[key] = value }
	}
	return map[string]func(client.Object){
		"another weight":              canary(int64(70)),
		"a weight below zero":         canary(int64(-1)),
		"a weight beyond all measure": canary(int64(1) << 62),
		"half a weight":               canary(20.5),
		"an odd text":                 canary("20%"),
		"no weight":                   canary(nil),
		"another root":                spec("service", "other"),
		"a root of another type":      spec("service", int64(1)),
		"no list":                     spec("backends", nil),
		"a list of nothing":           spec("backends", []any{}),
		"one backend gone":            spec("backends", []any{to("stable", int64(80))}),
		"the stable backend gone":     spec("backends", []any{to("canary", int64(20))}),
		"a backend listed twice":      spec("backends", []any{to("canary", int64(20)), to("canary", int64(20)), to("stable", int64(80))}),
		"a foreign backend":           spec("backends", []any{to("x", int64(5)), to("canary", int64(20)), to("stable", int64(80))}),
		"something that is no backend": spec("backends", []any{
			to("canary", int64(20)), "x", to("stable", int64(80)), nil, map[string]any{"service": int64(7)},
		}),
		"all of the spec gone": func(obj client.Object) { delete(content(obj), "spec") },
	}
}

func unnames() map[string]func(*v1alpha1.Rollout) {
	routing := func(change func(*v1alpha1.RolloutTrafficRouting)) func(*v1alpha1.Rollout) {
		return func(ro *v1alpha1.Rollout) { change(ro.Spec.Strategy.Canary.TrafficRouting) }
	}
	return map[string]func(*v1alpha1.Rollout){
		"another name":            routing(func(r *v1alpha1.RolloutTrafficRouting) { r.SMI.TrafficSplitName = "other" }),
		"another router is named": routing(func(r *v1alpha1.RolloutTrafficRouting) { r.SMI, r.Istio = nil, &v1alpha1.IstioTrafficRouting{} }),
		"no router is named":      func(ro *v1alpha1.Rollout) { ro.Spec.Strategy.Canary.TrafficRouting = nil },
		"a Service is missing":    func(ro *v1alpha1.Rollout) { ro.Spec.Strategy.Canary.CanaryService = "" },
		"the strategy is another one": func(ro *v1alpha1.Rollout) {
			ro.Spec.Strategy = v1alpha1.RolloutStrategy{BlueGreen: &v1alpha1.BlueGreenStrategy{}}
		},
	}
}

func odd(version string) map[string][]client.Object {
	with := func(spec any) []client.Object {
		obj := trafficSplit("web")
		obj.SetGroupVersionKind(kind.WithVersion(version))
		obj.Object["spec"] = spec
		stray := obj.DeepCopy()
		stray.SetName("stray")
		return []client.Object{obj, stray}
	}
	return map[string][]client.Object{
		"no object at all":        nil,
		"an empty TrafficSplit":   with(nil),
		"a spec that is a text":   with("backends"),
		"a list that is a number": with(map[string]any{"service": "stable", "backends": int64(3)}),
		"a list of all types": with(map[string]any{"backends": []any{
			nil, "canary", int64(5), []any{}, map[string]any{}, map[string]any{"service": int64(7)}, to("stable", true), to("canary", []any{}),
		}}),
	}
}

func TestEveryVersionFulfilsTheDutiesOfARouter(t *testing.T) {
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			routertest.Run(t, harness(version, func(*v1alpha1.SMITrafficRouting) {}))
		})
	}
}

func TestATrafficSplitWithNamesOfItsOwnFulfilsTheDutiesOfARouter(t *testing.T) {
	routertest.Run(t, harness("v1alpha3", func(smi *v1alpha1.SMITrafficRouting) {
		smi.TrafficSplitName, smi.RootService = "split", "web"
	}))
}

func world(t *testing.T, objects ...client.Object) *routertest.World {
	t.Helper()
	return routertest.NewWorld(t, serving("v1alpha3"), objects...)
}

func splitOf(weight int32, additional ...trafficrouting.Backend) trafficrouting.Split {
	split := trafficrouting.Split{
		MaxWeight:  100,
		Stable:     trafficrouting.Backend{Service: "stable", Weight: 100 - weight},
		Canary:     trafficrouting.Backend{Service: "canary", Weight: weight},
		Additional: additional,
	}
	for _, side := range additional {
		split.Stable.Weight -= side.Weight
	}
	return split
}

func apply(t *testing.T, w *routertest.World, ro *v1alpha1.Rollout, split trafficrouting.Split) []trafficrouting.Change {
	t.Helper()
	changes, err := New(w.Client).Apply(t.Context(), trafficrouting.Ref{Rollout: ro}, split)
	if err != nil {
		t.Fatal(err)
	}
	return changes
}

func observe(t *testing.T, w *routertest.World, ro *v1alpha1.Rollout) (trafficrouting.Observed, error) {
	t.Helper()
	return New(w.Client).Observe(t.Context(), trafficrouting.Ref{Rollout: ro})
}

func wantSeen(t *testing.T, w *routertest.World, ro *v1alpha1.Rollout, want trafficrouting.Observed) {
	t.Helper()
	seen, err := observe(t, w, ro)
	if diff := cmp.Diff(want, seen); diff != "" || err != nil {
		t.Errorf("error %v, observed (-want +got):\n%s", err, diff)
	}
}

func wantWrites(t *testing.T, w *routertest.World, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, w.Writes()); diff != "" {
		t.Errorf("writes (-want +got):\n%s", diff)
	}
}

// shown are the TrafficSplits of a world, with the root and the backends of each.
func shown(t *testing.T, w *routertest.World, version string) []string {
	t.Helper()
	var all []string
	for _, obj := range stored(t, w, version) {
		root, _, _ := unstructured.NestedString(obj.Object, "spec", "service")
		text := obj.GetName() + ": " + root + " to"
		for _, b := range listIn(&obj) {
			text += fmt.Sprintf(" %v=%#v", b.(map[string]any)["service"], b.(map[string]any)["weight"])
		}
		all = append(all, text)
	}
	return all
}

func wantShown(t *testing.T, w *routertest.World, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, shown(t, w, "v1alpha3")); diff != "" {
		t.Errorf("TrafficSplits (-want +got):\n%s", diff)
	}
}

func TestApplyReportsWhatItWrote(t *testing.T) {
	w, ro := world(t), rollout()
	var got []trafficrouting.Change
	for _, weight := range []int32{0, 20, 20} {
		got = append(got, apply(t, w, ro, splitOf(weight))...)
	}
	ro.Spec.Strategy.Canary.TrafficRouting = nil
	for range 3 {
		got = append(got, apply(t, w, ro, splitOf(0))...)
	}
	want := []trafficrouting.Change{
		{Reason: "TrafficSplitCreated", Message: "TrafficSplit `web` created with weight 0"},
		{Reason: "TrafficSplitModified", Message: "TrafficSplit `web` modified to weight 20"},
		{Reason: "TrafficSplitModified", Message: "TrafficSplit `web` modified to weight 0"},
		{Reason: "TrafficSplitDeleted", Message: "TrafficSplit `web` deleted, which the Rollout no longer names"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

func TestAnUnusableSpecIsAnErrorOfItsField(t *testing.T) {
	header := []v1alpha1.HeaderRoutingMatch{{HeaderName: "agent"}}
	for _, c := range []struct {
		name  string
		spoil func(*v1alpha1.CanaryStrategy)
		field string
	}{
		{"no stable Service", func(c *v1alpha1.CanaryStrategy) { c.StableService = "" }, "stableService"},
		{"no canary Service", func(c *v1alpha1.CanaryStrategy) { c.CanaryService = "" }, "canaryService"},
		{"one Service for both", func(c *v1alpha1.CanaryStrategy) { c.CanaryService = "stable" }, "canaryService"},
		{"Services that swap without one that does not", func(c *v1alpha1.CanaryStrategy) {
			c.PingPong = &v1alpha1.PingPongSpec{PingService: "stable", PongService: "canary"}
		}, "trafficRouting.smi.rootService"},
		{
			"another total, for the NGINX beside it", func(c *v1alpha1.CanaryStrategy) { c.TrafficRouting.MaxTrafficWeight = new(int32) },
			"trafficRouting.maxTrafficWeight",
		},
		{"a header route, before its step is reached", func(c *v1alpha1.CanaryStrategy) {
			c.Steps = []v1alpha1.CanaryStep{{}, {SetHeaderRoute: &v1alpha1.SetHeaderRoute{Name: "beta", Match: header}}}
		}, "steps[1].setHeaderRoute"},
		{"a mirror route", func(c *v1alpha1.CanaryStrategy) {
			c.Steps = []v1alpha1.CanaryStep{{SetMirrorRoute: &v1alpha1.SetMirrorRoute{Name: "shadow", Match: []v1alpha1.RouteMatch{{}}}}}
		}, "steps[0].setMirrorRoute"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ro, w := rollout(), world(t)
			c.spoil(ro.Spec.Strategy.Canary)
			_, observeErr := observe(t, w, ro)
			_, applyErr := New(w.Client).Apply(t.Context(), trafficrouting.Ref{Rollout: ro}, splitOf(20))
			for _, err := range []error{observeErr, applyErr} {
				var got *field.Error
				if !errors.As(err, &got) || got.Field != "spec.strategy.canary."+c.field {
					t.Errorf("error %v, want one of the field %s", err, c.field)
				}
			}
			wantWrites(t, w)
		})
	}
}

func TestAStepThatRemovesARouteHasNothingToDo(t *testing.T) {
	ro, w := rollout(), world(t)
	ro.Spec.Strategy.Canary.Steps = []v1alpha1.CanaryStep{
		{SetHeaderRoute: &v1alpha1.SetHeaderRoute{Name: "beta"}},
		{SetMirrorRoute: &v1alpha1.SetMirrorRoute{Name: "shadow"}},
	}
	apply(t, w, ro, splitOf(20))
	wantShown(t, w, "web: stable to canary=20 stable=80")
}

func TestASplitThatIsNotForThisRolloutIsRefused(t *testing.T) {
	additional := func(names ...string) func(*trafficrouting.Split) {
		return func(s *trafficrouting.Split) {
			for _, name := range names {
				s.Additional = append(s.Additional, trafficrouting.Backend{Service: name, Weight: 5})
				s.Stable.Weight -= 5
			}
		}
	}
	for name, spoil := range map[string]func(*trafficrouting.Split){
		"another stable Service":             func(s *trafficrouting.Split) { s.Stable.Service = "other" },
		"another canary Service":             func(s *trafficrouting.Split) { s.Canary.Service = "other" },
		"sides exchanged":                    func(s *trafficrouting.Split) { s.Stable, s.Canary = s.Canary, s.Stable },
		"another total":                      func(s *trafficrouting.Split) { s.MaxWeight, s.Stable.Weight = 1000, 980 },
		"a managed route":                    func(s *trafficrouting.Split) { s.Routes = []trafficrouting.ManagedRoute{{Name: "beta"}} },
		"the same Service twice":             additional("experiment", "experiment"),
		"an Experiment on the canary itself": additional("canary"),
		"an Experiment without a Service":    additional(""),
	} {
		t.Run(name, func(t *testing.T) {
			w, split := world(t), splitOf(20)
			spoil(&split)
			if _, err := New(w.Client).Apply(t.Context(), trafficrouting.Ref{Rollout: rollout()}, split); err == nil {
				t.Error("no error, want one")
			}
			wantWrites(t, w)
		})
	}
}

func TestTheNewestVersionThatIsServedIsUsed(t *testing.T) {
	for _, c := range []struct {
		served []string
		used   string
	}{
		{[]string{"v1alpha1", "v1alpha2"}, "v1alpha2"}, // Linkerd
		{[]string{"v1alpha2"}, "v1alpha2"},             // Open Service Mesh
		{[]string{"v1alpha1", "v1alpha2", "v1alpha3"}, "v1alpha3"},
		{[]string{"v1alpha4"}, "v1alpha4"},
	} {
		w := routertest.NewWorld(t, serving(c.served...))
		apply(t, w, rollout(), splitOf(20))
		if got := shown(t, w, c.used); len(got) != 1 {
			t.Errorf("of %v, %s has %q, want the TrafficSplit", c.served, c.used, got)
		}
	}
}

func TestNamesListsTheTrafficSplit(t *testing.T) {
	named := rollout()
	named.Spec.Strategy.Canary.TrafficRouting.SMI.TrafficSplitName = "split"
	for _, c := range []struct {
		name string
		ro   *v1alpha1.Rollout
		want []string
	}{
		{"the name of the Rollout", rollout(), []string{"shop/web"}},
		{"a name of its own", named, []string{"shop/split"}},
		{"another router", &v1alpha1.Rollout{}, nil},
	} {
		if got := Names(c.ro); !slices.Equal(got, c.want) {
			t.Errorf("%s: names %q, want %q", c.name, got, c.want)
		}
	}
}

func TestKindsAreTheNewestFirst(t *testing.T) {
	want := schema.GroupVersionKind{Group: "split.smi-spec.io", Version: "v1alpha4", Kind: "TrafficSplit"}
	if got := Kinds(); len(got) != len(versions) || got[0] != want {
		t.Errorf("kinds %v, want %v first", got, want)
	}
}
