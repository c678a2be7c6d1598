package alb

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
)

const (
	shared50 = `{"Type":"forward","ForwardConfig":{"TargetGroups":[{"ServiceName":"canary","ServicePort":"80","Weight":50},{"ServiceName":"stable","ServicePort":"80","Weight":50}]}}`
	shared0  = `{"Type":"forward","ForwardConfig":{"TargetGroups":[{"ServiceName":"canary","ServicePort":"80","Weight":0},{"ServiceName":"stable","ServicePort":"80","Weight":100}]}}`
	home     = `{"Type":"forward","ForwardConfig":{"TargetGroups":[{"ServiceName":"stable","ServicePort":"80","Weight":100}]}}`
	ours     = `{"web":["alb.ingress.kubernetes.io/actions.root"]}`
	mark     = `{"rollout":"shop/web","stable":"stable","canary":"canary"}`
)

// atHalf is a world in which both Ingresses share 50 of 100 with the canary.
func atHalf(t *testing.T) client.Client {
	t.Helper()
	c := world(t, ingress("a"), ingress("b"))
	apply(t, c, rollout("a", "b"), splitOf(50))
	return c
}

func TestAnIngressTakenOutOfTheSpecIsReleasedAtOnce(t *testing.T) {
	c, ro := atHalf(t), rollout("b")
	if diff := cmp.Diff(trafficrouting.Observed{Exists: true, CanaryWeight: 50}, observe(t, c, ro)); diff != "" {
		t.Errorf("observed before (-want +got):\n%s", diff)
	}
	if changes := apply(t, c, ro, splitOf(50)); len(changes) != 1 {
		t.Errorf("changes %v, want one", changes)
	}
	wantAnnotations(t, c, "a", map[string]string{rootAction: home})
	wantAnnotations(t, c, "b", map[string]string{rootAction: shared50, ManagedAnnotation: ours, v1alpha1.RoutedByAnnotation: mark})
	if diff := cmp.Diff(trafficrouting.Observed{Exists: true, CanaryWeight: 50, InSync: true}, observe(t, c, ro)); diff != "" {
		t.Errorf("observed after (-want +got):\n%s", diff)
	}
}

func TestARolloutWithoutARouterHasItsTrafficTakenHomeWhenTheSplitSaysSo(t *testing.T) {
	c, ro := atHalf(t), rollout("a", "b")
	ro.Spec.Strategy.Canary.TrafficRouting = nil
	if diff := cmp.Diff(trafficrouting.Observed{Exists: true, CanaryWeight: 50, InSync: true}, observe(t, c, ro)); diff != "" {
		t.Errorf("observed (-want +got):\n%s", diff)
	}
	if changes := apply(t, c, ro, splitOf(20)); len(changes) > 0 {
		t.Errorf("changes %v while no other route carries the weight, want none", changes)
	}
	apply(t, c, ro, splitOf(0))
	for _, name := range []string{"a", "b"} {
		wantAnnotations(t, c, name, map[string]string{rootAction: home})
	}
	if diff := cmp.Diff(trafficrouting.Observed{InSync: true}, observe(t, c, ro)); diff != "" {
		t.Errorf("observed after (-want +got):\n%s", diff)
	}
}

func TestAWrongSpecKeepsItsTrafficUntilItIsToGoHome(t *testing.T) {
	c, ro := atHalf(t), rollout("a", "b")
	ro.Spec.Strategy.Canary.TrafficRouting.ALB.Ingress = "a"
	router, ref := New(c, nil), trafficrouting.Ref{Rollout: ro}
	seen, err := router.Observe(t.Context(), ref)
	if diff := cmp.Diff(trafficrouting.Observed{Exists: true, CanaryWeight: 50, InSync: true}, seen); diff != "" || err == nil {
		t.Errorf("observed, error %v (-want +got):\n%s", err, diff)
	}
	for _, step := range []struct {
		weight int32
		action string
		writes int
	}{{20, shared50, 0}, {0, home, 2}, {0, home, 0}} {
		changes, err := router.Apply(t.Context(), ref, splitOf(step.weight))
		if len(changes) != step.writes || err == nil {
			t.Errorf("weight %d: changes %v and error %v, want %d and one about the field", step.weight, changes, err, step.writes)
		}
		wantAnnotations(t, c, "a", map[string]string{rootAction: step.action, ManagedAnnotation: ours, v1alpha1.RoutedByAnnotation: mark})
	}
}

