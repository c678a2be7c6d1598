package plan

import (
	"slices"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// Order of states, from good to bad. An Experiment is as bad as its worst part.
var (
	templateOrder = []v1alpha1.TemplateStatusCode{
		v1alpha1.TemplateStatusSuccessful, v1alpha1.TemplateStatusRunning, v1alpha1.TemplateStatusProgressing,
		v1alpha1.TemplateStatusError, v1alpha1.TemplateStatusFailed,
	}
	runOrder = []v1alpha1.AnalysisPhase{
		v1alpha1.AnalysisPhaseSuccessful, v1alpha1.AnalysisPhaseRunning, v1alpha1.AnalysisPhasePending,
		v1alpha1.AnalysisPhaseInconclusive, v1alpha1.AnalysisPhaseError, v1alpha1.AnalysisPhaseFailed,
	}
)

// worstTemplate is the first of the worst templates.
func worstTemplate(st v1alpha1.ExperimentStatus) v1alpha1.TemplateStatus {
	worst := v1alpha1.TemplateStatus{Status: v1alpha1.TemplateStatusSuccessful}
	for _, t := range st.TemplateStatuses {
		if slices.Index(templateOrder, t.Status) > slices.Index(templateOrder, worst.Status) {
			worst = t
		}
	}
	return worst
}

// worstRun is the first of the worst analyses.
func worstRun(st v1alpha1.ExperimentStatus) v1alpha1.ExperimentAnalysisRunStatus {
	worst := v1alpha1.ExperimentAnalysisRunStatus{Phase: v1alpha1.AnalysisPhaseSuccessful}
	for _, run := range st.AnalysisRuns {
		if slices.Index(runOrder, run.Phase) > slices.Index(runOrder, worst.Phase) {
			worst = run
		}
	}
	return worst
}

// phase sums the parts up in one word and one sentence. What ends it comes
// first, so that a person can end an Experiment in every state.
func phase(w world, st v1alpha1.ExperimentStatus) (v1alpha1.AnalysisPhase, string) {
	template, run := worstTemplate(st), worstRun(st)
	switch {
	case template.Status == v1alpha1.TemplateStatusFailed:
		return v1alpha1.AnalysisPhaseFailed, template.Message
	case template.Status == v1alpha1.TemplateStatusError:
		return v1alpha1.AnalysisPhaseError, template.Message
	case run.Phase.Completed() && run.Phase != v1alpha1.AnalysisPhaseSuccessful:
		return run.Phase, run.Message
	case w.spec.Terminate:
		return v1alpha1.AnalysisPhaseSuccessful, "Experiment Terminated"
	case w.requiredPassed(st):
		return v1alpha1.AnalysisPhaseSuccessful, "Required AnalysisRuns completed"
	case template.Status == v1alpha1.TemplateStatusSuccessful && w.awaits(st):
		return v1alpha1.AnalysisPhaseRunning, template.Message
	case template.Status == v1alpha1.TemplateStatusSuccessful:
		return v1alpha1.AnalysisPhaseSuccessful, template.Message
	case template.Status == v1alpha1.TemplateStatusRunning && st.AvailableAt != nil:
		return v1alpha1.AnalysisPhaseRunning, template.Message
	default:
		return v1alpha1.AnalysisPhasePending, template.Message
	}
}

// requiredPassed reports whether there are analyses that the end waits for, and all of them passed.
func (w world) requiredPassed(st v1alpha1.ExperimentStatus) bool {
	required := 0
	for _, analysis := range w.spec.Analyses {
		if !analysis.RequiredForCompletion {
			continue
		}
		if phaseOf(st, analysis.Name) != v1alpha1.AnalysisPhaseSuccessful {
			return false
		}
		required++
	}
	return required > 0
}

// awaits reports whether the end waits for an analysis: one that is required,
// or any that was not started yet, since what was never measured did not pass.
func (w world) awaits(st v1alpha1.ExperimentStatus) bool {
	return slices.ContainsFunc(w.spec.Analyses, func(a v1alpha1.ExperimentAnalysisTemplateRef) bool {
		phase := phaseOf(st, a.Name)
		return phase == "" || a.RequiredForCompletion && !phase.Completed()
	})
}

// phaseOf is the phase of an analysis; empty when it was not started.
func phaseOf(st v1alpha1.ExperimentStatus, analysis string) v1alpha1.AnalysisPhase {
	for _, run := range st.AnalysisRuns {
		if run.Name == analysis {
			return run.Phase
		}
	}
	return ""
}
