package plan

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// Codes of status.why. Each is explained in docs/why.md.
const (
	WhyInvalidSpec         v1alpha1.WhyCode = "InvalidSpec"
	WhyActionFailed        v1alpha1.WhyCode = "ActionFailed"
	WhyAborted             v1alpha1.WhyCode = "Aborted"
	WhyAbortedByAnalysis   v1alpha1.WhyCode = "AbortedByAnalysis"
	WhyAbortedByExperiment v1alpha1.WhyCode = "AbortedByExperiment"
	WhyAbortedByDeadline   v1alpha1.WhyCode = "AbortedByDeadline"
	WhyReturningTraffic    v1alpha1.WhyCode = "ReturningTraffic"
	WhyDeadlineExceeded    v1alpha1.WhyCode = "DeadlineExceeded"
	WhyPausedByUser        v1alpha1.WhyCode = "PausedByUser"
	WhyFirstFailed         v1alpha1.WhyCode = "FirstRevisionFailed"
	WhyFrozen              v1alpha1.WhyCode = "FrozenByFailure"
	WhyInconclusive        v1alpha1.WhyCode = "InconclusiveAnalysis"
	WhyPausedByStep        v1alpha1.WhyCode = "PausedByStep"
	WhyPausedForTime       v1alpha1.WhyCode = "PausedForTime"
	WhyPodsCannotStart     v1alpha1.WhyCode = "PodsCannotBeCreated"
	WhyCanaryDown          v1alpha1.WhyCode = "CanaryDown"
	WhyRestarting          v1alpha1.WhyCode = "Restarting"
	WhyWaitingForPods      v1alpha1.WhyCode = "WaitingForPods"
	WhyWaitingForStable    v1alpha1.WhyCode = "WaitingForStablePods"
	WhyWaitingForTraffic   v1alpha1.WhyCode = "WaitingForTraffic"
	WhyAnalysing           v1alpha1.WhyCode = "AnalysisRunning"
	WhyExperimenting       v1alpha1.WhyCode = "ExperimentRunning"
	WhyPromoting           v1alpha1.WhyCode = "Promoting"
	WhyScalingDown         v1alpha1.WhyCode = "ScalingDownOldRevision"
	WhyHealthy             v1alpha1.WhyCode = "Healthy"
	unblockRetry                            = "kubectl rollouts retry rollout %[1]s, or deploy another revision"
	unblockPromoteOrAbort                   = "kubectl rollouts promote %[1]s, or kubectl rollouts abort %[1]s"
)

// Codes are all codes of status.why, in the order in which they are considered.
func Codes() []v1alpha1.WhyCode {
	return []v1alpha1.WhyCode{
		WhyInvalidSpec, WhyActionFailed, WhyReturningTraffic, WhyAborted, WhyAbortedByAnalysis, WhyAbortedByExperiment, WhyAbortedByDeadline,
		WhyFirstFailed,
		WhyDeadlineExceeded, WhyCanaryDown, WhyRestarting, WhyPausedByUser, WhyFrozen, WhyInconclusive, WhyPausedByStep, WhyPausedForTime, WhyPodsCannotStart,
		WhyWaitingForPods, WhyWaitingForStable, WhyWaitingForTraffic, WhyAnalysing, WhyExperimenting, WhyPromoting, WhyScalingDown, WhyHealthy,
	}
}

