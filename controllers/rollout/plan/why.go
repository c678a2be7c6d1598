package plan

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// Codes of status.why. Each is explained in docs/why.md.
const (
	WhyInvalidSpec        v1alpha1.WhyCode = "InvalidSpec"
	WhyActionFailed       v1alpha1.WhyCode = "ActionFailed"
	WhyAborted            v1alpha1.WhyCode = "Aborted"
	WhyAbortedByAnalysis  v1alpha1.WhyCode = "AbortedByAnalysis"
	WhyAbortedByDeadline  v1alpha1.WhyCode = "AbortedByDeadline"
	WhyReturningTraffic   v1alpha1.WhyCode = "ReturningTraffic"
	WhyDeadlineExceeded   v1alpha1.WhyCode = "DeadlineExceeded"
	WhyPausedByUser       v1alpha1.WhyCode = "PausedByUser"
	WhyInconclusive       v1alpha1.WhyCode = "InconclusiveAnalysis"
	WhyPausedByStep       v1alpha1.WhyCode = "PausedByStep"
	WhyPausedForTime      v1alpha1.WhyCode = "PausedForTime"
	WhyPodsCannotStart    v1alpha1.WhyCode = "PodsCannotBeCreated"
	WhyWaitingForPods     v1alpha1.WhyCode = "WaitingForPods"
	WhyWaitingForStable   v1alpha1.WhyCode = "WaitingForStablePods"
	WhyWaitingForTraffic  v1alpha1.WhyCode = "WaitingForTraffic"
	WhyAnalysing          v1alpha1.WhyCode = "AnalysisRunning"
	WhyPromoting          v1alpha1.WhyCode = "Promoting"
	WhyScalingDown        v1alpha1.WhyCode = "ScalingDownOldRevision"
	WhyHealthy            v1alpha1.WhyCode = "Healthy"
	unblockRetry                           = "kubectl rollouts retry rollout %[1]s, or deploy another revision"
	unblockPromoteOrAbort                  = "kubectl rollouts promote %[1]s, or kubectl rollouts abort %[1]s"
)

// Codes are all codes of status.why, in the order in which they are considered.
func Codes() []v1alpha1.WhyCode {
	return []v1alpha1.WhyCode{
		WhyInvalidSpec, WhyActionFailed, WhyReturningTraffic, WhyAborted, WhyAbortedByAnalysis, WhyAbortedByDeadline,
		WhyDeadlineExceeded, WhyPausedByUser, WhyInconclusive, WhyPausedByStep, WhyPausedForTime, WhyPodsCannotStart,
		WhyWaitingForPods, WhyWaitingForStable, WhyWaitingForTraffic, WhyAnalysing, WhyPromoting, WhyScalingDown, WhyHealthy,
	}
}

// why is the one reason the Rollout is not further. The first rule that
// applies is the answer. Nothing in it ticks: times are absolute.
func why(w world, st v1alpha1.RolloutStatus) *v1alpha1.Why {
	for _, rule := range []func(world, v1alpha1.RolloutStatus) *v1alpha1.Why{
		whyAborted, whyDeadline, whyPaused, whyPods, whyPromoting, whyStep,
	} {
		if reason := rule(w, st); reason != nil {
			return reason
		}
	}
	return whyAtRest(w, st)
}

func whyAborted(w world, st v1alpha1.RolloutStatus) *v1alpha1.Why {
	if !st.Abort {
		return nil
	}
	if weight := w.servedWeight(w.Current); weight > 0 {
		return &v1alpha1.Why{
			Code: WhyReturningTraffic,
			Message: fmt.Sprintf("The update to revision %d is aborted and %d of %d of the traffic is still on it: the stable revision has %d of %d pods available.",
				w.current().Number, weight, w.total, w.capacity(w.stable), w.replicas),
			Next: &v1alpha1.WhyNext{Event: "the rest of the traffic returns as pods of the stable revision become available"},
		}
	}
	reason := w.abort.Reason
	unblock := fmt.Sprintf(unblockRetry, w.Rollout.Name)
	switch number := w.current().Number; {
	case reason == "":
		return &v1alpha1.Why{Code: WhyAborted, Unblock: unblock, Message: fmt.Sprintf("The update to revision %d was aborted by a person; all traffic is on the stable revision.", number)}
	case reason == w.deadlineMessage():
		return &v1alpha1.Why{Code: WhyAbortedByDeadline, Unblock: unblock, Message: fmt.Sprintf("The update to revision %d was rolled back: %s All traffic is on the stable revision.", number, reason)}
	default:
		return &v1alpha1.Why{Code: WhyAbortedByAnalysis, Unblock: unblock, Message: fmt.Sprintf("The update to revision %d was rolled back: %s. All traffic is on the stable revision.", number, reason)}
	}
}

