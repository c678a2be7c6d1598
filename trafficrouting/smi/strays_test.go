package smi

import (
	"context"
	"errors"
	"fmt"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/routertest"
)

// shifted is a world in which the canary gets 50 of 100.
func shifted(t *testing.T, others ...client.Object) *routertest.World {
	t.Helper()
	w := world(t, others...)
	apply(t, w, rollout(), splitOf(50))
	w.Writes()
	return w
}

func naming(name string) *v1alpha1.Rollout {
	ro := rollout()
	ro.Spec.Strategy.Canary.TrafficRouting.SMI.TrafficSplitName = name
	return ro
}

// edit changes the TrafficSplit "web" as somebody else would.
func edit(t *testing.T, w *routertest.World, change func(*unstructured.Unstructured)) {
	t.Helper()
	for _, obj := range stored(t, w, "v1alpha3") {
		if obj.GetName() != "web" {
			continue
		}
		change(&obj)
		if err := w.Direct.Update(t.Context(), &obj); err != nil {
			t.Fatal(err)
		}
	}
}

func TestARenamedTrafficSplitIsEmptiedAndThenDeleted(t *testing.T) {
	w, ro := shifted(t), naming("split")
	wantSeen(t, w, ro, trafficrouting.Observed{CanaryWeight: 50})
	apply(t, w, ro, splitOf(50))
	wantWrites(t, w, "create split", "patch web")
	wantShown(t, w, "split: stable to canary=50 stable=50", "web: stable to canary=0 stable=100")
	wantSeen(t, w, ro, trafficrouting.Observed{Exists: true, CanaryWeight: 50})
	apply(t, w, ro, splitOf(50))
	wantWrites(t, w, "delete web")
	wantSeen(t, w, ro, trafficrouting.Observed{Exists: true, CanaryWeight: 50, InSync: true})
	apply(t, w, ro, splitOf(50))
	wantWrites(t, w)
}

func TestWithoutAnyRouterTheTrafficWaitsUntilItMayGoHome(t *testing.T) {
	w, ro := shifted(t), rollout()
	ro.Spec.Strategy.Canary.TrafficRouting = nil
	for _, c := range []struct {
		weight int32
		seen   trafficrouting.Observed // before
		writes []string
	}{
		{50, trafficrouting.Observed{Exists: true, CanaryWeight: 50, InSync: true}, nil},
		{0, trafficrouting.Observed{Exists: true, CanaryWeight: 50, InSync: true}, []string{"patch web"}},
		{0, trafficrouting.Observed{Exists: true}, []string{"delete web"}},
		{0, trafficrouting.Observed{InSync: true}, nil},
	} {
		wantSeen(t, w, ro, c.seen)
		apply(t, w, ro, splitOf(c.weight))
		wantWrites(t, w, c.writes...)
	}
}

func TestAWrongSpecKeepsItsTrafficUntilItIsToGoHome(t *testing.T) {
	w, ro := shifted(t), rollout()
	ro.Spec.Strategy.Canary.CanaryService = "stable"
	for _, c := range []struct {
		weight int32
		shown  string
		writes []string
	}{
		{50, "web: stable to canary=50 stable=50", nil},
		{20, "web: stable to canary=50 stable=50", nil},
		{0, "web: stable to canary=0 stable=100", []string{"patch web"}},
		{0, "web: stable to canary=0 stable=100", nil}, // A corrected spec may name it.
	} {
		seen, observeErr := observe(t, w, ro)
		if c.weight > 0 && (seen.CanaryWeight != 50 || !seen.InSync) {
			t.Errorf("observed %+v, want 50 in sync", seen)
		}
		_, err := New(w.Client).Apply(t.Context(), trafficrouting.Ref{Rollout: ro}, splitOf(c.weight))
		if err == nil || observeErr == nil {
			t.Errorf("errors %v and %v, want both to name the field", observeErr, err)
		}
		wantShown(t, w, c.shown)
		wantWrites(t, w, c.writes...)
	}
}