func TestAnAbortReachesAnIngressWhoseRuleIsGone(t *testing.T) {
	c, ref := atHalf(t), trafficrouting.Ref{Rollout: rollout("a", "b")}
	broken := stored(t, c, "a")
	broken.Spec.Rules[0].HTTP.Paths = broken.Spec.Rules[0].HTTP.Paths[:1]
	if err := c.Update(t.Context(), broken); err != nil {
		t.Fatal(err)
	}
	router := New(c, nil)
	for _, step := range []struct {
		weight int32
		action string
	}{{20, shared50}, {0, home}, {0, home}} {
		_, err := router.Apply(t.Context(), ref, splitOf(step.weight))
		var invalid *field.Error
		if !errors.As(err, &invalid) {
			t.Errorf("weight %d: error %v, want one that names the Ingress", step.weight, err)
		}
		wantAnnotations(t, c, "a", map[string]string{rootAction: step.action, ManagedAnnotation: ours, v1alpha1.RoutedByAnnotation: mark})
	}
	wantAnnotations(t, c, "b", map[string]string{rootAction: shared0, ManagedAnnotation: ours, v1alpha1.RoutedByAnnotation: mark})
}

func TestAWeightReachesTheOthersWhenOneIngressFails(t *testing.T) {
	refusal := errors.New("admission webhook says no")
	for _, failing := range []string{"a", "b"} {
		base := atHalf(t)
		c := interceptor.NewClient(base.(client.WithWatch), interceptor.Funcs{
			Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
				if obj.GetName() == failing {
					return refusal
				}
				return c.Patch(ctx, obj, patch, opts...)
			},
		})
		ref := trafficrouting.Ref{Rollout: rollout("a", "b")}
		changes, err := New(c, nil).Apply(t.Context(), ref, splitOf(0))
		if len(changes) != 1 || !errors.Is(err, refusal) {
			t.Errorf("%s fails: changes %v and error %v, want one change and the refusal", failing, changes, err)
		}
		if diff := cmp.Diff(trafficrouting.Observed{Exists: true, CanaryWeight: 50}, observe(t, c, ref.Rollout)); diff != "" {
			t.Errorf("%s fails: observed the largest weight, out of sync (-want +got):\n%s", failing, diff)
		}
	}
}

func TestOneOfSeveralIngressesMissingDoesNotHideTheWeightOfTheOther(t *testing.T) {
	c, ref := atHalf(t), trafficrouting.Ref{Rollout: rollout("a", "b")}
	if err := c.Delete(t.Context(), stored(t, c, "a")); err != nil {
		t.Fatal(err)
	}
	seen, err := New(c, nil).Observe(t.Context(), ref)
	if diff := cmp.Diff(trafficrouting.Observed{CanaryWeight: 50}, seen); diff != "" || err == nil {
		t.Errorf("observed, error %v (-want +got):\n%s", err, diff)
	}
}

// other is a second Rollout with its own Services and its own action in the same Ingress.
func other(root string, ingresses ...string) *v1alpha1.Rollout {
	ro := rollout(ingresses...)
	ro.Name, ro.UID = "other", "other-uid"
	canary := ro.Spec.Strategy.Canary
	canary.StableService, canary.CanaryService, canary.TrafficRouting.ALB.RootService = "other-stable", "other-canary", root
	return ro
}

func splitFor(ro *v1alpha1.Rollout, weight int32, routes ...trafficrouting.ManagedRoute) trafficrouting.Split {
	split := splitOf(weight, routes...)
	split.Stable.Service, split.Canary.Service = ro.CanaryServices()
	return split
}

