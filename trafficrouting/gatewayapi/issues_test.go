package gatewayapi

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
)

// The names of these tests are the numbers of reports about the Gateway API plugin of the incumbent.

func web() *v1alpha1.Rollout {
	return rollout(&v1alpha1.GatewayAPITrafficRouting{HTTPRoute: "web"})
}

func TestGateway115And158TheWeightDoesNotReachTheRulesOfHeaderRoutes(t *testing.T) {
	l := labOf(t, web(), routeOf(t, "HTTPRoute", "web", []string{"stable=100", "canary=0"}))
	for _, weight := range []int32{0, 20, 100, 0} {
		l.apply(splitOf(weight, headerRoute("beta", "X-Beta", "yes")))
		want := []string{"beta X-Beta~yes: canary=1", "-: stable=100 canary=0"}
		switch weight {
		case 20:
			want[1] = "-: stable=80 canary=20"
		case 100:
			want[1] = "-: stable=0 canary=100"
		}
		l.wantRules("HTTPRoute", "web", want...)
	}
}

func TestGateway124And225TheStableSideGetsWhatAnExperimentLeaves(t *testing.T) {
	l := labOf(t, web(), routeOf(t, "HTTPRoute", "web", []string{"stable=100", "canary=0"}))
	split := splitOf(20)
	split.Additional = []trafficrouting.Backend{{Service: "baseline", Weight: 15}, {Service: "candidate", Weight: 15}}
	split.Stable.Weight = 50
	l.apply(split)
	l.wantRules("HTTPRoute", "web", "-: stable=50 canary=20 baseline=15 candidate=15")
	l.apply(splitOf(20))
	l.wantRules("HTTPRoute", "web", "-: stable=80 canary=20")
}

func TestGateway164ARolloutThatIsDoneLeavesTheLabelOfAnother(t *testing.T) {
	shared := routeOf(t, "HTTPRoute", "web", []string{"stable=100", "canary=0"}, []string{"api=100", "api-canary=0"})
	first := labOf(t, web(), shared)
	second := first
	other := web()
	other.Name, other.UID = "api", "api-uid"
	other.Spec.Strategy.Canary.StableService, other.Spec.Strategy.Canary.CanaryService = "api", "api-canary"
	second.ref.Rollout = other
	api := func(weight int32) trafficrouting.Split {
		split := splitOf(weight)
		split.Stable.Service, split.Canary.Service = "api", "api-canary"
		return split
	}
	first.apply(splitOf(20))
	first.Writes()
	// The other one is at rest: it writes nothing and sees nothing wrong.
	second.apply(api(0))
	second.wantWrites()
	if err := second.wantSeen(trafficrouting.Observed{Exists: true, InSync: true}); err != nil {
		t.Errorf("observing: %v", err)
	}
	second.apply(api(10))
	second.wantRules("HTTPRoute", "web", "-: stable=80 canary=20", "-: api=90 api-canary=10")
	first.apply(splitOf(0))
	second.wantRules("HTTPRoute", "web", "-: stable=100 canary=0", "-: api=90 api-canary=10")
	if label := first.stored("HTTPRoute", "web").GetLabels()[defaultLabelKey]; label != "in-progress" {
		t.Errorf("label %q, want in-progress while the other one shares traffic", label)
	}
	second.apply(api(0))
	if label, has := first.stored("HTTPRoute", "web").GetLabels()[defaultLabelKey]; has {
		t.Errorf("label %q, want none when both are done", label)
	}
}

func TestGateway190And208ARouteWithAHeaderRouteAloneCarriesTheLabelAndLosesItAtHome(t *testing.T) {
	l := labOf(t, web(), routeOf(t, "HTTPRoute", "web", []string{"stable=100", "canary=0"}))
	before := l.stored("HTTPRoute", "web")
	l.apply(splitOf(0, headerRoute("beta", "X-Beta", "yes")))
	if label := l.stored("HTTPRoute", "web").GetLabels()[defaultLabelKey]; label != "in-progress" {
		t.Errorf("label %q, want in-progress while a header route is there", label)
	}
	l.apply(splitOf(0))
	after := l.stored("HTTPRoute", "web")
	after.SetResourceVersion(before.GetResourceVersion())
	if diff := cmp.Diff(before.Object, after.Object); diff != "" {
		t.Errorf("at home (-as its user wrote it +got):\n%s", diff)
	}
}

