package alb

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
)

// An action that leaves a weight of 0 out is invalid for the AWS Load Balancer Controller.
func TestArgo491AWeightOfZeroIsWritten(t *testing.T) {
	c := world(t, ingress("web"))
	apply(t, c, rollout("web"), splitOf(0))
	if got := stored(t, c, "web").Annotations[rootAction]; got != shared0 {
		t.Errorf("action %s, want %s", got, shared0)
	}
}

// A rule that names the Service by its port gets no traffic split, whatever the annotation says.
func TestArgo1480ARuleThatDoesNotReadTheAnnotationIsAFieldError(t *testing.T) {
	_, err := New(world(t, ingress("web", ruleFor("a", pathTo("root")))), nil).Observe(t.Context(), trafficrouting.Ref{Rollout: rollout("web")})
	var invalid *field.Error
	if !errors.As(err, &invalid) || !strings.Contains(invalid.Detail, useAnnotation) {
		t.Errorf("error %v, want one of the field that names the port", err)
	}
}

// One Ingress that needs no write must not keep the weight from those after it.
func TestArgo2639EveryIngressGetsTheWeightAlsoWhenTheFirstHasIt(t *testing.T) {
	c := world(t, ingress("a"), ingress("b"), ingress("c"))
	apply(t, c, rollout("a"), splitOf(50))
	apply(t, c, rollout("a", "b", "c"), splitOf(50))
	for _, name := range []string{"a", "b", "c"} {
		if got := stored(t, c, name).Annotations[rootAction]; got != shared50 {
			t.Errorf("action of %s is %s, want %s", name, got, shared50)
		}
	}
}

// A header route behind the path that takes every request has no effect.
func TestArgo2902AHeaderRouteComesBeforeThePathsOfItsRule(t *testing.T) {
	c := world(t, ingress("web", ruleFor("a", pathTo("images"), routePath("root"))))
	ro := withRoute(rollout("web"), "vip", header("X", "y"))
	apply(t, c, ro, splitOf(0, trafficrouting.ManagedRoute{Name: "vip", Headers: ro.Spec.Strategy.Canary.Steps[0].SetHeaderRoute.Match}))
	want := ruleFor("a", routePath("vip"), pathTo("images"), routePath("root"))
	if diff := cmp.Diff(want, stored(t, c, "web").Spec.Rules[0]); diff != "" {
		t.Errorf("rule (-want +got):\n%s", diff)
	}
}

// A load balancer asks for all conditions: two with the same header would match nothing.
func TestArgo2973SeveralValuesOfAHeaderAreOneCondition(t *testing.T) {
	c := world(t, ingress("web"))
	ro := withRoute(rollout("web"), "vip", header("Origin", "one"), header("X", "y"), header("origin", "two"))
	route := trafficrouting.ManagedRoute{Name: "vip", Headers: ro.Spec.Strategy.Canary.Steps[0].SetHeaderRoute.Match}
	apply(t, c, ro, splitOf(0, route))
	want := `[{"field":"http-header","httpHeaderConfig":{"httpHeaderName":"Origin","values":["one","two"]}},` +
		`{"field":"http-header","httpHeaderConfig":{"httpHeaderName":"X","values":["y"]}}]`
	if got := stored(t, c, "web").Annotations["alb.ingress.kubernetes.io/conditions.vip"]; got != want {
		t.Errorf("conditions %s, want %s", got, want)
	}
	// They are observed as the step says them, so that the planner sees its own wish.
	if diff := cmp.Diff([]trafficrouting.ManagedRoute{route}, observe(t, c, ro).Routes); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
}

// With both pairs of Services, this router shares requests between ping and pong.
func TestArgo3628PingAndPongWinOverTheOtherServices(t *testing.T) {
	ro := rollout("web")
	ro.Spec.Strategy.Canary.PingPong = &v1alpha1.PingPongSpec{PingService: "ping", PongService: "pong"}
	for stable, want := range map[v1alpha1.PingPongType][]string{"": {"pong", "ping"}, v1alpha1.PPPing: {"pong", "ping"}, v1alpha1.PPPong: {"ping", "pong"}} {
		ro.Status.Canary.StablePingPong = stable
		c := world(t, ingress("web"))
		apply(t, c, ro, splitFor(ro, 20))
		a, _ := readAction(stored(t, c, "web").Annotations[rootAction])
		got := []string{a.ForwardConfig.TargetGroups[0].ServiceName, a.ForwardConfig.TargetGroups[1].ServiceName}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s is stable: canary and stable (-want +got):\n%s", stable, diff)
		}
	}
}
