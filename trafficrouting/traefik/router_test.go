package traefik

import (
	"errors"
	"fmt"
	"slices"
	"strings"
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

func kinds() routertest.Kinds {
	return routertest.Kinds{Scheme: runtime.NewScheme(), Foreign: Kinds()}
}

func rollout() *v1alpha1.Rollout {
	return &v1alpha1.Rollout{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", UID: "rollout-uid"},
		Spec: v1alpha1.RolloutSpec{Strategy: v1alpha1.RolloutStrategy{Canary: &v1alpha1.CanaryStrategy{
			CanaryService: "canary", StableService: "stable",
			TrafficRouting: &v1alpha1.RolloutTrafficRouting{Traefik: &v1alpha1.TraefikTrafficRouting{WeightedTraefikServiceName: "web"}},
		}}},
	}
}

// listed is an entry of a TraefikService; without a weight when that is nil.
func listed(service string, weight any) any {
	e := map[string]any{"name": service, "port": int64(80)}
	if weight != nil {
		e["weight"] = weight
	}
	return e
}

func traefikService(name string, entries ...any) *unstructured.Unstructured {
	return of(Kinds()[0], name, entries...)
}

func of(kind schema.GroupVersionKind, name string, entries ...any) *unstructured.Unstructured {
	obj := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{
		"weighted": map[string]any{"services": entries, "sticky": map[string]any{"cookie": map[string]any{"name": "session"}}},
	}}}
	obj.SetGroupVersionKind(kind)
	obj.SetNamespace("shop")
	obj.SetName(name)
	return obj
}

// harness serves a Rollout whose TraefikService has the given entries.
func harness(kind schema.GroupVersionKind, entries func() []any) routertest.Harness {
	return routertest.Harness{
		Kinds:  routertest.Kinds{Scheme: runtime.NewScheme(), Foreign: []schema.GroupVersionKind{kind}},
		Router: func(c client.Client) trafficrouting.Router { return New(c) },
		Rollout: func(total *int32) *v1alpha1.Rollout {
			ro := rollout()
			ro.Spec.Strategy.Canary.TrafficRouting.MaxTrafficWeight = total
			return ro
		},
		Totals:  []int32{100},
		Given:   func() []client.Object { return []client.Object{of(kind, "web", entries()...)} },
		Odd:     odd,
		Managed: func(client.Object) bool { return true },
		Strip:   strip,
		Weights: weights,
		Spoil:   spoils(),
		Unname:  unnames(),
		Share: func() (*v1alpha1.Rollout, []client.Object) {
			other := rollout()
			other.Name, other.UID = "api", "another-uid"
			other.Spec.Strategy.Canary.StableService, other.Spec.Strategy.Canary.CanaryService = "api-stable", "api-canary"
			both := append(entries(), listed("api-stable", int64(100)), listed("api-canary", int64(0)))
			return other, []client.Object{of(kind, "web", both...)}
		},
	}
}

func entriesOf(obj client.Object) []any {
	list, _, _ := unstructured.NestedFieldNoCopy(obj.(*unstructured.Unstructured).Object, "spec", "weighted", "services")
	entries, _ := list.([]any)
	return entries
}

// entriesFor are those of a Service.
func entriesFor(obj client.Object, service string) []map[string]any {
	var mine []map[string]any
	for _, e := range entriesOf(obj) {
		if fields, ok := e.(map[string]any); ok && serviceOf(e, "shop") == service {
			mine = append(mine, fields)
		}
	}
	return mine
}

func strip(obj client.Object) {
	for _, side := range []string{"stable", "canary"} {
		for _, e := range entriesFor(obj, side) {
			delete(e, "weight")
		}
	}
	annotations := obj.GetAnnotations()
	if delete(annotations, v1alpha1.RoutedByAnnotation); len(annotations) == 0 {
		annotations = nil
	}
	obj.SetAnnotations(annotations)
}

