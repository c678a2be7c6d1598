package gatewayapi

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
)

func TestThePathOfAMirrorIsTheNarrowerOfTwo(t *testing.T) {
	const none = ""
	for name, c := range map[string]struct {
		rule  path
		asked v1alpha1.StringMatch
		want  path
	}{
		"a prefix under the rule's":             {path{pathPrefix, "/api"}, v1alpha1.StringMatch{Prefix: "/api/pay"}, path{pathPrefix, "/api/pay"}},
		"a path under the rule's":               {path{pathPrefix, "/api/"}, v1alpha1.StringMatch{Exact: "/api/pay"}, path{exact, "/api/pay"}},
		"the rule's path itself":                {path{pathPrefix, "/api"}, v1alpha1.StringMatch{Exact: "/api"}, path{exact, "/api"}},
		"a name that only begins alike":         {path{pathPrefix, "/api"}, v1alpha1.StringMatch{Exact: "/apis"}, path{none, none}},
		"a prefix beside the rule's":            {path{pathPrefix, "/api"}, v1alpha1.StringMatch{Prefix: "/web"}, path{none, none}},
		"a prefix above the rule's":             {path{pathPrefix, "/api/pay"}, v1alpha1.StringMatch{Prefix: "/api"}, path{pathPrefix, "/api/pay"}},
		"everything":                            {path{exact, "/pay"}, v1alpha1.StringMatch{Prefix: "/"}, path{exact, "/pay"}},
		"everything, of a regular expression":   {path{regex, "/p.*"}, v1alpha1.StringMatch{Prefix: "/"}, path{regex, "/p.*"}},
		"a regular expression of everything":    {path{pathPrefix, "/"}, v1alpha1.StringMatch{Regex: "/p.*"}, path{regex, "/p.*"}},
		"a regular expression under a prefix":   {path{pathPrefix, "/p"}, v1alpha1.StringMatch{Regex: "/p/.*"}, path{none, none}},
		"the same regular expression":           {path{regex, "/p.*"}, v1alpha1.StringMatch{Regex: "/p.*"}, path{regex, "/p.*"}},
		"another path than the one of the rule": {path{exact, "/pay"}, v1alpha1.StringMatch{Exact: "/buy"}, path{none, none}},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := condition{path: &c.asked}.andPath(c.rule.raw())
			var want map[string]any
			if c.want.kind != none {
				want = c.want.raw()
			}
			if diff := cmp.Diff(want, got); diff != "" || ok != (want != nil) {
				t.Errorf("path (-want +got), possible %t:\n%s", ok, diff)
			}
		})
	}
}

func TestARewrittenPrefixIsNotNarrowed(t *testing.T) {
	match := map[string]any{"path": path{pathPrefix, "/api"}.raw()}
	for asked, want := range map[v1alpha1.StringMatch]bool{
		{Prefix: "/api"}: true, {Prefix: "/"}: true, {Prefix: "/api/pay"}: false, {Exact: "/api"}: false,
	} {
		if _, ok := (condition{path: &asked}).and(match, httpRoutes, true); ok != want {
			t.Errorf("%+v: possible %t, want %t", asked, ok, want)
		}
	}
}

func TestAHeaderThatTheRuleMatchesAlreadyMustBeTheSame(t *testing.T) {
	has := map[string]any{"name": "x-beta", "type": exact, "value": "yes"}
	for name, c := range map[string]struct {
		value v1alpha1.StringMatch
		want  bool
	}{
		"the same value":       {v1alpha1.StringMatch{Exact: "yes"}, true},
		"another value":        {v1alpha1.StringMatch{Exact: "no"}, false},
		"a regular expression": {v1alpha1.StringMatch{Regex: "yes"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			match := map[string]any{"headers": []any{has}}
			got, ok := condition{headers: []map[string]any{headerMatch("X-Beta", c.value)}}.and(match, grpcRoutes, false)
			if ok != c.want || ok && cmp.Diff(match, got) != "" {
				t.Errorf("possible %t, want %t: %v", ok, c.want, got)
			}
		})
	}
}

func TestAMethodThatTheRuleMatchesAlreadyMustBeTheSame(t *testing.T) {
	match := map[string]any{"method": "GET"}
	for method, want := range map[string]bool{"": true, "GET": true, "POST": false} {
		if _, ok := (condition{method: method}).and(match, httpRoutes, false); ok != want {
			t.Errorf("method %q: possible %t, want %t", method, ok, want)
		}
	}
}

func TestOnlyServicesOfTheRolloutAreItsSides(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want string
	}{
		"a Service":                       {"{name: stable}", "stable"},
		"a Service with all its defaults": {`{group: "", kind: Service, namespace: shop, name: stable}`, "stable"},
		"a Service of another namespace":  {"{name: stable, namespace: other}", ""},
		"a ServiceImport":                 {"{group: multicluster.x-k8s.io, kind: ServiceImport, name: stable}", ""},
		"a kind that has no group":        {"{kind: Backend, name: stable}", ""},
		"a Service of another group":      {"{group: serving.knative.dev, kind: Service, name: stable}", ""},
	} {
		t.Run(name, func(t *testing.T) {
			route := parse(t, "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {namespace: shop}\nspec: {rules: [{backendRefs: ["+c.text+"]}]}")
			if got := rulesOf(route, "shop")[0].backends[0].service; got != c.want {
				t.Errorf("service %q, want %q", got, c.want)
			}
		})
	}
}

