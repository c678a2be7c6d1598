package nginx

import (
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/routertest"
)

// twoIngresses is a world in which both Ingresses share 50 of 100 with the canary.
func twoIngresses(t *testing.T, others ...client.Object) *routertest.World {
	t.Helper()
	objects := append(others, ingress("a", ruleFor("a.local", "stable")), ingress("b", ruleFor("b.local", "stable")))
	w := routertest.NewWorld(t, routertest.Kinds{Scheme: scheme(t)}, objects...)
	apply(t, w, rollout("a", "b"), 50)
	w.Writes()
	return w
}

func apply(t *testing.T, w *routertest.World, ro *v1alpha1.Rollout, weight int32) []trafficrouting.Change {
	t.Helper()
	changes, err := New(w.Client).Apply(t.Context(), trafficrouting.Ref{Rollout: ro}, splitOf(weight))
	if err != nil {
		t.Fatal(err)
	}
	return changes
}

func wantWrites(t *testing.T, w *routertest.World, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, w.Writes()); diff != "" {
		t.Errorf("writes (-want +got):\n%s", diff)
	}
}

// stored is an Ingress as the world has it; nil when it is gone.
func stored(t *testing.T, w *routertest.World, name string) *networkingv1.Ingress {
	t.Helper()
	var found networkingv1.Ingress
	err := w.Direct.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: name}, &found)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return &found
}

func edit(t *testing.T, w *routertest.World, name string, change func(*networkingv1.Ingress)) {
	t.Helper()
	found := stored(t, w, name)
	change(found)
	if err := w.Direct.Update(t.Context(), found); err != nil {
		t.Fatal(err)
	}
}

