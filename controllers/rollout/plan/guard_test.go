package plan

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
)

// scene is a world in short: four replicas, v1 stable and v2 current.
type scene struct {
	// v1 and v2 are the available pods of 4 asked for; -1 when the ReplicaSet does not exist.
	v1, v2 int32
	// stable and canary are what the Services select; a "!" says that no Rollout pointed it before, a "?" that there is none.
	stable, canary string
	weight         int32
	replicas       int32 // default 4
	abort          bool
}

func (s scene) world() world {
	if s.replicas == 0 {
		s.replicas = 4
	}
	ro := &v1alpha1.Rollout{}
	ro.Spec.Replicas = new(max(0, s.replicas))
	ro.Spec.Strategy.Canary = &v1alpha1.CanaryStrategy{TrafficRouting: &v1alpha1.RolloutTrafficRouting{}, Steps: []v1alpha1.CanaryStep{{SetWeight: new(int32(50))}}}
	ro.Status = v1alpha1.RolloutStatus{StableRS: "v1", CurrentPodHash: "v2", CurrentStepHash: "s", Abort: s.abort}
	revisions := map[string]Revision{}
	for hash, n := range map[string]int32{"v1": s.v1, "v2": s.v2} {
		if n >= 0 {
			revisions[hash] = Revision{Hash: hash, Replicas: max(0, s.replicas), Pods: n, Ready: n, Available: n}
		}
	}
	return read(Snapshot{
		Now: time.Unix(1_000_000, 0), Rollout: ro, Revisions: revisions, Current: "v2", StepHash: "s",
		Services: Services{Stable: selected(s.stable), Canary: selected(s.canary)},
		Traffic:  trafficrouting.Observed{Exists: true, InSync: true, CanaryWeight: s.weight},
	})
}

func selected(text string) Selected {
	if text == "?" {
		return Selected{Missing: true}
	}
	if text == "" || text[len(text)-1] == '!' {
		return Selected{Hash: text[:max(0, len(text)-1)]}
	}
	return Selected{Hash: text, Adopted: true}
}

// wanted is what a strategy asks for: the weight, the two Services.
func wanted(weight int32, stable, canary string) target {
	return target{weight: weight, stable: stable, canary: canary}
}