func TestAStrayThatAFinalizerHoldsHasNoTrafficAndIsLeftInPeace(t *testing.T) {
	w, ro := shifted(t), naming("split")
	edit(t, w, func(obj *unstructured.Unstructured) { obj.SetFinalizers([]string{"example.com/hold"}) })
	for range 4 {
		apply(t, w, ro, splitOf(20))
	}
	wantWrites(t, w, "create split", "patch web", "delete web")
	wantSeen(t, w, ro, trafficrouting.Observed{Exists: true, CanaryWeight: 20, InSync: true})
}

func TestAStrayOfOtherServicesGoesHomeToTheOneThatIsListedLast(t *testing.T) {
	w := world(t, trafficSplit("old", to("old-canary", int64(30)), to("experiment", "10"), to("idle", "0"), to("old-stable", int64(60))))
	wantSeen(t, w, rollout(), trafficrouting.Observed{CanaryWeight: 40})
	apply(t, w, rollout(), splitOf(40))
	wantShown(t, w, "old: stable to old-canary=0 experiment=0 idle=0 old-stable=100", "web: stable to canary=40 stable=60")
}

func TestAStrayThatCannotBeUnderstoodIsAllOnTheCanaryAndIsRepaired(t *testing.T) {
	w := world(t, trafficSplit("old", to("canary", "half"), "x", to("stable", int64(60)), nil))
	wantSeen(t, w, rollout(), trafficrouting.Observed{CanaryWeight: 100})
	apply(t, w, rollout(), splitOf(0))
	wantShown(t, w, "old: stable to canary=0 stable=100", "web: stable to canary=0 stable=100")
}

func TestAStrayWithoutBackendsIsDeletedAtOnce(t *testing.T) {
	w := world(t, trafficSplit("old"))
	apply(t, w, rollout(), splitOf(20))
	wantWrites(t, w, "create web", "delete old")
}

func TestWhatTookThePlaceOfAStrayIsNotDeleted(t *testing.T) {
	w := shifted(t)
	apply(t, w, naming("split"), splitOf(20))
	w.Interfere = func(ctx context.Context, direct client.Client, stored client.Object) error {
		if err := direct.Delete(ctx, stored); err != nil {
			return fmt.Errorf("deleting the stray: %w", err)
		}
		stored.SetUID("")
		stored.SetResourceVersion("")
		return direct.Create(ctx, stored)
	}
	if _, err := New(w.Client).Apply(t.Context(), trafficrouting.Ref{Rollout: naming("split")}, splitOf(20)); !apierrors.IsConflict(err) {
		t.Errorf("error %v, want a conflict", err)
	}
	wantShown(t, w, "split: stable to canary=20 stable=80", "web: stable to canary=0 stable=100")
}

func TestAStrayThatIsGoneMeanwhileIsNoFailure(t *testing.T) {
	w := shifted(t)
	apply(t, w, naming("split"), splitOf(20))
	w.Interfere = func(ctx context.Context, direct client.Client, stored client.Object) error {
		return direct.Delete(ctx, stored)
	}
	w.Fail = func(obj client.Object) error {
		return apierrors.NewNotFound(schema.GroupResource{Group: kind.Group, Resource: "trafficsplits"}, obj.GetName())
	}
	if changes := apply(t, w, naming("split"), splitOf(20)); len(changes) > 0 {
		t.Errorf("changes %v, want none", changes)
	}
	wantShown(t, w, "split: stable to canary=20 stable=80")
}

func TestSomebodysOwnTrafficSplitIsNoStray(t *testing.T) {
	for name, spoil := range map[string]func(*unstructured.Unstructured){
		"which another Rollout controls": func(obj *unstructured.Unstructured) {
			owners := obj.GetOwnerReferences()
			owners[0].UID = "another"
			obj.SetOwnerReferences(owners)
		},
		"which nobody controls":         func(obj *unstructured.Unstructured) { obj.SetOwnerReferences(nil) },
		"which is in another namespace": func(obj *unstructured.Unstructured) { obj.SetNamespace("other") },
	} {
		t.Run(name, func(t *testing.T) {
			own := trafficSplit("own", to("canary", int64(70)), to("stable", int64(30)))
			spoil(own)
			w := shifted(t, own)
			wantSeen(t, w, rollout(), trafficrouting.Observed{Exists: true, CanaryWeight: 50, InSync: true})
			apply(t, w, rollout(), splitOf(0))
			wantWrites(t, w, "patch web")
		})
	}
}

