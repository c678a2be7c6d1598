package istio

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/routertest"
)

var (
	services = VirtualServiceKind.WithVersion("v1")
	rules    = DestinationRuleKind.WithVersion("v1")
)

// kinds are those of the world, the first one first in what the suite manages.
func kinds(t *testing.T, foreign ...schema.GroupVersionKind) routertest.Kinds {
	t.Helper()
	s := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(s); err != nil {
		t.Fatal(err)
	}
	if len(foreign) == 0 {
		foreign = []schema.GroupVersionKind{services, rules}
	}
	return routertest.Kinds{Scheme: s, Foreign: foreign}
}

// object makes one of namespace shop, from the YAML of its spec.
func object(kind schema.GroupVersionKind, name, spec string) *unstructured.Unstructured {
	text, err := yaml.YAMLToJSON([]byte(spec))
	if err != nil {
		panic(err)
	}
	obj := &unstructured.Unstructured{Object: map[string]any{}}
	whole := fmt.Sprintf(`{"apiVersion":%q,"kind":%q,"metadata":{"name":%q,"namespace":"shop"},"spec":%s}`,
		kind.GroupVersion(), kind.Kind, name, text)
	if err := obj.UnmarshalJSON([]byte(whole)); err != nil {
		panic(err)
	}
	return obj
}

// between is a VirtualService whose first HTTP route shares traffic between two destinations, each
// as host or host/subset, behind a route of another team.
func between(name, one, other string) *unstructured.Unstructured {
	destination := func(text string) string {
		host, subset, _ := strings.Cut(text, "/")
		if subset != "" {
			subset = ", subset: " + subset
		}
		return fmt.Sprintf("{host: %s%s, port: {number: 8080}, later: [1.5, {x: null}]}", host, subset)
	}
	return object(services, name, fmt.Sprintf(`
hosts: [%s.example.com]
later: {a: 9007199254740993}
http:
- name: images
  match: [{uri: {prefix: /images}, withoutHeaders: {agent: {regex: ".+"}}}]
  route: [{destination: {host: images}}]
- name: primary
  timeout: 5s
  later: <kept> & "quoted"
  route:
  - {destination: %s, weight: 100, headers: {request: {set: {x-side: stable}}}}
  - {destination: %s, weight: 0}
`, name, destination(one), destination(other)))
}

// teams is a VirtualService with a route of another team, which has its own two destinations.
func teams(name, one, other string) *unstructured.Unstructured {
	vs, theirs := between(name, "stable", "canary"), between(name, one, other)
	route := elements(content(theirs), http)[1]
	route["name"] = "api"
	content(vs)[http] = append(content(vs)[http].([]any), route)
	return vs
}

// plain is a VirtualService with a TLS and a TCP route.
func plain(name string) *unstructured.Unstructured {
	return object(services, name, `
hosts: [tcp.example.com]
tls:
- match: [{port: 443, sniHosts: [tcp.example.com]}]
  route: [{destination: {host: stable}, weight: 100}, {destination: {host: canary}}]
tcp:
- match: [{port: 9000}]
  route: [{destination: {host: stable}, weight: 100}, {destination: {host: canary}}]
`)
}

func subsetsOfWeb(name string) *unstructured.Unstructured {
	return object(rules, name, `
host: web
later: [true]
trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}
subsets:
- {name: mine, labels: {app: web, track: mine}}
- {name: stable, labels: {app: web}, trafficPolicy: {connectionPool: {tcp: {maxConnections: 7}}}}
- {name: canary}
`)
}

// hostSplit is a Rollout that shares traffic between two Services.
func hostSplit(names ...string) *v1alpha1.Rollout {
	ro := &v1alpha1.Rollout{}
	ro.Name, ro.Namespace, ro.UID = "web", "shop", "rollout-uid"
	istio := &v1alpha1.IstioTrafficRouting{}
	for _, name := range names {
		vs := v1alpha1.IstioVirtualService{Name: name, Routes: []string{"primary"}}
		if strings.HasPrefix(name, "plain") {
			vs.Routes = nil
		}
		istio.VirtualServices = append(istio.VirtualServices, vs)
	}
	if len(names) == 1 {
		istio.VirtualService, istio.VirtualServices = &istio.VirtualServices[0], nil
	}
	ro.Spec.Strategy.Canary = &v1alpha1.CanaryStrategy{
		StableService: "stable", CanaryService: "canary",
		TrafficRouting: &v1alpha1.RolloutTrafficRouting{Istio: istio},
	}
	return ro
}

