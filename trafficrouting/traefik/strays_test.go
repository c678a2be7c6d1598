package traefik

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/routertest"
)

// shifted is a world in which the canary gets 50 of 100.
func shifted(t *testing.T, others ...client.Object) *routertest.World {
	t.Helper()
	w := world(t, append(others, traefikService("web", listed("stable", int64(100)), listed("canary", int64(0))))...)
	apply(t, w, rollout(), 50)
	w.Writes()
	return w
}

// observe is what a router sees, whether or not it fails.
func observe(t *testing.T, w *routertest.World, ro *v1alpha1.Rollout) (trafficrouting.Observed, error) {
	t.Helper()
	return New(w.Client).Observe(t.Context(), trafficrouting.Ref{Rollout: ro})
}

func wantSeen(t *testing.T, w *routertest.World, ro *v1alpha1.Rollout, want trafficrouting.Observed) {
	t.Helper()
	seen, err := observe(t, w, ro)
	if diff := cmp.Diff(want, seen); diff != "" || err != nil {
		t.Errorf("error %v, observed (-want +got):\n%s", err, diff)
	}
}

func naming(name string) *v1alpha1.Rollout {
	ro := rollout()
	ro.Spec.Strategy.Canary.TrafficRouting.Traefik.WeightedTraefikServiceName = name
	return ro
}

func TestARenamedTraefikServiceIsGivenBackInTheWriteThatMovesTheWeight(t *testing.T) {
	w, ro := shifted(t, traefikService("api", listed("canary", nil), listed("stable", nil))), naming("api")
	wantSeen(t, w, ro, trafficrouting.Observed{Exists: true, CanaryWeight: 50})
	apply(t, w, ro, 50)
	wantWrites(t, w, "patch api", "patch web")
	wantShown(t, w, "api", "canary=50 stable=50 shop/web")
	wantShown(t, w, "web", "stable=100 canary=0 ")
	wantSeen(t, w, ro, trafficrouting.Observed{Exists: true, CanaryWeight: 50, InSync: true})
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
		{0, trafficrouting.Observed{InSync: true}, nil},
	} {
		wantSeen(t, w, ro, c.seen)
		apply(t, w, ro, c.weight)
		wantWrites(t, w, c.writes...)
	}
	wantShown(t, w, "web", "stable=100 canary=0 ")
}

func TestAWrongSpecKeepsItsTrafficAndItsMarkUntilItIsToGoHome(t *testing.T) {
	w, ro := shifted(t), naming("")
	for _, c := range []struct {
		weight int32
		shown  string
		writes []string
	}{
		{50, "stable=50 canary=50 shop/web", nil},
		{20, "stable=50 canary=50 shop/web", nil},
		{0, "stable=100 canary=0 shop/web", []string{"patch web"}},
		{0, "stable=100 canary=0 shop/web", nil},
	} {
		seen, observeErr := observe(t, w, ro)
		if c.weight > 0 && (seen.CanaryWeight != 50 || !seen.InSync) {
			t.Errorf("observed %+v, want 50 in sync", seen)
		}
		_, err := New(w.Client).Apply(t.Context(), trafficrouting.Ref{Rollout: ro}, splitOf(c.weight))
		if err == nil || observeErr == nil {
			t.Errorf("errors %v and %v, want both to name the field", observeErr, err)
		}
		wantShown(t, w, "web", c.shown)
		wantWrites(t, w, c.writes...)
	}
}

// edit changes the entries of the TraefikService "web".
func edit(t *testing.T, w *routertest.World, entries ...any) {
	t.Helper()
	obj := traefikService("web", entries...)
	old := of(Kinds()[0], "web")
	if err := w.Direct.Get(t.Context(), client.ObjectKeyFromObject(old), old); err != nil {
		t.Fatal(err)
	}
	old.Object["spec"] = obj.Object["spec"]
	if err := w.Direct.Update(t.Context(), old); err != nil {
		t.Fatal(err)
	}
}

func TestAnAbortReachesAListThatLostTheEntryOfASide(t *testing.T) {
	for _, c := range []struct {
		name    string
		entries []any
		seen    int32
		shown   string
		writes  []string
	}{
		{"the canary", []any{listed("stable", int64(50))}, 0, "stable=100 shop/web", []string{"patch web"}},
		{"the stable, so that nothing could serve instead", []any{listed("canary", int64(50))}, 100, "canary=50 shop/web", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := shifted(t)
			edit(t, w, c.entries...)
			seen, err := observe(t, w, rollout())
			if seen.CanaryWeight != c.seen || seen.InSync || err == nil {
				t.Errorf("observed %+v, error %v, want weight %d out of sync", seen, err, c.seen)
			}
			for _, weight := range []int32{20, 0} {
				_, err := New(w.Client).Apply(t.Context(), trafficrouting.Ref{Rollout: rollout()}, splitOf(weight))
				var invalid *field.Error
				if !errors.As(err, &invalid) {
					t.Errorf("error %v, want a field error", err)
				}
			}
			wantWrites(t, w, c.writes...)
			wantShown(t, w, "web", c.shown)
		})
	}
}