func TestWeightsThatCannotBeUnderstoodCountAsAllOfTheTraffic(t *testing.T) {
	for _, weight := range []string{`"5"`, "-5", "1.5", "1000001", "[]"} {
		route := parse(t, "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: web, namespace: shop}\n"+
			"spec: {rules: [{backendRefs: [{name: stable, weight: 100}, {name: canary, weight: "+weight+"}]}]}")
		l := labOf(t, web(), route)
		if err := l.wantSeen(trafficrouting.Observed{Exists: true, CanaryWeight: 100}); err != nil {
			t.Error(err)
		}
		l.apply(splitOf(0))
		l.wantRules("HTTPRoute", "web", "-: stable=100 canary=0")
	}
}

func TestWrongSpecsNameTheField(t *testing.T) {
	const at = "spec.strategy.canary"
	gateway := at + ".trafficRouting.gatewayAPI"
	mirror := func(match v1alpha1.RouteMatch) []v1alpha1.CanaryStep {
		return []v1alpha1.CanaryStep{{SetMirrorRoute: &v1alpha1.SetMirrorRoute{Name: "m", Match: []v1alpha1.RouteMatch{match}}}}
	}
	total := int32(1_000_001)
	for want, change := range map[string]func(*v1alpha1.CanaryStrategy, *v1alpha1.GatewayAPITrafficRouting){
		at + ".stableService": func(c *v1alpha1.CanaryStrategy, _ *v1alpha1.GatewayAPITrafficRouting) { c.StableService = "" },
		at + ".canaryService": func(c *v1alpha1.CanaryStrategy, _ *v1alpha1.GatewayAPITrafficRouting) { c.CanaryService = "stable" },
		at + ".pingPong.pongService": func(c *v1alpha1.CanaryStrategy, _ *v1alpha1.GatewayAPITrafficRouting) {
			c.PingPong = &v1alpha1.PingPongSpec{PingService: "a"}
		},
		at + ".trafficRouting.maxTrafficWeight": func(c *v1alpha1.CanaryStrategy, _ *v1alpha1.GatewayAPITrafficRouting) {
			c.TrafficRouting.MaxTrafficWeight = &total
		},
		gateway: func(_ *v1alpha1.CanaryStrategy, g *v1alpha1.GatewayAPITrafficRouting) { g.HTTPRoute = "" },
		gateway + ".httpRouteSelector": func(_ *v1alpha1.CanaryStrategy, g *v1alpha1.GatewayAPITrafficRouting) {
			g.HTTPRouteSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Like"}}}
		},
		gateway + ".tlsRoutes[0].name": func(_ *v1alpha1.CanaryStrategy, g *v1alpha1.GatewayAPITrafficRouting) {
			g.TLSRoutes = []v1alpha1.GatewayAPIRoute{{}}
		},
		gateway + ".inProgressLabelKey":   func(_ *v1alpha1.CanaryStrategy, g *v1alpha1.GatewayAPITrafficRouting) { g.InProgressLabelKey = "a b" },
		gateway + ".inProgressLabelValue": func(_ *v1alpha1.CanaryStrategy, g *v1alpha1.GatewayAPITrafficRouting) { g.InProgressLabelValue = "a b" },
		at + ".steps[0].setMirrorRoute.match[0].path": func(c *v1alpha1.CanaryStrategy, _ *v1alpha1.GatewayAPITrafficRouting) {
			c.Steps = mirror(v1alpha1.RouteMatch{Path: &v1alpha1.StringMatch{Prefix: "api"}})
		},
		at + ".steps[0].setMirrorRoute.match[0]": func(c *v1alpha1.CanaryStrategy, g *v1alpha1.GatewayAPITrafficRouting) {
			c.Steps, g.GRPCRoute = mirror(v1alpha1.RouteMatch{Path: &v1alpha1.StringMatch{Prefix: "/api"}}), "web"
		},
		at + ".steps[0].setHeaderRoute.match[0].headerValue": func(c *v1alpha1.CanaryStrategy, _ *v1alpha1.GatewayAPITrafficRouting) {
			c.Steps = []v1alpha1.CanaryStep{{SetHeaderRoute: &v1alpha1.SetHeaderRoute{Name: "h", Match: []v1alpha1.HeaderRoutingMatch{{HeaderName: "a"}}}}}
		},
		at + ".steps[0].setHeaderRoute": func(c *v1alpha1.CanaryStrategy, g *v1alpha1.GatewayAPITrafficRouting) {
			c.Steps = []v1alpha1.CanaryStep{{SetHeaderRoute: &v1alpha1.SetHeaderRoute{Name: "h", Match: headerRoute("h", "a", "b").Headers}}}
			g.HTTPRoute, g.HTTPRoutes = "", []v1alpha1.GatewayAPIRoute{{Name: "web"}}
		},
	} {
		t.Run(want, func(t *testing.T) {
			ro := web()
			change(ro.Spec.Strategy.Canary, ro.Spec.Strategy.Canary.TrafficRouting.GatewayAPI)
			in, err := intentOf(ro)
			wantField(t, err, want)
			if in.usable || len(in.targets) > 0 {
				t.Errorf("a wrong spec has targets: %+v", in.targets)
			}
		})
	}
}
