package nginx

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/routertest"
)

const (
	weightKey = "nginx.ingress.kubernetes.io/canary-weight"
	totalKey  = "nginx.ingress.kubernetes.io/canary-weight-total"
	markKey   = "nginx.ingress.kubernetes.io/canary"

	headerKey  = "nginx.ingress.kubernetes.io/canary-by-header"
	valueKey   = "nginx.ingress.kubernetes.io/canary-by-header-value"
	patternKey = "nginx.ingress.kubernetes.io/canary-by-header-pattern"
	cookieKey  = "nginx.ingress.kubernetes.io/canary-by-cookie"
)

func rollout(ingresses ...string) *v1alpha1.Rollout {
	nginx := &v1alpha1.NginxTrafficRouting{StableIngresses: ingresses}
	if len(ingresses) == 1 {
		nginx = &v1alpha1.NginxTrafficRouting{StableIngress: ingresses[0]}
	}
	return &v1alpha1.Rollout{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", UID: "rollout-uid"},
		Spec: v1alpha1.RolloutSpec{Strategy: v1alpha1.RolloutStrategy{Canary: &v1alpha1.CanaryStrategy{
			CanaryService: "canary", StableService: "stable",
			TrafficRouting: &v1alpha1.RolloutTrafficRouting{Nginx: nginx},
		}}},
	}
}

func backend(service string) networkingv1.IngressBackend {
	return networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{
		Name: service, Port: networkingv1.ServiceBackendPort{Number: 80},
	}}
}

func ruleFor(host string, services ...string) networkingv1.IngressRule {
	http := &networkingv1.HTTPIngressRuleValue{}
	prefix := networkingv1.PathTypePrefix
	for _, service := range services {
		http.Paths = append(http.Paths, networkingv1.HTTPIngressPath{Path: "/" + service, PathType: &prefix, Backend: backend(service)})
	}
	return networkingv1.IngressRule{Host: host, IngressRuleValue: networkingv1.IngressRuleValue{HTTP: http}}
}

func ingress(name string, rules ...networkingv1.IngressRule) *networkingv1.Ingress {
	class := "nginx"
	return &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop", Annotations: map[string]string{"example.com/mine": "yes"}},
		Spec: networkingv1.IngressSpec{
			IngressClassName: &class,
			TLS:              []networkingv1.IngressTLS{{Hosts: []string{name + ".local"}, SecretName: name}},
			Rules:            rules,
		},
	}
}

func scheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{networkingv1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(s); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// harness serves a Rollout that names the stable Ingresses.
func harness(t *testing.T, names ...string) routertest.Harness {
	t.Helper()
	return routertest.Harness{
		Kinds:  routertest.Kinds{Scheme: scheme(t)},
		Lists:  func() []client.ObjectList { return []client.ObjectList{&networkingv1.IngressList{}} },
		Router: func(c client.Client) trafficrouting.Router { return New(c) },
		Rollout: func(total *int32) *v1alpha1.Rollout {
			ro := rollout(names...)
			ro.Spec.Strategy.Canary.TrafficRouting.MaxTrafficWeight = total
			return ro
		},
		Totals: []int32{100, 1000, 100_000_000, 1<<31 - 1}, // Smaller ones are written as multiples.
		Routes: managedRoutes(),
		Given: func() []client.Object {
			var objects []client.Object
			for _, name := range names {
				objects = append(objects, ingress(name, ruleFor(name+".local", "stable", "images")))
			}
			return objects
		},
		Odd:     odd,
		Managed: func(obj client.Object) bool { return strings.HasSuffix(obj.GetName(), "-canary") },
		Strip: func(obj client.Object) {
			canary := obj.(*networkingv1.Ingress)
			for _, key := range []string{weightKey, totalKey, markKey, headerKey, valueKey, patternKey, cookieKey, routesAnnotation} {
				delete(canary.Annotations, key)
			}
			canary.Spec = networkingv1.IngressSpec{DefaultBackend: canary.Spec.DefaultBackend}
		},
		Weights: weights,
		Spoil:   spoils(),
		Unname:  unnames(),
		Steal: func(obj client.Object) {
			owners := obj.GetOwnerReferences()
			owners[0].UID = "somebody-else"
			obj.SetOwnerReferences(owners)
		},
	}
}

// weights reads the canary's weight; the stable side has what is left of the total.
func weights(obj client.Object) ([]int32, error) {
	total, share := int32(100), int32(0)
	if text, ok := obj.GetAnnotations()[totalKey]; ok {
		if _, err := fmt.Sscan(text, &total); err != nil {
			return nil, fmt.Errorf("reading the total %q: %w", text, err)
		}
	}
	if _, err := fmt.Sscan(obj.GetAnnotations()[weightKey], &share); err != nil {
		return nil, fmt.Errorf("reading the weight: %w", err)
	}
	return []int32{share, total - share}, nil
}

func spoils() map[string]func(client.Object) {
	annotation := func(key, value string) func(client.Object) {
		return func(obj client.Object) { obj.GetAnnotations()[key] = value }
	}
	return map[string]func(client.Object){
		"another weight":        annotation(weightKey, "70"),
		"a weight below zero":   annotation(weightKey, "-1"),
		"a weight beyond total": annotation(weightKey, "101"),
		"no number":             annotation(weightKey, "20%"),
		"another total":         annotation(totalKey, "1000"),
		"no total":              annotation(totalKey, "0"),
		"no canary any more":    annotation(markKey, "false"),
		"another class":         annotation(classAnnotation, "haproxy"),
		"all annotations gone":  func(obj client.Object) { obj.SetAnnotations(nil) },
		"rules gone":            func(obj client.Object) { obj.(*networkingv1.Ingress).Spec.Rules = nil },
		"TLS gone":              func(obj client.Object) { obj.(*networkingv1.Ingress).Spec.TLS = nil },
		"class name gone":       func(obj client.Object) { obj.(*networkingv1.Ingress).Spec.IngressClassName = nil },
		"routed to another Service": func(obj client.Object) {
			obj.(*networkingv1.Ingress).Spec.Rules[0].HTTP.Paths[0].Backend.Service.Name = "other"
		},
	}
}

// unnames change the spec so that it does not name the last of the Ingresses any more.
func unnames() map[string]func(*v1alpha1.Rollout) {
	routing := func(change func(*v1alpha1.RolloutTrafficRouting)) func(*v1alpha1.Rollout) {
		return func(ro *v1alpha1.Rollout) { change(ro.Spec.Strategy.Canary.TrafficRouting) }
	}
	return map[string]func(*v1alpha1.Rollout){
		"another Ingress takes its place": routing(func(r *v1alpha1.RolloutTrafficRouting) {
			names := append(r.Nginx.Ingresses()[1:], "other")
			*r.Nginx = v1alpha1.NginxTrafficRouting{StableIngresses: names}
		}),
		"one with another annotation prefix takes its place": routing(func(r *v1alpha1.RolloutTrafficRouting) {
			*r.Nginx = v1alpha1.NginxTrafficRouting{StableIngress: "other", AnnotationPrefix: "other.example.com"}
		}),
		"no Ingress is named": routing(func(r *v1alpha1.RolloutTrafficRouting) { *r.Nginx = v1alpha1.NginxTrafficRouting{} }),
		"both fields are set": routing(func(r *v1alpha1.RolloutTrafficRouting) {
			*r.Nginx = v1alpha1.NginxTrafficRouting{StableIngress: "a", StableIngresses: []string{"b"}}
		}),
		"another router is named": routing(func(r *v1alpha1.RolloutTrafficRouting) { r.Nginx, r.Istio = nil, &v1alpha1.IstioTrafficRouting{} }),
		"no router is named":      func(ro *v1alpha1.Rollout) { ro.Spec.Strategy.Canary.TrafficRouting = nil },
		"the strategy is another one": func(ro *v1alpha1.Rollout) {
			ro.Spec.Strategy = v1alpha1.RolloutStrategy{BlueGreen: &v1alpha1.BlueGreenStrategy{}}
		},
	}
}

func odd() map[string][]client.Object {
	empty := networkingv1.IngressRule{Host: "a"}
	resource := ruleFor("b", "stable")
	resource.HTTP.Paths[0].Backend.Service = nil
	bare := ingress("web")
	bare.Spec = networkingv1.IngressSpec{}
	bare.Annotations = nil
	broken := ingress("web-web-canary", empty, resource)
	broken.Annotations = nil
	broken.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(rollout("web"), v1alpha1.RolloutKind)}
	return map[string][]client.Object{
		"an Ingress with an empty spec":                {bare},
		"rules without HTTP and without a Service":     {ingress("web", empty, resource, networkingv1.IngressRule{}, ruleFor("c"))},
		"one usable rule among odd ones":               {ingress("web", empty, resource, ruleFor("c", "stable"))},
		"a canary Ingress without any annotation":      {ingress("web", ruleFor("c", "stable")), broken},
		"a canary Ingress without an owner":            {ingress("web", ruleFor("c", "stable")), ingress("web-web-canary")},
		"a canary Ingress whose stable one is missing": {broken.DeepCopy()},
	}
}

