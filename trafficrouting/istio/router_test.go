package istio

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/routertest"
)

var errRefused = errors.New("admission webhook says no")

func splitOf(weight int32) trafficrouting.Split {
	return trafficrouting.Split{
		MaxWeight: total,
		Stable:    trafficrouting.Backend{Service: "stable", Weight: total - weight},
		Canary:    trafficrouting.Backend{Service: "canary", Weight: weight},
	}
}

// subsets is a split between subsets that select the given revisions.
func subsets(weight int32, stable, canary string) trafficrouting.Split {
	split := splitOf(weight)
	split.Stable.Service, split.Stable.Hash = "", stable
	split.Canary.Service, split.Canary.Hash = "", canary
	return split
}

func newWorld(t *testing.T, objects ...client.Object) *routertest.World {
	t.Helper()
	return routertest.NewWorld(t, kinds(t), objects...)
}

func apply(t *testing.T, w *routertest.World, ro *v1alpha1.Rollout, split trafficrouting.Split) []trafficrouting.Change {
	t.Helper()
	changes, err := New(w.Client).Apply(t.Context(), trafficrouting.Ref{Rollout: ro}, split)
	if err != nil {
		t.Fatal(err)
	}
	return changes
}

func observe(t *testing.T, w *routertest.World, ro *v1alpha1.Rollout) trafficrouting.Observed {
	t.Helper()
	seen, err := New(w.Client).Observe(t.Context(), trafficrouting.Ref{Rollout: ro})
	if err != nil {
		t.Fatal(err)
	}
	return seen
}

func wantWrites(t *testing.T, w *routertest.World, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, w.Writes()); diff != "" {
		t.Errorf("writes (-want +got):\n%s", diff)
	}
}

func stored(t *testing.T, w *routertest.World, kind schema.GroupVersionKind, name string) *unstructured.Unstructured {
	t.Helper()
	obj := &unstructured.Unstructured{}
	obj.SetGroupVersionKind(kind)
	if err := w.Direct.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: name}, obj); err != nil {
		t.Fatal(err)
	}
	return obj
}

// change edits an object as somebody else would.
func change(t *testing.T, w *routertest.World, kind schema.GroupVersionKind, name string, how func(client.Object)) {
	t.Helper()
	obj := stored(t, w, kind, name)
	how(obj)
	if err := w.Direct.Update(t.Context(), obj); err != nil {
		t.Fatal(err)
	}
	w.Writes()
}

func wantField(t *testing.T, err error, want string) {
	t.Helper()
	var got *field.Error
	if !errors.As(err, &got) {
		t.Fatalf("error %v, want one of %s", err, want)
	}
	if got.Field != want {
		t.Errorf("error %v, want one of %s", err, want)
	}
}

