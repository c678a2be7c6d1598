package alb

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/routertest"
)

const rootAction = "alb.ingress.kubernetes.io/actions.root"

func rollout(ingresses ...string) *v1alpha1.Rollout {
	a := &v1alpha1.ALBTrafficRouting{Ingresses: ingresses, ServicePort: 80, RootService: "root"}
	if len(ingresses) == 1 {
		a.Ingress, a.Ingresses = ingresses[0], nil
	}
	return &v1alpha1.Rollout{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", UID: "rollout-uid"},
		Spec: v1alpha1.RolloutSpec{Strategy: v1alpha1.RolloutStrategy{Canary: &v1alpha1.CanaryStrategy{
			CanaryService: "canary", StableService: "stable",
			TrafficRouting: &v1alpha1.RolloutTrafficRouting{ALB: a},
		}}},
	}
}

// withRoute adds a step that sends some headers to the canary.
func withRoute(ro *v1alpha1.Rollout, name string, headers ...v1alpha1.HeaderRoutingMatch) *v1alpha1.Rollout {
	canary := ro.Spec.Strategy.Canary
	canary.TrafficRouting.ManagedRoutes = append(canary.TrafficRouting.ManagedRoutes, v1alpha1.MangedRoutes{Name: name})
	canary.Steps = append(canary.Steps, v1alpha1.CanaryStep{SetHeaderRoute: &v1alpha1.SetHeaderRoute{Name: name, Match: headers}})
	return ro
}

func header(name, value string) v1alpha1.HeaderRoutingMatch {
	return v1alpha1.HeaderRoutingMatch{HeaderName: name, HeaderValue: &v1alpha1.StringMatch{Exact: value}}
}

func ruleFor(host string, paths ...networkingv1.HTTPIngressPath) networkingv1.IngressRule {
	return networkingv1.IngressRule{Host: host, IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{Paths: paths}}}
}

// pathTo leads to a Service by its number.
func pathTo(service string) networkingv1.HTTPIngressPath {
	prefix := networkingv1.PathTypePrefix
	return networkingv1.HTTPIngressPath{Path: "/" + service, PathType: &prefix, Backend: networkingv1.IngressBackend{
		Service: &networkingv1.IngressServiceBackend{Name: service, Port: networkingv1.ServiceBackendPort{Number: 80}},
	}}
}

func ingress(name string, rules ...networkingv1.IngressRule) *networkingv1.Ingress {
	if rules == nil {
		rules = []networkingv1.IngressRule{ruleFor(name+".local", pathTo("images"), routePath("root"))}
	}
	return &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop", Annotations: map[string]string{"kubernetes.io/ingress.class": "alb"}},
		Spec:       networkingv1.IngressSpec{Rules: rules},
	}
}