func TestTheGuardPermitsOnlyWhatIsSafeNow(t *testing.T) {
	for _, c := range []struct {
		name  string
		scene scene
		want  target
		safe  target
	}{
		{"weight goes forward when both sides have their pods", scene{4, 4, "v1", "v2", 0, 0, false}, wanted(50, "v1", "v2"), wanted(50, "v1", "v2")},
		{"no weight goes to a canary short of pods", scene{4, 1, "v1", "v2", 0, 0, false}, wanted(50, "v1", "v2"), wanted(0, "v1", "v2")},
		{"the weight stays while the stable side lacks the pods for the rest", scene{1, 4, "v1", "v2", 20, 0, false}, wanted(50, "v1", "v2"), wanted(20, "v1", "v2")},
		{"a canary with its pods gets its part when the stable side has none at all", scene{0, 4, "v1", "v2", 20, 0, false}, wanted(50, "v1", "v2"), wanted(50, "v1", "v2")},
		{"the weight stays while the stable service reaches any pod", scene{4, 4, "", "v2", 20, 0, false}, wanted(50, "", "v2"), wanted(20, "", "v2")},
		{"no weight goes to another revision than the one that is meant", scene{4, 4, "v1", "v0", 20, 0, false}, wanted(50, "v1", "v2"), wanted(0, "v1", "v0")},
		{"traffic leaves a dead canary at once", scene{4, 0, "v1", "v2", 50, 0, false}, wanted(50, "v1", "v2"), wanted(0, "v1", "v2")},
		{"traffic stays with a dead canary when the stable side is dead too", scene{0, 0, "v1", "v2", 50, 0, false}, wanted(50, "v1", "v2"), wanted(50, "v1", "v2")},
		{"traffic returns whole to a stable side with its pods", scene{4, 4, "v1", "v2", 50, 0, true}, wanted(0, "v1", "v2"), wanted(0, "v1", "v2")},
		{"traffic returns whole when one pod of four is missing", scene{3, 4, "v1", "v2", 50, 0, true}, wanted(0, "v1", "v2"), wanted(0, "v1", "v2")},
		{"traffic returns as far as the stable side can carry it", scene{1, 4, "v1", "v2", 100, 0, true}, wanted(0, "v1", "v2"), wanted(50, "v1", "v2")},
		{"no traffic returns to a stable side without pods", scene{0, 4, "v1", "v2", 50, 0, true}, wanted(0, "v1", "v2"), wanted(50, "v1", "v2")},
		{"any weight is the same when one revision is behind both services", scene{4, 4, "v2", "v2", 50, 0, false}, wanted(0, "v2", "v2"), wanted(0, "v2", "v2")},
		{"a rollout without replicas moves anything", scene{0, 0, "v1", "v2", 50, -1, true}, wanted(0, "v1", "v1"), wanted(0, "v1", "v2")},
		{"it moves it forward, too", scene{0, 0, "v1", "v2", 0, -1, false}, wanted(100, "v1", "v2"), wanted(100, "v1", "v2")},
		{"but with replicas none goes from nothing to nothing", scene{0, 0, "v1", "v2", 0, 0, false}, wanted(100, "v1", "v2"), wanted(0, "v1", "v2")},

		{"the canary service stays while it has weight", scene{4, 4, "v1", "v1", 20, 0, false}, wanted(0, "v1", "v2"), wanted(0, "v1", "v1")},
		{"the canary service moves to a revision with a pod", scene{4, 1, "v1", "v1", 0, 0, false}, wanted(0, "v1", "v2"), wanted(0, "v1", "v2")},
		{"the canary service waits for a pod", scene{4, 0, "v1", "v1", 0, 0, false}, wanted(0, "v1", "v2"), wanted(0, "v1", "v1")},
		{"a canary service that nobody pointed waits for the whole revision", scene{4, 3, "v1", "v1!", 0, 0, false}, wanted(0, "v1", "v2"), wanted(0, "v1", "v1")},

		{"the stable service moves to a revision that is whole", scene{4, 4, "v1", "v2", 50, 0, false}, wanted(50, "v2", "v2"), wanted(50, "v2", "v2")},
		{"a promotion waits for every pod", scene{4, 3, "v1", "v2", 50, 0, false}, wanted(50, "v2", "v2"), wanted(50, "v1", "v2")},
		{"a promotion waits for the pods of all traffic, not only of its first part", scene{4, 3, "v1", "v1", 50, 0, false}, wanted(50, "v2", "v2"), wanted(0, "v1", "v1")},
		{"the stable service moves alone", scene{4, 4, "v1", "v2", 50, 0, false}, wanted(0, "v2", "v2"), wanted(50, "v2", "v2")},
		{"an abort takes the stable service back when one pod of four is missing", scene{3, 4, "v2", "v2", 0, 0, true}, wanted(0, "v1", "v1"), wanted(0, "v1", "v1")},
		{"an abort does not take it back to half of the pods", scene{2, 4, "v2", "v2", 0, 0, true}, wanted(0, "v1", "v1"), wanted(0, "v2", "v1")},
		{"what a revision gets already counts when the stable service moves to it", scene{2, 4, "v2", "v1", 50, 0, true}, wanted(50, "v1", "v1"), wanted(50, "v2", "v1")},
		{"the stable service leaves a revision without pods for any pod", scene{0, 1, "v1", "v2", 0, 0, false}, wanted(0, "v2", "v2"), wanted(0, "v2", "v2")},
		{"the stable service does not go to no pod", scene{0, 0, "v1", "v2", 0, 0, false}, wanted(0, "v2", "v2"), wanted(0, "v1", "v2")},
		{"a stable service that reaches all pods of an update waits for most of the stable ones", scene{2, 4, "!", "v2", 0, 0, false}, wanted(0, "v1", "v2"), wanted(0, "", "v2")},
		{"and no longer than that", scene{3, 4, "!", "v2", 0, 0, false}, wanted(0, "v1", "v2"), wanted(0, "v1", "v2")},
		{"a service that is missing is not pointed", scene{4, 4, "?", "v2", 50, 0, true}, wanted(0, "v1", "v2"), wanted(50, "", "v2")},
		{"the last fifth of the traffic returns at once", scene{1, 4, "v1", "v2", 20, 0, true}, wanted(0, "v1", "v2"), wanted(0, "v1", "v2")},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := guard(c.scene.world(), c.want)
			if diff := cmp.Diff(brief(c.safe), brief(got)); diff != "" {
				t.Errorf("(-safe +got):\n%s", diff)
			}
		})
	}
}

func brief(t target) string {
	return fmt.Sprintf("weight %d, stable service on %q, canary service on %q", t.weight, t.stable, t.canary)
}

