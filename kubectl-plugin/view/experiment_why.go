package view

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// whyOfExperiment is why an Experiment has not ended well; nil when it has. What
// the controller reports comes first; one of another controller, or one that was
// told to end since, is concluded from what is there.
func whyOfExperiment(e *v1alpha1.Experiment, v ExperimentView) *WhyView {
	if v.Phase == v1alpha1.AnalysisPhaseSuccessful {
		return nil
	}
	if why := e.Status.Why; why != nil && v.Phase == e.Status.Phase && (v.Phase.Completed() || !v.Terminating) {
		return reported(why)
	}
	why := v.awaited(e)
	if v.Phase.Completed() {
		why = v.ended(e)
	}
	why.Source = sourcePlugin
	return why
}

// ended is why it ended badly.
func (v ExperimentView) ended(e *v1alpha1.Experiment) *WhyView {
	why := &WhyView{Code: "Ended", Message: v.Message, Unblock: "begin again with: " + v.command("retry experiment")}
	if v.Rollout != "" {
		why.Unblock = "it is a step of a rollout; see: " + commandLine("why", v.Rollout, v.Namespace)
	}
	for i := range e.Status.Conditions {
		c := &e.Status.Conditions[i]
		switch {
		case c.Type == v1alpha1.ExperimentInvalidSpec && c.Status == corev1.ConditionTrue:
			why.Code, why.Unblock = "InvalidSpec", "correct the spec and apply it again; it begins by itself then"
		case c.Type == v1alpha1.ExperimentProgressing && c.Status == corev1.ConditionFalse:
			why.Since = timeOf(&c.LastTransitionTime)
		}
	}
	if why.Code == "InvalidSpec" {
		return why
	}
	v.blame(why)
	for _, t := range v.Templates {
		for _, rs := range t.ReplicaSets {
			if at := rs.ScaleDownAt; at != nil && at.After(v.ObservedAt) && (why.NextAt == nil || at.Before(*why.NextAt)) {
				why.NextAt, why.NextEvent = at, "its pods are removed"
			}
		}
	}
	return why
}

// blame names the part that ended it: a template before an analysis, as the controller judges.
func (v ExperimentView) blame(why *WhyView) {
	for _, t := range v.Templates {
		if t.Status == v1alpha1.TemplateStatusFailed || t.Status == v1alpha1.TemplateStatusError {
			why.Code = "EndedByTemplate"
			if trouble := t.trouble(); trouble != "" && !strings.Contains(why.Message, trouble) {
				why.Message = strings.TrimSuffix(why.Message, ".") + "; " + trouble
			}
			return
		}
	}
	for _, run := range v.AnalysisRuns {
		if !bad(run.Phase) {
			continue
		}
		why.Code = "EndedByAnalysis"
		if metric, ok := run.culprit(); ok {
			why.Message = fmt.Sprintf("analysis %s ended it because %s", run.Analysis, metric.verdict())
		} else if run.Message != "" {
			why.Message = fmt.Sprintf("analysis %s ended it: %s", run.Analysis, run.Message)
		}
		return
	}
}

// awaited is what it waits for before it ends.
func (v ExperimentView) awaited(e *v1alpha1.Experiment) *WhyView {
	switch {
	case v.Terminating:
		return terminating()
	case e.Status.Phase == "" && len(e.Status.TemplateStatuses) == 0:
		return &WhyView{
			Code: "NotObserved", Message: "the controller has not looked at it yet",
			NextEvent: "it begins within seconds, unless no controller runs",
		}
	}
	for _, t := range v.Templates {
		if t.Status != v1alpha1.TemplateStatusRunning && t.Status != v1alpha1.TemplateStatusSuccessful {
			return v.lacking(e, t)
		}
	}
	return v.measuring(e)
}

// terminating is why an experiment or a run goes on that was told to end.
func terminating() *WhyView {
	return &WhyView{
		Code: "Terminating", Message: "it was told to end, and the controller has not ended it yet",
		NextEvent: "it ends within seconds, unless no controller runs",
	}
}

// lacking says which pods are missing, and until when.
func (v ExperimentView) lacking(e *v1alpha1.Experiment, t TemplateView) *WhyView {
	why := &WhyView{Code: "WaitingForPods", Since: t.Since, Unblock: "give up with: " + v.command("terminate experiment")}
	why.Message = fmt.Sprintf("template %s has %d of %s available", t.Name, t.Available, counted(int(t.Desired), "pod", "pods"))
	switch trouble := t.trouble(); {
	case t.Message != "":
		why.Message += ": " + t.Message
	case trouble != "":
		why.Message += ": " + trouble
	}
	if t.Since != nil {
		deadline := t.Since.Add(e.ProgressDeadline())
		why.NextAt, why.NextEvent = &deadline, "it fails if no further pod is available"
	}
	return why
}

// trouble says what is wrong with the pods of a template; empty when nothing is.
func (t TemplateView) trouble() string {
	for _, rs := range t.ReplicaSets {
		if rs.Message != "" {
			return fmt.Sprintf("ReplicaSet %s cannot create pods: %s", rs.Name, rs.Message)
		}
		for _, pod := range rs.Pods {
			if pod.Health == Degraded {
				return fmt.Sprintf("pod %s is %s", pod.Name, pod.trouble())
			}
		}
	}
	return ""
}

// measuring says what it waits for while all of its pods run.
func (v ExperimentView) measuring(e *v1alpha1.Experiment) *WhyView {
	why := &WhyView{Code: "Running", Since: v.AvailableAt, Unblock: "end it with: " + v.command("terminate experiment")}
	why.Message = "all pods are available"
	if open := v.open(e, false); open != "" {
		why.Message += ", and it measures: " + open
	}
	required := v.open(e, true)
	switch {
	case v.remaining() > 0:
		why.NextAt, why.NextEvent = v.EndsAt, "its duration is over"
	case v.EndsAt != nil && required != "":
		why.Message, why.NextEvent = "its duration is over, and it waits for "+required, "it ends with "+required
	case v.EndsAt != nil:
		why.Message, why.NextEvent = "its duration is over, and the controller has not ended it yet", "it ends within seconds, unless no controller runs"
	case required != "":
		why.NextEvent = "it ends with " + required
	default:
		why.NextEvent = "none is certain: it has no duration and requires no analysis, so an analysis that fails ends it, or a person"
	}
	return why
}

// open are the analyses of the spec that are not done, or of those the required ones; empty when there are none.
func (v ExperimentView) open(e *v1alpha1.Experiment, required bool) string {
	var names []string
	for i := range e.Spec.Analyses {
		a := &e.Spec.Analyses[i]
		if (a.RequiredForCompletion || !required) && !v.done(clean(a.Name)) {
			names = append(names, clean(a.Name))
		}
	}
	switch len(names) {
	case 0:
		return ""
	case 1:
		return "analysis " + names[0]
	}
	return "analyses " + strings.Join(names, ", ")
}

func (v ExperimentView) done(analysis string) bool {
	for _, run := range v.AnalysisRuns {
		if run.Analysis == analysis {
			return run.Phase.Completed()
		}
	}
	return false
}

// counted is a number with its noun.
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