func scheme(t testing.TB) *runtime.Scheme {
	t.Helper()
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{networkingv1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(s); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// harness serves a Rollout that names the Ingresses.
func harness(t *testing.T, names ...string) routertest.Harness {
	t.Helper()
	return routertest.Harness{
		Kinds:  routertest.Kinds{Scheme: scheme(t)},
		Lists:  func() []client.ObjectList { return []client.ObjectList{&networkingv1.IngressList{}} },
		Router: func(c client.Client) trafficrouting.Router { return New(c, nil) },
		Rollout: func(total *int32) *v1alpha1.Rollout {
			ro := rollout(names...)
			ro.Spec.Strategy.Canary.TrafficRouting.MaxTrafficWeight = total
			return ro
		},
		Totals: []int32{100},
		Given: func() []client.Object {
			var objects []client.Object
			for _, name := range names {
				objects = append(objects, ingress(name))
			}
			return objects
		},
		Odd:     odd,
		Managed: func(obj client.Object) bool { return slices.Contains(names, obj.GetName()) },
		Strip: func(obj client.Object) {
			maps.DeleteFunc(obj.GetAnnotations(), func(key, _ string) bool {
				return strings.Contains(key, "/actions.") || key == ManagedAnnotation || key == v1alpha1.RoutedByAnnotation
			})
		},
		Weights:    weights,
		Spoil:      spoils(),
		Unname:     unnames(),
		Additional: true,
		Routes: map[string][]trafficrouting.ManagedRoute{
			"one header": {{Name: "testers", Headers: []v1alpha1.HeaderRoutingMatch{header("X-Group", "testers")}}},
			"two routes, with two values of a header, and two headers": {
				{Name: "vip", Headers: []v1alpha1.HeaderRoutingMatch{header("X-Group", "a"), header("X-Group", "<b>&c")}},
				{Name: "all", Headers: []v1alpha1.HeaderRoutingMatch{header("X-Group", "d"), header("X-Other", "*")}},
			},
		},
		Steal: func(obj client.Object) {
			obj.GetAnnotations()[v1alpha1.RoutedByAnnotation] = trafficrouting.Mark{Rollout: "shop/other", Stable: "s", Canary: "c"}.String()
			obj.GetAnnotations()[ManagedAnnotation] = `{"other":["` + rootAction + `"]}`
		},
	}
}

// weights are those of the canary, of the others, and of the stable side.
func weights(obj client.Object) ([]int32, error) {
	var a action
	text, ok := obj.GetAnnotations()[rootAction]
	if !ok {
		return []int32{0, 100}, nil
	}
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		return nil, fmt.Errorf("reading %q: %w", text, err)
	}
	var found []int32
	for _, g := range a.ForwardConfig.TargetGroups {
		found = append(found, int32(*g.Weight))
	}
	return found, nil
}

func spoils() map[string]func(client.Object) {
	annotate := func(key, value string) func(client.Object) {
		return func(obj client.Object) { obj.GetAnnotations()[key] = value }
	}
	replace := func(old, with string) func(client.Object) {
		return func(obj client.Object) {
			before := obj.GetAnnotations()[rootAction]
			obj.GetAnnotations()[rootAction] = strings.ReplaceAll(before, old, with)
			if obj.GetAnnotations()[rootAction] == before {
				panic(before + " has no " + old)
			}
		}
	}
	return map[string]func(client.Object){
		"another weight":           replace(`"Weight":20`, `"Weight":70`),
		"a weight below zero":      replace(`"Weight":20`, `"Weight":-20`),
		"a weight that is none":    replace(`"Weight":20`, `"Weight":"20"`),
		"weights of another total": replace(`"Weight":80`, `"Weight":8`),
		"another Service":          replace(`"canary"`, `"other"`),
		"another port":             replace(`"80"`, `"81"`),
		"another type":             replace(`"forward"`, `"redirect"`),
		"something more":           replace(`"Type"`, `"Order":1,"Type"`),
		"stickiness":               replace(`]}`, `],"TargetGroupStickinessConfig":{"Enabled":true,"DurationSeconds":1}}`),
		"no JSON":                  annotate(rootAction, "{"),
		"no action":                annotate(rootAction, ""),
		"JSON and more":            replace(`}]}}`, `}]}}{}`),
		"no managed annotation":    func(obj client.Object) { delete(obj.GetAnnotations(), ManagedAnnotation) },
		"an empty one":             annotate(ManagedAnnotation, ""),
		"one that is no object":    annotate(ManagedAnnotation, "[]"),
		"one with another entry":   annotate(ManagedAnnotation, `{"web":["x"]}`),
		"one with an odd entry":    annotate(ManagedAnnotation, `{"web":7}`),
		"the action is gone":       func(obj client.Object) { delete(obj.GetAnnotations(), rootAction) },
	}
}

// unnames change the spec so that it does not name the last of the Ingresses any more.
func unnames() map[string]func(*v1alpha1.Rollout) {
	routing := func(change func(*v1alpha1.RolloutTrafficRouting)) func(*v1alpha1.Rollout) {
		return func(ro *v1alpha1.Rollout) { change(ro.Spec.Strategy.Canary.TrafficRouting) }
	}
	return map[string]func(*v1alpha1.Rollout){
		"another Ingress takes its place": routing(func(r *v1alpha1.RolloutTrafficRouting) {
			r.ALB.Ingresses, r.ALB.Ingress = append(ingressesOf(r.ALB)[1:], "other"), ""
		}),
		"no Ingress is named": routing(func(r *v1alpha1.RolloutTrafficRouting) { r.ALB.Ingress, r.ALB.Ingresses = "", nil }),
		"both fields are set": routing(func(r *v1alpha1.RolloutTrafficRouting) {
			r.ALB.Ingress, r.ALB.Ingresses = "a", []string{"b"}
		}),
		"the port is wrong":       routing(func(r *v1alpha1.RolloutTrafficRouting) { r.ALB.ServicePort = 0 }),
		"another router is named": routing(func(r *v1alpha1.RolloutTrafficRouting) { r.ALB, r.Istio = nil, &v1alpha1.IstioTrafficRouting{} }),
		"no router is named":      func(ro *v1alpha1.Rollout) { ro.Spec.Strategy.Canary.TrafficRouting = nil },
		"the strategy is another one": func(ro *v1alpha1.Rollout) {
			ro.Spec.Strategy = v1alpha1.RolloutStrategy{BlueGreen: &v1alpha1.BlueGreenStrategy{}}
		},
	}
}

func odd() map[string][]client.Object {
	annotated := func(key, value string) *networkingv1.Ingress {
		i := ingress("web")
		i.Annotations = map[string]string{key: value}
		return i
	}
	bare := ingress("web")
	bare.Spec, bare.Annotations = networkingv1.IngressSpec{}, nil
	resource := ruleFor("b", networkingv1.HTTPIngressPath{})
	return map[string][]client.Object{
		"an Ingress with an empty spec":            {bare},
		"rules without HTTP and without a Service": {ingress("web", networkingv1.IngressRule{}, resource, ruleFor("c"))},
		"one usable rule among odd ones":           {ingress("web", networkingv1.IngressRule{}, resource, ruleFor("c", routePath("root")))},
		"no annotation":                            {func() client.Object { i := ingress("web"); i.Annotations = nil; return i }()},
		"an action without groups":                 {annotated(rootAction, `{"Type":"forward"}`)},
		"an action whose weights sum to nothing": {annotated(rootAction,
			`{"Type":"forward","ForwardConfig":{"TargetGroups":[{"ServiceName":"canary","Weight":0}]}}`)},
		"an action of null":                             {annotated(rootAction, `null`)},
		"a managed annotation of null":                  {annotated(ManagedAnnotation, `null`)},
		"a managed annotation with names that are none": {annotated(ManagedAnnotation, `{"web":["","/","actions.","x/actions.","x/conditions."]}`)},
		"a mark without anything":                       {annotated(v1alpha1.RoutedByAnnotation, `{"rollout":"shop/web"}`)},
	}
}

func TestOneIngressFulfilsTheDutiesOfARouter(t *testing.T) {
	routertest.Run(t, harness(t, "web"))
}

func TestSeveralIngressesFulfilTheDutiesOfARouter(t *testing.T) {
	routertest.Run(t, harness(t, "web", "api", "admin"))
}

func TestPingAndPongFulfilTheDutiesOfARouter(t *testing.T) {
	h := harness(t, "web")
	plain := h.Rollout
	h.Rollout = func(total *int32) *v1alpha1.Rollout {
		ro := plain(total)
		// The suite takes the Services from these fields; ping and pong win.
		ro.Spec.Strategy.Canary.PingPong = &v1alpha1.PingPongSpec{PingService: "canary", PongService: "stable"}
		ro.Status.Canary.StablePingPong = v1alpha1.PPPong
		return ro
	}
	routertest.Run(t, h)
}

func splitOf(weight int32, routes ...trafficrouting.ManagedRoute) trafficrouting.Split {
	return trafficrouting.Split{
		MaxWeight: 100,
		Stable:    trafficrouting.Backend{Service: "stable", Weight: 100 - weight},
		Canary:    trafficrouting.Backend{Service: "canary", Weight: weight},
		Routes:    routes,
	}
}

// world is an API server whose index finds Ingresses as Keys says.
func world(t *testing.T, objects ...client.Object) client.Client {
	t.Helper()
	for i, obj := range objects {
		obj.SetUID("uid-" + obj.GetUID())
		obj.SetResourceVersion(fmt.Sprint(i + 1))
	}
	return fake.NewClientBuilder().WithScheme(scheme(t)).WithObjects(objects...).
		WithIndex(&networkingv1.Ingress{}, trafficrouting.MarkIndex, func(o client.Object) []string { return Keys(o) }).Build()
}

func apply(t *testing.T, c client.Client, ro *v1alpha1.Rollout, split trafficrouting.Split) []trafficrouting.Change {
	t.Helper()
	changes, err := New(c, nil).Apply(t.Context(), trafficrouting.Ref{Rollout: ro}, split)
	if err != nil {
		t.Fatal(err)
	}
	return changes
}

func observe(t *testing.T, c client.Client, ro *v1alpha1.Rollout) trafficrouting.Observed {
	t.Helper()
	seen, err := New(c, nil).Observe(t.Context(), trafficrouting.Ref{Rollout: ro})
	if err != nil {
		t.Fatal(err)
	}
	return seen
}

func stored(t *testing.T, c client.Client, name string) *networkingv1.Ingress {
	t.Helper()
	var found networkingv1.Ingress
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: name}, &found); err != nil {
		t.Fatal(err)
	}
	return &found
}

