package plan

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// Reasons of conditions.
const (
	// ReasonUpdated is the reason of Progressing until all pods are available.
	ReasonUpdated = "ReplicaSetUpdated"
	// ReasonAvailable is the reason of Progressing while all pods are available.
	ReasonAvailable = "NewReplicaSetAvailable"
	// ReasonCompleted is the reason of Progressing after the end.
	ReasonCompleted = "ExperimentCompleted"
	// ReasonInvalidSpec is the reason of InvalidSpec.
	ReasonInvalidSpec = "InvalidSpec"
)

// conditions are the conditions that go with a phase.
func conditions(w world, st v1alpha1.ExperimentStatus) []v1alpha1.ExperimentCondition {
	list := slices.DeleteFunc(slices.Clone(st.Conditions), func(c v1alpha1.ExperimentCondition) bool {
		return c.Type == v1alpha1.ExperimentInvalidSpec && w.Invalid == nil
	})
	if w.Invalid != nil {
		list = set(w, list, v1alpha1.ExperimentCondition{
			Type: v1alpha1.ExperimentInvalidSpec, Status: corev1.ConditionTrue, Reason: ReasonInvalidSpec, Message: invalidMessage(w),
		})
	}
	return set(w, list, progressing(w, st))
}

func progressing(w world, st v1alpha1.ExperimentStatus) v1alpha1.ExperimentCondition {
	c := v1alpha1.ExperimentCondition{Type: v1alpha1.ExperimentProgressing, Status: corev1.ConditionTrue}
	name := w.Experiment.Name
	switch {
	case st.Phase.Completed():
		c.Status, c.Reason, c.Message = corev1.ConditionFalse, ReasonCompleted, fmt.Sprintf("Experiment %q has ended: %s.", name, st.Phase)
	case st.Phase == v1alpha1.AnalysisPhaseRunning:
		c.Reason, c.Message = ReasonAvailable, fmt.Sprintf("Experiment %q runs: all its pods are available.", name)
	default:
		c.Reason, c.Message = ReasonUpdated, fmt.Sprintf("Experiment %q waits for its pods.", name)
	}
	return c
}

// set puts a condition into a list. Its times move only when it says something else.
func set(w world, list []v1alpha1.ExperimentCondition, c v1alpha1.ExperimentCondition) []v1alpha1.ExperimentCondition {
	c.LastUpdateTime, c.LastTransitionTime = metav1.NewTime(w.Now), metav1.NewTime(w.Now)
	i := slices.IndexFunc(list, func(has v1alpha1.ExperimentCondition) bool { return has.Type == c.Type })
	if i < 0 {
		return append(list, c)
	}
	if was := list[i]; was.Status == c.Status {
		c.LastTransitionTime = was.LastTransitionTime
		if was.Reason == c.Reason && was.Message == c.Message {
			c.LastUpdateTime = was.LastUpdateTime
		}
	}
	list[i] = c
	return list
}
