package gatewayapi

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
)

// byLabel selects the HTTPRoutes of the app web.
func byLabel() *v1alpha1.Rollout {
	return rollout(&v1alpha1.GatewayAPITrafficRouting{HTTPRouteSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}})
}

func labelled(t *testing.T, name string) *unstructured.Unstructured {
	t.Helper()
	obj := routeOf(t, "HTTPRoute", name, []string{"stable=100", "canary=0"})
	obj.SetLabels(map[string]string{"app": "web"})
	return obj
}

func TestARouteThatLosesItsLabelGoesHome(t *testing.T) {
	l := labOf(t, byLabel(), labelled(t, "a"), labelled(t, "b"))
	l.apply(splitOf(40))
	l.wantWrites("patch a", "patch b")
	l.edit("HTTPRoute", "a", func(u *unstructured.Unstructured) { u.SetLabels(map[string]string{defaultLabelKey: defaultLabelValue}) })
	if err := l.wantSeen(trafficrouting.Observed{Exists: true, CanaryWeight: 40}); err != nil {
		t.Error(err)
	}
	changes := l.apply(splitOf(40))
	want := []trafficrouting.Change{{
		Reason: "UpdatedHTTPRoute", Message: "Updating HTTPRoute `a` to desiredWeight '0', which the Rollout no longer names",
	}}
	if diff := cmp.Diff(want, changes); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	l.wantRules("HTTPRoute", "a", "-: stable=100 canary=0")
	if got := l.stored("HTTPRoute", "a"); len(got.GetLabels())+len(got.GetAnnotations()) > 0 {
		t.Errorf("labels %v and annotations %v, want none", got.GetLabels(), got.GetAnnotations())
	}
	l.wantRules("HTTPRoute", "b", "-: stable=60 canary=40")
	if err := l.wantSeen(trafficrouting.Observed{Exists: true, CanaryWeight: 40, InSync: true}); err != nil {
		t.Error(err)
	}
}

func TestLabelsThatNoRouteHasAreAFieldError(t *testing.T) {
	l := labOf(t, byLabel(), routeOf(t, "HTTPRoute", "web", []string{"stable"}))
	err := l.wantSeen(trafficrouting.Observed{InSync: true})
	wantField(t, err, "spec.strategy.canary.trafficRouting.gatewayAPI.httpRouteSelector")
}

// failing is a client that cannot list routes of one kind by label.
type failing struct{ client.Client }

var errListing = errors.New("the cache is not there yet")

func (f failing) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	var given client.ListOptions
	given.ApplyOptions(opts)
	if given.LabelSelector != nil {
		return errListing
	}
	return f.Client.List(ctx, list, opts...)
}

func TestRoutesThatCannotBeListedAreNotTakenForStrays(t *testing.T) {
	l := labOf(t, byLabel(), labelled(t, "a"))
	l.apply(splitOf(40))
	l.Writes()
	router := New(failing{l.Client})
	if _, err := router.Apply(t.Context(), l.ref, splitOf(50)); !errors.Is(err, errListing) {
		t.Errorf("error %v, want the one of listing", err)
	}
	l.wantWrites()
	if seen, err := router.Observe(t.Context(), l.ref); !errors.Is(err, errListing) || seen.Exists {
		t.Errorf("observed %+v, error %v", seen, err)
	}
}

func TestAWrongSpecKeepsItsTrafficUntilItIsToGoHome(t *testing.T) {
	l := labOf(t, web(), routeOf(t, "HTTPRoute", "web", []string{"stable=100", "canary=0"}))
	l.apply(splitOf(50))
	l.Writes()
	l.ref.Rollout.Spec.Strategy.Canary.TrafficRouting.GatewayAPI = &v1alpha1.GatewayAPITrafficRouting{}
	err := l.wantSeen(trafficrouting.Observed{Exists: true, CanaryWeight: 50, InSync: true})
	wantField(t, err, "spec.strategy.canary.trafficRouting.gatewayAPI")
	l.refuse(splitOf(20), "name a route")
	l.wantWrites()
	l.refuse(splitOf(0), "name a route")
	l.wantWrites("patch web")
	l.wantRules("HTTPRoute", "web", "-: stable=100 canary=0")
}

