package nginx

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/routertest"
)

// Reports about the NGINX routing of Argo Rollouts, as tests.

// The canary Ingress stayed for ever, frozen, when a Rollout went back to another way of routing.
func TestArgo4751TheCanaryIngressGoesWhenTheRolloutNoLongerUsesIt(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*v1alpha1.Rollout)
		waits  bool // until the traffic may go home: there is no other way for it
	}{
		"trafficRouting is dropped": {func(ro *v1alpha1.Rollout) { ro.Spec.Strategy.Canary.TrafficRouting = nil }, true},
		"trafficRouting is empty": {func(ro *v1alpha1.Rollout) {
			*ro.Spec.Strategy.Canary.TrafficRouting = v1alpha1.RolloutTrafficRouting{}
		}, true},
		"the strategy is blueGreen": {func(ro *v1alpha1.Rollout) {
			ro.Spec.Strategy = v1alpha1.RolloutStrategy{BlueGreen: &v1alpha1.BlueGreenStrategy{}}
		}, true},
		"another router is named": {func(ro *v1alpha1.Rollout) {
			*ro.Spec.Strategy.Canary.TrafficRouting = v1alpha1.RolloutTrafficRouting{Istio: &v1alpha1.IstioTrafficRouting{}}
		}, false},
		"another Ingress is named": {func(ro *v1alpha1.Rollout) {
			*ro.Spec.Strategy.Canary.TrafficRouting.Nginx = v1alpha1.NginxTrafficRouting{StableIngress: "b"}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := harness(t, "a", "b")
			w := routertest.NewWorld(t, h.Kinds, h.Given()...)
			testers, ro := byHeaderOf("testers", "X-Test"), rollout("a", "b")
			applySplit(t, w, rollout("b"), splitOf(30))
			applySplit(t, w, rollout("a", "b"), splitOf(30, testers))
			c.change(ro)
			for range 2 { // emptied, deleted
				applySplit(t, w, ro, splitOf(20))
			}
			if got := stored(t, w, "web-a-canary"); (got != nil) != c.waits {
				t.Errorf("at weight 20 it is %v, want it to wait: %t", got, c.waits)
			} else if c.waits && (got.Annotations[weightKey] != "30" || got.Annotations[headerKey] == "") {
				t.Errorf("it carries %v, want what it had", got.Annotations)
			}
			for range 2 {
				applySplit(t, w, ro, splitOf(0))
			}
			if got := stored(t, w, "web-a-canary"); got != nil {
				t.Errorf("it is left: %v", got.Annotations)
			}
			if stored(t, w, "a") == nil {
				t.Error("the stable Ingress is gone")
			}
		})
	}
}

// Header routes were not to be had with NGINX, but by annotations that no step could change.
func TestArgo2830AStepSendsTestersToTheCanaryBeforeItHasAnyWeight(t *testing.T) {
	w, testers := webWorld(t), byHeaderOf("testers", "X-Test")
	ro := withSteps(rollout("web"), v1alpha1.SetHeaderRoute{Name: "testers", Match: testers.Headers})
	applySplit(t, w, ro, splitOf(0, testers))
	want := map[string]string{
		markKey: "true", weightKey: "0", headerKey: "X-Test", valueKey: "yes",
		routesAnnotation: `[{"name":"testers","match":[{"headerName":"X-Test","headerValue":{"exact":"yes"}}]}]`,
	}
	if diff := cmp.Diff(want, stored(t, w, "web-web-canary").Annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
}

// Two controllers took turns in adding and removing the annotation of one of them.
func TestArgo1070AnnotationsOfOtherControllersStayAndCauseNoWrite(t *testing.T) {
	w, ro := webWorld(t), rollout("web")
	applySplit(t, w, ro, splitOf(20))
	endpoints := `[{"addresses":["192.0.2.1"]}]`
	edit(t, w, "web-web-canary", func(i *networkingv1.Ingress) { i.Annotations["field.cattle.io/publicEndpoints"] = endpoints })
	w.Writes()
	applySplit(t, w, ro, splitOf(20))
	wantWrites(t, w)
	for _, split := range []trafficrouting.Split{splitOf(30, byHeaderOf("testers", "X-Test")), splitOf(0)} {
		applySplit(t, w, ro, split)
		wantWrites(t, w, "patch web-web-canary")
		if got := stored(t, w, "web-web-canary").Annotations["field.cattle.io/publicEndpoints"]; got != endpoints {
			t.Errorf("the annotation is %q, want it kept", got)
		}
	}
}

// A key with a prefix of its own got a second one, and the API server refused every write.
func TestArgo2225AKeyWithTwoPrefixesIsAnErrorOfItsField(t *testing.T) {
	nginxAt := "spec.strategy.canary.trafficRouting.nginx."
	for _, c := range []struct{ name, prefix, key, want string }{
		{"a name gets the prefix", "ingress.kubernetes.io", "affinity", ""},
		{"a name with the prefix keeps it", "ingress.kubernetes.io", "ingress.kubernetes.io/affinity", ""},
		{"another prefix is refused", "ingress.kubernetes.io", "additional.prefix/test", nginxAt + "additionalIngressAnnotations[additional.prefix/test]"},
		{"no key at all is refused", "ingress.kubernetes.io", "no key", nginxAt + "additionalIngressAnnotations[no key]"},
		{"a prefix with a slash is refused", "example.com/nginx", "affinity", nginxAt + "annotationPrefix"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ro := rollout("web")
			n := ro.Spec.Strategy.Canary.TrafficRouting.Nginx
			n.AnnotationPrefix, n.AdditionalIngressAnnotations = c.prefix, map[string]string{c.key: "cookie"}
			in, err := intentOf(ro)
			var got *field.Error
			switch errors.As(err, &got); {
			case c.want != "" && (got == nil || got.Field != c.want):
				t.Errorf("error %v, want one at %s", err, c.want)
			case c.want == "" && (err != nil || in.annotations(ingress("web"), splitOf(0))["ingress.kubernetes.io/affinity"] != "cookie"):
				t.Errorf("error %v, or no annotation", err)
			}
		})
	}
}