// subsetSplit is a Rollout that shares traffic between two subsets.
func subsetSplit() *v1alpha1.Rollout {
	ro := hostSplit("web")
	canary := ro.Spec.Strategy.Canary
	canary.StableService, canary.CanaryService = "", ""
	canary.TrafficRouting.Istio.DestinationRule = &v1alpha1.IstioDestinationRule{
		Name: "web-rule", StableSubsetName: "stable", CanarySubsetName: "canary",
	}
	return ro
}

func harness(t *testing.T, rollout func() *v1alpha1.Rollout, given func() []client.Object) routertest.Harness {
	t.Helper()
	return routertest.Harness{
		Kinds:  kinds(t),
		Router: func(c client.Client) trafficrouting.Router { return New(c) },
		Rollout: func(total *int32) *v1alpha1.Rollout {
			ro := rollout()
			ro.Spec.Strategy.Canary.TrafficRouting.MaxTrafficWeight = total
			return ro
		},
		Given:   given,
		Odd:     odd,
		Managed: func(client.Object) bool { return true },
		Strip:   strip,
		Weights: weights,
		Spoil:   spoils(),
		Unname:  unnames(),
		Routes:  routes(),
		Steal: func(obj client.Object) {
			stolen(obj)
		},
		Additional: true,
	}
}

// stolen makes an object another Rollout's.
func stolen(obj client.Object) {
	mark := trafficrouting.Mark{Rollout: "shop/other", Routes: []string{"http/primary", "tls/443/tcp.example.com"}}
	obj.SetAnnotations(map[string]string{v1alpha1.RoutedByAnnotation: mark.String()})
}

func TestHostsFulfilTheDutiesOfARouter(t *testing.T) {
	h := harness(t, func() *v1alpha1.Rollout { return hostSplit("web") },
		func() []client.Object { return []client.Object{between("web", "stable", "canary")} })
	h.Share = func() (*v1alpha1.Rollout, []client.Object) {
		other := hostSplit("web")
		other.Name, other.UID = "api", "another-uid"
		canary := other.Spec.Strategy.Canary
		canary.StableService, canary.CanaryService = "api-stable", "api-canary"
		canary.TrafficRouting.Istio.VirtualService.Routes = []string{"api"}
		return other, []client.Object{teams("web", "api-stable", "api-canary")}
	}
	routertest.Run(t, h)
}

func TestSeveralVirtualServicesFulfilTheDutiesOfARouter(t *testing.T) {
	h := harness(t, func() *v1alpha1.Rollout { return hostSplit("web", "api", "plain") }, func() []client.Object {
		return []client.Object{
			between("api", "stable.shop.svc.cluster.local", "canary.shop.svc.cluster.local"),
			between("web", "stable", "canary"), plain("plain"),
		}
	})
	routertest.Run(t, h)
}

func TestSubsetsFulfilTheDutiesOfARouter(t *testing.T) {
	h := harness(t, subsetSplit, func() []client.Object {
		return []client.Object{between("web", "web/stable", "web/canary"), subsetsOfWeb("web-rule")}
	})
	h.Selects = true
	routertest.Run(t, h)
}

func TestSubsetsWithServicesFulfilTheDutiesOfARouter(t *testing.T) {
	h := harness(t, func() *v1alpha1.Rollout {
		ro := subsetSplit()
		ro.Spec.Strategy.Canary.StableService, ro.Spec.Strategy.Canary.CanaryService = "web", "web-canary"
		return ro
	}, func() []client.Object {
		return []client.Object{between("web", "web/stable", "web/canary"), subsetsOfWeb("web-rule")}
	})
	h.Selects = true
	routertest.Run(t, h)
}