func TestATrafficSplitThatIsNotOursIsLeftAlone(t *testing.T) {
	for name, spoil := range map[string]func(*unstructured.Unstructured){
		"another Rollout controls it": func(obj *unstructured.Unstructured) {
			owners := obj.GetOwnerReferences()
			owners[0].UID = "another"
			obj.SetOwnerReferences(owners)
		},
		"nobody controls it, and it knows no stable Service": func(obj *unstructured.Unstructured) {
			obj.SetOwnerReferences(nil)
			obj.Object["spec"].(map[string]any)["backends"] = []any{to("canary", int64(70)), to("other", int64(30))}
		},
		"nobody controls it, and it knows no canary Service": func(obj *unstructured.Unstructured) {
			obj.SetOwnerReferences(nil)
			obj.Object["spec"].(map[string]any)["backends"] = []any{to("other", int64(70)), to("stable", int64(30))}
		},
	} {
		t.Run(name, func(t *testing.T) {
			own := trafficSplit("web", to("canary", int64(70)), to("stable", int64(30)))
			spoil(own)
			w := world(t, own)
			seen, err := observe(t, w, rollout())
			var invalid *field.Error
			if !errors.As(err, &invalid) || seen.InSync || seen.Unowned || seen.Additional != nil {
				t.Errorf("observed %+v, error %v, want it out of sync without sides of ours, and a field error", seen, err)
			}
			for _, weight := range []int32{20, 0} {
				if _, err := New(w.Client).Apply(t.Context(), trafficrouting.Ref{Rollout: rollout()}, splitOf(weight)); !errors.As(err, &invalid) {
					t.Errorf("error %v, want a field error", err)
				}
			}
			wantWrites(t, w)
		})
	}
}

// What a Rollout of this name left behind is taken over with the weight it has.
func TestATrafficSplitThatWasLeftBehindIsTakenOver(t *testing.T) {
	sibling := metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: "release", UID: "release-uid"}
	for name, others := range map[string][]metav1.OwnerReference{"by nobody": nil, "by what controls nothing": {sibling}} {
		t.Run(name, func(t *testing.T) {
			w := shifted(t)
			edit(t, w, func(obj *unstructured.Unstructured) { obj.SetOwnerReferences(others) })
			wantSeen(t, w, rollout(), trafficrouting.Observed{Exists: true, CanaryWeight: 50, Unowned: true})
			apply(t, w, rollout(), splitOf(50))
			wantWrites(t, w, "patch web")
			wantShown(t, w, "web: stable to canary=50 stable=50")
			wantSeen(t, w, rollout(), trafficrouting.Observed{Exists: true, CanaryWeight: 50, InSync: true})
			owned := stored(t, w, "v1alpha3")[0]
			if got := owned.GetOwnerReferences(); !metav1.IsControlledBy(&owned, rollout()) || len(got) != len(others)+1 {
				t.Errorf("owners %v, want the Rollout beside %v", got, others)
			}
		})
	}
}

func TestOneThatCannotBeWrittenDoesNotKeepTheWeightFromTheOther(t *testing.T) {
	refusal := errors.New("admission webhook says no")
	for failing, written := range map[string]string{"split": "patch web", "web": "create split"} {
		w := shifted(t)
		w.Fail = func(obj client.Object) error {
			if obj.GetName() == failing {
				return refusal
			}
			return nil
		}
		changes, err := New(w.Client).Apply(t.Context(), trafficrouting.Ref{Rollout: naming("split")}, splitOf(20))
		if !errors.Is(err, refusal) || len(changes) != 1 {
			t.Errorf("%s fails: error %v and changes %v, want the refusal and one change, %s", failing, err, changes, written)
		}
	}
}
