package plan

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// stepDone reports whether the current step was seen to have reached what it asks for.
func (w world) stepDone() bool {
	switch step := w.currentStep(); {
	case step.SetWeight != nil:
		return w.weightReached(*step.SetWeight)
	case step.Pause != nil:
		return w.pauseOver(step.Pause)
	case step.SetCanaryScale != nil:
		return w.scaled()
	case step.SetHeaderRoute != nil, step.SetMirrorRoute != nil:
		return w.routesReached()
	case step.Analysis != nil, step.Experiment != nil:
		return succeeded(w.stepRun())
	default:
		return false
	}
}

// weightReached reports whether the weight is served by as many pods as it
// needs. A Rollout of no pods has nothing to serve and nothing to wait for.
func (w world) weightReached(weight int32) bool {
	if w.replicas == 0 {
		return true
	}
	if w.byPods() {
		return w.pairReached()
	}
	routed := w.Traffic.CanaryWeight == weight && w.routeAgrees()
	return w.scaled() && routed && (weight == 0 || w.Services.Canary.Hash == w.Current)
}

// pairReached reports whether the pods of both revisions are as many as the
// weight asks for, and no others answer requests.
func (w world) pairReached() bool {
	want, others := w.pair(), w.count.Available
	for _, hash := range []string{w.stable, w.Current} {
		others -= w.Revisions[hash].Available
	}
	stable, current := w.Revisions[w.stable], w.current()
	return stable.Replicas == want.stable && stable.Pods == want.stable &&
		current.Replicas == want.canary && w.enough(want.canary) && others == 0
}

// pauseOver reports whether the pause was waited out or ended by a person.
func (w world) pauseOver(pause *v1alpha1.RolloutPause) bool {
	if w.resumedFrom(v1alpha1.PauseReasonCanaryPauseStep) {
		return true
	}
	length, timed, err := pause.Length()
	began := w.paused(v1alpha1.PauseReasonCanaryPauseStep)
	return err == nil && timed && began != nil && !w.Now.Before(began.StartTime.Add(length))
}

// resumedFrom reports whether a person ended a pause the controller began: the
// controller's mark is left and its reason is gone.
func (w world) resumedFrom(reason v1alpha1.PauseReason) bool {
	return !w.changed && !w.retried && w.old.ControllerPause && w.paused(reason) == nil
}

func (w world) paused(reason v1alpha1.PauseReason) *v1alpha1.PauseCondition {
	if w.changed {
		return nil
	}
	return pauseOf(w.old, reason)
}

func pauseOf(st v1alpha1.RolloutStatus, reason v1alpha1.PauseReason) *v1alpha1.PauseCondition {
	i := slices.IndexFunc(st.PauseConditions, func(c v1alpha1.PauseCondition) bool { return c.Reason == reason })
	if i < 0 {
		return nil
	}
	return &st.PauseConditions[i]
}

// resumed reports whether a person ended every pause at once, as promote does.
func (w world) resumed() bool {
	return !w.changed && !w.retried && w.old.ControllerPause && len(w.old.PauseConditions) == 0
}

// pauses are the pause conditions of the step that comes next, and whether the
// controller's mark stays: with conditions it says who paused, without them
// that a person resumed.
func pauses(w world, next int32) (conditions []v1alpha1.PauseCondition, mark bool) {
	if !w.tried() || w.abort.Decided || w.skip || w.promoted() {
		return nil, false
	}
	if w.waitsToSwitch() {
		conditions = append(conditions, w.pauseSince(v1alpha1.PauseReasonBlueGreenPause))
	}
	pausesNext, resumes := w.pausesAt(next)
	if pausesNext {
		conditions = append(conditions, w.stepPause(next))
	}
	if w.inconclusive() {
		conditions = append(conditions, w.pauseSince(w.undecidedReason()))
	}
	mark = len(conditions) > 0
	// The mark outlives the pause until what a person resumed for is seen: the
	// analysis that replaces the inconclusive one, or the preview that is whole again.
	return conditions, mark || w.resumed() && (resumes || w.undecided() || w.approvalPends())
}