func TestTwoRolloutsShareAnIngressWithAnActionEach(t *testing.T) {
	c := world(t, ingress("web", ruleFor("a", routePath("root")), ruleFor("b", routePath("other-root"))))
	one, two := rollout("web"), other("other-root", "web")
	apply(t, c, one, splitOf(50))
	apply(t, c, two, splitFor(two, 30))
	for ro, weight := range map[*v1alpha1.Rollout]int32{one: 50, two: 30} {
		if diff := cmp.Diff(trafficrouting.Observed{Exists: true, CanaryWeight: weight, InSync: true}, observe(t, c, ro)); diff != "" {
			t.Errorf("%s observed (-want +got):\n%s", ro.Name, diff)
		}
		if changes := apply(t, c, ro, splitFor(ro, weight)); len(changes) > 0 {
			t.Errorf("%s: changes %v, want none", ro.Name, changes)
		}
	}
	otherMark := trafficrouting.Mark{Rollout: "shop/other", Stable: "other-stable", Canary: "other-canary"}.String()
	otherAction := "alb.ingress.kubernetes.io/actions.other-root"
	other30 := `{"Type":"forward","ForwardConfig":{"TargetGroups":[{"ServiceName":"other-canary","ServicePort":"80","Weight":30},{"ServiceName":"other-stable","ServicePort":"80","Weight":70}]}}`
	wantAnnotations(t, c, "web", map[string]string{
		rootAction: shared50, otherAction: other30, v1alpha1.RoutedByAnnotation: "[" + otherMark + "," + mark + "]",
		ManagedAnnotation: `{"other":["alb.ingress.kubernetes.io/actions.other-root"],"web":["alb.ingress.kubernetes.io/actions.root"]}`,
	})
	gone := func(ro *v1alpha1.Rollout) *v1alpha1.Rollout {
		left := &v1alpha1.Rollout{}
		left.Name, left.Namespace = ro.Name, ro.Namespace
		return left
	}
	apply(t, c, gone(one), trafficrouting.Split{})
	wantAnnotations(t, c, "web", map[string]string{
		rootAction: home, otherAction: other30, ManagedAnnotation: `{"other":["alb.ingress.kubernetes.io/actions.other-root"]}`,
		v1alpha1.RoutedByAnnotation: otherMark,
	})
	apply(t, c, gone(two), trafficrouting.Split{})
	wantAnnotations(t, c, "web", map[string]string{
		rootAction:  home,
		otherAction: `{"Type":"forward","ForwardConfig":{"TargetGroups":[{"ServiceName":"other-stable","ServicePort":"80","Weight":100}]}}`,
	})
}

func TestHeaderRoutesOfTwoRolloutsInOneIngressDoNotFight(t *testing.T) {
	c := world(t, ingress("web", ruleFor("a", routePath("root")), ruleFor("b", routePath("other-root"))))
	one := withRoute(rollout("web"), "vip", header("X", "vip"))
	two := withRoute(other("other-root", "web"), "beta", header("X", "beta"))
	route := func(ro *v1alpha1.Rollout) trafficrouting.ManagedRoute {
		step := ro.Spec.Strategy.Canary.Steps[0].SetHeaderRoute
		return trafficrouting.ManagedRoute{Name: step.Name, Headers: step.Match}
	}
	for range 2 {
		for _, ro := range []*v1alpha1.Rollout{one, two} {
			apply(t, c, ro, splitFor(ro, 0, route(ro)))
		}
	}
	for _, ro := range []*v1alpha1.Rollout{one, two} {
		if changes := apply(t, c, ro, splitFor(ro, 0, route(ro))); len(changes) > 0 {
			t.Errorf("%s: changes %v, want none", ro.Name, changes)
		}
		want := trafficrouting.Observed{Exists: true, InSync: true, Routes: []trafficrouting.ManagedRoute{route(ro)}}
		if diff := cmp.Diff(want, observe(t, c, ro)); diff != "" {
			t.Errorf("%s observed (-want +got):\n%s", ro.Name, diff)
		}
	}
	apply(t, c, one, splitOf(0))
	rule := ruleFor("a", routePath("beta"), routePath("root"))
	if diff := cmp.Diff(rule, stored(t, c, "web").Spec.Rules[0]); diff != "" {
		t.Errorf("rule after one of the routes went (-want +got):\n%s", diff)
	}
}

func TestAnActionThatTwoRolloutsNameObeysTheFirst(t *testing.T) {
	c := world(t, ingress("web"))
	apply(t, c, rollout("web"), splitOf(50))
	two := other("root", "web")
	router, ref := New(c, nil), trafficrouting.Ref{Rollout: two}
	_, observing := router.Observe(t.Context(), ref)
	changes, applying := router.Apply(t.Context(), ref, splitFor(two, 0))
	if observing == nil || applying == nil || len(changes) > 0 {
		t.Errorf("errors %v and %v, changes %v, want two errors and no change", observing, applying, changes)
	}
	wantAnnotations(t, c, "web", map[string]string{rootAction: shared50, ManagedAnnotation: ours, v1alpha1.RoutedByAnnotation: mark})
	unlisted := stored(t, c, "web")
	delete(unlisted.Annotations, ManagedAnnotation)
	if err := c.Update(t.Context(), unlisted); err != nil {
		t.Fatal(err)
	}
	if _, err := router.Apply(t.Context(), ref, splitFor(two, 0)); err == nil {
		t.Error("no error where nobody says which action the first one has, want one")
	}
}

