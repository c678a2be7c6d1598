package plan

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// events are what became true between the old status and the new one. Events
// about actions are the shell's.
func events(w world, st v1alpha1.ExperimentStatus) []Event {
	var list []Event
	for _, t := range st.TemplateStatuses {
		if was := w.recordedTemplate(t.Name); was != nil && was.Status == t.Status {
			continue
		}
		list = append(list, Event{
			Type:   weight(t.Status == v1alpha1.TemplateStatusFailed || t.Status == v1alpha1.TemplateStatusError),
			Reason: "Template" + string(t.Status), Message: sentence("Template", t.Name, string(t.Status), t.Message),
		})
	}
	for _, run := range st.AnalysisRuns {
		if w.recordedRun(run.Name).Phase == run.Phase || w.ended() { // What a stopped run comes to is no news.
			continue
		}
		list = append(list, Event{
			Type: weight(bad(run.Phase)), Rollout: true,
			Reason: "AnalysisRun" + string(run.Phase), Message: sentence("Analysis", run.Name, string(run.Phase), run.Message),
		})
	}
	if st.Phase != w.old.Phase {
		list = append(list, Event{
			Type: weight(bad(st.Phase)), Reason: "Experiment" + string(st.Phase),
			Message: sentence("Experiment", w.Experiment.Name, string(st.Phase), st.Message),
		})
	}
	return list
}

func bad(phase v1alpha1.AnalysisPhase) bool {
	return phase.Completed() && phase != v1alpha1.AnalysisPhaseSuccessful
}

// weight is the type of an Event.
func weight(warning bool) string {
	if warning {
		return corev1.EventTypeWarning
	}
	return corev1.EventTypeNormal
}

func sentence(what, name, state, message string) string {
	text := fmt.Sprintf("%s %s is %s", what, name, state)
	if message != "" {
		text += ": " + message
	}
	return text
}
