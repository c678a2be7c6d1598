package plan

import (
	"fmt"
	"slices"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

func failed(phase v1alpha1.AnalysisPhase) bool {
	return phase == v1alpha1.AnalysisPhaseFailed || phase == v1alpha1.AnalysisPhaseError
}

// stepRun is the AnalysisRun or Experiment of the current step; nil when there is none yet.
func (w world) stepRun() *Analysis {
	switch step := w.currentStep(); {
	case step.Analysis != nil:
		return w.latest(v1alpha1.RolloutTypeStep, w.step)
	case step.Experiment != nil:
		return w.latest(KindExperiment, w.step)
	default:
		return nil
	}
}

// stepAnalysis is the AnalysisRun of the current step; nil when there is none.
func (w world) stepAnalysis() *Analysis {
	if w.currentStep().Analysis == nil {
		return nil
	}
	return w.stepRun()
}

// backgroundRun is the AnalysisRun beside the steps; nil when there is none yet.
func (w world) backgroundRun() *Analysis {
	if w.canary.Analysis == nil {
		return nil
	}
	return w.latest(v1alpha1.RolloutTypeBackground, 0)
}

// gatingRuns are the newest runs that the update waits for or may fail by.
func (w world) gatingRuns() []*Analysis {
	all := []*Analysis{w.stepRun(), w.backgroundRun(), w.initialRun()}
	if w.blueGreen != nil {
		all = append(all, w.latest(v1alpha1.RolloutTypePrePromotion, 0), w.latest(v1alpha1.RolloutTypePostPromotion, 0))
	}
	return slices.DeleteFunc(all, func(run *Analysis) bool { return run == nil })
}

// latest is the newest run of this attempt at the current revision.
func (w world) latest(kind string, step int32) *Analysis {
	if w.changed || w.retried {
		return nil
	}
	for _, run := range slices.Backward(w.Analyses) {
		if run.Kind == kind && run.Step == step && w.ofUpdate(run) && w.thisAttempt(run) {
			return &run
		}
	}
	return nil
}

// ofUpdate reports whether a run measures the current revision under its
// present number and for its present steps: a verdict about other steps decides
// nothing. Should somebody delete the ReplicaSet, which knows the number, its
// runs go on: the new one gets the same number.
func (w world) ofUpdate(run Analysis) bool {
	return run.Hash == w.Current && (run.StepHash == "" || run.StepHash == w.StepHash) &&
		(!w.currentExists() || run.Revision == w.current().Number)
}

// thisAttempt tells the runs of a retried update from those before the retry.
// Times have whole seconds, so a run made in the second of the abort is told by
// what it does: a run of the new attempt is still going or already recorded.
func (w world) thisAttempt(run Analysis) bool {
	at := w.old.AbortedAt
	switch {
	case run.Dismissed:
		return false
	case w.recorded(run):
		return true
	case w.beforeThisUpdate(run):
		return false
	case run.Stopping: // it was stopped when it gated nothing: its verdict is nobody's
		return false
	case w.old.Abort, at == nil, run.Created.After(at.Time):
		return true
	default:
		return !run.Phase.Completed()
	}
}

// beforeThisUpdate reports whether a run was made before the update began, as one
// of the same steps may be that were edited away and back.
func (w world) beforeThisUpdate(run Analysis) bool {
	d := w.old.Duration
	return d != nil && d.RolloutStartedAt != nil && run.Created.Before(d.RolloutStartedAt.Time)
}

// analyses stops the runs that no longer gate anything and starts those that should.
func analyses(w world) []Action {
	var actions []Action
	for _, run := range w.Analyses {
		if !run.Phase.Completed() && !run.Stopping && !w.gates(run) {
			actions = append(actions, stop(run))
		}
	}
	if w.initialDue() && !w.pausedByUser() {
		kind := v1alpha1.RolloutTypeInitial
		actions = append(actions, StartAnalysis{w.runName(kind), kind, 0, "the first revision is whole"})
	}
	if !w.analysing() || w.pausedByUser() {
		return actions
	}
	if w.currentStep().Experiment != nil && w.wantsRun(w.stepRun()) {
		actions = append(actions, StartExperiment{w.runName(KindExperiment), w.step, w.stepName(w.step) + " is an experiment"})
	}
	if w.currentStep().Analysis != nil && w.wantsRun(w.stepRun()) {
		actions = append(actions, StartAnalysis{w.runName(v1alpha1.RolloutTypeStep), v1alpha1.RolloutTypeStep, w.step, w.stepName(w.step) + " is an analysis"})
	}
	if w.backgroundDue() {
		actions = append(actions, StartAnalysis{w.runName(v1alpha1.RolloutTypeBackground), v1alpha1.RolloutTypeBackground, 0, "it runs beside the steps"})
	}
	for _, kind := range w.promotionRunsDue() {
		actions = append(actions, StartAnalysis{w.runName(kind), kind, 0, whyPromotionRun[kind]})
	}
	return actions
}

var whyPromotionRun = map[string]string{
	v1alpha1.RolloutTypePrePromotion:  "the preview is whole",
	v1alpha1.RolloutTypePostPromotion: "the active service has moved",
}

// promotionRunsDue are the analyses around the switch of a blue-green update
// that should start now.
func (w world) promotionRunsDue() []string {
	if w.blueGreen == nil || w.skip {
		return nil
	}
	var due []string
	if pre := w.latest(v1alpha1.RolloutTypePrePromotion, 0); w.blueGreen.PrePromotionAnalysis != nil && !w.switched() && w.previewWhole() && w.wantsRun(pre) {
		due = append(due, v1alpha1.RolloutTypePrePromotion)
	}
	post := w.latest(v1alpha1.RolloutTypePostPromotion, 0)
	if w.blueGreen.PostPromotionAnalysis != nil && w.switched() && w.capacity(w.Current) >= w.replicas && w.wantsRun(post) {
		due = append(due, v1alpha1.RolloutTypePostPromotion)
	}
	return due
}

// analysing reports whether the update is at a point where analysis may run.
func (w world) analysing() bool {
	return w.rolling() && !w.abort.Decided && !w.skip && w.numbered()
}

// numbered reports whether the update is recorded and its revision exists under
// the number it keeps, which is part of the name of a run.
func (w world) numbered() bool {
	return !w.changed && !w.retried && w.currentExists() && w.current().Number == nextNumber(w)
}

// backgroundDue reports whether a background run should start.
func (w world) backgroundDue() bool {
	if w.canary.Analysis == nil || w.step < valueOr(w.canary.Analysis.StartingStep, 0) || w.stepsDone() {
		return false
	}
	return w.wantsRun(w.backgroundRun())
}

// wantsRun reports whether a run should start: there is none, or a person
// resumed after one that ended without a verdict.
func (w world) wantsRun(run *Analysis) bool {
	return run == nil || w.waitsForPerson(run) && w.resumed()
}

// gates reports whether a running analysis still decides something.
func (w world) gates(run Analysis) bool {
	if run.Kind == v1alpha1.RolloutTypeInitial {
		return w.gated() && !w.abort.Decided && !w.changed && !w.retried && w.ofUpdate(run)
	}
	if !w.rolling() || w.abort.Decided || w.skip || w.retried || !w.ofUpdate(run) || w.promoted() {
		return false
	}
	return !w.changed && w.asksFor(run)
}

// asksFor reports whether the strategy has the analysis that a run was made for.
func (w world) asksFor(run Analysis) bool {
	switch run.Kind {
	case v1alpha1.RolloutTypeStep:
		return run.Step == w.step && w.currentStep().Analysis != nil
	case KindExperiment:
		return run.Step == w.step && w.currentStep().Experiment != nil
	case v1alpha1.RolloutTypeBackground:
		return w.canary.Analysis != nil
	case v1alpha1.RolloutTypePrePromotion:
		return w.blueGreen != nil && w.blueGreen.PrePromotionAnalysis != nil
	case v1alpha1.RolloutTypePostPromotion:
		return w.blueGreen != nil && w.blueGreen.PostPromotionAnalysis != nil
	default:
		return false
	}
}

// runName is `<rollout>-<hash>-<revision>[-<step>]`, with `.1`, `.2`, … when the name was used
// before; for an Experiment `-1` and so on.
func (w world) runName(kind string) string {
	name := fmt.Sprintf("%s-%s-%d", w.Rollout.Name, w.Current, w.current().Number)
	switch kind {
	case v1alpha1.RolloutTypeStep, KindExperiment:
		name = fmt.Sprintf("%s-%d", name, w.step)
	case v1alpha1.RolloutTypePrePromotion:
		name += "-pre"
	case v1alpha1.RolloutTypePostPromotion:
		name += "-post"
	case v1alpha1.RolloutTypeInitial:
		name += "-init"
	}
	mark, experiment := ".", kind == KindExperiment
	if experiment {
		mark = "-"
	}
	taken := func(name string) bool {
		return slices.ContainsFunc(w.Analyses, func(run Analysis) bool {
			return run.Name == name && run.experiment() == experiment
		})
	}
	for i, base := 1, name; taken(name); i++ {
		name = fmt.Sprintf("%s%s%d", base, mark, i)
	}
	return name
}