// content is the spec of an object as it stands, to be changed.
func content(obj client.Object) map[string]any {
	return obj.(*unstructured.Unstructured).Object["spec"].(map[string]any)
}

func elements(parent any, name string) []map[string]any {
	members, _ := parent.(map[string]any)
	list, _ := members[name].([]any)
	all := []map[string]any{}
	for _, element := range list {
		if element, ok := element.(map[string]any); ok {
			all = append(all, element)
		}
	}
	return all
}

// strip takes away weights, managed routes, hashes and the two annotations.
func strip(obj client.Object) {
	annotations := obj.GetAnnotations()
	delete(annotations, v1alpha1.RoutedByAnnotation)
	delete(annotations, v1alpha1.ManagedByAnnotation)
	if len(annotations) == 0 {
		annotations = nil
	}
	obj.SetAnnotations(annotations)
	for _, section := range []string{http, tls, tcp} {
		for _, route := range elements(content(obj), section) {
			for _, d := range elements(route, "route") {
				delete(d, "weight")
			}
		}
	}
	for _, s := range elements(content(obj), "subsets") {
		if labels, ok := s["labels"].(map[string]any); ok {
			if delete(labels, hashLabel); len(labels) == 0 {
				delete(s, "labels")
			}
		}
	}
}

// weights are those of the first route that has several; all such routes must agree. A
// DestinationRule has none.
func weights(obj client.Object) ([]int32, error) {
	var all [][]int32
	for _, section := range []string{http, tls, tcp} {
		for _, route := range elements(content(obj), section) {
			var of []int32
			for _, d := range elements(route, "route") {
				weight, _ := d["weight"].(int64)
				of = append(of, int32(weight))
			}
			if len(of) > 1 {
				all = append(all, of)
			}
		}
	}
	if len(all) == 0 {
		return []int32{100}, nil
	}
	for _, of := range all {
		if !slices.Equal(of, all[0]) {
			return nil, fmt.Errorf("the routes of %s have the weights %v", obj.GetName(), all)
		}
	}
	return all[0], nil
}

// primary are the destinations of the route that carries the weights.
func primary(obj client.Object) []map[string]any {
	for _, route := range elements(content(obj), http) {
		if route["name"] == "primary" {
			return elements(route, "route")
		}
	}
	return nil
}

func spoils() map[string]func(client.Object) {
	return map[string]func(client.Object){
		"another weight":     func(obj client.Object) { primary(obj)[1]["weight"] = int64(21) },
		"weights of another": func(obj client.Object) { primary(obj)[0]["weight"], primary(obj)[1]["weight"] = int64(40), int64(10) },
		"the mark gone":      func(obj client.Object) { obj.SetAnnotations(nil) },
		"a destination that is nobody's": func(obj client.Object) {
			for _, route := range content(obj)[http].([]any) {
				if route := route.(map[string]any); route["name"] == "primary" {
					route["route"] = append(route["route"].([]any), map[string]any{"destination": map[string]any{"host": "stranger"}, "weight": int64(5)})
				}
			}
		},
	}
}

// unnames change the spec so that it does not name all of what it named.
func unnames() map[string]func(*v1alpha1.Rollout) {
	routing := func(change func(*v1alpha1.RolloutTrafficRouting)) func(*v1alpha1.Rollout) {
		return func(ro *v1alpha1.Rollout) { change(ro.Spec.Strategy.Canary.TrafficRouting) }
	}
	other := &v1alpha1.IstioVirtualService{Name: "other"}
	return map[string]func(*v1alpha1.Rollout){
		"another VirtualService takes its place": routing(func(r *v1alpha1.RolloutTrafficRouting) {
			r.Istio = &v1alpha1.IstioTrafficRouting{VirtualService: other, DestinationRule: r.Istio.DestinationRule}
		}),
		"another route is named": routing(func(r *v1alpha1.RolloutTrafficRouting) {
			r.Istio.VirtualServices = nil
			r.Istio.VirtualService = &v1alpha1.IstioVirtualService{Name: "web", Routes: []string{"secondary"}}
		}),
		"both fields are set": routing(func(r *v1alpha1.RolloutTrafficRouting) {
			r.Istio.VirtualService, r.Istio.VirtualServices = other, []v1alpha1.IstioVirtualService{*other}
		}),
		"another router is named": routing(func(r *v1alpha1.RolloutTrafficRouting) { r.Istio, r.Nginx = nil, &v1alpha1.NginxTrafficRouting{} }),
		"no router is named":      func(ro *v1alpha1.Rollout) { ro.Spec.Strategy.Canary.TrafficRouting = nil },
		"the strategy is another one": func(ro *v1alpha1.Rollout) {
			ro.Spec.Strategy = v1alpha1.RolloutStrategy{BlueGreen: &v1alpha1.BlueGreenStrategy{}}
		},
	}
}