func whyDeadline(w world, st v1alpha1.RolloutStatus) *v1alpha1.Why {
	if reasonOf(st, v1alpha1.RolloutProgressing) != ReasonDeadlineExceeded {
		return nil
	}
	r := w.current()
	message := fmt.Sprintf("Revision %d made no progress for %s: %d of its %d pods are available.", r.Number, w.Rollout.ProgressDeadline(), r.Available, r.Replicas)
	if r.Failure != "" {
		message += " " + r.Failure
	}
	return &v1alpha1.Why{
		Code: WhyDeadlineExceeded, Message: message,
		Next:    &v1alpha1.WhyNext{Event: "it goes on by itself when pods become available"},
		Unblock: fmt.Sprintf("see why its pods do not become available (kubectl rollouts get rollout %[1]s), deploy a revision that does, or kubectl rollouts abort %[1]s", w.Rollout.Name),
	}
}

func whyPaused(w world, st v1alpha1.RolloutStatus) *v1alpha1.Why {
	name := w.Rollout.Name
	switch {
	case w.pausedByUser():
		return &v1alpha1.Why{Code: WhyPausedByUser, Message: "spec.paused is true: nothing changes but the traffic of an abort.", Unblock: fmt.Sprintf("kubectl rollouts promote %s, or set spec.paused to false", name)}
	case pauseOf(st, v1alpha1.PauseReasonInconclusiveAnalysis) != nil:
		return &v1alpha1.Why{Code: WhyInconclusive, Message: "An analysis ended without a verdict" + inconclusiveDetail(w) + ".", Unblock: fmt.Sprintf(unblockPromoteOrAbort, name)}
	case pauseOf(st, v1alpha1.PauseReasonCanaryPauseStep) == nil:
		return nil
	}
	step := ptr.Deref(st.CurrentStepIndex, 0)
	if ends := pauseEnds(w, st); !ends.IsZero() {
		return &v1alpha1.Why{
			Code: WhyPausedForTime, Message: fmt.Sprintf("Step %d is a pause with a duration.", step),
			Next:    &v1alpha1.WhyNext{At: ptr.To(metav1.NewTime(ends)), Event: w.afterStep(step)},
			Unblock: fmt.Sprintf("kubectl rollouts promote %s to go on now", name),
		}
	}
	return &v1alpha1.Why{Code: WhyPausedByStep, Message: fmt.Sprintf("Step %d is a pause without a duration: it waits for a person.", step), Unblock: fmt.Sprintf(unblockPromoteOrAbort, name)}
}

func inconclusiveDetail(w world) string {
	for _, run := range []*Analysis{w.stepRun(), w.backgroundRun()} {
		if isInconclusive(run) && run.Message != "" {
			return ": " + run.Message
		}
	}
	return ""
}

// afterStep says what the step after this one does.
func (w world) afterStep(step int32) string {
	next := step + 1
	if next >= int32(len(w.canary.Steps)) {
		return "the revision is promoted"
	}
	switch s := w.canary.Steps[next]; {
	case s.SetWeight != nil:
		return fmt.Sprintf("step %d sets weight %d", next, *s.SetWeight)
	case s.Pause != nil:
		return fmt.Sprintf("step %d pauses", next)
	case s.Analysis != nil:
		return fmt.Sprintf("step %d starts an analysis", next)
	default:
		return fmt.Sprintf("step %d begins", next)
	}
}

func whyPods(w world, st v1alpha1.RolloutStatus) *v1alpha1.Why {
	r := w.current()
	if r.Failure != "" && r.Pods < r.Replicas {
		return &v1alpha1.Why{
			Code: WhyPodsCannotStart, Message: fmt.Sprintf("Pods of revision %d cannot be created: %s", nextNumber(w), r.Failure),
			Unblock: "remove what forbids the pods (quota, admission) or deploy another revision",
		}
	}
	size := w.replicas
	if w.rolling() && !w.stepsDone() {
		size = share(w.replicas, w.stepWeight(), w.total)
	}
	if (w.rolling() || w.initial()) && w.capacity(w.Current) < size {
		reason := &v1alpha1.Why{
			Code:    WhyWaitingForPods,
			Message: fmt.Sprintf("%d of %d pods of revision %d are available.", w.capacity(w.Current), size, nextNumber(w)),
			Unblock: fmt.Sprintf("if it stays: kubectl rollouts get rollout %s shows the pods", w.Rollout.Name),
		}
		if at := deadlineAt(w, st); !at.IsZero() {
			reason.Next = &v1alpha1.WhyNext{At: ptr.To(metav1.NewTime(at)), Event: w.deadlineEvent()}
		}
		return reason
	}
	return nil
}