func TestOneIngressFulfilsTheDutiesOfARouter(t *testing.T) {
	routertest.Run(t, harness(t, "web"))
}

func TestSeveralIngressesFulfilTheDutiesOfARouter(t *testing.T) {
	routertest.Run(t, harness(t, "web", "api", "admin"))
}

func splitOf(weight int32, routes ...trafficrouting.ManagedRoute) trafficrouting.Split {
	return trafficrouting.Split{
		MaxWeight: 100,
		Routes:    routes,
		Stable:    trafficrouting.Backend{Service: "stable", Weight: 100 - weight},
		Canary:    trafficrouting.Backend{Service: "canary", Weight: weight},
	}
}

func TestApplyReportsWhatItWrote(t *testing.T) {
	w := routertest.NewWorld(t, routertest.Kinds{Scheme: scheme(t)}, ingress("web", ruleFor("web.local", "stable")))
	router, ref := New(w.Client), trafficrouting.Ref{Rollout: rollout("web")}
	var got []trafficrouting.Change
	for _, weight := range []int32{0, 20, 20} {
		changes, err := router.Apply(t.Context(), ref, splitOf(weight))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, changes...)
	}
	want := []trafficrouting.Change{
		{Reason: "CreatingCanaryIngress", Message: "Creating canary ingress `web-web-canary` with weight `0`"},
		{Reason: "PatchingCanaryIngress", Message: "Updating Ingress `web-web-canary` to desiredWeight '20'"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

func TestAMissingIngressIsTheServedFieldError(t *testing.T) {
	w := routertest.NewWorld(t, routertest.Kinds{Scheme: scheme(t)})
	_, err := New(w.Client).Observe(t.Context(), trafficrouting.Ref{Rollout: rollout("web")})
	var got *field.Error
	if !errors.As(err, &got) {
		t.Fatalf("error %v, want a *field.Error", err)
	}
	want := field.Invalid(field.NewPath("spec", "strategy", "canary", "trafficRouting", "nginx", "stableIngress"),
		"web", `ingress.networking.k8s.io "web" not found`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
}

func TestAWeightReachesTheOthersWhenOneIngressFails(t *testing.T) {
	for _, failing := range []string{"web", "api", "admin"} {
		t.Run(failing, func(t *testing.T) {
			h := harness(t, "web", "api", "admin")
			w := routertest.NewWorld(t, h.Kinds, h.Given()...)
			router, ref := New(w.Client), trafficrouting.Ref{Rollout: rollout("web", "api", "admin")}
			if _, err := router.Apply(t.Context(), ref, splitOf(50)); err != nil {
				t.Fatal(err)
			}
			refusal := errors.New("quota exceeded")
			w.Fail = func(obj client.Object) error {
				if obj.GetName() == CanaryIngressName("web", failing) {
					return refusal
				}
				return nil
			}
			changes, err := router.Apply(t.Context(), ref, splitOf(0))
			if !errors.Is(err, refusal) {
				t.Errorf("error %v, want the refusal", err)
			}
			if len(changes) != 2 {
				t.Errorf("changes %v, want one for each of the two other Ingresses", changes)
			}
			seen, err := router.Observe(t.Context(), ref)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(trafficrouting.Observed{Exists: true, CanaryWeight: 50}, seen); diff != "" {
				t.Errorf("observed the largest weight, out of sync (-want +got):\n%s", diff)
			}
		})
	}
}

func TestASplitThatIsNotForThisRolloutIsRefused(t *testing.T) {
	for name, spoil := range map[string]func(*trafficrouting.Split){
		"another stable Service": func(s *trafficrouting.Split) { s.Stable.Service = "other" },
		"another canary Service": func(s *trafficrouting.Split) { s.Canary.Service = "other" },
		"sides exchanged":        func(s *trafficrouting.Split) { s.Stable, s.Canary = s.Canary, s.Stable },
		"another total":          func(s *trafficrouting.Split) { s.MaxWeight, s.Stable.Weight = 1000, 980 },
		"the side of an Experiment": func(s *trafficrouting.Split) {
			s.Stable.Weight, s.Additional = 70, []trafficrouting.Backend{{Service: "experiment", Weight: 10}}
		},
		"a copy of requests": func(s *trafficrouting.Split) {
			s.Routes = []trafficrouting.ManagedRoute{{Name: "copy", Mirror: []v1alpha1.RouteMatch{{}}, Percentage: 5}}
		},
		"a route without a header": func(s *trafficrouting.Split) { s.Routes = []trafficrouting.ManagedRoute{{Name: "testers"}} },
		"two headers": func(s *trafficrouting.Split) {
			s.Routes = []trafficrouting.ManagedRoute{byHeaderOf("testers", "X-Test"), byHeaderOf("staff", "X-Staff")}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := routertest.NewWorld(t, routertest.Kinds{Scheme: scheme(t)}, ingress("web", ruleFor("web.local", "stable")))
			split := splitOf(20)
			spoil(&split)
			_, err := New(w.Client).Apply(t.Context(), trafficrouting.Ref{Rollout: rollout("web")}, split)
			if about := (*field.Error)(nil); err == nil || errors.As(err, &about) {
				t.Errorf("error %v, want one that is not about the spec", err)
			}
			if writes := w.Writes(); len(writes) > 0 {
				t.Errorf("wrote %v, want nothing", writes)
			}
		})
	}
}

func TestAnUnusableSpecIsAnErrorOfItsField(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*v1alpha1.CanaryStrategy)
		field string
	}{
		{"no stable Service", func(c *v1alpha1.CanaryStrategy) { c.StableService = "" }, "stableService"},
		{"no canary Service", func(c *v1alpha1.CanaryStrategy) { c.CanaryService = "" }, "canaryService"},
		{"one Service for both", func(c *v1alpha1.CanaryStrategy) { c.CanaryService = "stable" }, "canaryService"},
		{"no total", func(c *v1alpha1.CanaryStrategy) { c.TrafficRouting.MaxTrafficWeight = new(int32) }, "trafficRouting.maxTrafficWeight"},
		{
			"an Ingress without a name",
			func(c *v1alpha1.CanaryStrategy) {
				*c.TrafficRouting.Nginx = v1alpha1.NginxTrafficRouting{StableIngresses: []string{"web", ""}}
			},
			"trafficRouting.nginx.stableIngresses[1]",
		},
		{
			"an Ingress named twice",
			func(c *v1alpha1.CanaryStrategy) {
				*c.TrafficRouting.Nginx = v1alpha1.NginxTrafficRouting{StableIngresses: []string{"web", "web"}}
			},
			"trafficRouting.nginx.stableIngresses[1]",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			ro := rollout("web")
			c.spoil(ro.Spec.Strategy.Canary)
			w := routertest.NewWorld(t, routertest.Kinds{Scheme: scheme(t)}, ingress("web", ruleFor("web.local", "stable")))
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

func TestAnAnnotationNamedTwiceHasOneOutcome(t *testing.T) {
	ro := rollout("web")
	ro.Spec.Strategy.Canary.TrafficRouting.Nginx.AdditionalIngressAnnotations = map[string]string{
		"limit-rps": "5", v1alpha1.DefaultNginxAnnotationPrefix + "/limit-rps": "9",
	}
	in, err := intentOf(ro)
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if got := in.annotations(ingress("web"), splitOf(20))[v1alpha1.DefaultNginxAnnotationPrefix+"/limit-rps"]; got != "9" {
			t.Fatalf("limit-rps %q, want the one that sorts last", got)
		}
	}
}

func TestOneOfSeveralCanaryIngressesMissingIsNotInSync(t *testing.T) {
	h := harness(t, "web", "api")
	w := routertest.NewWorld(t, h.Kinds, h.Given()...)
	router, ref := New(w.Client), trafficrouting.Ref{Rollout: rollout("web", "api")}
	if _, err := router.Apply(t.Context(), ref, splitOf(30)); err != nil {
		t.Fatal(err)
	}
	gone := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Name: "web-api-canary", Namespace: "shop"}}
	if err := w.Direct.Delete(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	seen, err := router.Observe(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(trafficrouting.Observed{CanaryWeight: 30}, seen); diff != "" {
		t.Errorf("observed (-want +got):\n%s", diff)
	}
}

func TestObservedWeight(t *testing.T) {
	for _, c := range []struct {
		name, weight, total string
		maxWeight, want     int32
	}{
		{"a weight is read as it is written", "20", "", 100, 20},
		{"an explicit total changes nothing when it is the Rollout's", "20", "1000", 1000, 20},
		{"a share of another total is converted", "20", "", 1000, 200},
		{"a share is rounded up, never to zero", "1", "1000", 100, 1},
		{"zero is zero of every total", "0", "1000", 100, 0},
		{"a weight beyond the total is all", "2000", "1000", 100, 100},
		{"a large total does not overflow", "1073741824", "2147483647", 2147483647, 1073741824},
		{"a missing weight is all", "", "", 100, 100},
		{"a negative weight is all", "-5", "", 100, 100},
		{"a weight beyond 32 bits is all", "99999999999", "", 100, 100},
		{"a total of zero is all", "5", "0", 100, 100},
		{"a total that is no number is all", "5", "many", 100, 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			canary := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{markKey: "true", weightKey: c.weight}}}
			if c.total != "" {
				canary.Annotations[totalKey] = c.total
			}
			in := intent{prefix: v1alpha1.DefaultNginxAnnotationPrefix, maxWeight: c.maxWeight}
			if got := in.observedWeight(canary); got != c.want {
				t.Errorf("weight %d, want %d", got, c.want)
			}
		})
	}
}