func TestApplyReportsWhatItWrote(t *testing.T) {
	w := newWorld(t, between("web", "web/stable", "web/canary"), subsetsOfWeb("web-rule"))
	var got []trafficrouting.Change
	for _, weight := range []int32{0, 20, 20} {
		got = append(got, apply(t, w, subsetSplit(), subsets(weight, "aaaa", "bbbb"))...)
	}
	want := []trafficrouting.Change{
		{Reason: "UpdatedDestinationRule", Message: "DestinationRule web-rule subset updated (canary: bbbb, stable: aaaa)"},
		{Reason: "Updated VirtualService", Message: "VirtualService `web` set to desiredWeight '20'"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

// Every version that a cluster may serve has the same fields; the best one is used.
func TestTheBestServedVersionIsUsed(t *testing.T) {
	for _, version := range Versions() {
		t.Run(version, func(t *testing.T) {
			served := VirtualServiceKind.WithVersion(version)
			given := between("web", "stable", "canary")
			given.SetGroupVersionKind(served)
			w := routertest.NewWorld(t, kinds(t, served), given)
			apply(t, w, hostSplit("web"), splitOf(20))
			if got, err := weights(stored(t, w, served, "web")); err != nil || !slices.Equal(got, []int32{80, 20}) {
				t.Errorf("weights %v, %v", got, err)
			}
		})
	}
}

func TestAVirtualServiceMayBeNamedWithItsNamespace(t *testing.T) {
	for name, want := range map[string]types.NamespacedName{
		"web":                         {Namespace: "shop", Name: "web"},
		"web.edge":                    {Namespace: "edge", Name: "web"},
		"web.edge.cluster.local":      {Namespace: "edge", Name: "web"},
		"web.edge.svc.cluster.local":  {Namespace: "edge", Name: "web"},
		"web.edge.svc":                {Namespace: "edge", Name: "web"},
		"web.svc":                     {Namespace: "svc", Name: "web"},
		"web.v2.edge":                 {Namespace: "edge", Name: "web.v2"},
		".edge":                       {Namespace: "shop", Name: ".edge"},
		"cluster.local.cluster.local": {Namespace: "local", Name: "cluster"},
	} {
		if got := keyOf(hostSplit("web"), name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

func TestNamesListsAllObjectsOfARollout(t *testing.T) {
	ro := hostSplit("web", "api.edge")
	ro.Spec.Strategy.Canary.TrafficRouting.Istio.DestinationRule = &v1alpha1.IstioDestinationRule{Name: "rule"}
	services, rules := Names(ro)
	if !slices.Equal(services, []string{"shop/web", "edge/api"}) || !slices.Equal(rules, []string{"shop/rule"}) {
		t.Errorf("names %q and %q", services, rules)
	}
	if services, rules := Names(&v1alpha1.Rollout{}); services != nil || rules != nil {
		t.Errorf("names %q and %q of a Rollout without Istio, want none", services, rules)
	}
}

func TestAnUnusableSpecIsAnErrorOfItsField(t *testing.T) {
	rule := func(change func(*v1alpha1.IstioDestinationRule)) func(*v1alpha1.CanaryStrategy) {
		return func(c *v1alpha1.CanaryStrategy) {
			c.TrafficRouting.Istio.DestinationRule = subsetSplit().Spec.Strategy.Canary.TrafficRouting.Istio.DestinationRule
			change(c.TrafficRouting.Istio.DestinationRule)
		}
	}
	step := func(step v1alpha1.CanaryStep) func(*v1alpha1.CanaryStrategy) {
		return func(c *v1alpha1.CanaryStrategy) { c.Steps = []v1alpha1.CanaryStep{{}, step} }
	}
	bad := &v1alpha1.StringMatch{Regex: "a(b"}
	mirror := func(match v1alpha1.RouteMatch) func(*v1alpha1.CanaryStrategy) {
		return step(v1alpha1.CanaryStep{SetMirrorRoute: &v1alpha1.SetMirrorRoute{Match: []v1alpha1.RouteMatch{match}}})
	}
	header := func(value *v1alpha1.StringMatch) func(*v1alpha1.CanaryStrategy) {
		return step(v1alpha1.CanaryStep{SetHeaderRoute: &v1alpha1.SetHeaderRoute{Match: []v1alpha1.HeaderRoutingMatch{{HeaderName: "a", HeaderValue: value}}}})
	}
	for _, c := range []struct {
		name  string
		spoil func(*v1alpha1.CanaryStrategy)
		field string
	}{
		{"no VirtualService", func(c *v1alpha1.CanaryStrategy) { *c.TrafficRouting.Istio = v1alpha1.IstioTrafficRouting{} }, "trafficRouting.istio.virtualService"},
		{"a VirtualService without a name", func(c *v1alpha1.CanaryStrategy) { c.TrafficRouting.Istio.VirtualService.Name = "" }, "trafficRouting.istio.virtualService.name"},
		{"no stable Service", func(c *v1alpha1.CanaryStrategy) { c.StableService = "" }, "stableService"},
		{"no canary Service", func(c *v1alpha1.CanaryStrategy) { c.CanaryService = "" }, "canaryService"},
		{"one Service for both", func(c *v1alpha1.CanaryStrategy) { c.CanaryService = "stable" }, "canaryService"},
		{"a DestinationRule without a name", rule(func(r *v1alpha1.IstioDestinationRule) { r.Name = "" }), "trafficRouting.istio.destinationRule.name"},
		{"no stable subset", rule(func(r *v1alpha1.IstioDestinationRule) { r.StableSubsetName = "" }), "trafficRouting.istio.destinationRule.stableSubsetName"},
		{"no canary subset", rule(func(r *v1alpha1.IstioDestinationRule) { r.CanarySubsetName = "" }), "trafficRouting.istio.destinationRule.canarySubsetName"},
		{"one subset for both", rule(func(r *v1alpha1.IstioDestinationRule) { r.CanarySubsetName = "stable" }), "trafficRouting.istio.destinationRule.canarySubsetName"},
		{"a subset that keeps its weight and changes it", rule(func(r *v1alpha1.IstioDestinationRule) { r.AdditionalSubsetNames = []string{"a", "canary"} }), "trafficRouting.istio.destinationRule.additionalSubsetNames[1]"},
		{"a managed route that carries weights", func(c *v1alpha1.CanaryStrategy) {
			c.TrafficRouting.ManagedRoutes = []v1alpha1.MangedRoutes{{Name: "vip"}, {Name: "primary"}}
		}, "trafficRouting.managedRoutes[1].name"},
		{"a header that no expression matches", header(bad), "steps[1].setHeaderRoute.match[0].headerValue.regex"},
		{"an expression that is too long", header(&v1alpha1.StringMatch{Regex: strings.Repeat("a", maxRegex+1)}), "steps[1].setHeaderRoute.match[0].headerValue.regex"},
		{"a mirror of such a method", mirror(v1alpha1.RouteMatch{Method: bad}), "steps[1].setMirrorRoute.match[0].method.regex"},
		{"a mirror of such a path", mirror(v1alpha1.RouteMatch{Path: bad}), "steps[1].setMirrorRoute.match[0].path.regex"},
		{"a mirror of such a header", mirror(v1alpha1.RouteMatch{Headers: map[string]v1alpha1.StringMatch{"a": *bad}}), "steps[1].setMirrorRoute.match[0].headers[a].regex"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ro := hostSplit("web")
			c.spoil(ro.Spec.Strategy.Canary)
			w := newWorld(t, between("web", "stable", "canary"))
			_, err := New(w.Client).Observe(t.Context(), trafficrouting.Ref{Rollout: ro})
			wantField(t, err, "spec.strategy.canary."+c.field)
		})
	}
}

func TestASplitThatIsNotForThisRolloutIsRefused(t *testing.T) {
	side := func(name string) func(*trafficrouting.Split) {
		return func(s *trafficrouting.Split) { s.Additional = []trafficrouting.Backend{{Service: name, Hash: "cccc"}} }
	}
	route := func(routes ...trafficrouting.ManagedRoute) func(*trafficrouting.Split) {
		return func(s *trafficrouting.Split) { s.Routes = routes }
	}
	vip := routes()["a header as a whole"][0]
	for name, spoil := range map[string]func(*trafficrouting.Split){
		"another stable Service":              func(s *trafficrouting.Split) { s.Stable.Service = "other" },
		"another canary Service":              func(s *trafficrouting.Split) { s.Canary.Service = "other" },
		"another total":                       func(s *trafficrouting.Split) { s.MaxWeight, s.Stable.Weight = 1000, 980 },
		"a side that is the canary":           side("canary"),
		"a side without a Service":            side(""), // argo-rollouts 4890: its share went nowhere
		"a route that matches everything":     route(trafficrouting.ManagedRoute{Name: "vip"}),
		"a route that nobody may remove":      route(trafficrouting.ManagedRoute{Name: "primary", Headers: vip.Headers}),
		"a route twice":                       route(vip, vip),
		"a side of an Experiment that is two": func(s *trafficrouting.Split) { side("a")(s); s.Additional = append(s.Additional, s.Additional...) },
	} {
		t.Run(name, func(t *testing.T) {
			ro := hostSplit("web")
			ro.Spec.Strategy.Canary.TrafficRouting.ManagedRoutes = []v1alpha1.MangedRoutes{{Name: "vip"}}
			w := newWorld(t, between("web", "stable", "canary"))
			split := splitOf(20)
			spoil(&split)
			if _, err := New(w.Client).Apply(t.Context(), trafficrouting.Ref{Rollout: ro}, split); err == nil {
				t.Error("no error, want one")
			}
			wantWrites(t, w)
		})
	}
}
