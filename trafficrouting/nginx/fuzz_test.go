package nginx

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
)

var (
	someService = rapid.SampledFrom([]string{"stable", "canary", "images", ""})
	someText    = rapid.OneOf(rapid.SampledFrom([]string{"", "0", "20", "-1", "100", "true", "nginx", "99999999999"}), rapid.String())
	someKey     = rapid.OneOf(
		rapid.SampledFrom([]string{
			classAnnotation, markKey, weightKey, totalKey, "canary", "canary-weight", "limit-rps", "x/y",
			headerKey, valueKey, patternKey, cookieKey, byHeader, routesAnnotation,
		}),
		rapid.StringMatching(`[a-z.]{1,12}(/[a-z-]{1,12})?`))
	someAnnotations = rapid.MapOfN(someKey, someText, 0, 5)
	someMatch       = rapid.Custom(func(t *rapid.T) v1alpha1.HeaderRoutingMatch {
		header := rapid.SampledFrom([]string{"X-Test", "cookie", "X Y", ""}).Draw(t, "header")
		value := rapid.OneOf(rapid.SampledFrom([]string{"yes", "canary=always", "^(a|b)$", "a;b"}), rapid.String()).Draw(t, "value")
		way := rapid.SampledFrom([]func(string, string) v1alpha1.HeaderRoutingMatch{exact, prefix, regex}).Draw(t, "way")
		return way(header, value)
	})
)

// someRoutes draws routes that can be said together, as checkSplit has it.
func someRoutes(t *rapid.T) []trafficrouting.ManagedRoute {
	var routes []trafficrouting.ManagedRoute
	for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"testers", "staff", "<b>"}), 0, 2, rapid.ID).Draw(t, "routes") {
		routes = append(routes, managed(name, rapid.SliceOfN(someMatch, 1, 2).Draw(t, "matches")...))
	}
	if checkManaged(routes) != nil {
		return nil
	}
	return routes
}

// someIngress draws Ingresses that are legal, odd and impossible.
func someIngress(t *rapid.T, label string) *networkingv1.Ingress {
	ingress := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{
		Name: "web", Namespace: "shop",
		Annotations: someAnnotations.Draw(t, label+" annotations"),
		Labels:      someAnnotations.Draw(t, label+" labels"),
	}}
	for range rapid.IntRange(0, 3).Draw(t, label+" rules") {
		ingress.Spec.Rules = append(ingress.Spec.Rules, someRule(t, label))
	}
	if rapid.Bool().Draw(t, label+" has class") {
		class := someText.Draw(t, label+" class")
		ingress.Spec.IngressClassName = &class
	}
	for range rapid.IntRange(0, 2).Draw(t, label+" TLS") {
		ingress.Spec.TLS = append(ingress.Spec.TLS, networkingv1.IngressTLS{SecretName: someText.Draw(t, label+" secret")})
	}
	if rapid.Bool().Draw(t, label+" has default backend") {
		fallback := backend("fallback")
		ingress.Spec.DefaultBackend = &fallback
	}
	return ingress
}

func someRule(t *rapid.T, label string) networkingv1.IngressRule {
	rule := networkingv1.IngressRule{Host: someText.Draw(t, label+" host")}
	if rapid.IntRange(0, 4).Draw(t, label+" HTTP") == 0 {
		return rule
	}
	rule.HTTP = &networkingv1.HTTPIngressRuleValue{}
	for range rapid.IntRange(0, 3).Draw(t, label+" paths") {
		path := networkingv1.HTTPIngressPath{Path: "/"}
		if rapid.IntRange(0, 4).Draw(t, label+" backend") > 0 {
			path.Backend = backend(someService.Draw(t, label+" service"))
		}
		rule.HTTP.Paths = append(rule.HTTP.Paths, path)
	}
	return rule
}

// someIntent draws a spec; it is false for one that is refused.
func someIntent(t *rapid.T) (intent, bool) {
	ro := rollout("web")
	routing := ro.Spec.Strategy.Canary.TrafficRouting
	routing.Nginx.AdditionalIngressAnnotations = someAnnotations.Draw(t, "additional")
	routing.Nginx.CanaryIngressAnnotations = someAnnotations.Draw(t, "verbatim")
	routing.Nginx.AnnotationPrefix = rapid.SampledFrom([]string{"", "custom.example.com", "nginx", "/"}).Draw(t, "prefix")
	if rapid.Bool().Draw(t, "has total") {
		total := rapid.Int32Range(-1, 1000).Draw(t, "total")
		routing.MaxTrafficWeight = &total
	}
	if rapid.Bool().Draw(t, "sets routes") {
		withSteps(ro, v1alpha1.SetHeaderRoute{Name: "testers", Match: []v1alpha1.HeaderRoutingMatch{exact("X-Test", "yes")}})
	}
	in, err := intentOf(ro)
	return in, err == nil
}

// TestTranslateProperties says what holds for every spec, every stable Ingress and whatever
// somebody did to the canary Ingress.
func TestTranslateProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, checkTranslate)
}

func FuzzTranslate(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(checkTranslate))
}