// weights are those of the entries of both sides.
func weights(obj client.Object) ([]int32, error) {
	sums := make([]int32, 2)
	for i, side := range []string{"stable", "canary"} {
		for _, e := range entriesFor(obj, side) {
			weight, ok := e["weight"].(int64)
			if !ok {
				return nil, fmt.Errorf("an entry has the weight %v", e["weight"])
			}
			sums[i] += int32(weight)
		}
	}
	return sums, nil
}

func spoils() map[string]func(client.Object) {
	set := func(side string, value any) func(client.Object) {
		return func(obj client.Object) { entriesFor(obj, side)[0]["weight"] = value }
	}
	return map[string]func(client.Object){
		"another weight":              set("canary", int64(70)),
		"a weight below zero":         set("canary", int64(-1)),
		"a weight beyond 32 bits":     set("canary", int64(1)<<40),
		"no number":                   set("canary", "20"),
		"a broken number":             set("canary", 20.5),
		"a weight of nothing":         set("canary", nil),
		"no weight of the stable":     set("stable", int64(0)),
		"another weight of the other": set("stable", int64(7)),
		"all weights gone, as an apply from Git leaves it": func(obj client.Object) {
			for _, side := range []string{"stable", "canary"} {
				for _, e := range entriesFor(obj, side) {
					delete(e, "weight")
				}
			}
		},
	}
}

// unnames change the spec so that it does not name the TraefikService any more.
func unnames() map[string]func(*v1alpha1.Rollout) {
	routing := func(change func(*v1alpha1.RolloutTrafficRouting)) func(*v1alpha1.Rollout) {
		return func(ro *v1alpha1.Rollout) { change(ro.Spec.Strategy.Canary.TrafficRouting) }
	}
	return map[string]func(*v1alpha1.Rollout){
		"another one takes its place": routing(func(r *v1alpha1.RolloutTrafficRouting) { r.Traefik.WeightedTraefikServiceName = "other" }),
		"none is named":               routing(func(r *v1alpha1.RolloutTrafficRouting) { r.Traefik.WeightedTraefikServiceName = "" }),
		"another router is named":     routing(func(r *v1alpha1.RolloutTrafficRouting) { r.Traefik, r.Istio = nil, &v1alpha1.IstioTrafficRouting{} }),
		"no router is named":          func(ro *v1alpha1.Rollout) { ro.Spec.Strategy.Canary.TrafficRouting = nil },
		"a Service is missing":        func(ro *v1alpha1.Rollout) { ro.Spec.Strategy.Canary.CanaryService = "" },
		"the strategy is another one": func(ro *v1alpha1.Rollout) {
			ro.Spec.Strategy = v1alpha1.RolloutStrategy{BlueGreen: &v1alpha1.BlueGreenStrategy{}}
		},
	}
}

// odd are worlds of the first kind; the harness of the second kind does not serve it.
func odd() map[string][]client.Object {
	with := func(spec any) []client.Object {
		obj := traefikService("web")
		obj.Object["spec"] = spec
		return []client.Object{obj}
	}
	return map[string][]client.Object{
		"no object at all":              nil,
		"an empty TraefikService":       with(nil),
		"a spec that is a text":         with("weighted"),
		"a list that is a number":       with(map[string]any{"weighted": map[string]any{"services": int64(3)}}),
		"weighted that is a list":       with(map[string]any{"weighted": []any{"services"}}),
		"a TraefikService that mirrors": with(map[string]any{"mirroring": map[string]any{"name": "stable"}}),
		"entries of all types": {traefikService("web", nil, "canary", int64(5), []any{}, map[string]any{},
			map[string]any{"name": int64(7)}, map[string]any{"name": "canary", "kind": int64(1)},
			map[string]any{"name": "canary", "namespace": true}, listed("stable", true), listed("canary", []any{}))},
	}
}

func TestOneKindOfATraefikServiceFulfilsTheDutiesOfARouter(t *testing.T) {
	for _, kind := range Kinds() {
		t.Run(kind.Group, func(t *testing.T) {
			h := harness(kind, func() []any { return []any{listed("stable", int64(100)), listed("canary", int64(0))} })
			if kind != Kinds()[0] {
				h.Odd = func() map[string][]client.Object { return nil }
			}
			routertest.Run(t, h)
		})
	}
}