// The canary Ingress had no class, or kept one that the stable Ingress had no longer.
func TestArgo1425TheClassFollowsTheStableIngressThereAndBack(t *testing.T) {
	w, ro := webWorld(t), rollout("web")
	inSpec := func(class string) func(*networkingv1.Ingress) {
		return func(i *networkingv1.Ingress) {
			delete(i.Annotations, classAnnotation)
			i.Spec.IngressClassName = &class
		}
	}
	annotated := func(class string) func(*networkingv1.Ingress) {
		return func(i *networkingv1.Ingress) { i.Annotations[classAnnotation], i.Spec.IngressClassName = class, nil }
	}
	for _, change := range []func(*networkingv1.Ingress){
		inSpec("nginx"), annotated("nginx"), annotated("nginx-ext"), inSpec("nginx-ext"), inSpec("nginx"),
		func(i *networkingv1.Ingress) { i.Spec.IngressClassName = nil },
	} {
		edit(t, w, "web", change)
		applySplit(t, w, ro, splitOf(20))
		stable, canary := stored(t, w, "web"), stored(t, w, "web-web-canary")
		if diff := cmp.Diff(stable.Spec.IngressClassName, canary.Spec.IngressClassName); diff != "" {
			t.Errorf("class of the spec (-stable +canary):\n%s", diff)
		}
		if got, want := canary.Annotations[classAnnotation], stable.Annotations[classAnnotation]; got != want {
			t.Errorf("class annotation %q, want %q", got, want)
		}
		if got := canary.Annotations[weightKey]; got != "20" {
			t.Errorf("weight %s, want it kept", got)
		}
	}
}

// A rule without paths, or with a backend that is no Service, was a nil pointer.
func TestArgo534RulesWithoutPathsAreLeftOut(t *testing.T) {
	resource := ruleFor("bucket.local", "stable")
	resource.HTTP.Paths[0].Backend.Service = nil
	w := routertest.NewWorld(t, routertest.Kinds{Scheme: scheme(t)},
		ingress("web", networkingv1.IngressRule{Host: "bare.local"}, resource, ruleFor("web.local", "stable")))
	applySplit(t, w, rollout("web"), splitOf(20, byHeaderOf("testers", "X-Test")))
	want := ruleFor("web.local", "stable")
	want.HTTP.Paths[0].Backend.Service.Name = "canary"
	if diff := cmp.Diff([]networkingv1.IngressRule{want}, stored(t, w, "web-web-canary").Spec.Rules); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
}

// A Rollout that got trafficRouting while it was at rest waited for ever for its canary Ingress.
func TestArgo2524TheFirstSplitMakesTheCanaryIngressAlsoAtRest(t *testing.T) {
	w, ro := webWorld(t), rollout("web")
	wantSeen(t, w, ro, trafficrouting.Observed{})
	applySplit(t, w, ro, splitOf(0))
	wantWrites(t, w, "create web-web-canary")
	wantSeen(t, w, ro, trafficrouting.Observed{Exists: true, InSync: true})
}
