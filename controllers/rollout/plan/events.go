package plan

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// events are what became true between the old status and the new one, in the
// order that users of the served API know. Events about actions are the shell's.
func events(w world, st v1alpha1.RolloutStatus) []Event {
	var list eventList
	startEvents(&list, w, st)
	was := runStatuses(w.old)
	for i, is := range runStatuses(st) {
		runEvents(&list, was[i], is)
	}
	weightEvents(&list, w, st)
	stepEvents(&list, w, st)
	pauseEvents(&list, w, st)
	endEvents(&list, w, st)
	return list
}

func startEvents(list *eventList, w world, st v1alpha1.RolloutStatus) {
	if w.old.ObservedGeneration == "" {
		list.normal("RolloutAddedToInformer", "Rollout %s is taken care of", w.Rollout.Name)
	}
	if was := conditionOf(w.old, v1alpha1.RolloutCompleted); st.StableRS != w.Current && (was == nil || was.Status == corev1.ConditionTrue) {
		list.normal("RolloutNotCompleted", "Rollout not completed, started update to revision %d (%s)", nextNumber(w), w.Current)
	}
}

func pauseEvents(list *eventList, w world, st v1alpha1.RolloutStatus) {
	switch was, is := w.old.Phase == v1alpha1.RolloutPhasePaused, st.Phase == v1alpha1.RolloutPhasePaused; {
	case is && !was:
		list.normal("RolloutPaused", "Rollout is paused (%s)", st.Message)
	case was && !is && !st.Abort && !w.changed:
		list.normal("RolloutResumed", "Rollout is resumed")
	}
}

func endEvents(list *eventList, w world, st v1alpha1.RolloutStatus) {
	switch {
	case st.Abort && progressReason(w.old) != ReasonAborted:
		list.warning("RolloutAborted", "%s", conditionOf(st, v1alpha1.RolloutProgressing).Message)
	case st.StableRS == w.Current && w.old.StableRS != w.Current:
		list.normal("RolloutCompleted", "Rollout completed update to revision %d (%s): %s", w.current().Number, w.Current, st.Duration.CompletionStatus)
	}
}

func stepEvents(list *eventList, w world, st v1alpha1.RolloutStatus) {
	if w.changed && !w.rolling() && !w.initial() && w.old.CurrentPodHash != w.old.StableRS && len(w.canary.Steps) > 0 {
		list.normal("SkipSteps", "Rollback to stable ReplicaSets")
		return
	}
	if !w.rolling() || w.changed || st.Abort || w.old.CurrentStepIndex == nil || st.CurrentStepIndex == nil {
		return
	}
	for i, steps := *w.old.CurrentStepIndex, int32(len(w.canary.Steps)); i < min(*st.CurrentStepIndex, steps) && !w.skip; i++ {
		list.normal("RolloutStepCompleted", "Rollout step %d/%d completed (%s)", i+1, steps, stepText(w.canary.Steps[i]))
	}
}

func stepText(s v1alpha1.CanaryStep) string {
	switch {
	case s.SetWeight != nil:
		return fmt.Sprintf("setWeight: %d", *s.SetWeight)
	case s.SetCanaryScale != nil:
		return "setCanaryScale: " + scaleText(s.SetCanaryScale)
	case s.Pause != nil && s.Pause.Duration != nil:
		return "pause: " + s.Pause.Duration.String()
	case s.Pause != nil:
		return "pause"
	case s.Analysis != nil:
		return "analysis"
	case s.Experiment != nil:
		return "experiment"
	case s.SetHeaderRoute != nil:
		return "setHeaderRoute: " + s.SetHeaderRoute.Name
	case s.SetMirrorRoute != nil:
		return "setMirrorRoute: " + s.SetMirrorRoute.Name
	default:
		return "step"
	}
}

func runEvents(list *eventList, was, is *v1alpha1.RolloutAnalysisRunStatus) {
	if is == nil || is.Status == "" || was != nil && was.Name == is.Name && was.Status == is.Status {
		return
	}
	text := fmt.Sprintf("AnalysisRun %s is %s", is.Name, is.Status)
	if is.Message != "" {
		text += ": " + is.Message
	}
	if failed(is.Status) || is.Status == v1alpha1.AnalysisPhaseInconclusive {
		list.warning("AnalysisRun"+string(is.Status), "%s", text)
		return
	}
	list.normal("AnalysisRun"+string(is.Status), "%s", text)
}

func weightEvents(list *eventList, w world, st v1alpha1.RolloutStatus) {
	was, is := w.old.Canary.Weights, st.Canary.Weights
	if is == nil || was != nil && was.Canary.Weight == is.Canary.Weight {
		return
	}
	from := int32(0)
	if was != nil {
		from = was.Canary.Weight
	}
	list.normal("TrafficWeightUpdated", "Traffic weight updated from %d to %d", from, is.Canary.Weight)
}

type eventList []Event

func (l *eventList) normal(reason, format string, args ...any) {
	*l = append(*l, Event{corev1.EventTypeNormal, reason, fmt.Sprintf(format, args...)})
}

func (l *eventList) warning(reason, format string, args ...any) {
	*l = append(*l, Event{corev1.EventTypeWarning, reason, fmt.Sprintf(format, args...)})
}