func (w world) deadlineEvent() string {
	if w.Rollout.Spec.ProgressDeadlineAbort && w.rolling() {
		return "the update is aborted unless it progresses"
	}
	return "the update is reported as failed unless it progresses"
}

func whyPromoting(w world, st v1alpha1.RolloutStatus) *v1alpha1.Why {
	if !w.rolling() || !w.stepsDone() || st.StableRS == w.Current {
		return nil
	}
	return &v1alpha1.Why{Code: WhyPromoting, Message: fmt.Sprintf("All steps are done; traffic is moving to revision %d.", w.current().Number)}
}

func whyStep(w world, st v1alpha1.RolloutStatus) *v1alpha1.Why {
	if !w.rolling() || st.StableRS == w.Current {
		return nil
	}
	step := ptr.Deref(st.CurrentStepIndex, 0)
	if run := w.stepRun(); w.currentStep().Analysis != nil {
		message := fmt.Sprintf("Step %d waits for its analysis.", step)
		if run != nil {
			message = fmt.Sprintf("Step %d waits for AnalysisRun %s.", step, run.Name)
		}
		return &v1alpha1.Why{Code: WhyAnalysing, Message: message, Next: &v1alpha1.WhyNext{Event: w.afterStep(step) + " if it succeeds, the update is rolled back if it fails"}}
	}
	weight := w.stepWeight()
	if has, need := w.capacity(w.stable), fullShare(w.replicas, w.total-weight, w.total); has < need && w.Traffic.CanaryWeight < weight {
		return &v1alpha1.Why{
			Code:    WhyWaitingForStable,
			Message: fmt.Sprintf("Weight %d is not set: the stable revision has %d of the %d available pods that the rest of the traffic needs.", weight, has, need),
			Unblock: "bring the pods of the stable revision back, or kubectl rollouts promote " + w.Rollout.Name + " --full",
		}
	}
	message := fmt.Sprintf("Step %d sets weight %d; the routes ask for %d.", step, weight, w.Traffic.CanaryWeight)
	if !ptr.Deref(w.Traffic.Verified, true) {
		message = fmt.Sprintf("Step %d set weight %d; the data plane was not seen to serve it yet.", step, weight)
	}
	return &v1alpha1.Why{Code: WhyWaitingForTraffic, Message: message}
}

func whyAtRest(w world, st v1alpha1.RolloutStatus) *v1alpha1.Why {
	number := nextNumber(w)
	if at := nextRetirement(w); st.StableRS == w.Current && !at.IsZero() {
		return &v1alpha1.Why{
			Code: WhyScalingDown, Message: fmt.Sprintf("Revision %d is stable; an old revision keeps its pods for a while.", number),
			Next: &v1alpha1.WhyNext{At: ptr.To(metav1.NewTime(at)), Event: "the old revision is scaled down"},
		}
	}
	if short := w.count.Available < w.replicas; short || w.count.Updated < w.replicas {
		return &v1alpha1.Why{
			Code: WhyWaitingForPods, Message: fmt.Sprintf("Revision %d is stable; %d of %d pods are available.", number, w.capacity(w.Current), w.replicas),
			Unblock: fmt.Sprintf("if it stays: kubectl rollouts get rollout %s shows the pods", w.Rollout.Name),
		}
	}
	return &v1alpha1.Why{Code: WhyHealthy, Message: fmt.Sprintf("Revision %d is stable and serves all traffic.", number)}
}

// keepSince keeps the time at which a reason began.
func keepSince(w world, reason *v1alpha1.Why) *v1alpha1.Why {
	if was := w.old.Why; was != nil && was.Code == reason.Code && was.Since != nil {
		reason.Since = was.Since
		return reason
	}
	// Seconds, since that is what is stored: the same moment must read back the same.
	reason.Since = ptr.To(metav1.NewTime(w.Now.Truncate(time.Second)))
	return reason
}

// Failed is the status to report when carrying out the actions failed: the plan
// stands, and the reason it is not further is the error.
func Failed(s Snapshot, st v1alpha1.RolloutStatus, err error) v1alpha1.RolloutStatus {
	st.Why = keepSince(world{Snapshot: s, old: s.Rollout.Status}, &v1alpha1.Why{
		Code: WhyActionFailed, Message: "The cluster refused a change: " + err.Error(),
		Next: &v1alpha1.WhyNext{Event: "it is tried again, less often each time"},
	})
	return st
}