func checkTranslate(t *rapid.T) {
	in, ok := someIntent(t)
	if !ok {
		return
	}
	p := pair{target: in.targets[0], stable: someIngress(t, "stable")}
	if rapid.Bool().Draw(t, "has canary") {
		p.canary = someIngress(t, "canary")
		p.canary.Name, p.canary.UID, p.canary.ResourceVersion = "web-web-canary", "canary-uid", "7"
		p.canary.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(in.rollout, v1alpha1.RolloutKind)}
		if got := in.observedWeight(p.canary); got < 0 || got > in.maxWeight {
			t.Fatalf("observed weight %d of %d", got, in.maxWeight)
		}
		checkEmptied(t, in, p)
	}
	stable := p.stable.DeepCopy()
	split := in.splitAt(rapid.Int32Range(0, in.maxWeight).Draw(t, "weight"), someRoutes(t)...)
	todo, err := in.translate(p, split)
	if !equality.Semantic.DeepEqual(stable, p.stable) {
		t.Fatalf("the stable Ingress was changed:\n%s", cmp.Diff(stable, p.stable))
	}
	if err != nil {
		if !todo.empty() {
			t.Fatalf("error %v together with a write", err)
		}
		return
	}
	after := written(t, p, todo)
	if got := in.observedWeight(after); got != split.Canary.Weight {
		t.Fatalf("weight %d is observed after writing %d", got, split.Canary.Weight)
	}
	if got, asWritten := in.observedRoutes(after); !asWritten || !trafficrouting.EqualRoutes(got, split.Routes) {
		t.Fatalf("routes are observed after writing others:\n%s", cmp.Diff(split.Routes, got))
	}
	if again, err := in.translate(pair{target: p.target, stable: p.stable, canary: after}, split); err != nil || !again.empty() {
		t.Fatalf("a second time: %s, error %v", again.patch, err)
	}
	for _, rule := range after.Spec.Rules {
		for _, path := range rule.HTTP.Paths {
			if svc := path.Backend.Service; svc != nil && svc.Name == "stable" {
				t.Fatal("the canary Ingress routes to the stable Service")
			}
		}
	}
	if p.canary != nil {
		checkRest(t, in, p, after)
	}
}

// checkEmptied says what holds when all traffic is taken from whatever a canary Ingress has become.
func checkEmptied(t *rapid.T, in intent, p pair) {
	patch, err := in.emptyPatch(p.canary)
	if err != nil {
		t.Fatal(err)
	}
	after := written(t, p, write{patch: patch})
	made, _ := in.under(after)
	if routes, _ := made.observedRoutes(after); made.observedWeight(after) != 0 || len(routes) > 0 {
		t.Fatalf("weight %d and routes %v after all traffic was taken: %v", made.observedWeight(after), routes, after.Annotations)
	}
	if again, err := in.emptyPatch(after); err != nil || again != nil {
		t.Fatalf("a second time: %s, error %v", again, err)
	}
}

// written is the canary Ingress after the write, as the API server would store it.
func written(t *rapid.T, p pair, todo write) *networkingv1.Ingress {
	if todo.create != nil {
		return todo.create
	}
	if todo.patch == nil {
		return p.canary.DeepCopy()
	}
	var patch, object map[string]any
	decode(t, todo.patch, &patch)
	before, err := json.Marshal(p.canary)
	if err != nil {
		t.Fatal(err)
	}
	decode(t, before, &object)
	text, err := json.Marshal(merged(object, patch))
	if err != nil {
		t.Fatal(err)
	}
	var after networkingv1.Ingress
	decode(t, text, &after)
	return &after
}

func decode(t *rapid.T, text []byte, into any) {
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

// merged is RFC 7386: null deletes, an object merges, anything else replaces.
func merged(object, patch map[string]any) map[string]any {
	if object == nil {
		object = map[string]any{}
	}
	for key, value := range patch {
		inner, isObject := value.(map[string]any)
		switch {
		case value == nil:
			delete(object, key)
		case isObject:
			old, _ := object[key].(map[string]any)
			object[key] = merged(old, inner)
		default:
			object[key] = value
		}
	}
	return object
}

// checkRest compares everything that the router does not own.
func checkRest(t *rapid.T, in intent, p pair, after *networkingv1.Ingress) {
	wanted := in.annotations(p.stable, in.splitAt(0))
	ours := append(in.madeOf(p.canary.Annotations), in.madeOf(after.Annotations)...)
	strip := func(ingress *networkingv1.Ingress) string {
		rest := ingress.DeepCopy()
		for key := range wanted {
			delete(rest.Annotations, key)
		}
		delete(rest.Annotations, classAnnotation)
		delete(rest.Annotations, in.key(weightTotal))
		for _, key := range ours {
			delete(rest.Annotations, key)
		}
		if len(rest.Annotations) == 0 {
			rest.Annotations = nil
		}
		rest.Spec = networkingv1.IngressSpec{DefaultBackend: rest.Spec.DefaultBackend}
		text, err := json.Marshal(rest)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if diff := cmp.Diff(strip(p.canary), strip(after)); diff != "" {
		t.Fatalf("what is not ours changed (-before +after):\n%s", diff)
	}
}
