package analysis

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// Codes of status.why of an AnalysisRun. Each is explained in docs/analysis.md.
const (
	WhyInvalidSpec  v1alpha1.WhyCode = "InvalidSpec"
	WhyWaiting      v1alpha1.WhyCode = "WaitingForFirstMeasurement"
	WhyMeasuring    v1alpha1.WhyCode = "Measuring"
	WhySourceFails  v1alpha1.WhyCode = "SourceFails"
	WhyNoData       v1alpha1.WhyCode = "NoData"
	WhyEnding       v1alpha1.WhyCode = "Ending"
	WhyTerminated   v1alpha1.WhyCode = "Terminated"
	WhySuccessful   v1alpha1.WhyCode = "Successful"
	WhyFailed       v1alpha1.WhyCode = "Failed"
	WhyError        v1alpha1.WhyCode = "Error"
	WhyInconclusive v1alpha1.WhyCode = "Inconclusive"
)

// Codes are all codes of status.why of an AnalysisRun.
func Codes() []v1alpha1.WhyCode {
	return []v1alpha1.WhyCode{
		WhyInvalidSpec, WhyWaiting, WhyMeasuring, WhySourceFails, WhyNoData, WhyEnding,
		WhyTerminated, WhySuccessful, WhyFailed, WhyError, WhyInconclusive,
	}
}

// explain puts the one reason a run is where it is into its status. Nothing in
// it ticks: times are absolute, so it causes no write of its own.
func explain(status *v1alpha1.AnalysisRunStatus, metrics []judgement, terminate bool, now time.Time) {
	reason := whyEnded(status, terminate)
	if !status.Phase.Completed() {
		reason = whyOpen(status, metrics, terminate)
	}
	reason.Since = stamp(now)
	if was := status.Why; was != nil && was.Code == reason.Code && was.Since != nil {
		reason.Since = was.Since
	}
	status.Why = &reason
}

func whyEnded(status *v1alpha1.AnalysisRunStatus, terminate bool) v1alpha1.Why {
	message := sentenceOf(status.Message)
	switch status.Phase {
	case v1alpha1.AnalysisPhaseFailed:
		return v1alpha1.Why{Code: WhyFailed, Message: message}
	case v1alpha1.AnalysisPhaseError:
		return v1alpha1.Why{Code: WhyError, Message: message, Unblock: "look at the source of the metric, then measure again in a new run"}
	case v1alpha1.AnalysisPhaseInconclusive:
		return v1alpha1.Why{Code: WhyInconclusive, Message: message}
	case v1alpha1.AnalysisPhaseSuccessful, v1alpha1.AnalysisPhasePending, v1alpha1.AnalysisPhaseRunning:
	}
	if terminate {
		return v1alpha1.Why{Code: WhyTerminated, Message: "The run was told to stop, and nothing bad was measured until then."}
	}
	return v1alpha1.Why{Code: WhySuccessful, Message: fmt.Sprintf("All metrics passed: %d.", status.RunSummary.Successful)}
}

// whyOpen is the reason of a run that goes on: that of the metric with the most
// to tell, and of those the one that is measured next.
func whyOpen(status *v1alpha1.AnalysisRunStatus, metrics []judgement, terminate bool) v1alpha1.Why {
	if terminate || ended(status, metrics) {
		return v1alpha1.Why{Code: WhyEnding, Message: "Measurements that are under way are ended."}
	}
	var best v1alpha1.Why
	var rank int
	for _, metric := range metrics {
		result := find(status.MetricResults, metric.name)
		if result != nil && result.Phase.Completed() {
			continue
		}
		reason, weight := whyMetric(status, metric, result)
		if best.Code == "" || cmp.Or(cmp.Compare(weight, rank), before(reason, best)) > 0 {
			best, rank = reason, weight
		}
	}
	return best
}

// before is above 0 when what comes next for one reason comes before that of another.
func before(a, b v1alpha1.Why) int {
	if a.Next == nil || b.Next == nil || a.Next.At == nil || b.Next.At == nil {
		return 0
	}
	return b.Next.At.Compare(a.Next.At.Time)
}

// whyMetric is the reason of a metric that goes on, and how much it has to tell.
func whyMetric(status *v1alpha1.AnalysisRunStatus, metric judgement, result *v1alpha1.MetricResult) (v1alpha1.Why, int) {
	last := (*v1alpha1.Measurement)(nil)
	if result != nil {
		last = latest(*result)
	}
	at := metric.dueAt(status, result)
	next := &v1alpha1.WhyNext{Event: fmt.Sprintf("metric %s is measured", metric.name)}
	if !at.IsZero() {
		next.At = stamp(at)
	}
	switch {
	case last == nil:
		return v1alpha1.Why{Code: WhyWaiting, Message: fmt.Sprintf("Metric %s was not measured yet.", metric.name), Next: next}, 1
	case last.Phase == v1alpha1.AnalysisPhaseError:
		return v1alpha1.Why{
			Code: WhySourceFails, Next: next,
			Message: sentenceOf(fmt.Sprintf("Metric %s could not be measured, %d in a row (limit %d): %s", metric.name, result.ConsecutiveError, metric.errors, last.Message)),
			Unblock: "look at the source of the metric",
		}, 4
	case last.Phase == v1alpha1.AnalysisPhaseInconclusive && last.Message != "":
		return v1alpha1.Why{
			Code: WhyNoData, Next: next,
			Message: sentenceOf(fmt.Sprintf("Metric %s: %s; %s", metric.name, last.Message, tallies(metric, result))),
		}, 3
	default:
		return v1alpha1.Why{Code: WhyMeasuring, Next: next, Message: fmt.Sprintf("Metric %s: %s.", metric.name, tallies(metric, result))}, 2
	}
}

// dueAt is when a metric that goes on is looked at next.
func (j judgement) dueAt(status *v1alpha1.AnalysisRunStatus, result *v1alpha1.MetricResult) time.Time {
	if status.StartedAt == nil {
		return time.Time{}
	}
	first := status.StartedAt.Add(j.delay)
	if result == nil || latest(*result) == nil {
		return first
	}
	last := latest(*result)
	if !last.Phase.Completed() && last.ResumeAt == nil {
		return time.Time{}
	}
	return j.after(last, first, first)
}

// tallies says how a metric stands: what was measured, of how many, and how much
// of that may be bad.
func tallies(metric judgement, result *v1alpha1.MetricResult) string {
	of := ""
	if metric.count > 0 {
		of = fmt.Sprintf(" of %d", metric.count)
	}
	parts := []string{fmt.Sprintf("%d%s measured", result.Count, of), fmt.Sprintf("%d good", result.Successful)}
	if metric.failures >= 0 {
		parts = append(parts, fmt.Sprintf("%d failed (limit %d)", result.Failed, metric.failures))
	} else {
		parts = append(parts, fmt.Sprintf("%d failed", result.Failed))
	}
	if result.Inconclusive > 0 {
		parts = append(parts, fmt.Sprintf("%d inconclusive (limit %d)", result.Inconclusive, metric.inconclusives))
	}
	if metric.passes > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d good in a row", result.ConsecutiveSuccess, metric.passes))
	}
	if result.Ignored > 0 {
		parts = append(parts, fmt.Sprintf("%d ignored without data", result.Ignored))
	}
	return strings.Join(parts, ", ")
}

// sentenceOf is a text that ends as a sentence does.
func sentenceOf(text string) string {
	return strings.TrimSuffix(text, ".") + "."
}