// wantFieldErrors asks for errors that the controller takes for ones about the spec, and plans with.
func wantFieldErrors(t *testing.T, path string, errs ...error) {
	t.Helper()
	for _, err := range errs {
		var invalid *field.Error
		if !errors.As(err, &invalid) || invalid.Field != path {
			t.Errorf("error %v, want one of the field %s", err, path)
		}
	}
}

func edit(t *testing.T, c client.Client, name string, change func(*networkingv1.Ingress)) {
	t.Helper()
	i := stored(t, c, name)
	change(i)
	if err := c.Update(t.Context(), i); err != nil {
		t.Fatal(err)
	}
}

func routeOf(ro *v1alpha1.Rollout) trafficrouting.ManagedRoute {
	step := ro.Spec.Strategy.Canary.Steps[0].SetHeaderRoute
	return trafficrouting.ManagedRoute{Name: step.Name, Headers: step.Match}
}

// The second Rollout is at 30, then the first one makes a header route that has the name of one of the second.
func TestAnAbortBringsHomeWhatIsNotTakenByAnotherRollout(t *testing.T) {
	const at = "spec.strategy.canary.trafficRouting.alb.ingress"
	otherAction := prefix + "actions.other-root"
	otherHome := `{"Type":"forward","ForwardConfig":{"TargetGroups":[{"ServiceName":"other-stable","ServicePort":"80","Weight":100}]}}`
	for name, unlist := range map[string]func(*networkingv1.Ingress){
		"by its list": func(*networkingv1.Ingress) {},
		"by its mark": func(i *networkingv1.Ingress) {
			i.Annotations[ManagedAnnotation] = managedOf(i).with("other", nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := world(t, ingress("web", ruleFor("a", routePath("root")), ruleFor("b", routePath("other-root"))))
			one := withRoute(rollout("web"), "testers", header("X", "one"))
			two := withRoute(withRoute(other("other-root", "web"), "mine", header("X", "two")), "testers", header("X", "two"))
			apply(t, c, two, splitFor(two, 30, routeOf(two)))
			apply(t, c, one, splitFor(one, 50, routeOf(one)))
			edit(t, c, "web", unlist)
			router, ref := New(c, nil), trafficrouting.Ref{Rollout: two}
			before := stored(t, c, "web")
			for _, split := range []trafficrouting.Split{splitFor(two, 40), splitFor(two, 0, routeOf(two))} {
				changes, err := router.Apply(t.Context(), ref, split)
				wantFieldErrors(t, at, err)
				if diff := cmp.Diff(before, stored(t, c, "web")); diff != "" || len(changes) > 0 {
					t.Errorf("changes %v while something is to stay away (-before +after):\n%s", changes, diff)
				}
			}
			for _, writes := range []int{1, 0} {
				_, observing := router.Observe(t.Context(), ref)
				changes, applying := router.Apply(t.Context(), ref, splitFor(two, 0))
				wantFieldErrors(t, at, observing, applying)
				if len(changes) != writes {
					t.Errorf("changes %v, want %d", changes, writes)
				}
			}
			after := stored(t, c, "web")
			if got := after.Annotations[otherAction]; got != otherHome {
				t.Errorf("the action %s, want it at home", got)
			}
			for _, key := range []string{rootAction, prefix + "actions.testers", prefix + "conditions.testers"} {
				if got, want := after.Annotations[key], before.Annotations[key]; got != want || got == "" {
					t.Errorf("%s of the first Rollout is %q, want %q", key, got, want)
				}
			}
			if _, there := after.Annotations[prefix+"actions.mine"]; there {
				t.Error("the header route of the second Rollout is still there")
			}
			rules := []networkingv1.IngressRule{ruleFor("a", routePath("testers"), routePath("root")), ruleFor("b", routePath("testers"), routePath("other-root"))}
			if diff := cmp.Diff(rules, after.Spec.Rules); diff != "" {
				t.Errorf("rules (-want +got):\n%s", diff)
			}
			wantList := []string{otherAction}
			if diff := cmp.Diff(wantList, managedOf(after).of("other")); diff != "" {
				t.Errorf("list of the second Rollout (-want +got):\n%s", diff)
			}
			if got := observe(t, c, one); got.CanaryWeight != 50 || !got.InSync {
				t.Errorf("the first Rollout observed %+v", got)
			}
		})
	}
}

