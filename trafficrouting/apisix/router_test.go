package apisix

import (
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/routertest"
)

var v2 = schema.GroupVersionKind{Group: "apisix.apache.org", Version: "v2", Kind: "ApisixRoute"}

func kinds() routertest.Kinds {
	return routertest.Kinds{Scheme: runtime.NewScheme(), Foreign: []schema.GroupVersionKind{v2}}
}

// rollout names the http rules of the ApisixRoute web.
func rollout(rules ...string) *v1alpha1.Rollout {
	return &v1alpha1.Rollout{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", UID: "rollout-uid"},
		Spec: v1alpha1.RolloutSpec{Strategy: v1alpha1.RolloutStrategy{Canary: &v1alpha1.CanaryStrategy{
			CanaryService: "canary", StableService: "stable",
			TrafficRouting: &v1alpha1.RolloutTrafficRouting{
				Apisix: &v1alpha1.ApisixTrafficRouting{Route: &v1alpha1.ApisixRoute{Name: "web", Rules: rules}},
			},
		}}},
	}
}

// managing lists managed routes.
func managing(ro *v1alpha1.Rollout, names ...string) *v1alpha1.Rollout {
	for _, name := range names {
		routing := ro.Spec.Strategy.Canary.TrafficRouting
		routing.ManagedRoutes = append(routing.ManagedRoutes, v1alpha1.MangedRoutes{Name: name})
	}
	return ro
}

type object = map[string]any

func backend(service string, weight int64) object {
	return object{"serviceName": service, "servicePort": int64(80), "weight": weight}
}

// rule is an http rule of somebody who uses more of APISIX than Headway knows.
func rule(name string, backends ...any) object {
	return object{
		"name": name, "match": object{"hosts": []any{name + ".local"}, "paths": []any{"/*"}}, "backends": backends,
		"plugins": []any{object{"name": "cors", "enable": true, "config": object{"allow_origins": "*"}}}, "unknown": object{"a": 1.5},
	}
}

func both(name string) object { return rule(name, backend("stable", 100), backend("canary", 0)) }

func route(name string, rules ...any) *unstructured.Unstructured {
	obj := &unstructured.Unstructured{Object: object{
		"metadata": object{"annotations": object{"example.com/mine": "yes"}},
		"spec":     object{"ingressClassName": "apisix", "http": rules},
	}}
	obj.SetGroupVersionKind(v2)
	obj.SetNamespace("shop")
	obj.SetName(name)
	return obj
}

func headers(pairs ...string) []v1alpha1.HeaderRoutingMatch {
	var all []v1alpha1.HeaderRoutingMatch
	for i := 0; i < len(pairs); i += 3 {
		value := map[string]*v1alpha1.StringMatch{
			"exact": {Exact: pairs[i+2]}, "prefix": {Prefix: pairs[i+2]}, "regex": {Regex: pairs[i+2]},
		}[pairs[i+1]]
		all = append(all, v1alpha1.HeaderRoutingMatch{HeaderName: pairs[i], HeaderValue: value})
	}
	return all
}

// harness serves a Rollout that names the rules, of a route that has them and others.
func harness(rules ...string) routertest.Harness {
	names := rules
	if len(rules) == 0 {
		names = []string{"web"}
	}
	return routertest.Harness{
		Kinds:  kinds(),
		Router: func(c client.Client) trafficrouting.Router { return New(c) },
		Rollout: func(total *int32) *v1alpha1.Rollout {
			ro := rollout(rules...)
			ro.Spec.Strategy.Canary.TrafficRouting.MaxTrafficWeight = total
			return ro
		},
		Totals: []int32{100},
		Given: func() []client.Object {
			web := route("web", rule("other", backend("stable", 90), backend("canary", 10)))
			for _, name := range names {
				web.Object["spec"].(object)["http"] = append(web.Object["spec"].(object)["http"].([]any), rule(name,
					backend("images", 7), backend("canary", 0), backend("stable", 100)))
			}
			return []client.Object{web}
		},
		Odd:     odd,
		Managed: func(client.Object) bool { return true },
		Strip:   strip,
		Weights: weights,
		Spoil:   spoils(),
		Unname:  unnames(),
		Routes:  routes(),
		Share: func() (*v1alpha1.Rollout, []client.Object) {
			other := rollout("bills")
			other.Name, other.UID = "api", "api-uid"
			other.Spec.Strategy.Canary.StableService, other.Spec.Strategy.Canary.CanaryService = "api-stable", "api-canary"
			web := route("web", rule("bills", backend("api-stable", 100), backend("api-canary", 0)))
			for _, name := range names {
				web.Object["spec"].(object)["http"] = append(web.Object["spec"].(object)["http"].([]any), both(name))
			}
			return other, []client.Object{web}
		},
		Steal: func(obj client.Object) {
			obj.SetAnnotations(map[string]string{markKey: trafficrouting.Mark{Rollout: "shop/other", Stable: "stable", Canary: "canary"}.String()})
		},
	}
}

// sidesIn are the weights of the two sides in the rules that are not somebody else's.
func sidesIn(obj client.Object) []object {
	var found []object
	http, _ := httpOf(obj.(*unstructured.Unstructured))
	for _, rule := range http {
		if member(rule, "name") == "other" {
			continue
		}
		for _, backend := range member(rule, "backends").([]any) {
			if name := member(backend, "serviceName"); name == "stable" || name == "canary" {
				found = append(found, backend.(object))
			}
		}
	}
	return found
}

func strip(obj client.Object) {
	annotations := obj.GetAnnotations()
	delete(annotations, markKey)
	obj.SetAnnotations(annotations)
	for _, side := range sidesIn(obj) {
		delete(side, "weight")
	}
}