func TestCanaryIngressNameIsAlwaysAValidName(t *testing.T) {
	for _, c := range []struct{ name, rollout, ingress, want string }{
		{"short names are joined", "web", "api", "web-api-canary"},
		{"long names are cut", strings.Repeat("a", 200), strings.Repeat("b", 60), strings.Repeat("a", 200) + "-" + strings.Repeat("b", 45) + "-canary"},
		{"a cut after a dot drops the dot", strings.Repeat("a", 200), strings.Repeat("b", 44) + ".example", strings.Repeat("a", 200) + "-" + strings.Repeat("b", 44) + "-canary"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := CanaryIngressName(c.rollout, c.ingress)
			if got != c.want {
				t.Errorf("name %q, want %q", got, c.want)
			}
			if problems := validation.IsDNS1123Subdomain(got); len(problems) > 0 {
				t.Errorf("name %q: %v", got, problems)
			}
		})
	}
}

func TestIngressNamesListsStableAndCanaryIngresses(t *testing.T) {
	want := []string{"web", "web-web-canary", "api", "web-api-canary"}
	if got := IngressNames(rollout("web", "api")); !slices.Equal(got, want) {
		t.Errorf("names %q, want %q", got, want)
	}
	if got := IngressNames(&v1alpha1.Rollout{}); got != nil {
		t.Errorf("names %q of a Rollout without NGINX, want none", got)
	}
}