func TestOtherEntriesAndSeveralOfOneServiceFulfilTheDutiesOfARouter(t *testing.T) {
	routertest.Run(t, harness(Kinds()[0], func() []any {
		nested := map[string]any{"name": "canary", "kind": "TraefikService", "weight": int64(9)}
		elsewhere := map[string]any{"name": "stable", "namespace": "other", "port": int64(80), "weight": int64(3)}
		return []any{
			nested, listed("canary", int64(0)), listed("images", nil), listed("stable", int64(50)), elsewhere,
			listed("stable", int64(50)), listed("canary", int64(0)), listed("canary", int64(0)), "no entry",
		}
	}))
}

// world is one that serves both kinds.
func world(t *testing.T, objects ...client.Object) *routertest.World {
	t.Helper()
	return routertest.NewWorld(t, kinds(), objects...)
}

func splitOf(weight int32) trafficrouting.Split {
	return trafficrouting.Split{
		MaxWeight: 100,
		Stable:    trafficrouting.Backend{Service: "stable", Weight: 100 - weight},
		Canary:    trafficrouting.Backend{Service: "canary", Weight: weight},
	}
}

func apply(t *testing.T, w *routertest.World, ro *v1alpha1.Rollout, weight int32) []trafficrouting.Change {
	t.Helper()
	changes, err := New(w.Client).Apply(t.Context(), trafficrouting.Ref{Rollout: ro}, splitOf(weight))
	if err != nil {
		t.Fatal(err)
	}
	return changes
}

func wantWrites(t *testing.T, w *routertest.World, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, w.Writes()); diff != "" {
		t.Errorf("writes (-want +got):\n%s", diff)
	}
}

// shown are the weights of the list of a TraefikService, and whose mark it carries.
func shown(t *testing.T, w *routertest.World, kind schema.GroupVersionKind, name string) string {
	t.Helper()
	obj := of(kind, name)
	if err := w.Direct.Get(t.Context(), client.ObjectKeyFromObject(obj), obj); err != nil {
		t.Fatal(err)
	}
	var text string
	for _, e := range entriesOf(obj) {
		text += fmt.Sprintf("%v=%v ", e.(map[string]any)["name"], e.(map[string]any)["weight"])
	}
	return text + strings.Join(trafficrouting.MarkKeys(obj), " ")
}

func wantShown(t *testing.T, w *routertest.World, name, want string) {
	t.Helper()
	if got := shown(t, w, Kinds()[0], name); got != want {
		t.Errorf("TraefikService %s is %q, want %q", name, got, want)
	}
}

