package view

import (
	"fmt"
	"strings"
	"time"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// Sources of a WhyView.
const (
	sourceController = "controller"
	sourcePlugin     = "plugin"
)

// The codes below are those of the controller where it has one for the same
// reason (Codes in controllers/rollout/plan), so that scripts see one set.

// whyOf is the blocking reason: the one in the status when it is about the
// present spec, else one concluded from what is there, so that `why` also
// answers with a controller that does not report it.
func whyOf(ro *v1alpha1.Rollout, v RolloutView) *WhyView {
	if why := ro.Status.Why; why != nil && generationObserved(ro) && v.Phase == ro.Status.Phase {
		return reported(why)
	}
	why := concluded(ro, v)
	if why != nil {
		why.Source = sourcePlugin
	}
	return why
}

func reported(why *v1alpha1.Why) *WhyView {
	v := &WhyView{
		Code:    clean(string(why.Code)),
		Message: clean(why.Message),
		Since:   timeOf(why.Since),
		Unblock: clean(why.Unblock),
		Source:  sourceController,
	}
	if why.Next != nil {
		v.NextAt, v.NextEvent = timeOf(why.Next.At), clean(why.Next.Event)
	}
	return v
}

func concluded(ro *v1alpha1.Rollout, v RolloutView) *WhyView {
	switch v.Phase {
	case v1alpha1.RolloutPhaseHealthy:
		return nil
	case v1alpha1.RolloutPhaseDegraded:
		return whyDegraded(ro, v)
	case v1alpha1.RolloutPhasePaused:
		return whyPaused(v)
	case v1alpha1.RolloutPhaseProgressing:
		return whyProgressing(v)
	}
	return &WhyView{Code: "UnknownPhase", Message: fmt.Sprintf("the controller reports the phase %q, which this plugin does not know", v.Phase)}
}

func whyDegraded(ro *v1alpha1.Rollout, v RolloutView) *WhyView {
	if strings.HasPrefix(v.Message, string(v1alpha1.RolloutInvalidSpec)) {
		return &WhyView{
			Code:    "InvalidSpec",
			Message: v.Message,
			Unblock: "correct the spec and apply it again; nothing is changed until then",
		}
	}
	if v.Aborted {
		return whyAborted(ro, v)
	}
	why := &WhyView{Code: "Degraded", Message: v.Message, Unblock: "abort with: " + v.command("abort")}
	if strings.HasPrefix(v.Message, "ProgressDeadlineExceeded") {
		why.Code = "DeadlineExceeded"
	}
	if trouble := podTrouble(v); trouble != "" {
		why.Message = strings.TrimSuffix(why.Message, ".") + "; " + trouble
	}
	return why
}

func whyAborted(ro *v1alpha1.Rollout, v RolloutView) *WhyView {
	why := &WhyView{
		Code:    "Aborted",
		Message: v.Message,
		Since:   timeOf(ro.Status.AbortedAt),
		Unblock: "apply a new version, or try this one again with: " + v.command("retry rollout"),
	}
	if metric, ok := culprit(v); ok {
		why.Code = "AbortedByAnalysis"
		why.Message = "the update was aborted because " + metric.verdict()
	}
	return why
}

// culprit is the metric of the newest revision that ended badly.
func culprit(v RolloutView) (MetricView, bool) {
	if len(v.Revisions) == 0 {
		return MetricView{}, false
	}
	runs := v.Revisions[0].AnalysisRuns
	for i := len(runs) - 1; i >= 0; i-- {
		if metric, ok := runs[i].culprit(); ok {
			return metric, true
		}
	}
	return MetricView{}, false
}

// bad reports whether a phase stops an update.
func bad(phase v1alpha1.AnalysisPhase) bool {
	switch phase {
	case v1alpha1.AnalysisPhaseFailed, v1alpha1.AnalysisPhaseError, v1alpha1.AnalysisPhaseInconclusive:
		return true
	case v1alpha1.AnalysisPhasePending, v1alpha1.AnalysisPhaseRunning, v1alpha1.AnalysisPhaseSuccessful:
		return false
	}
	return false
}

// verdict says what was measured and which limit it broke.
func (m MetricView) verdict() string {
	total := m.Counts.total()
	switch m.Phase {
	case v1alpha1.AnalysisPhaseError:
		return fmt.Sprintf("metric %s could not be measured %d times in a row (limit %d)%s",
			m.Name, m.ConsecutiveErrors, m.ErrorLimit, m.lastMessage())
	case v1alpha1.AnalysisPhaseInconclusive:
		return fmt.Sprintf("metric %s was inconclusive in %d of %d measurements%s", m.Name, m.Counts.Inconclusive, total, m.lastValue())
	case v1alpha1.AnalysisPhaseFailed:
		return fmt.Sprintf("metric %s failed %d of %d measurements (limit %d)%s", m.Name, m.Counts.Failed, total, m.FailureLimit, m.lastValue())
	case v1alpha1.AnalysisPhasePending, v1alpha1.AnalysisPhaseRunning, v1alpha1.AnalysisPhaseSuccessful:
	}
	return fmt.Sprintf("metric %s is %s", m.Name, m.Phase)
}

func (m MetricView) lastValue() string {
	if m.Last == nil || m.Last.Value == "" {
		return m.lastMessage()
	}
	text := ": last value " + m.Last.Value
	if rule := m.rule(); rule != "" {
		text += ", " + rule
	}
	return text
}

func (m MetricView) lastMessage() string {
	if m.Last == nil || m.Last.Message == "" {
		return ""
	}
	return ": " + m.Last.Message
}

// rule is the condition in words.
func (m MetricView) rule() string {
	switch {
	case m.SuccessCondition != "" && m.FailureCondition != "":
		return fmt.Sprintf("needs %s, fails on %s", m.SuccessCondition, m.FailureCondition)
	case m.SuccessCondition != "":
		return "needs " + m.SuccessCondition
	case m.FailureCondition != "":
		return "fails on " + m.FailureCondition
	}
	return ""
}

// Cause is the blocking reason with the measured number, for one line of a
// log; empty when nothing blocks.
func Cause(v RolloutView) string {
	if v.Why == nil {
		return ""
	}
	metric, ok := culprit(v)
	if !ok || !v.Aborted || v.Why.Source == sourcePlugin {
		return v.Why.Message
	}
	return v.Why.Message + " " + metric.verdict()
}

func whyPaused(v RolloutView) *WhyView {
	if v.Pause == nil {
		return &WhyView{Code: "Paused", Message: v.Message, Unblock: v.command("promote")}
	}
	why := &WhyView{Since: v.Pause.Since, NextAt: v.Pause.Until, Unblock: v.command("promote")}
	switch {
	case v.Pause.Reason == userPause:
		why.Code, why.Message = "PausedByUser", "spec.paused is true, so nothing moves until a person resumes it"
	case v.Pause.Until != nil:
		why.Code, why.NextEvent = "PausedForTime", "the update goes on by itself"
		why.Message = v.pausedAt() + ", which ends by itself"
	case v.Pause.Reason == string(v1alpha1.PauseReasonInconclusiveAnalysis):
		why.Code, why.Message = "InconclusiveAnalysis", "the analysis says neither yes nor no, so a person decides"
		why.Unblock += ", or: " + v.command("abort")
		if metric, ok := culprit(v); ok {
			why.Message = metric.verdict() + "; a person decides"
		}
	default:
		why.Code, why.Message = "PausedByStep", v.pausedAt()+" without a duration, so it waits for a person"
	}
	return why
}

func (v RolloutView) pausedAt() string {
	if v.Step == nil || v.Step.Text == "" {
		return "the update is at a pause"
	}
	return fmt.Sprintf("step %d of %d is a pause", v.Step.Index+1, v.Step.Count)
}

func whyProgressing(v RolloutView) *WhyView {
	why := &WhyView{Code: "Progressing", Message: v.Message}
	if trouble := podTrouble(v); trouble != "" {
		why.Code, why.Message = "WaitingForPods", trouble
		why.NextEvent = "Kubernetes tries again until the progress deadline"
		why.Unblock = "correct the pod template and apply it, or give up with: " + v.command("abort")
	}
	return why
}

// podTrouble says what is wrong with the pods of the newest revision; empty when nothing is.
func podTrouble(v RolloutView) string {
	if len(v.Revisions) == 0 {
		return ""
	}
	for _, rs := range v.Revisions[0].ReplicaSets {
		if rs.Message != "" {
			return fmt.Sprintf("ReplicaSet %s cannot create pods: %s", rs.Name, rs.Message)
		}
		for _, pod := range rs.Pods {
			if pod.Health == Degraded {
				return fmt.Sprintf("%d of %d pods of revision %d are ready: pod %s is %s",
					rs.Ready, rs.Desired, v.Revisions[0].Number, pod.Name, pod.trouble())
			}
		}
	}
	return ""
}

func (p PodView) trouble() string {
	if p.Message == "" {
		return p.Status
	}
	return p.Status + ": " + p.Message
}

// moment prints a time with how far it is from now.
func moment(at, now time.Time) string {
	return fmt.Sprintf("%s (%s)", at.UTC().Format(time.RFC3339), distance(at, now))
}

// distance is "in 4m48s", "2m ago" or "now".
func distance(at, now time.Time) string {
	gap := at.Sub(now).Round(time.Second)
	switch {
	case gap > 0:
		return "in " + span(gap)
	case gap < 0:
		return span(-gap) + " ago"
	}
	return "now"
}