// why is the one reason the Rollout is not further. The first rule that
// applies is the answer. Nothing in it ticks: times are absolute.
func why(w world, st v1alpha1.RolloutStatus) *v1alpha1.Why {
	for _, rule := range []func(world, v1alpha1.RolloutStatus) *v1alpha1.Why{
		whyAborted, whyDeadline, whyCanaryDown, whyRestarting, whyPaused, whyPods, whyMeasured, whyPromoting, whyStep,
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
	if chosen(w.Traffic.Routes) && w.Services.Canary.Hash == w.Current {
		return &v1alpha1.Why{
			Code:    WhyReturningTraffic,
			Message: fmt.Sprintf("The update to revision %d is aborted and a managed route still sends requests to it by their headers.", w.current().Number),
			Next:    &v1alpha1.WhyNext{Event: "the route is removed"},
		}
	}
	if pods := w.current().Replicas; w.byPods() && pods > 0 {
		return &v1alpha1.Why{
			Code: WhyReturningTraffic,
			Message: fmt.Sprintf("The update to revision %d is aborted and %d of its pods are left: the stable revision has %d of %d pods available.",
				w.current().Number, pods, w.capacity(w.stable), w.replicas),
			Next: &v1alpha1.WhyNext{Event: "they go as pods of the stable revision become available"},
		}
	}
	reason := w.abort.Reason
	unblock := fmt.Sprintf(unblockRetry, w.named())
	if w.gated() {
		return whyFirstFailed(w, unblock)
	}
	switch number := w.current().Number; {
	case reason == "":
		return &v1alpha1.Why{Code: WhyAborted, Unblock: unblock, Message: fmt.Sprintf("The update to revision %d was aborted by a person; all traffic is on the stable revision.", number)}
	case reason == w.deadlineMessage():
		return &v1alpha1.Why{Code: WhyAbortedByDeadline, Unblock: unblock, Message: fmt.Sprintf("The update to revision %d was rolled back: %s All traffic is on the stable revision.", number, reason)}
	case st.Canary.CurrentExperiment != "" && !strings.HasPrefix(reason, failurePrefix[v1alpha1.RolloutTypeBackground]):
		return &v1alpha1.Why{Code: WhyAbortedByExperiment, Unblock: unblock, Message: fmt.Sprintf("The update to revision %d was rolled back by Experiment %s: %s. All traffic is on the stable revision.", number, st.Canary.CurrentExperiment, strings.TrimSuffix(reason, "."))}
	default:
		return &v1alpha1.Why{Code: WhyAbortedByAnalysis, Unblock: unblock, Message: fmt.Sprintf("The update to revision %d was rolled back by its analysis: %s. All traffic is on the stable revision.", number, verdict(reason))}
	}
}

// whyFirstFailed tells of a first revision that went, with nothing to go back to.
func whyFirstFailed(w world, unblock string) *v1alpha1.Why {
	message := fmt.Sprintf("Revision %d, the first one, was taken back", w.current().Number)
	if reason := verdict(w.abort.Reason); reason != "" {
		message += ": " + strings.TrimSuffix(reason, ".")
	}
	return &v1alpha1.Why{Code: WhyFirstFailed, Unblock: unblock, Message: message + ". There is none to go back to, so it has no pods."}
}

// verdict is what an analysis said, without the words that the served API puts before it.
func verdict(reason string) string {
	for _, prefix := range failurePrefix {
		reason = strings.TrimPrefix(reason, prefix)
	}
	return reason
}

func whyDeadline(w world, st v1alpha1.RolloutStatus) *v1alpha1.Why {
	if progressReason(st) != ReasonDeadlineExceeded {
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
		Unblock: fmt.Sprintf("see why its pods do not become available (kubectl rollouts get rollout %[1]s), deploy a revision that does, or kubectl rollouts abort %[1]s", w.named()),
	}
}

// whyCanaryDown tells of a canary that lost its pods after it had traffic. It
// comes before a pause: what the pause waits for is not being tested.
func whyCanaryDown(w world, _ v1alpha1.RolloutStatus) *v1alpha1.Why {
	weight, lost, back := w.stepWeight(), "", "the weight"
	switch {
	case !w.rolling() || w.stepsDone() || w.replicas == 0 || w.capacity(w.Current) > 0:
	case w.weightStep() != w.step && w.Traffic.CanaryWeight < weight:
		lost = fmt.Sprintf("its weight of %d", weight)
	case w.currentStep().SetHeaderRoute == nil && chosen(w.stepRoutes()) && !chosen(w.Traffic.Routes):
		lost, back = "the requests that a managed route sends to it", "the route"
	}
	if lost == "" {
		return nil
	}
	return &v1alpha1.Why{
		Code:    WhyCanaryDown,
		Message: fmt.Sprintf("No pod of revision %d is available; %s went back to the stable revision.", w.current().Number, lost),
		Next:    &v1alpha1.WhyNext{Event: back + " returns when its pods are available again"},
		Unblock: fmt.Sprintf("see why its pods are not available (kubectl rollouts get rollout %[1]s), or kubectl rollouts abort %[1]s", w.named()),
	}
}

func whyPaused(w world, st v1alpha1.RolloutStatus) *v1alpha1.Why {
	name := w.named()
	switch {
	case w.pausedByUser():
		return &v1alpha1.Why{Code: WhyPausedByUser, Message: "spec.paused is true: no pod is started or removed and no step begins; traffic still follows the step that has begun.", Unblock: fmt.Sprintf("kubectl rollouts promote %s, or set spec.paused to false", name)}
	case pauseOf(st, v1alpha1.PauseReasonFailure) != nil:
		return whyFrozen(w)
	case pauseOf(st, v1alpha1.PauseReasonInconclusiveExperiment) != nil:
		return &v1alpha1.Why{Code: WhyInconclusive, Message: "An experiment ended without a verdict" + inconclusiveDetail(w) + ".", Unblock: fmt.Sprintf(unblockPromoteOrAbort, name)}
	case pauseOf(st, v1alpha1.PauseReasonInconclusiveAnalysis) != nil:
		return &v1alpha1.Why{Code: WhyInconclusive, Message: "An analysis ended without a verdict" + inconclusiveDetail(w) + ".", Unblock: fmt.Sprintf(unblockPromoteOrAbort, name)}
	case pauseOf(st, v1alpha1.PauseReasonBlueGreenPause) != nil:
		return whyPreview(w, st)
	case pauseOf(st, v1alpha1.PauseReasonCanaryPauseStep) == nil:
		return nil
	}
	step := valueOr(st.CurrentStepIndex, 0)
	if ends := pauseEnds(w, st); !ends.IsZero() {
		return &v1alpha1.Why{
			Code: WhyPausedForTime, Message: w.stepTitle(step) + " is a pause with a duration.",
			Next:    &v1alpha1.WhyNext{At: new(metav1.NewTime(ends)), Event: w.afterStep(step)},
			Unblock: fmt.Sprintf("kubectl rollouts promote %s to go on now", name),
		}
	}
	return &v1alpha1.Why{Code: WhyPausedByStep, Message: w.stepTitle(step) + " is a pause without a duration: it waits for a person.", Unblock: fmt.Sprintf(unblockPromoteOrAbort, name)}
}

// whyPreview tells of a blue-green update that is ready to switch.
func whyPreview(w world, st v1alpha1.RolloutStatus) *v1alpha1.Why {
	message := fmt.Sprintf("Revision %d is ready for the switch of the active Service", w.current().Number)
	if ends := pauseEnds(w, st); !ends.IsZero() {
		return &v1alpha1.Why{
			Code: WhyPausedForTime, Message: message + ", after autoPromotionSeconds.",
			Next:    &v1alpha1.WhyNext{At: new(metav1.NewTime(ends)), Event: "the active Service is switched"},
			Unblock: fmt.Sprintf("kubectl rollouts promote %s to go on now", w.named()),
		}
	}
	return &v1alpha1.Why{
		Code: WhyPausedByStep, Message: message + "; autoPromotionEnabled is false, so it waits for a person.",
		Unblock: fmt.Sprintf(unblockPromoteOrAbort, w.named()),
	}
}

// whyMeasured tells of the analyses around the switch.
func whyMeasured(w world, _ v1alpha1.RolloutStatus) *v1alpha1.Why {
	if run := w.initialRun(); run != nil && !run.Phase.Completed() {
		return &v1alpha1.Why{
			Code: WhyAnalysing, Message: fmt.Sprintf("The first revision waits for AnalysisRun %s.", run.Name),
			Next: &v1alpha1.WhyNext{Event: "it becomes stable" + w.ifItSucceeds()},
		}
	}
	run := w.measuring()
	if run == nil || !w.rolling() {
		return nil
	}
	next := "the active Service is switched"
	if run.Kind == v1alpha1.RolloutTypePostPromotion {
		next = "the revision becomes stable"
	}
	return &v1alpha1.Why{
		Code: WhyAnalysing, Message: fmt.Sprintf("The update waits for AnalysisRun %s.", run.Name),
		Next: &v1alpha1.WhyNext{Event: next + w.ifItSucceeds()},
	}
}

// whyFrozen tells of a failure that spec.onFailure leaves to a person.
func whyFrozen(w world) *v1alpha1.Why {
	message := "An analysis failed"
	if run := w.frozenBy(); run != nil {
		message = fmt.Sprintf("%s failed", run.title())
		if run.Message != "" {
			message += ": " + strings.TrimSuffix(run.Message, ".")
		}
	}
	return &v1alpha1.Why{
		Code: WhyFrozen, Message: message + ". Traffic and pods stay as they are, since onFailure is freeze.",
		Unblock: fmt.Sprintf(unblockPromoteOrAbort, w.named()),
	}
}

// ifItSucceeds says what a verdict decides.
func (w world) ifItSucceeds() string {
	switch {
	case w.freezes():
		return " if it succeeds, the update waits for a person if it fails"
	case w.gated():
		return " if it succeeds, its pods go if it fails"
	default:
		return " if it succeeds, the update is rolled back if it fails"
	}
}

func inconclusiveDetail(w world) string {
	for _, run := range w.gatingRuns() {
		if isInconclusive(run) && run.Message != "" {
			return ": " + run.Message
		}
	}
	return ""
}

// stepName counts steps as people and Events do: from one.
func (w world) stepName(i int32) string {
	return fmt.Sprintf("step %d/%d", i+1, len(w.canary.Steps))
}

func (w world) stepTitle(i int32) string { return "S" + w.stepName(i)[1:] }

// named is the Rollout as the plugin's commands take it.
func (w world) named() string { return w.Rollout.Name + " -n " + w.Rollout.Namespace }

// afterStep says what the step after this one does.
func (w world) afterStep(step int32) string {
	next := step + 1
	if next >= int32(len(w.canary.Steps)) {
		return "the revision is promoted"
	}
	name := w.stepName(next)
	switch s := w.canary.Steps[next]; {
	case s.SetWeight != nil:
		return fmt.Sprintf("%s sets weight %d", name, *s.SetWeight)
	case s.SetCanaryScale != nil:
		return name + " scales the canary"
	case s.SetHeaderRoute != nil, s.SetMirrorRoute != nil:
		return name + " " + routeText(s)
	case s.Pause != nil:
		return name + " pauses"
	case s.Analysis != nil:
		return name + " starts an analysis"
	case s.Experiment != nil:
		return name + " starts an experiment"
	default:
		return name + " begins"
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
	if reason := whyOpen(w); reason != nil {
		return reason
	}
	size := wish(w).sizes[w.Current]
	if (w.rolling() || w.initial()) && !w.enough(size) {
		reason := &v1alpha1.Why{
			Code:    WhyWaitingForPods,
			Message: fmt.Sprintf("%d of %d pods of revision %d are available.", w.capacity(w.Current), size, nextNumber(w)),
			Unblock: fmt.Sprintf("if it stays: kubectl rollouts get rollout %s shows the pods", w.named()),
		}
		if at := deadlineAt(w, st); !at.IsZero() {
			reason.Next = &v1alpha1.WhyNext{At: new(metav1.NewTime(at)), Event: w.deadlineEvent()}
		}
		return reason
	}
	return nil
}

// whyOpen tells of a stable Service that selects no revision yet.
func whyOpen(w world) *v1alpha1.Why {
	if !w.routed() || !w.rolling() || w.abort.Decided || w.Services.Stable.Hash != "" || w.replicas == 0 {
		return nil
	}
	return &v1alpha1.Why{
		Code: WhyWaitingForStable,
		Message: fmt.Sprintf("The stable Service is not pointed yet and reaches the pods of every revision: the stable revision has %d of %d pods available.",
			w.capacity(w.stable), w.replicas),
		Next:    &v1alpha1.WhyNext{Event: "the update begins when they are available"},
		Unblock: fmt.Sprintf("see why the pods of the stable revision are not available (kubectl rollouts get rollout %s)", w.named()),
	}
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
	step := valueOr(st.CurrentStepIndex, 0)
	if run := w.stepRun(); w.currentStep().Analysis != nil {
		message := w.stepTitle(step) + " waits for its analysis."
		if run != nil {
			message = fmt.Sprintf("%s waits for AnalysisRun %s.", w.stepTitle(step), run.Name)
		}
		return &v1alpha1.Why{Code: WhyAnalysing, Message: message, Next: &v1alpha1.WhyNext{Event: w.afterStep(step) + w.ifItSucceeds()}}
	}
	if w.currentStep().Experiment != nil {
		return whyExperiment(w, step)
	}
	if what := routeText(w.currentStep()); what != "" {
		return w.whyRouteStep(step, what)
	}
	weight := w.stepWeight()
	if has, need := w.capacity(w.stable), fullShare(w.replicas, w.total-weight, w.total); has < need && w.Traffic.CanaryWeight < weight {
		return &v1alpha1.Why{
			Code:    WhyWaitingForStable,
			Message: fmt.Sprintf("Weight %d is not set: the stable revision has %d of the %d available pods that the rest of the traffic needs.", weight, has, need),
			Unblock: "bring the pods of the stable revision back, or kubectl rollouts promote " + w.named() + " --full",
		}
	}
	message := fmt.Sprintf("%s sets weight %d; the routes ask for %d.", w.stepTitle(step), weight, w.Traffic.CanaryWeight)
	if !w.verified() {
		message = fmt.Sprintf("%s set weight %d; %s.", w.stepTitle(step), weight, w.unverified())
	}
	return &v1alpha1.Why{Code: WhyWaitingForTraffic, Message: message}
}

// whyRouteStep tells of a step that adds or removes a managed route.
func (w world) whyRouteStep(step int32, what string) *v1alpha1.Why {
	seen := "the routes do not say so yet"
	if !w.verified() {
		seen = w.unverified()
	}
	return &v1alpha1.Why{Code: WhyWaitingForTraffic, Message: fmt.Sprintf("%s %s; %s.", w.stepTitle(step), what, seen)}
}

// unverified says what is known of a data plane that does not serve the routes yet.
func (w world) unverified() string {
	said := "the data plane was not seen to serve it yet"
	if w.Traffic.Unverified != "" {
		said += ": " + strings.TrimSuffix(w.Traffic.Unverified, ".")
	}
	return said
}

func whyExperiment(w world, step int32) *v1alpha1.Why {
	message := w.stepTitle(step) + " waits for its experiment."
	if run := w.stepRun(); run != nil {
		message = fmt.Sprintf("%s waits for Experiment %s", w.stepTitle(step), run.Name)
		if run.Message != "" {
			message += ": " + strings.TrimSuffix(run.Message, ".")
		}
		message += "."
	}
	return &v1alpha1.Why{
		Code: WhyExperimenting, Message: message,
		Next:    &v1alpha1.WhyNext{Event: w.afterStep(step) + w.ifItSucceeds()},
		Unblock: fmt.Sprintf(unblockPromoteOrAbort, w.named()),
	}
}

func whyAtRest(w world, st v1alpha1.RolloutStatus) *v1alpha1.Why {
	number := nextNumber(w)
	if short := w.count.Available < w.replicas; short || w.count.Updated < w.replicas {
		return &v1alpha1.Why{
			Code: WhyWaitingForPods, Message: fmt.Sprintf("Revision %d is stable; %d of %d pods are available.", number, w.capacity(w.Current), w.replicas),
			Unblock: fmt.Sprintf("if it stays: kubectl rollouts get rollout %s shows the pods", w.named()),
		}
	}
	if at := nextRetirement(w); st.StableRS == w.Current && !at.IsZero() {
		return &v1alpha1.Why{
			Code: WhyScalingDown, Message: fmt.Sprintf("Revision %d is stable; an old revision keeps its pods for a while.", number),
			Next: &v1alpha1.WhyNext{At: new(metav1.NewTime(at)), Event: "the old revision is scaled down"},
		}
	}
	return &v1alpha1.Why{Code: WhyHealthy, Message: fmt.Sprintf("Revision %d is stable and serves all traffic.", number) + keptWorkload(w)}
}

// keepSince keeps the time at which a reason began.
func keepSince(w world, reason *v1alpha1.Why) *v1alpha1.Why {
	if was := w.old.Why; was != nil && was.Code == reason.Code && was.Since != nil {
		reason.Since = was.Since
		return reason
	}
	// Seconds, since that is what is stored: the same moment must read back the same.
	reason.Since = new(metav1.NewTime(w.Now.Truncate(time.Second)))
	return reason
}

// Failed is the status to report when carrying out the actions failed: the plan
// stands, and the reason it is not further is the error.
func Failed(s Snapshot, st v1alpha1.RolloutStatus, err error) v1alpha1.RolloutStatus {
	return failing(s, st, "The cluster refused a change: "+err.Error())
}

// Unreadable is the status to report when the cluster could not be observed:
// the last one, and the error.
func Unreadable(s Snapshot, err error) v1alpha1.RolloutStatus {
	return failing(s, *s.Rollout.Status.DeepCopy(), "The cluster could not be read: "+err.Error())
}

// failing says what failed. An error that differs from the one before in its
// numbers alone, as ports do, is told once: else each try would write a status,
// and each status start another try.
func failing(s Snapshot, st v1alpha1.RolloutStatus, message string) v1alpha1.RolloutStatus {
	if was := s.Rollout.Status.Why; was != nil && was.Code == WhyActionFailed && numbers.ReplaceAllString(was.Message, "0") == numbers.ReplaceAllString(message, "0") {
		message = was.Message
	}
	st.Why = keepSince(world{Snapshot: s, old: s.Rollout.Status}, &v1alpha1.Why{
		Code: WhyActionFailed, Message: message,
		Next: &v1alpha1.WhyNext{Event: "it is tried again, less often each time"},
	})
	return st
}

var numbers = regexp.MustCompile(`[0-9a-fA-F]*[0-9][0-9a-fA-F]*`)
