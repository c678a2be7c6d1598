package gatewayapi

import (
	"encoding/json"
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
	"sigs.k8s.io/yaml"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/routertest"
)

func rollout(gateway *v1alpha1.GatewayAPITrafficRouting) *v1alpha1.Rollout {
	return &v1alpha1.Rollout{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", UID: "rollout-uid"},
		Spec: v1alpha1.RolloutSpec{Strategy: v1alpha1.RolloutStrategy{Canary: &v1alpha1.CanaryStrategy{
			CanaryService: "canary", StableService: "stable",
			TrafficRouting: &v1alpha1.RolloutTrafficRouting{GatewayAPI: gateway},
		}}},
	}
}

// ruleText is a rule of a route that leads to Services, each with its weight where it has one.
func ruleText(kind string, services ...string) string {
	text := "  - backendRefs:\n"
	for _, service := range services {
		name, weight, weighted := strings.Cut(service, "=")
		text += fmt.Sprintf("    - {group: \"\", kind: Service, name: %s, port: 80", name)
		if weighted {
			text += ", weight: " + weight
		}
		text += "}\n"
	}
	if kind == "HTTPRoute" {
		text += "    matches: [{path: {type: PathPrefix, value: /}}]\n"
	}
	return text
}

// routeOf is a route with one rule for each list of Services.
func routeOf(t testing.TB, kind, name string, rules ...[]string) *unstructured.Unstructured {
	t.Helper()
	text := fmt.Sprintf("apiVersion: %s/v1\nkind: %s\nmetadata: {name: %s, namespace: shop, generation: 1}\n"+
		"spec:\n  parentRefs: [{name: gateway}]\n  rules:\n", group, kind, name)
	for _, services := range rules {
		text += ruleText(kind, services...)
	}
	return parse(t, text)
}

func parse(t testing.TB, text string) *unstructured.Unstructured {
	t.Helper()
	obj := &unstructured.Unstructured{}
	data, err := yaml.YAMLToJSON([]byte(text))
	if err == nil {
		err = obj.UnmarshalJSON(data)
	}
	if err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	return obj
}

func served(t testing.TB) routertest.Kinds {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	k := routertest.Kinds{Scheme: scheme}
	for _, kind := range kinds {
		k.Foreign = append(k.Foreign, schema.GroupVersionKind{Group: group, Version: "v1", Kind: kind.name})
	}
	return k
}

// worldOf is a world with those routes.
func worldOf(t testing.TB, objects ...client.Object) *routertest.World {
	t.Helper()
	return routertest.NewWorld(t.(*testing.T), served(t), objects...)
}

// lab is a router in a world, with a Rollout.
type lab struct {
	*routertest.World
	t      *testing.T
	router *Router
	ref    trafficrouting.Ref
}

func labOf(t *testing.T, ro *v1alpha1.Rollout, objects ...client.Object) lab {
	t.Helper()
	w := worldOf(t, objects...)
	return lab{w, t, New(w.Client), trafficrouting.Ref{Rollout: ro}}
}

func splitOf(weight int32, routes ...trafficrouting.ManagedRoute) trafficrouting.Split {
	return trafficrouting.Split{
		MaxWeight: 100,
		Stable:    trafficrouting.Backend{Service: "stable", Weight: 100 - weight},
		Canary:    trafficrouting.Backend{Service: "canary", Weight: weight},
		Routes:    routes,
	}
}

func (l lab) apply(split trafficrouting.Split) []trafficrouting.Change {
	l.t.Helper()
	changes, err := l.router.Apply(l.t.Context(), l.ref, split)
	if err != nil {
		l.t.Fatalf("applying %s: %v", split, err)
	}
	return changes
}

func (l lab) refuse(split trafficrouting.Split, want string) {
	l.t.Helper()
	if _, err := l.router.Apply(l.t.Context(), l.ref, split); err == nil || !strings.Contains(err.Error(), want) {
		l.t.Errorf("applying %s: error %v, want one with %q", split, err, want)
	}
}