func routes() map[string][]trafficrouting.ManagedRoute {
	header := func(name string, values ...v1alpha1.StringMatch) trafficrouting.ManagedRoute {
		route := trafficrouting.ManagedRoute{Name: name}
		for i, value := range values {
			route.Headers = append(route.Headers, v1alpha1.HeaderRoutingMatch{HeaderName: fmt.Sprintf("x-%d", i), HeaderValue: &value})
		}
		return route
	}
	mirror := trafficrouting.ManagedRoute{Name: "copy", Percentage: 50, Mirror: []v1alpha1.RouteMatch{
		{Method: &v1alpha1.StringMatch{Exact: "POST"}, Path: &v1alpha1.StringMatch{Prefix: "/color"}},
		{Headers: map[string]v1alpha1.StringMatch{"agent": {Regex: "a.*"}, "from": {Exact: "<b> & c"}}},
	}}
	exact := v1alpha1.StringMatch{Exact: "beta"}
	return map[string][]trafficrouting.ManagedRoute{
		"a header as a whole":        {header("vip", exact)},
		"by its start":               {header("vip", v1alpha1.StringMatch{Prefix: "be"})},
		"by an expression":           {header("vip", v1alpha1.StringMatch{Regex: "^be(t|d)a$"})},
		"any of several headers":     {header("vip", exact, v1alpha1.StringMatch{Prefix: "be"}, exact)},
		"a mirror":                   {mirror},
		"a mirror of nothing":        {{Name: "copy", Mirror: mirror.Mirror[:1]}},
		"headers before a mirror":    {header("vip", exact), mirror},
		"a mirror between two":       {header("vip", exact), mirror, header("staff", exact)},
		"two that match the same":    {header("b", exact), header("a", exact)},
		"a name as of another thing": {header("managed/http/ ~1", exact)},
	}
}

func odd() map[string][]client.Object {
	worlds := map[string][]client.Object{}
	for name, spec := range map[string]string{
		"an empty spec":                "{}",
		"no spec":                      "null",
		"a spec that is text":          "text",
		"routes that are text":         "{http: text, tls: 1, tcp: true}",
		"a route that is nothing":      "{http: [null]}",
		"destinations that are lists":  "{http: [{name: primary, route: [[], {}]}]}",
		"a destination that is nobody": "{http: [{name: primary, route: [{}, {weight: 5}]}]}",
		"a destination that is null":   "{http: [{name: primary, route: [null, {destination: null, weight: null}]}]}",
		"weights that are text":        "{http: [{name: primary, route: [{destination: {host: stable}, weight: '80'}, {destination: {host: canary}, weight: '20'}]}]}",
		"a weight that is too large":   "{http: [{name: primary, route: [{destination: {host: stable}, weight: 99999999999}, {destination: {host: canary}}]}]}",
		"large weights":                "{http: [{name: primary, route: [{destination: {host: stable}, weight: 2147483647}, {destination: {host: canary}, weight: 2147483647}]}]}",
		"a route twice":                "{http: [{name: primary, route: [{destination: {host: stable}}, {destination: {host: canary}}]}, {name: primary}]}",
		"a side twice":                 "{http: [{name: primary, route: [{destination: {host: stable}}, {destination: {host: canary}, weight: 3}, {destination: {host: canary}, weight: 4}]}]}",
	} {
		worlds[name] = []client.Object{object(services, "web", spec), object(rules, "web-rule", strings.ReplaceAll(spec, "http", "subsets"))}
	}
	return worlds
}