func TestApplyReportsWhatItWrote(t *testing.T) {
	w, ro := world(t, traefikService("web", listed("stable", nil), listed("canary", nil))), rollout()
	var got []trafficrouting.Change
	for _, weight := range []int32{0, 20, 20} {
		got = append(got, apply(t, w, ro, weight)...)
	}
	ro.Spec.Strategy.Canary.TrafficRouting = nil
	got = append(got, apply(t, w, ro, 0)...)
	want := []trafficrouting.Change{
		{Reason: "UpdatedTraefikService", Message: "TraefikService `web` gives 0 of 100 to the canary"},
		{Reason: "UpdatedTraefikService", Message: "TraefikService `web` gives 20 of 100 to the canary"},
		{Reason: "ReleasedTraefikService", Message: "TraefikService `web` gives everything to the stable side, and is no longer routed by the Rollout"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

func TestTheMarkComesWithTheFirstShareAndGoesWithTheRelease(t *testing.T) {
	w, ro := world(t, traefikService("web", listed("stable", nil), listed("canary", nil))), rollout()
	for _, c := range []struct {
		weight int32
		shown  string
		writes []string
	}{
		{0, "stable=100 canary=0 ", []string{"patch web"}},
		{20, "stable=80 canary=20 shop/web", []string{"patch web"}},
		{0, "stable=100 canary=0 shop/web", []string{"patch web"}},
		{0, "stable=100 canary=0 shop/web", nil},
	} {
		apply(t, w, ro, c.weight)
		wantShown(t, w, "web", c.shown)
		wantWrites(t, w, c.writes...)
	}
	ro.Spec.Strategy.Canary.TrafficRouting = nil
	apply(t, w, ro, 0)
	wantShown(t, w, "web", "stable=100 canary=0 ")
	wantWrites(t, w, "patch web")
}

func TestARolloutAtRestThatNeverShiftedCausesNoWrite(t *testing.T) {
	w := world(t, traefikService("web", listed("stable", int64(100)), listed("canary", int64(0))))
	apply(t, w, rollout(), 0)
	wantWrites(t, w)
}

func TestATraefikServiceOfAnotherRolloutIsLeftAlone(t *testing.T) {
	w, other := world(t, traefikService("web", listed("stable", nil), listed("canary", nil))), rollout()
	other.Name, other.UID = "api", "another-uid"
	apply(t, w, other, 20)
	w.Writes()
	router, ref := New(w.Client), trafficrouting.Ref{Rollout: rollout()}
	seen, err := router.Observe(t.Context(), ref)
	want := "spec.strategy.canary.trafficRouting.traefik.weightedTraefikServiceName: Invalid value: \"web\": " +
		"Rollout shop/api routes to the same Service by the TraefikService \"web\": name another one, or remove it from the other Rollout"
	wantField(t, err, want)
	if seen.CanaryWeight != 20 || seen.InSync {
		t.Errorf("observed %+v, want what is asked for, out of sync", seen)
	}
	for _, weight := range []int32{50, 0} {
		_, err := router.Apply(t.Context(), ref, splitOf(weight))
		wantField(t, err, want)
	}
	wantWrites(t, w)
}

// wantField wants an error about the spec with exactly that text.
func wantField(t *testing.T, err error, want string) {
	t.Helper()
	var got *field.Error
	if !errors.As(err, &got) || got.Error() != want {
		t.Errorf("error %v, want the field error\n%s", err, want)
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
		{
			"no name", func(c *v1alpha1.CanaryStrategy) { c.TrafficRouting.Traefik.WeightedTraefikServiceName = "" },
			"trafficRouting.traefik.weightedTraefikServiceName",
		},
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
		{"an Experiment with traffic", func(c *v1alpha1.CanaryStrategy) {
			weight := int32(5)
			templates := []v1alpha1.RolloutExperimentTemplate{{Name: "a"}, {Name: "b", Weight: &weight}}
			c.Steps = []v1alpha1.CanaryStep{{Experiment: &v1alpha1.RolloutExperimentStep{Templates: templates}}}
		}, "steps[0].experiment.templates[1].weight"},
		{"a missing TraefikService", func(c *v1alpha1.CanaryStrategy) {
			c.TrafficRouting.Traefik.WeightedTraefikServiceName = "other"
		}, "trafficRouting.traefik.weightedTraefikServiceName"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ro := rollout()
			c.spoil(ro.Spec.Strategy.Canary)
			w := world(t, traefikService("web", listed("stable", nil), listed("canary", nil)))
			router, ref := New(w.Client), trafficrouting.Ref{Rollout: ro}
			_, observeErr := router.Observe(t.Context(), ref)
			split := splitOf(20)
			split.Stable.Service, split.Canary.Service = ro.CanaryServices()
			_, applyErr := router.Apply(t.Context(), ref, split)
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
	ro := rollout()
	ro.Spec.Strategy.Canary.Steps = []v1alpha1.CanaryStep{
		{SetHeaderRoute: &v1alpha1.SetHeaderRoute{Name: "beta"}},
		{SetMirrorRoute: &v1alpha1.SetMirrorRoute{Name: "shadow"}},
		{Experiment: &v1alpha1.RolloutExperimentStep{Templates: []v1alpha1.RolloutExperimentTemplate{{Name: "no-traffic", Weight: new(int32)}}}},
	}
	w := world(t, traefikService("web", listed("stable", nil), listed("canary", nil)))
	apply(t, w, ro, 20)
	wantShown(t, w, "web", "stable=80 canary=20 shop/web")
}

func TestASplitThatIsNotForThisRolloutIsRefused(t *testing.T) {
	for name, spoil := range map[string]func(*trafficrouting.Split){
		"another stable Service": func(s *trafficrouting.Split) { s.Stable.Service = "other" },
		"another canary Service": func(s *trafficrouting.Split) { s.Canary.Service = "other" },
		"sides exchanged":        func(s *trafficrouting.Split) { s.Stable, s.Canary = s.Canary, s.Stable },
		"another total":          func(s *trafficrouting.Split) { s.MaxWeight, s.Stable.Weight = 1000, 980 },
		"a managed route":        func(s *trafficrouting.Split) { s.Routes = []trafficrouting.ManagedRoute{{Name: "beta"}} },
		"a side of an Experiment": func(s *trafficrouting.Split) {
			s.Additional, s.Stable.Weight = []trafficrouting.Backend{{Service: "experiment", Weight: 5}}, 75
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, split := world(t, traefikService("web", listed("stable", nil), listed("canary", nil))), splitOf(20)
			spoil(&split)
			if _, err := New(w.Client).Apply(t.Context(), trafficrouting.Ref{Rollout: rollout()}, split); err == nil {
				t.Error("no error, want one")
			}
			wantWrites(t, w)
		})
	}
}

func TestNamesListsTheTraefikService(t *testing.T) {
	unnamed := rollout()
	unnamed.Spec.Strategy.Canary.TrafficRouting.Traefik.WeightedTraefikServiceName = ""
	for _, c := range []struct {
		name string
		ro   *v1alpha1.Rollout
		want []string
	}{
		{"one", rollout(), []string{"shop/web"}},
		{"none yet", unnamed, nil},
		{"another router", &v1alpha1.Rollout{}, nil},
	} {
		if got := Names(c.ro); !slices.Equal(got, c.want) {
			t.Errorf("%s: names %q, want %q", c.name, got, c.want)
		}
	}
}

func TestTheShareOfTheCanary(t *testing.T) {
	for _, c := range []struct {
		name           string
		canary, stable []any // weights
		want           int32
	}{
		{"shares of 100 are read as they are", []any{int64(20)}, []any{int64(80)}, 20},
		{"shares of another sum are converted", []any{int64(1)}, []any{int64(3)}, 25},
		{"a share is rounded up, never to zero", []any{int64(1)}, []any{int64(1000)}, 1},
		{"without weights both are served evenly", []any{nil}, []any{nil}, 50},
		{"each entry counts", []any{int64(10), int64(20)}, []any{int64(30), int64(40)}, 30},
		{"nothing of anything is nothing", []any{int64(0)}, []any{int64(0)}, 0},
		{"what has no stable side beside it is all", []any{int64(1)}, nil, 100},
		{"what is not there is nothing", nil, []any{int64(1)}, 0},
		{"large weights do not overflow", []any{int64(1) << 30, int64(1) << 30}, []any{int64(1) << 31}, 100},
		{"weights beyond 31 bits are all", []any{int64(1) << 62, int64(1) << 62}, []any{int64(1)}, 100},
		{"an odd weight of the stable side is all", []any{int64(0)}, []any{"100"}, 100},
		{"a weight below zero is all", []any{int64(-1)}, []any{int64(100)}, 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			var entries []any
			for _, weight := range c.canary {
				entries = append(entries, listed("canary", weight))
			}
			for _, weight := range c.stable {
				entries = append(entries, listed("stable", weight))
			}
			got := observedWeight(traefikService("web", entries...), sides{stable: "stable", canary: "canary"}, sides{})
			if got != c.want {
				t.Errorf("weight %d, want %d", got, c.want)
			}
		})
	}
}

func TestAWeightThatCannotBeUnderstoodIsReplacedByZeroToo(t *testing.T) {
	for _, odd := range []any{"0", -0.5, true} {
		w := world(t, traefikService("web", listed("stable", int64(100)), listed("canary", odd)))
		apply(t, w, rollout(), 0)
		wantShown(t, w, "web", "stable=100 canary=0 ")
	}
}
