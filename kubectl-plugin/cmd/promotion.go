package cmd

import (
	"time"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// promotionKind is how far a promotion goes.
type promotionKind string

// The kinds of promotion.
const (
	promoteNext     promotionKind = "next"
	promoteFull     promotionKind = "full"
	skipCurrentStep promotionKind = "skip-current-step"
	skipAllSteps    promotionKind = "skip-all-steps"
)

// promotion is what a promotion writes: up to two merge patches.
type promotion struct {
	// unpause sets spec.paused to false.
	unpause bool
	// status is the patch of status; nil writes none.
	status document
	// pending is true when an earlier promotion waits for the controller. To
	// write again would skip a step nobody asked to skip.
	pending bool
}

// asked is the state a promotion was asked in. A promotion is sent again only
// while this is the same, so that one command never advances two steps.
type asked struct {
	hash, stepHash string
	index          int32
	pause          v1alpha1.PauseReason
	pausedAt       time.Time
}

func askedOf(ro *v1alpha1.Rollout) asked {
	st := &ro.Status
	a := asked{hash: st.CurrentPodHash, stepHash: st.CurrentStepHash, index: -1}
	if st.CurrentStepIndex != nil {
		a.index = *st.CurrentStepIndex
	}
	if len(st.PauseConditions) > 0 {
		a.pause, a.pausedAt = st.PauseConditions[0].Reason, st.PauseConditions[0].StartTime.UTC()
	}
	return a
}

// promotionOf is the promotion of a rollout, by the protocol of the served
// plugin: a pause is cleared, or else a canary's step index is advanced, never both.
func promotionOf(ro *v1alpha1.Rollout, kind promotionKind) (promotion, error) {
	st := &ro.Status
	p := promotion{unpause: ro.Spec.Paused}
	switch kind {
	case promoteFull:
		if st.CurrentPodHash != st.StableRS {
			p.status = document{"promoteFull": true}
		}
		return p, nil
	case skipCurrentStep, skipAllSteps:
		return skipping(ro, kind)
	case promoteNext:
	}
	canary := ro.Spec.Strategy.Canary
	switch {
	case inconclusive(ro):
		p.status = advanced(ro)
		p.status["controllerPause"] = false
	case len(st.PauseConditions) > 0:
		p.status = document{"pauseConditions": nil}
	case canary == nil || len(canary.Steps) == 0:
	case st.ControllerPause:
		p.pending = true
	default:
		p.status = advanced(ro)
	}
	return p, nil
}

// inconclusive reports whether the rollout is paused by the analysis of its step.
func inconclusive(ro *v1alpha1.Rollout) bool {
	run := ro.Status.Canary.CurrentStepAnalysisRunStatus
	canary := ro.Spec.Strategy.Canary
	return canary != nil && len(canary.Steps) > 0 && run != nil && run.Status == v1alpha1.AnalysisPhaseInconclusive &&
		len(ro.Status.PauseConditions) > 0 && ro.Status.ControllerPause
}

// advanced clears the pause and goes one step on, at most behind the last.
func advanced(ro *v1alpha1.Rollout) document {
	index := int32(0)
	if ro.Status.CurrentStepIndex != nil {
		index = max(*ro.Status.CurrentStepIndex, 0)
	}
	if int(index) < len(ro.Spec.Strategy.Canary.Steps) {
		index++
	}
	return document{"pauseConditions": nil, "currentStepIndex": index}
}

func skipping(ro *v1alpha1.Rollout, kind promotionKind) (promotion, error) {
	canary := ro.Spec.Strategy.Canary
	if canary == nil {
		return promotion{}, usage("cannot skip steps of a blue-green rollout", "use --full to skip analysis, pauses and steps")
	}
	if len(canary.Steps) == 0 {
		return promotion{}, usage("cannot skip steps of a rollout without steps", "")
	}
	p := promotion{unpause: ro.Spec.Paused, status: advanced(ro)}
	if kind == skipAllSteps {
		p.status["currentStepIndex"] = len(canary.Steps)
	}
	return p, nil
}
