package plan

import (
	"testing"

	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// byNumbers is a scene whose pods split the traffic.
func byNumbers(s scene) world {
	w := s.world()
	w.canary.TrafficRouting = nil
	return w
}

// withBackground puts an AnalysisRun beside the steps of a scene.
func withBackground(w world, phase v1alpha1.AnalysisPhase) world {
	w.canary.Analysis, w.canary.StableService = &v1alpha1.RolloutAnalysisBackground{}, "stable"
	w.Analyses = []Analysis{{Name: "run", Kind: v1alpha1.RolloutTypeBackground, Hash: "v2", StepHash: "s", Revision: w.current().Number, Phase: phase}}
	return w
}

func TestWhatTheStableServiceSelectsKeepsAPod(t *testing.T) {
	for service, least := range map[string]int32{"v1": 1, "v2": 0} {
		w := byNumbers(scene{1, 4, service, "v2", 0, 0, false})
		w.canary.MaxUnavailable = new(intstr.FromInt32(3))
		want := wanted(0, service, "v2")
		want.sizes = map[string]int32{"v1": 0, "v2": 4}
		if got := withinBudget(w, want, want)["v1"]; got != least {
			t.Errorf("with the stable Service on %s v1 keeps %d pods, want %d", service, got, least)
		}
	}
}

func TestNoPodMoreAndNoPodLessStillMoves(t *testing.T) {
	w := byNumbers(scene{4, 4, "v1", "v2", 0, 0, false})
	w.canary.MaxSurge, w.canary.MaxUnavailable = new(intstr.FromInt32(0)), new(intstr.FromString("10%"))
	if got := w.floor(); got != 3 {
		t.Errorf("%d of 4 pods must be available, want 3: 10 percent of them are none", got)
	}
}

func TestWhatDoesNotExistIsNotPromoted(t *testing.T) {
	for v2, promoted := range map[int32]bool{0: true, -1: false} {
		w := scene{0, v2, "v2", "v2", 0, -1, false}.world()
		w.step = 1
		if got := w.promoted(); got != promoted {
			t.Errorf("v2 exists %t: promoted %t", promoted, got)
		}
	}
}

func TestARoutedRevisionOfNoPodsIsStillStable(t *testing.T) {
	for routed, stable := range map[bool]string{true: "v1", false: "v0"} {
		w := scene{0, 4, "v0", "v2", 0, 0, false}.world()
		if !routed {
			w.canary.TrafficRouting = nil
		}
		w.Revisions["v1"] = Revision{Hash: "v1"}
		w.Revisions["v0"] = Revision{Hash: "v0", Replicas: 4, Available: 4}
		if got := knownStable(w); got != stable {
			t.Errorf("routed %t: %s is stable, want %s", routed, got, stable)
		}
	}
}

func TestNoStepIsDoneWhile(t *testing.T) {
	for name, hold := range map[string]func(*world){
		"":                                  func(*world) {},
		"the user pauses":                   func(w *world) { w.Rollout.Spec.Paused = true },
		"an analysis waits for a person":    func(w *world) { *w = withBackground(*w, v1alpha1.AnalysisPhaseInconclusive) },
		"its revision waits for its number": func(w *world) { w.Revisions["v1"] = Revision{Hash: "v1", Number: 9, Replicas: 4, Available: 4} },
		"the weight is not seen on its own canary":   func(w *world) { w.Services.Canary.Hash = "v1" },
		"the data plane is not seen to serve it yet": func(w *world) { w.Traffic.Verified = new(false) },
	} {
		w := scene{4, 4, "v1", "v2", 50, 0, false}.world()
		current := w.Revisions["v2"]
		current.Number, current.Replicas, current.Available = 2, 2, 2
		w.Revisions["v2"] = current
		hold(&w)
		if got := *nextStep(w); got != 0 && name != "" || got != 1 && name == "" {
			t.Errorf("step %d while %q", got, name)
		}
	}
}

func TestAnAnalysisWithoutAVerdictHolds(t *testing.T) {
	for phase, held := range map[v1alpha1.AnalysisPhase]bool{v1alpha1.AnalysisPhaseInconclusive: true, v1alpha1.AnalysisPhaseRunning: false} {
		if got := wish(withBackground(byNumbers(scene{4, 4, "v1", "v2", 0, 0, false}), phase)).hold; got != held {
			t.Errorf("%s: the numbers of pods are held: %t", phase, got)
		}
		w := withBackground(scene{4, 4, "v1", "v2", 20, 0, false}.world(), phase)
		if got := wish(w).weight; got == 20 != held {
			t.Errorf("%s: weight %d is wanted, it is 20 now and the step says 50", phase, got)
		}
		w.step = 1
		if got := wish(w).stable == "v1"; got != held {
			t.Errorf("%s: the promotion is held: %t", phase, got)
		}
	}
}

func TestAnAnalysisWithoutAVerdictHoldsNothingThatIsOver(t *testing.T) {
	for name, over := range map[string]func(*world){
		"":                      func(*world) {},
		"it is promoted":        func(w *world) { w.stable = w.Current },
		"it skips all the rest": func(w *world) { w.full, w.skip = true, true },
	} {
		w := withBackground(byNumbers(scene{4, 4, "v1", "v2", 0, 0, false}), v1alpha1.AnalysisPhaseInconclusive)
		over(&w)
		if got := wish(w).hold; got != (name == "") {
			t.Errorf("%q: the numbers of pods are held: %t", name, got)
		}
	}
}

func TestAPauseHoldsThePromotion(t *testing.T) {
	for paused, stable := range map[bool]string{true: "v1", false: "v2"} {
		w := scene{4, 4, "v1", "v2", 50, 0, false}.world()
		w.step, w.Rollout.Spec.Paused, w.canary.StableService = 1, paused, "stable"
		if got := wish(w).stable; got != stable {
			t.Errorf("paused %t: the stable Service goes to %s", paused, got)
		}
	}
}

func TestAPauseThatAPersonEndedIsNotBegunAgain(t *testing.T) {
	for ended, conditions := range map[bool]int{true: 0, false: 1} {
		w := scene{4, 4, "v1", "v2", 50, 0, false}.world()
		w.canary.Steps = []v1alpha1.CanaryStep{{Pause: &v1alpha1.RolloutPause{}}}
		w.Rollout.Spec.Paused, w.old.ControllerPause = true, true // by hand, too: the step is not done yet
		if !ended {
			w.old.PauseConditions = []v1alpha1.PauseCondition{{Reason: v1alpha1.PauseReasonCanaryPauseStep}}
		}
		got, mark := pauses(w, w.step)
		if len(got) != conditions || !mark {
			t.Errorf("ended %t: %d conditions, with the mark of the controller %t", ended, len(got), mark)
		}
	}
}

func TestAStableServiceThatMovedStaysWhereItIs(t *testing.T) {
	for name, w := range map[string]world{
		"with routes":    scene{1, 4, "v2", "v2", 0, 0, false}.world(),
		"without routes": byNumbers(scene{1, 4, "v2", "v2", 0, 0, false}),
	} {
		w.step, w.Rollout.Spec.Paused, w.canary.StableService = 1, true, "stable"
		if got := wish(w).stable; got != "v2" {
			t.Errorf("%s, paused in the middle of a promotion: the stable Service goes back to %s", name, got)
		}
	}
}

func TestNoAnalysisStartsBeforeItsRevisionHasItsNumber(t *testing.T) {
	for number, starts := range map[int64]bool{2: true, 0: false} {
		w := scene{4, 4, "v1", "v2", 0, 0, false}.world()
		for hash, n := range map[string]int64{"v1": 1, "v2": number} {
			r := w.Revisions[hash]
			r.Number = n
			w.Revisions[hash] = r
		}
		w.canary.Analysis = &v1alpha1.RolloutAnalysisBackground{}
		if got := len(analyses(w)) == 1; got != starts {
			t.Errorf("number %d: it starts %t", number, got)
		}
	}
}

func TestADismissedRunDecidesNothing(t *testing.T) {
	for dismissed, decided := range map[bool]bool{false: true, true: false} {
		w := withBackground(scene{4, 4, "v1", "v2", 0, 0, false}.world(), v1alpha1.AnalysisPhaseFailed)
		w.Analyses[0].Dismissed = dismissed
		w.old.Canary.CurrentBackgroundAnalysisRunStatus = &v1alpha1.RolloutAnalysisRunStatus{Name: "run"}
		if got := decideAbort(w).Decided; got != decided {
			t.Errorf("dismissed %t: it aborts %t", dismissed, got)
		}
	}
}