// What a Rollout of this name left behind is taken over with the weight it has.
func TestACanaryIngressThatWasLeftBehindIsTakenOver(t *testing.T) {
	w := routertest.NewWorld(t, routertest.Kinds{Scheme: scheme(t)}, ingress("web", ruleFor("web.local", "stable")))
	router, ref := New(w.Client), trafficrouting.Ref{Rollout: rollout("web")}
	if _, err := router.Apply(t.Context(), ref, splitOf(20)); err != nil {
		t.Fatal(err)
	}
	left := &networkingv1.Ingress{}
	key := client.ObjectKey{Namespace: ref.Rollout.Namespace, Name: "web-web-canary"}
	if err := w.Client.Get(t.Context(), key, left); err != nil {
		t.Fatal(err)
	}
	spec, annotations := left.Spec.DeepCopy(), maps.Clone(left.Annotations)
	left.OwnerReferences = nil
	if err := w.Client.Update(t.Context(), left); err != nil {
		t.Fatal(err)
	}
	seen, err := router.Observe(t.Context(), ref)
	if want := (trafficrouting.Observed{Exists: true, CanaryWeight: 20, Unowned: true}); !reflect.DeepEqual(seen, want) || err != nil {
		t.Fatalf("observed %+v, %v; want %+v", seen, err, want)
	}
	if _, err := router.Apply(t.Context(), ref, splitOf(20)); err != nil {
		t.Fatal(err)
	}
	if err := w.Client.Get(t.Context(), key, left); err != nil {
		t.Fatal(err)
	}
	if !metav1.IsControlledBy(left, ref.Rollout) || !equality.Semantic.DeepEqual(*spec, left.Spec) || !maps.Equal(annotations, left.Annotations) {
		t.Errorf("it is %+v", left)
	}
}