// wantSeen compares what is observed. The error is that of observing.
func (l lab) wantSeen(want trafficrouting.Observed) error {
	l.t.Helper()
	got, err := l.router.Observe(l.t.Context(), l.ref)
	if diff := cmp.Diff(want, got); diff != "" {
		l.t.Errorf("observed (-want +got), error %v:\n%s", err, diff)
	}
	return err
}

func (l lab) wantWrites(want ...string) {
	l.t.Helper()
	if got := l.Writes(); !slices.Equal(want, got) {
		l.t.Errorf("writes %q, want %q", got, want)
	}
}

func (l lab) stored(kind, name string) *unstructured.Unstructured {
	l.t.Helper()
	obj := &unstructured.Unstructured{}
	obj.SetGroupVersionKind(schema.GroupVersionKind{Group: group, Version: "v1", Kind: kind})
	if err := l.Direct.Get(l.t.Context(), client.ObjectKey{Namespace: "shop", Name: name}, obj); err != nil {
		l.t.Fatal(err)
	}
	return obj
}

// edit changes a route as somebody else would.
func (l lab) edit(kind, name string, change func(*unstructured.Unstructured)) {
	l.t.Helper()
	obj := l.stored(kind, name)
	change(obj)
	if err := l.Direct.Update(l.t.Context(), obj); err != nil {
		l.t.Fatal(err)
	}
}

// rulesIn renders the rules of a route, one a line: the name, the headers, and where it leads.
func rulesIn(obj *unstructured.Unstructured) []string {
	var lines []string
	for _, r := range rulesOf(obj, obj.GetNamespace()) {
		line := text(r.raw, "name", "-")
		for _, match := range list(r.raw, "matches") {
			for _, header := range list(match.(map[string]any), "headers") {
				line += fmt.Sprintf(" %s~%s", header.(map[string]any)["name"], header.(map[string]any)["value"])
			}
		}
		line += ":"
		for _, b := range r.backends {
			line += fmt.Sprintf(" %s=%d", text(b.raw, "name", "?"), b.weight)
		}
		lines = append(lines, line)
	}
	return lines
}

func (l lab) wantRules(kind, name string, want ...string) {
	l.t.Helper()
	if diff := cmp.Diff(want, rulesIn(l.stored(kind, name))); diff != "" {
		l.t.Errorf("rules of %s (-want +got):\n%s", name, diff)
	}
}

func headerRoute(name, header, value string) trafficrouting.ManagedRoute {
	return trafficrouting.ManagedRoute{Name: name, Headers: []v1alpha1.HeaderRoutingMatch{
		{HeaderName: header, HeaderValue: &v1alpha1.StringMatch{Exact: value}},
	}}
}

// shape is one way to name routes in a spec, with the routes that it names.
type shape struct {
	gateway func() *v1alpha1.GatewayAPITrafficRouting
	given   func(t testing.TB) []client.Object
	// routes and sides tell that managed routes and sides of Experiments are part of what is checked.
	routes bool
}