func TestAServiceThatIsNoSideAnyMoreGetsNothing(t *testing.T) {
	w, ro := world(t, traefikService("web", listed("stable", int64(100)), listed("canary", int64(0)), listed("other", int64(0)))), rollout()
	apply(t, w, ro, 50)
	ro.Spec.Strategy.Canary.CanaryService = "other"
	wantSeen(t, w, ro, trafficrouting.Observed{Exists: true, CanaryWeight: 50})
	split := splitOf(20)
	split.Canary.Service = "other"
	if _, err := New(w.Client).Apply(t.Context(), trafficrouting.Ref{Rollout: ro}, split); err != nil {
		t.Fatal(err)
	}
	wantShown(t, w, "web", "stable=80 canary=0 other=20 shop/web")
	wantSeen(t, w, ro, trafficrouting.Observed{Exists: true, CanaryWeight: 20, InSync: true})
	mark, _ := trafficrouting.MarkFor(&stored(t, w)[0], rollout())
	if want := (trafficrouting.Mark{Rollout: "shop/web", Stable: "stable", Canary: "other"}); !cmp.Equal(want, mark) {
		t.Errorf("mark %v, want %v", mark, want)
	}
}

func TestAStableServiceThatIsNoneAnyMoreGetsNothingBackLater(t *testing.T) {
	w, ro := world(t, traefikService("web", listed("stable", int64(100)), listed("canary", int64(0)), listed("other", nil))), rollout()
	apply(t, w, ro, 50)
	ro.Spec.Strategy.Canary.StableService = "other"
	split := splitOf(0)
	split.Stable.Service = "other"
	if _, err := New(w.Client).Apply(t.Context(), trafficrouting.Ref{Rollout: ro}, split); err != nil {
		t.Fatal(err)
	}
	wantShown(t, w, "web", "stable=0 canary=0 other=100 shop/web")
	ro.Spec.Strategy.Canary.TrafficRouting = nil
	apply(t, w, ro, 0)
	wantShown(t, w, "web", "stable=0 canary=0 other=100 ")
}

func TestWhatLostItsStableEntryIsGivenBackAsItIs(t *testing.T) {
	w, ro := shifted(t), rollout()
	edit(t, w, listed("canary", int64(50)), listed("images", int64(1)))
	ro.Spec.Strategy.Canary.TrafficRouting = nil
	apply(t, w, ro, 0)
	wantShown(t, w, "web", "canary=50 images=1 ")
	wantSeen(t, w, ro, trafficrouting.Observed{InSync: true})
}

func TestAListThatCannotBeReadIsAllOnTheCanaryUntilItIsGivenBack(t *testing.T) {
	w, ro := shifted(t), rollout()
	ro.Spec.Strategy.Canary.TrafficRouting = nil
	broken := &stored(t, w)[0]
	broken.Object["spec"] = map[string]any{"weighted": "all"}
	if err := w.Direct.Update(t.Context(), broken); err != nil {
		t.Fatal(err)
	}
	wantSeen(t, w, ro, trafficrouting.Observed{Exists: true, CanaryWeight: 100, InSync: true})
	apply(t, w, ro, 0)
	wantWrites(t, w, "patch web")
	wantSeen(t, w, ro, trafficrouting.Observed{InSync: true})
}

func TestAMarkedTraefikServiceInAnotherNamespaceIsNobodysBusiness(t *testing.T) {
	copied := traefikService("copied", listed("stable", int64(50)), listed("canary", int64(50)))
	copied.SetNamespace("other")
	mark := trafficrouting.Mark{Rollout: "shop/web", Stable: "canary", Canary: "stable"}
	copied.SetAnnotations(map[string]string{v1alpha1.RoutedByAnnotation: mark.String()})
	w := shifted(t)
	if err := w.Direct.Create(t.Context(), copied); err != nil {
		t.Fatal(err)
	}
	wantSeen(t, w, rollout(), trafficrouting.Observed{Exists: true, CanaryWeight: 50, InSync: true})
	apply(t, w, rollout(), 0)
	wantWrites(t, w, "patch web")
}

func TestOneThatCannotBeWrittenDoesNotKeepTheWeightFromTheOther(t *testing.T) {
	refusal := errors.New("admission webhook says no")
	for failing, seen := range map[string]trafficrouting.Observed{
		"web": {Exists: true, CanaryWeight: 50}, "api": {Exists: true, CanaryWeight: 50},
	} {
		w := shifted(t, traefikService("api", listed("canary", nil), listed("stable", nil)))
		w.Fail = func(obj client.Object) error {
			if obj.GetName() == failing {
				return refusal
			}
			return nil
		}
		changes, err := New(w.Client).Apply(t.Context(), trafficrouting.Ref{Rollout: naming("api")}, splitOf(20))
		if !errors.Is(err, refusal) || len(changes) != 1 {
			t.Errorf("%s fails: error %v and changes %v, want the refusal and one change", failing, err, changes)
		}
		wantSeen(t, w, naming("api"), seen)
	}
}

func TestTheErrorOfReadingSaysWhatIsMissing(t *testing.T) {
	oldOnly := routertest.NewWorld(t, routertest.Kinds{Scheme: kinds().Scheme, Foreign: Kinds()[1:]})
	none := routertest.NewWorld(t, routertest.Kinds{Scheme: kinds().Scheme})
	at := "spec.strategy.canary.trafficRouting.traefik.weightedTraefikServiceName: Invalid value: \"web\": "
	for _, c := range []struct {
		name  string
		world *routertest.World
		want  string
	}{
		{"in neither group", world(t), `traefikservice.traefik.io "web" not found: create it, or name another one`},
		{"only the old group is served", oldOnly, `traefikservice.traefik.containo.us "web" not found: create it, or name another one`},
		{"no group is served", none, "the cluster does not serve TraefikService (traefik.io): install its CustomResourceDefinition, " +
			"which is noticed without a restart, or use another router"},
	} {
		t.Run(c.name, func(t *testing.T) {
			seen, err := observe(t, c.world, rollout())
			if diff := cmp.Diff(trafficrouting.Observed{}, seen); diff != "" {
				t.Errorf("observed nothing, out of sync (-want +got):\n%s", diff)
			}
			wantField(t, err, at+c.want)
		})
	}
}