// Both list the same action: whose it is nobody can tell, and it stays.
func TestAnAbortLeavesAnActionThatTwoRolloutsList(t *testing.T) {
	c := atHalf(t)
	edit(t, c, "a", func(i *networkingv1.Ingress) {
		i.Annotations[ManagedAnnotation] = `{"other":["` + rootAction + `"],"web":["` + prefix + `actions.old","` + rootAction + `"]}`
		i.Annotations[prefix+"actions.old"] = shared50
		i.Annotations[v1alpha1.RoutedByAnnotation] = trafficrouting.Mark{Rollout: "shop/other", Stable: "s", Canary: "c"}.Beside(i)
	})
	want := stored(t, c, "a").Annotations
	want[prefix+"actions.old"] = home
	_, err := New(c, nil).Apply(t.Context(), trafficrouting.Ref{Rollout: rollout("a", "b")}, splitOf(0))
	wantFieldErrors(t, "spec.strategy.canary.trafficRouting.alb.ingresses[0]", err)
	if diff := cmp.Diff(want, stored(t, c, "a").Annotations); diff != "" {
		t.Errorf("annotations, of which only the action of its own goes home (-want +got):\n%s", diff)
	}
}

func TestAStrayThatCannotBeReadIsAFieldError(t *testing.T) {
	c, ro := atHalf(t), rollout("b")
	edit(t, c, "a", func(i *networkingv1.Ingress) { i.Annotations[rootAction] = "{" })
	ro.Spec.Strategy.Canary.TrafficRouting.ALB = nil
	ro.Spec.Strategy.Canary.TrafficRouting.Nginx = &v1alpha1.NginxTrafficRouting{StableIngress: "b"}
	ro.Spec.Strategy.Canary.StableService = ""
	router, ref := New(c, nil), trafficrouting.Ref{Rollout: ro}
	_, observing := router.Observe(t.Context(), ref)
	_, applying := router.Apply(t.Context(), ref, splitOf(0))
	wantFieldErrors(t, "spec.strategy.canary.trafficRouting.alb", observing, applying)
}