var shapes = map[string]shape{
	"one HTTPRoute": {
		gateway: func() *v1alpha1.GatewayAPITrafficRouting {
			return &v1alpha1.GatewayAPITrafficRouting{HTTPRoute: "web"}
		},
		given: func(t testing.TB) []client.Object {
			return []client.Object{routeOf(t, "HTTPRoute", "web", []string{"stable=100", "canary=0"}, []string{"images"}, []string{"canary=0", "stable=100"})}
		},
		routes: true,
	},
	"one GRPCRoute": {
		gateway: func() *v1alpha1.GatewayAPITrafficRouting {
			return &v1alpha1.GatewayAPITrafficRouting{GRPCRoute: "web"}
		},
		given: func(t testing.TB) []client.Object {
			return []client.Object{routeOf(t, "GRPCRoute", "web", []string{"stable=100", "canary=0"})}
		},
		routes: true,
	},
	"one TCPRoute, which takes no managed routes": {
		gateway: func() *v1alpha1.GatewayAPITrafficRouting {
			return &v1alpha1.GatewayAPITrafficRouting{TCPRoute: "web"}
		},
		given: func(t testing.TB) []client.Object {
			return []client.Object{routeOf(t, "TCPRoute", "web", []string{"stable=100", "canary=0"})}
		},
	},
	"several routes of all kinds": {
		gateway: func() *v1alpha1.GatewayAPITrafficRouting {
			named := func(names ...string) (routes []v1alpha1.GatewayAPIRoute) {
				for _, name := range names {
					routes = append(routes, v1alpha1.GatewayAPIRoute{Name: name, UseHeaderRoutes: true})
				}
				return routes
			}
			return &v1alpha1.GatewayAPITrafficRouting{
				HTTPRoutes: named("web", "api"), GRPCRoutes: named("grpc"), TCPRoutes: named("tcp"), TLSRoutes: named("tls"),
			}
		},
		given: func(t testing.TB) []client.Object {
			return []client.Object{
				routeOf(t, "HTTPRoute", "web", []string{"stable=100", "canary=0"}),
				routeOf(t, "HTTPRoute", "api", []string{"stable=100", "canary=0"}),
				routeOf(t, "GRPCRoute", "grpc", []string{"stable=100", "canary=0"}),
				routeOf(t, "TCPRoute", "tcp", []string{"stable=100", "canary=0"}),
				routeOf(t, "TLSRoute", "tls", []string{"stable=100", "canary=0"}),
			}
		},
		routes: true,
	},
	"HTTPRoutes by label": {
		gateway: func() *v1alpha1.GatewayAPITrafficRouting {
			return &v1alpha1.GatewayAPITrafficRouting{HTTPRouteSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}}
		},
		given: func(t testing.TB) []client.Object {
			web := routeOf(t, "HTTPRoute", "web", []string{"stable=100", "canary=0"})
			web.SetLabels(map[string]string{"app": "web"})
			return []client.Object{web}
		},
	},
}

// harness serves Rollouts of a shape.
func harness(t *testing.T, s shape) routertest.Harness {
	t.Helper()
	total := int32(100)
	h := routertest.Harness{
		Kinds:  served(t),
		Router: func(c client.Client) trafficrouting.Router { return New(c) },
		Rollout: func(given *int32) *v1alpha1.Rollout {
			ro := rollout(s.gateway())
			ro.Spec.Strategy.Canary.TrafficRouting.MaxTrafficWeight = given
			total = ro.Spec.Strategy.Canary.MaxTrafficWeight()
			return ro
		},
		Totals:     []int32{1, 100, 1000, 1_000_000},
		Given:      func() []client.Object { return s.given(t) },
		Odd:        func() map[string][]client.Object { return odd(t) },
		Managed:    func(client.Object) bool { return true },
		Strip:      func(obj client.Object) { strip(obj.(*unstructured.Unstructured)) },
		Weights:    func(obj client.Object) ([]int32, error) { return weights(obj, total) },
		Spoil:      spoils,
		Unname:     unnames(),
		Additional: true,
		Steal: func(obj client.Object) {
			mark, _ := trafficrouting.MarkFor(obj, rollout(s.gateway()))
			mark.Rollout = "shop/another"
			obj.SetAnnotations(map[string]string{v1alpha1.RoutedByAnnotation: mark.String()})
		},
	}
	if s.routes {
		h.Routes = managedRoutes()
	}
	if s.given(t)[0].GetLabels() == nil { // what selects by a label shares nothing
		h.Share = func() (*v1alpha1.Rollout, []client.Object) {
			other := rollout(s.gateway())
			other.Name, other.UID = "api", "api-uid"
			other.Spec.Strategy.Canary.StableService, other.Spec.Strategy.Canary.CanaryService = "api", "api-canary"
			var given []client.Object
			for _, obj := range s.given(t) {
				kind := obj.GetObjectKind().GroupVersionKind().Kind
				given = append(given, routeOf(t, kind, obj.GetName(), []string{"stable=100", "canary=0"}, []string{"api=100", "api-canary=0"}))
			}
			return other, given
		}
	}
	return h
}

