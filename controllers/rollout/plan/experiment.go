package plan

import (
	"cmp"
	"slices"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
)

// This file is what is different about a step that is an Experiment. It gates
// the update as the analysis of a step does: a failed one aborts, one without a
// verdict pauses.

func (a Analysis) experiment() bool { return a.Kind == KindExperiment }

// title is the kind and the name, for people.
func (a Analysis) title() string {
	if a.experiment() {
		return "Experiment " + a.Name
	}
	return "AnalysisRun " + a.Name
}

func stop(run Analysis) Action {
	const why = "it no longer gates anything"
	if run.experiment() {
		return StopExperiment{run.Name, why}
	}
	return StopAnalysis{run.Name, why}
}

func forget(run Analysis) Action {
	const why = "it is beyond the history limit"
	if run.experiment() {
		return DeleteExperiment{run.Name, why}
	}
	return DeleteAnalysis{run.Name, why}
}

// currentExperiment is the name to report: that of the step, or, after an abort,
// that of the Experiment which is recorded, since it tells why.
func currentExperiment(w world) string {
	switch run := w.stepRun(); {
	case !w.rolling() || w.promoted():
		return ""
	case w.abort.Decided && w.old.Canary.CurrentExperiment != "" && !w.changed:
		return w.old.Canary.CurrentExperiment
	case run != nil && run.experiment():
		return run.Name
	default:
		return ""
	}
}

// experimentSides are the shares of the traffic that go to the templates of the
// Experiment of the current step while it runs, by their Services' names. They
// come out of the share of the stable revision; shares for which that is too
// small are left out.
func (w world) experimentSides(weight int32) []trafficrouting.Backend {
	step, run := w.currentStep().Experiment, w.stepRun()
	if step == nil || run == nil || run.Phase != v1alpha1.AnalysisPhaseRunning || run.Stopping || !w.routed() || !w.rolling() || w.abort.Decided {
		return nil
	}
	var sides []trafficrouting.Backend
	left := w.total - weight
	for _, t := range step.Templates {
		side, ready := run.Sides[t.Name]
		if share := valueOr(t.Weight, 0); ready && share > 0 && share <= left {
			sides = append(sides, trafficrouting.Backend{Service: side.Service, Hash: side.Hash, Weight: share})
			left -= share
		}
	}
	slices.SortFunc(sides, func(a, b trafficrouting.Backend) int { return cmp.Compare(a.Service, b.Service) })
	return sides
}

// sum is the weight of all sides together.
func sum(sides []trafficrouting.Backend) (weight int32) {
	for _, side := range sides {
		weight += side.Weight
	}
	return weight
}