func TestARouteThatGoesMissingDoesNotKeepTheWeightFromTheOthers(t *testing.T) {
	ro := rollout(&v1alpha1.GatewayAPITrafficRouting{HTTPRoute: "gone", TCPRoute: "web"})
	l := labOf(t, ro, routeOf(t, "TCPRoute", "web", []string{"stable=100", "canary=0"}))
	l.refuse(splitOf(20), `httproute.gateway.networking.k8s.io "gone" not found`)
	l.wantWrites("patch web")
	err := l.wantSeen(trafficrouting.Observed{CanaryWeight: 20, InSync: true})
	wantField(t, err, "spec.strategy.canary.trafficRouting.gatewayAPI.httpRoute")
}

func TestARouteThatIsNamedTwiceIsOneRoute(t *testing.T) {
	gateway := &v1alpha1.GatewayAPITrafficRouting{
		HTTPRoutes:        []v1alpha1.GatewayAPIRoute{{Name: "a"}, {Name: "a", UseHeaderRoutes: true}},
		HTTPRouteSelector: &metav1.LabelSelector{},
	}
	l := labOf(t, rollout(gateway), labelled(t, "a"))
	l.apply(splitOf(20, headerRoute("beta", "X-Beta", "yes")))
	l.wantWrites("patch a")
	l.wantRules("HTTPRoute", "a", "beta X-Beta~yes: canary=1", "-: stable=80 canary=20")
}

func TestTooManyRulesAndMatchesAreKnownBeforeTheStepIsReached(t *testing.T) {
	header := func(values int) *v1alpha1.SetHeaderRoute {
		step := &v1alpha1.SetHeaderRoute{Name: "beta"}
		for i := range values {
			value := &v1alpha1.StringMatch{Exact: string(rune('a'+i%26)) + string(rune('a'+i/26))}
			step.Match = append(step.Match, v1alpha1.HeaderRoutingMatch{HeaderName: "who", HeaderValue: value})
		}
		return step
	}
	for name, c := range map[string]struct {
		rules, values int
		want          string
	}{
		"as many as are allowed": {rules: 8, values: 7},
		"too many rules":         {9, 1, "would have 18 rules, and at most 16 are allowed"},
		"too many in a rule":     {1, 65, "would have 65 matches, and at most 64 are allowed"},
		"too many together":      {2, 64, "would have 130 matches together, and at most 128 are allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			ro := web()
			ro.Spec.Strategy.Canary.Steps = []v1alpha1.CanaryStep{{}, {SetHeaderRoute: header(c.values)}}
			var rules [][]string
			for range c.rules {
				rules = append(rules, []string{"stable=100", "canary=0"})
			}
			l := labOf(t, ro, routeOf(t, "HTTPRoute", "web", rules...))
			err := l.wantSeen(trafficrouting.Observed{Exists: true, InSync: true})
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantField(t, err, "spec.strategy.canary.steps[1].setHeaderRoute")
			l.refuse(splitOf(20), c.want)
			l.wantWrites()
		})
	}
}

func TestAHeaderRouteThatALaterStepRemovesMakesRoomForOthers(t *testing.T) {
	ro := web()
	step := func(name string, values ...string) v1alpha1.CanaryStep {
		s := &v1alpha1.SetHeaderRoute{Name: name}
		for _, value := range values {
			s.Match = append(s.Match, v1alpha1.HeaderRoutingMatch{HeaderName: "a", HeaderValue: &v1alpha1.StringMatch{Exact: value}})
		}
		return v1alpha1.CanaryStep{SetHeaderRoute: s}
	}
	ro.Spec.Strategy.Canary.Steps = []v1alpha1.CanaryStep{step("a", "1"), step("a"), step("b", "1")}
	var rules [][]string
	for range 8 {
		rules = append(rules, []string{"stable=100", "canary=0"})
	}
	l := labOf(t, ro, routeOf(t, "HTTPRoute", "web", rules...))
	if err := l.wantSeen(trafficrouting.Observed{Exists: true, InSync: true}); err != nil {
		t.Error(err)
	}
}