func TestAnIngressTakenOutOfTheSpecLosesItsTrafficAndThenItsCanary(t *testing.T) {
	w, ro := twoIngresses(t), rollout("b")
	got := apply(t, w, ro, 50)
	wantWrites(t, w, "patch web-a-canary")
	got = append(got, apply(t, w, ro, 50)...)
	wantWrites(t, w, "delete web-a-canary")
	want := []trafficrouting.Change{
		{Reason: "PatchingCanaryIngress", Message: "Updating Ingress `web-a-canary` to desiredWeight '0'"},
		{Reason: "DeletingCanaryIngress", Message: "Deleting canary ingress `web-a-canary`, whose ingress the Rollout no longer names"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	apply(t, w, ro, 50)
	wantWrites(t, w)
	if stored(t, w, "web-b-canary").Annotations[weightKey] != "50" || stored(t, w, "a") == nil {
		t.Error("the other canary Ingress or the stable one was touched")
	}
}

func TestAStrayThatAFinalizerHoldsHasNoTrafficAndIsLeftInPeace(t *testing.T) {
	w, ro := twoIngresses(t), rollout("b")
	edit(t, w, "web-a-canary", func(i *networkingv1.Ingress) { i.Finalizers = []string{"example.com/hold"} })
	for range 3 {
		apply(t, w, ro, 20)
	}
	wantWrites(t, w, "patch web-b-canary", "patch web-a-canary", "delete web-a-canary")
	if got := stored(t, w, "web-a-canary").Annotations[weightKey]; got != "0" {
		t.Errorf("weight %s, want 0", got)
	}
	seen, err := New(w.Client).Observe(t.Context(), trafficrouting.Ref{Rollout: ro})
	if err != nil || !reflect.DeepEqual(seen, trafficrouting.Observed{Exists: true, CanaryWeight: 20, InSync: true}) {
		t.Errorf("observed %+v, error %v, want weight 20 in sync", seen, err)
	}
}

func TestAStrayOfAnotherPrefixAndAnUnreadableTotalIsEmptied(t *testing.T) {
	w := twoIngresses(t)
	edit(t, w, "web-a-canary", func(i *networkingv1.Ingress) {
		i.Annotations = map[string]string{"old.io/canary": "true", "old.io/canary-weight": "5", "old.io/canary-weight-total": "many"}
	})
	apply(t, w, rollout("b"), 50)
	want := map[string]string{"old.io/canary": "true", "old.io/canary-weight": "0"}
	if diff := cmp.Diff(want, stored(t, w, "web-a-canary").Annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
}

func TestSomebodysOwnIngressIsNoStray(t *testing.T) {
	ro := rollout("a", "b")
	for name, spoil := range map[string]func(*networkingv1.Ingress){
		"which the Rollout controls but is no canary": func(i *networkingv1.Ingress) { i.Annotations = nil },
		"which is a canary by header": func(i *networkingv1.Ingress) {
			delete(i.Annotations, weightKey)
		},
		"which another Rollout controls": func(i *networkingv1.Ingress) { i.OwnerReferences[0].UID = "another" },
		"which nobody controls":          func(i *networkingv1.Ingress) { i.OwnerReferences[0].Controller = nil },
	} {
		t.Run(name, func(t *testing.T) {
			own := ingress("own", ruleFor("own.local", "canary"))
			own.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(ro, v1alpha1.RolloutKind)}
			own.Annotations = map[string]string{markKey: "true", weightKey: "70"}
			spoil(own)
			w := twoIngresses(t, own)
			seen, err := New(w.Client).Observe(t.Context(), trafficrouting.Ref{Rollout: ro})
			if err != nil || seen.CanaryWeight != 50 {
				t.Errorf("observed %+v, error %v, want weight 50", seen, err)
			}
			apply(t, w, ro, 0)
			apply(t, w, ro, 0)
			if writes := w.Writes(); slices.Contains(writes, "patch own") || stored(t, w, "own") == nil {
				t.Errorf("writes %v, want it left alone", writes)
			}
		})
	}
}

func TestAnAbortReachesACanaryIngressWhoseStableOneIsGone(t *testing.T) {
	w, ref := twoIngresses(t), trafficrouting.Ref{Rollout: rollout("a", "b")}
	if err := w.Direct.Delete(t.Context(), stored(t, w, "a")); err != nil {
		t.Fatal(err)
	}
	router := New(w.Client)
	if _, err := router.Apply(t.Context(), ref, splitOf(20)); err == nil {
		t.Error("no error, want one that names the missing Ingress")
	}
	wantWrites(t, w, "patch web-b-canary")
	for range 2 {
		if _, err := router.Apply(t.Context(), ref, splitOf(0)); err == nil {
			t.Error("no error, want one that names the missing Ingress")
		}
	}
	wantWrites(t, w, "patch web-a-canary", "patch web-b-canary")
	if seen, _ := router.Observe(t.Context(), ref); seen.CanaryWeight != 0 {
		t.Errorf("observed %+v, want no weight", seen)
	}
}

func TestARolloutWithoutNGINXHasItsTrafficTakenHomeWhenTheSplitSaysSo(t *testing.T) {
	w, ro := twoIngresses(t), rollout("a", "b")
	ro.Spec.Strategy.Canary.TrafficRouting = nil
	router, ref := New(w.Client), trafficrouting.Ref{Rollout: ro}
	for _, c := range []struct {
		weight int32
		seen   trafficrouting.Observed // before
		writes []string
	}{
		{20, trafficrouting.Observed{Exists: true, CanaryWeight: 50, InSync: true}, nil},
		{0, trafficrouting.Observed{Exists: true, CanaryWeight: 50, InSync: true}, []string{"patch web-a-canary", "patch web-b-canary"}},
		{0, trafficrouting.Observed{Exists: true}, []string{"delete web-a-canary", "delete web-b-canary"}},
		{0, trafficrouting.Observed{InSync: true}, nil},
	} {
		seen, err := router.Observe(t.Context(), ref)
		if err != nil || !reflect.DeepEqual(seen, c.seen) {
			t.Errorf("observed %+v, error %v, want %+v", seen, err, c.seen)
		}
		apply(t, w, ro, c.weight)
		wantWrites(t, w, c.writes...)
	}
}

func TestAWrongSpecKeepsItsTrafficUntilItIsToGoHome(t *testing.T) {
	w, ro := twoIngresses(t), rollout("a", "b")
	ro.Spec.Strategy.Canary.TrafficRouting.Nginx.StableIngress = "a"
	router, ref := New(w.Client), trafficrouting.Ref{Rollout: ro}
	for _, weight := range []int32{50, 20, 0, 0} {
		seen, observeErr := router.Observe(t.Context(), ref)
		if want := (trafficrouting.Observed{Exists: true, CanaryWeight: 50, InSync: true}); weight > 0 && !reflect.DeepEqual(seen, want) {
			t.Errorf("observed %+v, want %+v", seen, want)
		}
		if _, err := router.Apply(t.Context(), ref, splitOf(weight)); err == nil || observeErr == nil {
			t.Errorf("errors %v and %v, want both to name the field", observeErr, err)
		}
		if weight > 0 {
			wantWrites(t, w)
		}
	}
	wantWrites(t, w, "patch web-a-canary", "patch web-b-canary")
	if stored(t, w, "web-a-canary") == nil {
		t.Error("a corrected spec may name it, so it must stay")
	}
}
