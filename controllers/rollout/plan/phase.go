package plan

import (
	"fmt"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// phase sums the status up in one word and one sentence, as the served API does.
func phase(w world, st v1alpha1.RolloutStatus) (v1alpha1.RolloutPhase, string) {
	for _, reason := range []string{ReasonAborted, ReasonDeadlineExceeded} {
		if c := conditionOf(st, v1alpha1.RolloutProgressing); c != nil && c.Reason == reason {
			return v1alpha1.RolloutPhaseDegraded, fmt.Sprintf("%s: %s", reason, c.Message)
		}
	}
	switch {
	case w.pausedByUser():
		return v1alpha1.RolloutPhasePaused, "manually paused"
	case len(st.PauseConditions) > 0:
		return v1alpha1.RolloutPhasePaused, string(st.PauseConditions[0].Reason)
	case w.restartPends(st):
		return v1alpha1.RolloutPhaseProgressing, "rollout is restarting"
	case st.UpdatedReplicas < w.replicas:
		return v1alpha1.RolloutPhaseProgressing, "more replicas need to be updated"
	case st.AvailableReplicas < st.UpdatedReplicas:
		return v1alpha1.RolloutPhaseProgressing, "updated replicas are still becoming available"
	}
	if pending := pendingMessage(w, st); pending != "" {
		return v1alpha1.RolloutPhaseProgressing, pending
	}
	return v1alpha1.RolloutPhaseHealthy, ""
}

// pendingMessage is what an update with all its pods still waits for; empty when nothing.
func pendingMessage(w world, st v1alpha1.RolloutStatus) string {
	switch {
	case w.gated() && st.StableRS == "":
		return "waiting for analysis to complete"
	case w.blueGreen != nil && st.BlueGreen.ActiveSelector != w.Current:
		return "active service cutover pending"
	case w.blueGreen != nil && st.StableRS != w.Current:
		return "waiting for analysis to complete"
	case w.byPods() && st.Replicas > st.UpdatedReplicas:
		return "old replicas are pending termination"
	case st.StableRS != w.Current:
		return "waiting for all steps to complete"
	default:
		return ""
	}
}

// invalidMessage is the first thing wrong with the Rollout, in the words of the served API.
func (w world) invalidMessage() string {
	return fmt.Sprintf("The Rollout %q is invalid: %s", w.Rollout.Name, w.Invalid.Error())
}

// invalidStatus is the last status with the reason why nothing is done on top.
// What an abort decided stays visible beside it.
func invalidStatus(w world) v1alpha1.RolloutStatus {
	st := *w.old.DeepCopy()
	st.ObservedGeneration = strconv.FormatInt(w.Rollout.Generation, 10)
	list := conditionList{now: w.Now, items: slices.Clone(st.Conditions)}
	list.set(condition{v1alpha1.RolloutInvalidSpec, corev1.ConditionTrue, ReasonInvalidSpec, w.invalidMessage()}, false)
	if w.abort.Decided {
		st.Abort, st.AbortedAt = true, abortedAt(w)
		list.set(condition{v1alpha1.RolloutProgressing, corev1.ConditionFalse, ReasonAborted, abortMessage(w)}, false)
		if w.leads() {
			st.Canary.Weights = weights(w)
		}
	}
	st.Conditions = list.items
	st.Phase, st.Message = v1alpha1.RolloutPhaseDegraded, ReasonInvalidSpec+": "+w.invalidMessage()
	st.Why = keepSince(w, &v1alpha1.Why{
		Code:    WhyInvalidSpec,
		Message: w.Invalid.Error(),
		Unblock: "correct the Rollout or create what it names; it is looked at again by itself",
	})
	return st
}
