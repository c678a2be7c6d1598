package plan

import (
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// Codes of status.why. Each is explained in docs/experiments.md.
const (
	WhyInvalidSpec        v1alpha1.WhyCode = "InvalidSpec"
	WhyWaitingForPods     v1alpha1.WhyCode = "WaitingForPods"
	WhyWaitingForAnalyses v1alpha1.WhyCode = "WaitingForAnalyses"
	WhyRunning            v1alpha1.WhyCode = "Running"
	WhyTerminated         v1alpha1.WhyCode = "Terminated"
	WhySuccessful         v1alpha1.WhyCode = "Successful"
	WhyFailed             v1alpha1.WhyCode = "Failed"
	WhyError              v1alpha1.WhyCode = "Error"
	WhyInconclusive       v1alpha1.WhyCode = "Inconclusive"
)

// Codes are all codes of status.why.
func Codes() []v1alpha1.WhyCode {
	return []v1alpha1.WhyCode{
		WhyInvalidSpec, WhyWaitingForPods, WhyWaitingForAnalyses, WhyRunning, WhyTerminated, WhySuccessful, WhyFailed, WhyError, WhyInconclusive,
	}
}

// explained is a status with the one reason the Experiment is where it is.
// Nothing in it ticks: times are absolute.
// An end that another controller recorded, or an earlier version, stays as it is.
func explained(w world, st v1alpha1.ExperimentStatus) v1alpha1.ExperimentStatus {
	if w.ended() && w.old.Why == nil {
		return st
	}
	reason := why(w, st)
	reason.Since = new(metav1.NewTime(w.Now.Truncate(time.Second)))
	if was := w.old.Why; was != nil && was.Code == reason.Code && was.Since != nil {
		reason.Since = was.Since
	}
	st.Why = &reason
	return st
}

func why(w world, st v1alpha1.ExperimentStatus) v1alpha1.Why {
	switch {
	case wasInvalid(st):
		return v1alpha1.Why{Code: WhyInvalidSpec, Message: because(st.Message, ""), Next: w.nextRemoval(), Unblock: "correct the spec: it then begins anew"}
	case st.Phase.Completed():
		return whyEnded(w, st)
	case st.Phase == v1alpha1.AnalysisPhaseRunning:
		return whyRunning(w, st)
	default:
		return whyPods(w, st)
	}
}

// whyEnded says how it ended, and what becomes of its pods.
func whyEnded(w world, st v1alpha1.ExperimentStatus) v1alpha1.Why {
	retry := fmt.Sprintf("kubectl rollouts retry experiment %s -n %s", w.Experiment.Name, w.Experiment.Namespace)
	reason := v1alpha1.Why{Code: WhySuccessful, Message: "It has ended well."}
	switch st.Phase {
	case v1alpha1.AnalysisPhaseFailed:
		reason = v1alpha1.Why{Code: WhyFailed, Message: "It failed", Unblock: retry}
	case v1alpha1.AnalysisPhaseError:
		reason = v1alpha1.Why{Code: WhyError, Message: "It could not be carried out", Unblock: retry}
	case v1alpha1.AnalysisPhaseInconclusive:
		reason = v1alpha1.Why{Code: WhyInconclusive, Message: "It ended without a verdict", Unblock: retry}
	case v1alpha1.AnalysisPhaseSuccessful, v1alpha1.AnalysisPhasePending, v1alpha1.AnalysisPhaseRunning:
		if w.spec.Terminate {
			reason = v1alpha1.Why{Code: WhyTerminated, Message: "It was terminated."}
		}
	}
	if reason.Unblock != "" {
		reason.Message = because(reason.Message, st.Message)
	}
	reason.Next = w.nextRemoval()
	return reason
}

// nextRemoval is when the pods of an Experiment that has ended go; nil when none are left.
func (w world) nextRemoval() *v1alpha1.WhyNext {
	if !w.ended() {
		return nil
	}
	var last time.Time
	for _, set := range w.allSets() {
		if until := w.keptUntil(set); set.Replicas > 0 && until.After(last) {
			last = until
		}
	}
	if last.IsZero() {
		return nil
	}
	return &v1alpha1.WhyNext{At: new(metav1.NewTime(last.Truncate(time.Second))), Event: "its pods are removed"}
}

// whyRunning says what the end waits for, while all pods are there.
func whyRunning(w world, st v1alpha1.ExperimentStatus) v1alpha1.Why {
	terminate := fmt.Sprintf("kubectl rollouts terminate experiment %s -n %s", w.Experiment.Name, w.Experiment.Namespace)
	end := time.Time{}
	if st.AvailableAt != nil {
		end = w.endsAt(st.AvailableAt.Time)
	}
	open := w.openAnalyses(st)
	if end.IsZero() || !w.Now.Before(end) {
		message := "All pods are available; it runs until it is terminated."
		if len(open) > 0 {
			message = fmt.Sprintf("All pods are available; it waits for %s.", strings.Join(open, ", "))
		}
		return v1alpha1.Why{Code: WhyWaitingForAnalyses, Message: message, Unblock: terminate}
	}
	return v1alpha1.Why{
		Code: WhyRunning, Message: fmt.Sprintf("All pods are available; it runs for its duration of %s.", w.spec.Duration), Unblock: terminate,
		Next: &v1alpha1.WhyNext{At: new(metav1.NewTime(end)), Event: "it ends, unless an analysis ends it before"},
	}
}

// openAnalyses names the analyses without a verdict.
func (w world) openAnalyses(st v1alpha1.ExperimentStatus) []string {
	var open []string
	for _, analysis := range w.spec.Analyses {
		if !phaseOf(st, analysis.Name).Completed() {
			open = append(open, "analysis "+analysis.Name)
		}
	}
	return open
}

// whyPods says which template lacks its pods.
func whyPods(w world, st v1alpha1.ExperimentStatus) v1alpha1.Why {
	reason := v1alpha1.Why{Code: WhyWaitingForPods, Message: "It begins."}
	for i, t := range st.TemplateStatuses {
		if t.Status != v1alpha1.TemplateStatusProgressing {
			continue
		}
		what := fmt.Sprintf("Template %s has %d of %d pods", t.Name, t.AvailableReplicas, w.spec.Templates[i].DesiredReplicas())
		if service := w.serviceName(i); service != "" && !w.hasService(service) {
			what += " and no Service"
		}
		reason.Message = because(what, t.Message)
		reason.Unblock = fmt.Sprintf("look at its pods: kubectl describe pods -n %s -l %s=%s", w.Experiment.Namespace, v1alpha1.PodTemplateHashLabel, t.PodTemplateHash)
		if t.PodTemplateHash == "" {
			reason.Unblock = ""
		}
		if t.LastTransitionTime != nil {
			at := t.LastTransitionTime.Add(w.Experiment.ProgressDeadline()).Truncate(time.Second)
			reason.Next = &v1alpha1.WhyNext{At: new(metav1.NewTime(at)), Event: "it fails, unless pods become available before"}
		}
		return reason
	}
	return reason
}

// because joins what happened and why.
func because(what, why string) string {
	if why == "" {
		return what + "."
	}
	return what + ": " + strings.TrimSuffix(why, ".") + "."
}