func TestGateway203And217RulesBackendsAndFieldsOfOthersStay(t *testing.T) {
	route := parse(t, `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: shop, generation: 1, annotations: {example.com/mine: "yes"}}
spec:
  parentRefs: [{name: gateway}]
  useDefaultGateways: All
  rules:
  - name: rollout-weighted
    matches: [{path: {type: PathPrefix, value: /}}]
    sessionPersistence: {sessionName: a, type: Cookie, ofTheFuture: [1, {b: c}]}
    backendRefs:
    - {kind: Service, name: stable, port: 80, weight: 100, ofTheFuture: true}
    - {kind: Service, name: canary, port: 80, weight: 0}
    - {group: multicluster.x-k8s.io, kind: ServiceImport, name: stable, port: 80, weight: 0}
  - name: query-param-canary
    matches: [{path: {type: PathPrefix, value: /}, queryParams: [{type: Exact, name: canary, value: "true"}]}]
    backendRefs: [{name: canary, port: 80}]
  - matches: [{path: {type: PathPrefix, value: /old}}]
    filters: [{type: RequestRedirect, requestRedirect: {hostname: new.example.com}}]
`)
	l := labOf(t, web(), route)
	before := l.stored("HTTPRoute", "web")
	beta := headerRoute("beta", "X-Beta", "yes")
	for _, split := range []trafficrouting.Split{splitOf(20), splitOf(20, beta), splitOf(100, beta), splitOf(60), splitOf(0)} {
		l.apply(split)
		rules := rulesIn(l.stored("HTTPRoute", "web"))
		if diff := cmp.Diff([]string{"query-param-canary: canary=1", "-:"}, rules[len(rules)-2:]); diff != "" {
			t.Errorf("at %s (-want +got):\n%s", split, diff)
		}
	}
	after := l.stored("HTTPRoute", "web")
	after.SetResourceVersion(before.GetResourceVersion())
	if diff := cmp.Diff(before.Object, after.Object); diff != "" {
		t.Errorf("after a release (-before +after):\n%s", diff)
	}
}

func TestGateway87And207HeaderRoutesCoverEveryRuleWithItsFilters(t *testing.T) {
	route := routeOf(t, "HTTPRoute", "web", []string{"stable=100", "canary=0"}, []string{"stable=100", "canary=0"})
	filters := []any{map[string]any{"type": "ResponseHeaderModifier"}}
	rules := route.Object["spec"].(map[string]any)["rules"].([]any)
	rules[1].(map[string]any)["filters"] = filters
	l := labOf(t, web(), route)
	l.apply(splitOf(0, headerRoute("beta", "X-Beta", "yes")))
	l.wantRules("HTTPRoute", "web", "beta X-Beta~yes: canary=1", "beta-2 X-Beta~yes: canary=1", "-: stable=100 canary=0", "-: stable=100 canary=0")
	made := rulesOf(l.stored("HTTPRoute", "web"), "shop")[1]
	if diff := cmp.Diff(filters, made.raw["filters"]); diff != "" {
		t.Errorf("filters (-want +got):\n%s", diff)
	}
}

func TestGateway95And151ManagedRoutesAreFoundAgainWhereverTheyStand(t *testing.T) {
	beta, gamma := headerRoute("beta", "X-Beta", "yes"), headerRoute("gamma", "X-Gamma", "yes")
	for name, edit := range map[string]func(rules []any) []any{
		"somebody adds a rule before them": func(rules []any) []any { return append([]any{rules[3]}, rules...) },
		"somebody reverses them":           func(rules []any) []any { return []any{rules[3], rules[2], rules[1], rules[0]} },
		"somebody removes one":             func(rules []any) []any { return rules[1:] },
		"somebody doubles one":             func(rules []any) []any { return append([]any{rules[0]}, rules...) },
		"the definition has no names": func(rules []any) []any {
			for _, rule := range rules {
				delete(rule.(map[string]any), "name")
			}
			return rules
		},
		"somebody edits one": func(rules []any) []any {
			rules[0].(map[string]any)["matches"] = []any{}
			return rules
		},
	} {
		t.Run(name, func(t *testing.T) {
			ro := web()
			ro.Spec.Strategy.Canary.TrafficRouting.ManagedRoutes = []v1alpha1.MangedRoutes{{Name: "beta"}, {Name: "gamma"}}
			l := labOf(t, ro, routeOf(t, "HTTPRoute", "web", []string{"stable=100", "canary=0"}, []string{"images=1"}))
			l.apply(splitOf(20, beta, gamma))
			l.edit("HTTPRoute", "web", func(u *unstructured.Unstructured) {
				spec := u.Object["spec"].(map[string]any)
				spec["rules"] = edit(spec["rules"].([]any))
			})
			l.apply(splitOf(20, beta, gamma))
			seen, err := l.router.Observe(t.Context(), l.ref)
			want := trafficrouting.Observed{Exists: true, CanaryWeight: 20, InSync: true, Routes: []trafficrouting.ManagedRoute{beta, gamma}}
			if diff := cmp.Diff(want, seen); diff != "" || err != nil {
				t.Errorf("observed (-want +got), error %v:\n%s", err, diff)
			}
			first := rulesIn(l.stored("HTTPRoute", "web"))
			if !strings.Contains(first[0], "X-Beta") || !strings.Contains(first[1], "X-Gamma") {
				t.Errorf("the managed routes are not the first to match: %q", first)
			}
			l.apply(splitOf(0))
			for _, line := range rulesIn(l.stored("HTTPRoute", "web")) {
				if line != "-: stable=100 canary=0" && line != "-: images=1" {
					t.Errorf("at home there is still %s", line)
				}
			}
		})
	}
}