func managedRoutes() map[string][]trafficrouting.ManagedRoute {
	value := func(m v1alpha1.StringMatch) *v1alpha1.StringMatch { return &m }
	beta := headerRoute("beta", "X-Beta", "yes")
	prefix := trafficrouting.ManagedRoute{Name: "No.Rule_Name", Headers: []v1alpha1.HeaderRoutingMatch{
		{HeaderName: "agent", HeaderValue: value(v1alpha1.StringMatch{Prefix: "moz[illa"})},
		{HeaderName: "user", HeaderValue: value(v1alpha1.StringMatch{Regex: "^a.*$"})},
	}}
	mirror := trafficrouting.ManagedRoute{Name: "copy", Percentage: 35, Mirror: []v1alpha1.RouteMatch{
		{Headers: map[string]v1alpha1.StringMatch{"a": {Exact: "1"}, "b": {Regex: "2"}}},
	}}
	all := mirror
	all.Name, all.Percentage = "everything", 100
	return map[string][]trafficrouting.ManagedRoute{
		"one header":                 {beta},
		"several headers":            {prefix},
		"a mirror":                   {mirror},
		"headers before two mirrors": {prefix, beta, mirror, all},
	}
}

// strip takes what is the router's.
func strip(obj *unstructured.Unstructured) {
	var rest []any
	for _, r := range rulesOf(obj, "shop") {
		if text(r.raw, "name", "") != "" {
			continue
		}
		r.backends = slices.DeleteFunc(r.backends, func(b backend) bool { return b.service != "stable" && b.service != "images" })
		for _, b := range r.backends {
			if b.service == "stable" {
				delete(b.raw, "weight")
			}
		}
		r.raw["backendRefs"] = r.refs()
		rest = append(rest, r.raw)
	}
	obj.Object["spec"].(map[string]any)["rules"] = rest
	for name, key := range map[string]string{"annotations": v1alpha1.RoutedByAnnotation, "labels": defaultLabelKey} {
		unstructured.RemoveNestedField(obj.Object, "metadata", name, key)
		if len(child(child(obj.Object, "metadata"), name)) == 0 {
			unstructured.RemoveNestedField(obj.Object, "metadata", name)
		}
	}
}

// weights reads those of the last rule of ours. The stable side alone has all of the total, whatever its weight.
func weights(obj client.Object, total int32) ([]int32, error) {
	s := sides{stable: "stable", canary: "canary"}
	var read []int32
	for _, r := range rulesOf(obj.(*unstructured.Unstructured), "shop") {
		if !s.owns(r) {
			continue
		}
		read = nil
		for _, b := range r.backends {
			read = append(read, int32(b.weight))
		}
		if t := s.count(r); t.canary+t.foreign == 0 && t.stable > 0 {
			read = []int32{total}
		}
	}
	if read == nil {
		return nil, errors.New("no rule is ours")
	}
	return read, nil
}

// firstOfOurs changes the backends of the first rule that is ours.
func firstOfOurs(change func(raw map[string]any, refs []any) []any) func(client.Object) {
	return func(obj client.Object) {
		u := obj.(*unstructured.Unstructured)
		s := sides{stable: "stable", canary: "canary"}
		for _, r := range rulesOf(u, "shop") {
			if s.owns(r) {
				r.raw["backendRefs"] = change(r.raw, list(r.raw, "backendRefs"))
				return
			}
		}
	}
}

func weigh(at int, weight any) func(client.Object) {
	return firstOfOurs(func(_ map[string]any, refs []any) []any {
		refs[at].(map[string]any)["weight"] = weight
		return refs
	})
}

var spoils = map[string]func(client.Object){
	"another canary weight":   weigh(1, int64(70)),
	"another stable weight":   weigh(0, int64(8)),
	"no stable weight":        weigh(0, nil),
	"a weight that is a text": weigh(1, "20"),
	"a weight below zero":     weigh(1, int64(-20)),
	"the canary is gone":      firstOfOurs(func(_ map[string]any, refs []any) []any { return refs[:1] }),
	"the mark is gone":        func(obj client.Object) { obj.SetAnnotations(nil) },
	"the mark is unreadable":  func(obj client.Object) { obj.SetAnnotations(map[string]string{v1alpha1.RoutedByAnnotation: "{"}) },
	"the label has another value": func(obj client.Object) {
		labels := obj.GetLabels()
		labels[defaultLabelKey] = "done"
		obj.SetLabels(labels)
	},
}