func TestADefinitionWithoutNamesOfRulesIsNotWrittenAgainAndAgain(t *testing.T) {
	l := labOf(t, web(), routeOf(t, "HTTPRoute", "web", []string{"stable=100", "canary=0"}))
	beta := headerRoute("beta", "X-Beta", "yes")
	l.apply(splitOf(20, beta))
	l.edit("HTTPRoute", "web", func(u *unstructured.Unstructured) {
		for _, r := range rulesOf(u, "shop") {
			delete(r.raw, "name")
		}
	})
	l.Writes()
	l.apply(splitOf(20, beta))
	l.wantWrites()
	if err := l.wantSeen(trafficrouting.Observed{
		Exists: true, CanaryWeight: 20, InSync: true, Routes: []trafficrouting.ManagedRoute{beta},
	}); err != nil {
		t.Error(err)
	}
}

func TestApplyReportsWhatItWrote(t *testing.T) {
	l := labOf(t, web(), routeOf(t, "HTTPRoute", "web", []string{"stable=100", "canary=0"}))
	var got []trafficrouting.Change
	for _, split := range []trafficrouting.Split{splitOf(0), splitOf(20, headerRoute("a", "x", "y"), headerRoute("b", "x", "z")), splitOf(0)} {
		got = append(got, l.apply(split)...)
	}
	want := []trafficrouting.Change{
		{Reason: "UpdatedHTTPRoute", Message: "Updating HTTPRoute `web` to desiredWeight '20' with the managed routes a, b"},
		{Reason: "UpdatedHTTPRoute", Message: "Updating HTTPRoute `web` to desiredWeight '0'"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

func TestAnEditOfAManagedRouteIsSeenByItsName(t *testing.T) {
	l := labOf(t, web(), routeOf(t, "HTTPRoute", "web", []string{"stable=100", "canary=0"}))
	beta, gamma := headerRoute("beta", "X-Beta", "yes"), headerRoute("gamma", "X-Gamma", "yes")
	l.apply(splitOf(20, beta, gamma))
	l.edit("HTTPRoute", "web", func(u *unstructured.Unstructured) {
		rulesOf(u, "shop")[0].raw["matches"] = []any{map[string]any{"path": path{pathPrefix, "/"}.raw()}}
	})
	if err := l.wantSeen(trafficrouting.Observed{
		Exists: true, CanaryWeight: 20, Routes: []trafficrouting.ManagedRoute{{Name: "beta"}, gamma},
	}); err != nil {
		t.Error(err)
	}
	l.apply(splitOf(20, beta, gamma))
	l.wantRules("HTTPRoute", "web", "beta X-Beta~yes: canary=1", "gamma X-Gamma~yes: canary=1", "-: stable=80 canary=20")
}

func TestRoutesThatDisagreeAreNotInSync(t *testing.T) {
	ro := rollout(&v1alpha1.GatewayAPITrafficRouting{HTTPRoute: "a", TCPRoute: "b"})
	l := labOf(t, ro, routeOf(t, "HTTPRoute", "a", []string{"stable=40", "canary=60"}),
		routeOf(t, "TCPRoute", "b", []string{"stable=30", "canary=10", "baseline=60"}))
	ro.Status.Canary.Weights = &v1alpha1.TrafficWeights{Additional: []v1alpha1.WeightDestination{{ServiceName: "baseline"}}}
	// Together they ask for more than there is: no split asks for that.
	want := trafficrouting.Observed{Exists: true, CanaryWeight: 60, Additional: []trafficrouting.Backend{{Service: "baseline", Weight: 60}}}
	if err := l.wantSeen(want); err != nil {
		t.Error(err)
	}
	in, err := intentOf(ro)
	if _, possible := in.splitAt(want); err != nil || possible {
		t.Errorf("error %v, possible %t", err, possible)
	}
}