// weights are those of the first rule; all rules must have the same.
func weights(obj client.Object) ([]int32, error) {
	var found []int32
	for i, side := range sidesIn(obj) {
		weight, ok := side["weight"].(int64)
		switch {
		case !ok:
			return nil, fmt.Errorf("weight %v", side["weight"])
		case i < 2:
			found = append(found, int32(weight))
		case found[i%2] != int32(weight):
			return nil, fmt.Errorf("rules disagree: %v and %d", found, weight)
		}
	}
	return found, nil
}

func spoils() map[string]func(client.Object) {
	side := func(i int, weight any) func(client.Object) {
		return func(obj client.Object) {
			one := sidesIn(obj)[i]
			if one["weight"] = weight; weight == nil {
				delete(one, "weight")
			}
		}
	}
	return map[string]func(client.Object){
		"another canary weight":      side(0, int64(70)),
		"another stable weight":      side(1, int64(7)),
		"a weight below zero":        side(0, int64(-1)),
		"a weight beyond 32 bits":    side(0, int64(1)<<40),
		"a weight that is no number": side(0, "20"),
		"a broken weight":            side(0, 20.5),
		"no weight":                  side(0, nil),
		"no stable weight":           side(1, nil),
	}
}

// unnames change the spec so that it does not name the route any more.
func unnames() map[string]func(*v1alpha1.Rollout) {
	routing := func(change func(*v1alpha1.RolloutTrafficRouting)) func(*v1alpha1.Rollout) {
		return func(ro *v1alpha1.Rollout) { change(ro.Spec.Strategy.Canary.TrafficRouting) }
	}
	return map[string]func(*v1alpha1.Rollout){
		"another route takes its place": routing(func(r *v1alpha1.RolloutTrafficRouting) { r.Apisix.Route.Name = "other" }),
		"no route is named":             routing(func(r *v1alpha1.RolloutTrafficRouting) { r.Apisix.Route = nil }),
		"a rule without a name":         routing(func(r *v1alpha1.RolloutTrafficRouting) { r.Apisix.Route.Rules = []string{""} }),
		"a rule that is not there":      routing(func(r *v1alpha1.RolloutTrafficRouting) { r.Apisix.Route.Rules = []string{"none"} }),
		"another router is named":       routing(func(r *v1alpha1.RolloutTrafficRouting) { r.Apisix, r.Nginx = nil, &v1alpha1.NginxTrafficRouting{} }),
		"no router is named":            func(ro *v1alpha1.Rollout) { ro.Spec.Strategy.Canary.TrafficRouting = nil },
		"the strategy is another one": func(ro *v1alpha1.Rollout) {
			ro.Spec.Strategy = v1alpha1.RolloutStrategy{BlueGreen: &v1alpha1.BlueGreenStrategy{}}
		},
		"a step that APISIX cannot do": func(ro *v1alpha1.Rollout) {
			mirror := &v1alpha1.SetMirrorRoute{Name: "copy", Match: []v1alpha1.RouteMatch{{Path: &v1alpha1.StringMatch{Exact: "/"}}}}
			ro.Spec.Strategy.Canary.Steps = []v1alpha1.CanaryStep{{SetMirrorRoute: mirror}}
		},
	}
}

func routes() map[string][]trafficrouting.ManagedRoute {
	return map[string][]trafficrouting.ManagedRoute{
		"one header exactly":   {{Name: "beta", Headers: headers("X-Beta", "exact", "yes")}},
		"the start of a value": {{Name: "beta", Headers: headers("User-Agent", "prefix", "Mozilla/5.0 (X11; *)")}},
		"a regular expression": {{Name: "beta", Headers: headers("agent", "regex", "firefox(.*)")}},
		"regular expressions that look like prefixes": {
			{Name: "beta", Headers: headers("agent", "regex", "^firefox.*", "agent", "prefix", "firefox", "agent", "regex", "(?:^firefox.*)")},
		},
		"any of several headers": {{Name: "beta", Headers: headers("a", "exact", "1", "b", "prefix", "2", "c", "regex", "3+")}},
		"several routes": {
			{Name: "first", Headers: headers("a", "exact", "1", "b", "exact", "2")}, {Name: "last", Headers: headers("a", "exact", "1")},
		},
	}
}

func odd() map[string][]client.Object {
	worlds := map[string][]client.Object{
		"a route with an empty spec": {route("web")},
		"rules of all kinds": {route("web", nil, "text", int64(1), []any{}, object{}, object{"name": int64(7)}, object{"name": "web"},
			object{"name": "web", "backends": "many"}, object{"name": "web", "backends": []any{nil, "x", object{"serviceName": int64(1)}}})},
		"a backend that is no object":   {route("web", rule("web", nil, backend("stable", 1), backend("canary", 1)))},
		"a Service that is named twice": {route("web", rule("web", backend("stable", 1), backend("canary", 1), backend("canary", 1)))},
		"rules of one name":             {route("web", both("web"), both("web"))},
	}
	for name, spec := range map[string]any{"no spec": nil, "a spec that is text": "x", "rules that are text": object{"http": "x"}, "rules that are an object": object{"http": object{}}} {
		web := route("web")
		web.Object["spec"] = spec
		web.SetAnnotations(map[string]string{markKey: trafficrouting.Mark{Rollout: "shop/web"}.String()})
		worlds[name] = []client.Object{web}
	}
	return worlds
}

func TestOneRuleFulfilsTheDutiesOfARouter(t *testing.T) {
	routertest.Run(t, harness())
}

func TestSeveralRulesFulfilTheDutiesOfARouter(t *testing.T) {
	routertest.Run(t, harness("web", "api", "admin"))
}