func TestTheGuardKeepsThePodsThatTrafficNeeds(t *testing.T) {
	for _, c := range []struct {
		name  string
		scene scene
		want  map[string]int32
		safe  map[string]int32
	}{
		{"a revision keeps its part of the traffic", scene{4, 4, "v1", "v2", 50, 0, false}, map[string]int32{"v1": 0, "v2": 1}, map[string]int32{"v1": 2, "v2": 2}},
		{"a part of a pod is a pod", scene{4, 4, "v1", "v2", 10, 0, false}, map[string]int32{"v2": 0}, map[string]int32{"v2": 1}},
		{"a revision without traffic keeps nothing", scene{4, 4, "v1", "v1", 0, 0, false}, map[string]int32{"v1": 4, "v2": 0}, map[string]int32{"v1": 4, "v2": 0}},
		{"nothing grows by it", scene{-1, 4, "v1", "v2", 50, 0, false}, map[string]int32{"v1": 0, "v2": 4}, map[string]int32{"v1": 0, "v2": 4}},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := wanted(c.scene.weight, "v1", "v2")
			want.sizes = c.want
			if diff := cmp.Diff(c.safe, guard(c.scene.world(), want).sizes); diff != "" {
				t.Errorf("(-safe +got):\n%s", diff)
			}
		})
	}
}

// TestTheGuardOfAStableRevisionThatShrinks is about dynamicStableScale: pods that
// are missing are on their way, always.
func TestTheGuardOfAStableRevisionThatShrinks(t *testing.T) {
	scene := func(weight int32) world {
		w := scene{1, 4, "v1", "v2", weight, 0, true}.world()
		w.canary.DynamicStableScale = true
		return w
	}
	if got := guard(scene(20), wanted(0, "v1", "v1")).weight; got != 20 {
		t.Errorf("with 1 of 4 pods the last fifth of the weight is %d, want it to stay", got)
	}
	if got := guard(scene(100), wanted(0, "v1", "v1")).weight; got != 50 {
		t.Errorf("with 1 of 4 pods and one that may be missing %d of the weight stays, want 50", got)
	}
}

// TestTheGuardCountsTheMovesOfThePlan looks at a canary that lost all of its
// pods: its weight comes home in the plan that would have shrunk the stable one.
func TestTheGuardCountsTheMovesOfThePlan(t *testing.T) {
	w := scene{4, 0, "v1", "v2", 50, 0, false}.world()
	want := wanted(50, "v1", "v2")
	want.sizes = map[string]int32{"v1": 2}
	if got := guard(w, want); got.weight != 0 || got.sizes["v1"] != 4 {
		t.Errorf("weight %d with %d stable pods, want 0 and 4", got.weight, got.sizes["v1"])
	}
}

// TestNothingShrinksBeforeTheDataPlaneIsSeenToServe is about routers that can tell.
func TestNothingShrinksBeforeTheDataPlaneIsSeenToServe(t *testing.T) {
	for verified, least := range map[bool]int32{true: 2, false: 4} {
		w := scene{4, 4, "v1", "v2", 50, 0, false}.world()
		w.Traffic.Verified = &verified
		want := wanted(50, "v1", "v2")
		want.sizes = map[string]int32{"v1": 0}
		if got := guard(w, want).sizes["v1"]; got != least {
			t.Errorf("verified %t: v1 keeps %d pods, want %d", verified, got, least)
		}
		w.Revisions["v0"] = Revision{Hash: "v0", Replicas: 4, Pods: 4, Available: 4, Deadline: w.Now.Add(-time.Second)}
		if got := retire(w, w.Revisions["v0"]).Stay; got == verified {
			t.Errorf("verified %t: a revision without work stays: %t", verified, got)
		}
	}
}

// TestPodsStayWhileOldRoutesSplitTheTraffic looks at a Rollout whose routes were
// taken out of its strategy: the numbers of pods mean nothing until they are gone.
func TestPodsStayWhileOldRoutesSplitTheTraffic(t *testing.T) {
	for weight, hold := range map[int32]bool{50: true, 0: false} {
		w := scene{4, 4, "v1", "v2", weight, 0, false}.world()
		w.canary.TrafficRouting = nil
		if got := guard(w, wanted(0, "v1", "v2")).hold; got != hold {
			t.Errorf("with weight %d the sizes are held: %t, want %t", weight, got, hold)
		}
	}
}