func wantAnnotations(t *testing.T, c client.Client, name string, want map[string]string) {
	t.Helper()
	got := maps.Clone(stored(t, c, name).Annotations)
	delete(got, "kubernetes.io/ingress.class")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("annotations of %s (-want +got):\n%s", name, diff)
	}
}

func TestApplyReportsWhatItWrote(t *testing.T) {
	c := world(t, ingress("web"))
	ro := withRoute(rollout("web"), "vip", header("X", "y"))
	route := trafficrouting.ManagedRoute{Name: "vip", Headers: []v1alpha1.HeaderRoutingMatch{header("X", "y")}}
	var got []trafficrouting.Change
	for _, split := range []trafficrouting.Split{splitOf(0), splitOf(20), splitOf(20), splitOf(20, route), splitOf(0)} {
		got = append(got, apply(t, c, ro, split)...)
	}
	ro.Spec.Strategy.Canary.TrafficRouting = nil
	got = append(got, apply(t, c, ro, splitOf(0))...)
	want := []trafficrouting.Change{
		{Reason: "PatchingALBIngress", Message: "Updating Ingress `web` to desiredWeight '0'"},
		{Reason: "PatchingALBIngress", Message: "Updating Ingress `web` to desiredWeight '20'"},
		{Reason: "PatchingALBIngress", Message: "Updating Ingress `web` to desiredWeight '20' with the header routes 'vip'"},
		{Reason: "PatchingALBIngress", Message: "Updating Ingress `web` to desiredWeight '0'"},
		{Reason: "PatchingALBIngress", Message: "Updating Ingress `web` to desiredWeight '0', all of its traffic goes to the stable service"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

func TestAMissingIngressIsAFieldError(t *testing.T) {
	_, err := New(world(t), nil).Observe(t.Context(), trafficrouting.Ref{Rollout: rollout("web")})
	var got *field.Error
	if !errors.As(err, &got) {
		t.Fatalf("error %v, want a *field.Error", err)
	}
	want := field.Invalid(field.NewPath("spec", "strategy", "canary", "trafficRouting", "alb", "ingress"),
		"web", `ingress.networking.k8s.io "web" not found: create it, or name another one`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
}

func TestAnUnusableSpecIsAnErrorOfItsField(t *testing.T) {
	step := func(s v1alpha1.CanaryStep) func(*v1alpha1.CanaryStrategy) {
		return func(c *v1alpha1.CanaryStrategy) { c.Steps = []v1alpha1.CanaryStep{{}, s} }
	}
	match := func(name string, m v1alpha1.HeaderRoutingMatch) func(*v1alpha1.CanaryStrategy) {
		return step(v1alpha1.CanaryStep{SetHeaderRoute: &v1alpha1.SetHeaderRoute{Name: name, Match: []v1alpha1.HeaderRoutingMatch{header("a", "b"), m}}})
	}
	value := func(v *v1alpha1.StringMatch) v1alpha1.HeaderRoutingMatch {
		return v1alpha1.HeaderRoutingMatch{HeaderName: "a", HeaderValue: v}
	}
	long := strings.Repeat("a", 200)
	for _, c := range []struct {
		name  string
		spoil func(*v1alpha1.CanaryStrategy)
		field string
	}{
		{"no Ingress", func(c *v1alpha1.CanaryStrategy) { c.TrafficRouting.ALB.Ingress = "" }, "trafficRouting.alb.ingress"},
		{"one and several", func(c *v1alpha1.CanaryStrategy) { c.TrafficRouting.ALB.Ingresses = []string{"b"} }, "trafficRouting.alb.ingresses"},
		{"several, one without a name", func(c *v1alpha1.CanaryStrategy) {
			c.TrafficRouting.ALB.Ingress, c.TrafficRouting.ALB.Ingresses = "", []string{"web", ""}
		}, "trafficRouting.alb.ingresses[1]"},
		{"one twice", func(c *v1alpha1.CanaryStrategy) {
			c.TrafficRouting.ALB.Ingress, c.TrafficRouting.ALB.Ingresses = "", []string{"web", "web"}
		}, "trafficRouting.alb.ingresses[1]"},
		{"no stable Service", func(c *v1alpha1.CanaryStrategy) { c.StableService = "" }, "stableService"},
		{"no canary Service", func(c *v1alpha1.CanaryStrategy) { c.CanaryService = "" }, "canaryService"},
		{"one Service for both", func(c *v1alpha1.CanaryStrategy) { c.CanaryService = "stable" }, "canaryService"},
		{"ping without pong", func(c *v1alpha1.CanaryStrategy) { c.PingPong = &v1alpha1.PingPongSpec{PingService: "ping"} }, "pingPong.pongService"},
		{"pong without ping", func(c *v1alpha1.CanaryStrategy) { c.PingPong = &v1alpha1.PingPongSpec{PongService: "pong"} }, "pingPong.pingService"},
		{"ping and pong without a root", func(c *v1alpha1.CanaryStrategy) {
			c.PingPong, c.TrafficRouting.ALB.RootService = &v1alpha1.PingPongSpec{PingService: "ping", PongService: "pong"}, ""
		}, "trafficRouting.alb.rootService"},
		{"no port", func(c *v1alpha1.CanaryStrategy) { c.TrafficRouting.ALB.ServicePort = 0 }, "trafficRouting.alb.servicePort"},
		{"another total", func(c *v1alpha1.CanaryStrategy) { c.TrafficRouting.MaxTrafficWeight = new(int32(50)) }, "trafficRouting.maxTrafficWeight"},
		{"stickiness for more than a week", func(c *v1alpha1.CanaryStrategy) {
			c.TrafficRouting.ALB.StickinessConfig = &v1alpha1.StickinessConfig{Enabled: true, DurationSeconds: 604801}
		}, "trafficRouting.alb.stickinessConfig.durationSeconds"},
		{"a prefix that is none", func(c *v1alpha1.CanaryStrategy) { c.TrafficRouting.ALB.AnnotationPrefix = "a/b" }, "trafficRouting.alb.annotationPrefix"},
		{"a root whose name is too long", func(c *v1alpha1.CanaryStrategy) {
			c.TrafficRouting.ALB.RootService = strings.Repeat("a", 60)
		}, "trafficRouting.alb.rootService"},
		{"a route named like the root", func(c *v1alpha1.CanaryStrategy) {
			c.TrafficRouting.ManagedRoutes = []v1alpha1.MangedRoutes{{Name: "vip"}, {Name: "root"}}
		}, "trafficRouting.managedRoutes[1].name"},
		{"a mirror", step(v1alpha1.CanaryStep{SetMirrorRoute: &v1alpha1.SetMirrorRoute{Match: []v1alpha1.RouteMatch{{}}}}), "steps[1].setMirrorRoute"},
		{"a route whose name is none of a Service", match("Vip", header("a", "b")), "steps[1].setHeaderRoute.name"},
		{"a route whose name is too long", match(strings.Repeat("a", 60), header("a", "b")), "steps[1].setHeaderRoute.name"},
		{"a header without a name", match("vip", header("", "b")), "steps[1].setHeaderRoute.match[1].headerName"},
		{"a header with a long name", match("vip", header(long, "b")), "steps[1].setHeaderRoute.match[1].headerName"},
		{"a header without a value", match("vip", value(nil)), "steps[1].setHeaderRoute.match[1].headerValue.exact"},
		{"a header with an empty value", match("vip", header("a", "")), "steps[1].setHeaderRoute.match[1].headerValue.exact"},
		{"a header with a long value", match("vip", header("a", long)), "steps[1].setHeaderRoute.match[1].headerValue.exact"},
		{"a prefix of a header", match("vip", value(&v1alpha1.StringMatch{Prefix: "x"})), "steps[1].setHeaderRoute.match[1].headerValue.prefix"},
		{"a regular expression", match("vip", value(&v1alpha1.StringMatch{Regex: "x"})), "steps[1].setHeaderRoute.match[1].headerValue.regex"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ro := rollout("web")
			c.spoil(ro.Spec.Strategy.Canary)
			_, err := New(world(t, ingress("web")), nil).Observe(t.Context(), trafficrouting.Ref{Rollout: ro})
			var got *field.Error
			if !errors.As(err, &got) {
				t.Fatalf("error %v, want a *field.Error", err)
			}
			if want := "spec.strategy.canary." + c.field; got.Field != want {
				t.Errorf("field %s, want %s: %v", got.Field, want, got)
			}
		})
	}
}

func TestStepsThatTakeRoutesAwayAreFine(t *testing.T) {
	ro := rollout("web")
	ro.Spec.Strategy.Canary.Steps = []v1alpha1.CanaryStep{
		{SetHeaderRoute: &v1alpha1.SetHeaderRoute{Name: "Vip"}}, {SetMirrorRoute: &v1alpha1.SetMirrorRoute{Name: "Mirror"}},
	}
	observe(t, world(t, ingress("web")), ro)
}

func TestASplitThatIsNotForThisRolloutIsRefused(t *testing.T) {
	for name, spoil := range map[string]func(*trafficrouting.Split){
		"another stable Service": func(s *trafficrouting.Split) { s.Stable.Service = "other" },
		"another canary Service": func(s *trafficrouting.Split) { s.Canary.Service = "other" },
		"sides exchanged":        func(s *trafficrouting.Split) { s.Stable, s.Canary = s.Canary, s.Stable },
		"another total":          func(s *trafficrouting.Split) { s.MaxWeight, s.Stable.Weight = 1000, 980 },
		"a mirror": func(s *trafficrouting.Split) {
			s.Routes = []trafficrouting.ManagedRoute{{Name: "vip", Mirror: []v1alpha1.RouteMatch{{}}}}
		},
		"a route that is not managed": func(s *trafficrouting.Split) { s.Routes = []trafficrouting.ManagedRoute{{Name: "other"}} },
		"a route twice":               func(s *trafficrouting.Split) { s.Routes = []trafficrouting.ManagedRoute{{Name: "vip"}, {Name: "vip"}} },
	} {
		t.Run(name, func(t *testing.T) {
			split := splitOf(20)
			spoil(&split)
			c := world(t, ingress("web"))
			if _, err := New(c, nil).Apply(t.Context(), trafficrouting.Ref{Rollout: withRoute(rollout("web"), "vip")}, split); err == nil {
				t.Error("no error, want one")
			}
			wantAnnotations(t, c, "web", map[string]string{})
		})
	}
}

func TestNamesListsTheIngressesOfTheSpec(t *testing.T) {
	for _, c := range []struct {
		ro   *v1alpha1.Rollout
		want []string
	}{
		{rollout("web"), []string{"shop/web"}},
		{rollout("web", "", "api"), []string{"shop/web", "shop/api"}},
		{&v1alpha1.Rollout{}, nil},
		{nil, nil},
	} {
		if got := Names(c.ro); !slices.Equal(got, c.want) {
			t.Errorf("names %q, want %q", got, c.want)
		}
	}
}

func TestKeysAreTheRolloutsThatAnIngressCarriesSomethingOf(t *testing.T) {
	i := ingress("web")
	i.Annotations[ManagedAnnotation] = `{"b":["x"],"a":["y"]}`
	i.Annotations[v1alpha1.RoutedByAnnotation] = `{"rollout":"shop/b"}`
	if got, want := Keys(i), []string{"shop/b", "shop/a"}; !slices.Equal(got, want) {
		t.Errorf("keys %q, want %q", got, want)
	}
	if got := Keys(ingress("web")); len(got) > 0 {
		t.Errorf("keys %q of an Ingress with nothing, want none", got)
	}
}