func TestGateway215TwoHeaderRoutesForOneHeaderStandBesideEachOther(t *testing.T) {
	l := labOf(t, web(), routeOf(t, "HTTPRoute", "web", []string{"stable=100", "canary=0"}))
	l.apply(splitOf(0, headerRoute("a", "X-Who", "a"), headerRoute("b", "X-Who", "b")))
	l.wantRules("HTTPRoute", "web", "a X-Who~a: canary=1", "b X-Who~b: canary=1", "-: stable=100 canary=0")
	l.apply(splitOf(0, headerRoute("b", "X-Who", "b")))
	l.wantRules("HTTPRoute", "web", "b X-Who~b: canary=1", "-: stable=100 canary=0")
}

func TestGateway230ARouteThatIsAsItShouldBeIsNotWritten(t *testing.T) {
	for kind, gateway := range map[string]*v1alpha1.GatewayAPITrafficRouting{
		"HTTPRoute": {HTTPRoute: "web"}, "GRPCRoute": {GRPCRoute: "web"}, "TCPRoute": {TCPRoute: "web"}, "TLSRoute": {TLSRoute: "web"},
	} {
		l := labOf(t, rollout(gateway), routeOf(t, kind, "web", []string{"stable=100", "canary=0"}))
		for range 3 {
			l.apply(splitOf(20))
		}
		l.wantWrites("patch web")
	}
}

func TestWhatThePluginLeftInTheMiddleOfAReleaseIsTakenOver(t *testing.T) {
	ro := web()
	ro.Spec.Strategy.Canary.TrafficRouting.ManagedRoutes = []v1alpha1.MangedRoutes{{Name: "beta"}}
	ro.Status.Canary.Weights = &v1alpha1.TrafficWeights{Additional: []v1alpha1.WeightDestination{{ServiceName: "baseline"}}}
	left := routeOf(t, "HTTPRoute", "web", []string{"stable=70", "canary=20", "baseline=10"}, []string{"canary"}, []string{"canary"})
	left.SetLabels(map[string]string{defaultLabelKey: defaultLabelValue})
	rules := left.Object["spec"].(map[string]any)["rules"].([]any)
	rules[1].(map[string]any)["name"], rules[2].(map[string]any)["name"] = "beta", "beta-2"
	l := labOf(t, ro, left)
	seen, err := l.router.Observe(t.Context(), l.ref)
	want := trafficrouting.Observed{Exists: true, CanaryWeight: 20, Additional: []trafficrouting.Backend{{Service: "baseline", Weight: 10}}}
	if diff := cmp.Diff(want, seen); diff != "" || err != nil {
		t.Errorf("observed (-want +got), error %v:\n%s", err, diff)
	}
	l.apply(splitOf(20))
	l.wantRules("HTTPRoute", "web", "-: stable=80 canary=20")
	l.apply(splitOf(0))
	if got := l.stored("HTTPRoute", "web"); len(got.GetLabels())+len(got.GetAnnotations()) > 0 {
		t.Errorf("at home: labels %v, annotations %v", got.GetLabels(), got.GetAnnotations())
	}
}

func TestNamesSayWhichRoutesConcernARollout(t *testing.T) {
	ro := rollout(&v1alpha1.GatewayAPITrafficRouting{
		Namespace: "edge", HTTPRoute: "web", GRPCRoutes: []v1alpha1.GatewayAPIRoute{{Name: "a"}, {Name: "b"}},
		TLSRouteSelector: &metav1.LabelSelector{},
	})
	want := []string{"GRPCRoute/edge/a", "GRPCRoute/edge/b", "HTTPRoute/edge/web", "TLSRoute/edge/*"}
	if diff := cmp.Diff(want, Names(ro)); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	selected := &metav1.ObjectMeta{Namespace: "edge", Name: "x"}
	if diff := cmp.Diff([]string{"TLSRoute/edge/x", "TLSRoute/edge/*"}, Keys("TLSRoute", selected)); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	if names := Names(&v1alpha1.Rollout{}); len(names) > 0 {
		t.Errorf("names %q of a Rollout without routes", names)
	}
}