func TestTwoRolloutsWhoseListsAreGoneDoNotWaitForEachOther(t *testing.T) {
	for name, text := range map[string]string{"removed": "", "malformed": "{", "reset": "{}", "unreadable entries": `{"web":7,"other":"x"}`} {
		t.Run(name, func(t *testing.T) {
			c := world(t, ingress("web", ruleFor("a", routePath("root")), ruleFor("b", routePath("other-root"))))
			one, two := rollout("web"), other("other-root", "web")
			apply(t, c, one, splitOf(50))
			apply(t, c, two, splitFor(two, 30))
			whole := stored(t, c, "web")
			edit(t, c, "web", func(i *networkingv1.Ingress) {
				if i.Annotations[ManagedAnnotation] = text; text == "" {
					delete(i.Annotations, ManagedAnnotation)
				}
			})
			apply(t, c, one, splitOf(50))
			apply(t, c, two, splitFor(two, 30))
			if diff := cmp.Diff(whole.Annotations, stored(t, c, "web").Annotations); diff != "" {
				t.Errorf("annotations after both wrote again (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnUnlistedRolloutWithAServiceOfTheSpecTakesTheIngress(t *testing.T) {
	for _, of := range []trafficrouting.Mark{{Stable: "stable", Canary: "c"}, {Stable: "s", Canary: "canary"}, {Stable: "canary"}, {Canary: "stable"}} {
		i := ingress("web")
		of.Rollout = "shop/other"
		i.Annotations[v1alpha1.RoutedByAnnotation] = of.String()
		_, err := New(world(t, i), nil).Observe(t.Context(), trafficrouting.Ref{Rollout: rollout("web")})
		wantFieldErrors(t, "spec.strategy.canary.trafficRouting.alb.ingress", err)
	}
}

func TestTheMarkIsPartOfWhatMustBeThereWhileSomethingIsAway(t *testing.T) {
	ro := withRoute(rollout("web"), "vip", header("X", "vip"))
	sides := splitOf(0)
	sides.Additional, sides.Stable.Weight = []trafficrouting.Backend{{Service: "exp", Weight: 10}}, 90
	for name, c := range map[string]struct {
		split trafficrouting.Split
		kept  bool
	}{
		"a weight": {splitOf(20), true}, "a header route": {splitOf(0, routeOf(ro)), true}, "another side": {sides, true}, "nothing": {splitOf(0), false},
	} {
		for _, spoiled := range []string{"", "{", `{"rollout":"shop/web","stable":"stable","canary":"older"}`} {
			t.Run(name+" and the mark "+spoiled, func(t *testing.T) {
				cluster := world(t, ingress("web"))
				apply(t, cluster, ro, c.split)
				edit(t, cluster, "web", func(i *networkingv1.Ingress) {
					if i.Annotations[v1alpha1.RoutedByAnnotation] = spoiled; spoiled == "" {
						delete(i.Annotations, v1alpha1.RoutedByAnnotation)
					}
				})
				if seen := observe(t, cluster, ro); seen.InSync == c.kept {
					t.Errorf("in sync %t, want %t", seen.InSync, !c.kept)
				}
				want, text := 0, spoiled
				if c.kept {
					want, text = 1, mark
				}
				for _, writes := range []int{want, 0} {
					if changes := apply(t, cluster, ro, c.split); len(changes) != writes {
						t.Errorf("changes %v, want %d", changes, writes)
					}
				}
				if got := stored(t, cluster, "web").Annotations[v1alpha1.RoutedByAnnotation]; got != text || !observe(t, cluster, ro).InSync {
					t.Errorf("mark %s, want %s and in sync", got, text)
				}
			})
		}
	}
}

func TestARouteThatIsNotAsWrittenHasNoMatchAndIsNotInSync(t *testing.T) {
	ro := withRoute(rollout("web"), "vip", header("X", "vip"))
	route := trafficrouting.ManagedRoute{Name: "vip", Headers: ro.Spec.Strategy.Canary.Steps[0].SetHeaderRoute.Match}
	for name, spoil := range map[string]func(*networkingv1.Ingress){
		"another action": func(i *networkingv1.Ingress) {
			i.Annotations["alb.ingress.kubernetes.io/actions.vip"] = home
		},
		"other conditions": func(i *networkingv1.Ingress) {
			i.Annotations["alb.ingress.kubernetes.io/conditions.vip"] = `[{"field":"source-ip"}]`
		},
		"no conditions, so that it takes every request": func(i *networkingv1.Ingress) {
			delete(i.Annotations, "alb.ingress.kubernetes.io/conditions.vip")
		},
		"another path": func(i *networkingv1.Ingress) { i.Spec.Rules[0].HTTP.Paths[0].Path = "/beta" },
		"no path":      func(i *networkingv1.Ingress) { i.Spec.Rules[0].HTTP.Paths = i.Spec.Rules[0].HTTP.Paths[1:] },
	} {
		t.Run(name, func(t *testing.T) {
			c := world(t, ingress("web"))
			apply(t, c, ro, splitOf(20, route))
			whole := stored(t, c, "web")
			edited := whole.DeepCopy()
			spoil(edited)
			if err := c.Update(t.Context(), edited); err != nil {
				t.Fatal(err)
			}
			want := trafficrouting.Observed{Exists: true, CanaryWeight: 20, Routes: []trafficrouting.ManagedRoute{{Name: "vip"}}}
			if diff := cmp.Diff(want, observe(t, c, ro)); diff != "" {
				t.Errorf("observed (-want +got):\n%s", diff)
			}
			apply(t, c, ro, splitOf(20, route))
			again := stored(t, c, "web")
			if diff := cmp.Diff([]any{whole.Annotations, whole.Spec}, []any{again.Annotations, again.Spec}); diff != "" {
				t.Errorf("repaired (-want +got):\n%s", diff)
			}
		})
	}
}

// What was merged cannot be told apart again: a route is observed as its own step says it.
func TestARouteIsObservedAsItsOwnStepSaysIt(t *testing.T) {
	ro := withRoute(rollout("web"), "a", header("X", "1"), header("Y", "2"), header("X", "3"))
	withRoute(ro, "b", header("X", "1"), header("X", "3"), header("Y", "2"))
	var routes []trafficrouting.ManagedRoute
	for _, step := range ro.Spec.Strategy.Canary.Steps {
		routes = append(routes, trafficrouting.ManagedRoute{Name: step.SetHeaderRoute.Name, Headers: step.SetHeaderRoute.Match})
	}
	c := world(t, ingress("web"))
	apply(t, c, ro, splitOf(0, routes...))
	if diff := cmp.Diff(routes, observe(t, c, ro).Routes); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
}