func unnames() map[string]func(*v1alpha1.Rollout) {
	routing := func(change func(*v1alpha1.RolloutTrafficRouting)) func(*v1alpha1.Rollout) {
		return func(ro *v1alpha1.Rollout) { change(ro.Spec.Strategy.Canary.TrafficRouting) }
	}
	return map[string]func(*v1alpha1.Rollout){
		"another route takes its place": routing(func(r *v1alpha1.RolloutTrafficRouting) {
			*r.GatewayAPI = v1alpha1.GatewayAPITrafficRouting{HTTPRoute: "other"}
		}),
		"another label selects none": routing(func(r *v1alpha1.RolloutTrafficRouting) {
			*r.GatewayAPI = v1alpha1.GatewayAPITrafficRouting{TCPRouteSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}}
		}),
		"no route is named": routing(func(r *v1alpha1.RolloutTrafficRouting) { *r.GatewayAPI = v1alpha1.GatewayAPITrafficRouting{} }),
		"another router is named": routing(func(r *v1alpha1.RolloutTrafficRouting) {
			r.GatewayAPI, r.Istio = nil, &v1alpha1.IstioTrafficRouting{}
		}),
		"the settings of the plugin are unreadable": routing(func(r *v1alpha1.RolloutTrafficRouting) {
			*r = plugin(`{"httpRoute":7}`)
		}),
		"no router is named": func(ro *v1alpha1.Rollout) { ro.Spec.Strategy.Canary.TrafficRouting = nil },
		"the strategy is another one": func(ro *v1alpha1.Rollout) {
			ro.Spec.Strategy = v1alpha1.RolloutStrategy{BlueGreen: &v1alpha1.BlueGreenStrategy{}}
		},
	}
}

func odd(t testing.TB) map[string][]client.Object {
	head := "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: web, namespace: shop}\n"
	worlds := map[string][]client.Object{}
	for name, text := range map[string]string{
		"a route without a spec":         "",
		"a spec that is a text":          "spec: x",
		"rules that are no list":         "spec: {rules: {a: 1}}",
		"rules that are no objects":      "spec: {rules: [1, x, null, []]}",
		"backends that are no list":      "spec: {rules: [{backendRefs: stable}]}",
		"backends that are no objects":   "spec: {rules: [{backendRefs: [stable, null, 7, {name: stable}]}]}",
		"matches that are no objects":    "spec: {rules: [{matches: [1, {path: 2, headers: [3]}], backendRefs: [{name: stable}]}]}",
		"weights of every type":          "spec: {rules: [{backendRefs: [{name: stable, weight: 1.5}, {name: canary, weight: []}, {name: x, weight: 1e30}]}]}",
		"a status that makes no sense":   "spec: {parentRefs: [1], rules: [{backendRefs: [{name: stable}]}]}\nstatus: {parents: [x, {conditions: 1}]}",
		"a Service of another namespace": "spec: {rules: [{backendRefs: [{name: stable, namespace: other}]}]}",
	} {
		worlds[name] = []client.Object{parse(t, head+text)}
	}
	return worlds
}

func TestEveryShapeFulfilsTheDutiesOfARouter(t *testing.T) {
	for name, s := range shapes {
		t.Run(name, func(t *testing.T) { routertest.Run(t, harness(t, s)) })
	}
}

// plugin is a routing by the settings of the plugin.
func plugin(settings string) v1alpha1.RolloutTrafficRouting {
	return v1alpha1.RolloutTrafficRouting{Plugins: map[string]json.RawMessage{v1alpha1.GatewayAPIPlugin: json.RawMessage(settings)}}
}

func wantField(t *testing.T, err error, path string) {
	t.Helper()
	var invalid *field.Error
	if !errors.As(err, &invalid) || invalid.Field != path {
		t.Errorf("error %v, want one about %s", err, path)
	}
}