// pausesAt reports whether a step is a pause that is to begin or goes on, or
// one that a person ended and that goes on as soon as it can.
func (w world) pausesAt(step int32) (pauses, resumes bool) {
	if step >= int32(len(w.canary.Steps)) || w.canary.Steps[step].Pause == nil {
		return false, false
	}
	resumes = step == w.step && w.resumedFrom(v1alpha1.PauseReasonCanaryPauseStep)
	return !resumes, resumes
}

// stepPause is the pause of a step.
func (w world) stepPause(step int32) v1alpha1.PauseCondition {
	pause := w.pauseSince(v1alpha1.PauseReasonCanaryPauseStep)
	if step != w.step || w.retried { // another pause than the one before
		pause.StartTime = metav1.NewTime(w.Now)
	}
	return pause
}

// pauseSince is a pause that began earlier, or begins now.
func (w world) pauseSince(reason v1alpha1.PauseReason) v1alpha1.PauseCondition {
	if began := w.paused(reason); began != nil {
		return *began
	}
	return v1alpha1.PauseCondition{Reason: reason, StartTime: metav1.NewTime(w.Now)}
}

// inconclusive reports whether an analysis ended without a verdict and no person
// has looked at it yet. It holds nothing up that a person promoted in full, or
// that is over.
func (w world) inconclusive() bool {
	return w.tried() && !w.skip && w.undecided() && !w.resumed()
}

// undecided reports whether the newest run of the step or beside the steps ended without a verdict.
func (w world) undecided() bool {
	return slices.ContainsFunc(w.gatingRuns(), w.waitsForPerson)
}

// waitsForPerson reports whether a run leaves it to a person what becomes of
// the update: it has no verdict, or onFailure freezes what failed.
func (w world) waitsForPerson(run *Analysis) bool {
	return isInconclusive(run) || run != nil && failed(run.Phase) && w.freezes()
}

// undecidedReason says what leaves the update to a person: a failure, or an
// Experiment or AnalysisRun without a verdict.
func (w world) undecidedReason() v1alpha1.PauseReason {
	if w.frozenBy() != nil {
		return v1alpha1.PauseReasonFailure
	}
	if run := w.stepRun(); isInconclusive(run) && run.experiment() {
		return v1alpha1.PauseReasonInconclusiveExperiment
	}
	return v1alpha1.PauseReasonInconclusiveAnalysis
}

// frozenBy is the run whose failure froze the update; nil when none did.
func (w world) frozenBy() *Analysis {
	for _, run := range w.gatingRuns() {
		if failed(run.Phase) && w.freezes() {
			return run
		}
	}
	return nil
}

func isInconclusive(run *Analysis) bool {
	return run != nil && run.Phase == v1alpha1.AnalysisPhaseInconclusive
}

// pauseEnds is when a timed pause is over; zero when none is under way.
func pauseEnds(w world, st v1alpha1.RolloutStatus) time.Time {
	if began := pauseOf(st, v1alpha1.PauseReasonBlueGreenPause); began != nil && w.blueGreen != nil && !w.pausedByUser() {
		return w.blueGreenPauseEnds(began)
	}
	began := pauseOf(st, v1alpha1.PauseReasonCanaryPauseStep)
	if began == nil || st.CurrentStepIndex == nil || w.pausedByUser() {
		return time.Time{}
	}
	i := int(*st.CurrentStepIndex)
	if i >= len(w.canary.Steps) || w.canary.Steps[i].Pause == nil {
		return time.Time{}
	}
	length, timed, err := w.canary.Steps[i].Pause.Length()
	if err != nil || !timed {
		return time.Time{}
	}
	return began.StartTime.Add(length)
}
