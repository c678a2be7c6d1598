package analysis

import (
	"maps"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// Result is what came of a task.
type Result struct {
	Task              Task
	Started, Finished time.Time
	Reply             Reply
}

// Next is the status of a run after results have come in, and what is to be
// measured then: the measurements are recorded, every metric and the run are
// judged. With the same run, results and time it is always the same. A run that
// is complete stays as it is, and one whose spec cannot be measured ends.
func Next(run *v1alpha1.AnalysisRun, results []Result, now time.Time) (v1alpha1.AnalysisRunStatus, Schedule) {
	status := *run.Status.DeepCopy()
	if status.Phase.Completed() {
		return status, Schedule{}
	}
	if status.StartedAt == nil {
		status.StartedAt = stamp(now)
	}
	metrics, err := judgements(&run.Spec)
	if err != nil {
		status.Phase = v1alpha1.AnalysisPhaseError
		status.Message = "Analysis spec invalid: " + err.Error()
		status.CompletedAt = stamp(now)
		status.Why = &v1alpha1.Why{Code: WhyInvalidSpec, Message: sentenceOf(status.Message), Since: stamp(now), Unblock: "correct the template: a run that has ended stays as it is"}
		return status, Schedule{}
	}
	shift(metrics, string(run.UID))
	record(&status, metrics, results)
	conclude(&status, metrics, run.Spec.Terminate)
	fit(&status, maxStatus)
	explain(&status, metrics, run.Spec.Terminate, now)
	if status.Phase.Completed() {
		status.CompletedAt = stamp(now)
		return status, Schedule{}
	}
	return status, due(&status, metrics, run.Spec.Terminate, now)
}

// record adds results to the measurements of their metrics.
func record(status *v1alpha1.AnalysisRunStatus, metrics []judgement, results []Result) {
	for _, result := range results {
		i := slices.IndexFunc(metrics, func(j judgement) bool { return j.name == result.Task.Metric })
		if i < 0 {
			continue
		}
		entry := find(status.MetricResults, metrics[i].name)
		if entry == nil {
			status.MetricResults = append(status.MetricResults, v1alpha1.MetricResult{
				Name: metrics[i].name, Phase: v1alpha1.AnalysisPhasePending, DryRun: metrics[i].dryRun,
			})
			entry = &status.MetricResults[len(status.MetricResults)-1]
		}
		recordOne(entry, metrics[i], result)
	}
}

func recordOne(entry *v1alpha1.MetricResult, metric judgement, result Result) {
	// A result that is not expected any more was recorded before or came too late.
	if entry.Phase.Completed() || result.Task.Number != taken(entry)+1 {
		return
	}
	measurement := measured(result)
	last := latest(*entry)
	if last != nil && !last.Phase.Completed() {
		measurement.StartedAt = last.StartedAt
		measurement.Metadata = merged(last.Metadata, measurement.Metadata)
		*last = measurement
	} else {
		entry.Measurements = append(entry.Measurements, measurement)
	}
	if len(result.Reply.MetricMetadata) > 0 {
		entry.Metadata = merged(entry.Metadata, clipAll(result.Reply.MetricMetadata))
	}
	if result.Reply.Ignored {
		entry.Ignored++
	} else {
		tally(entry, measurement.Phase)
	}
	if drop := len(entry.Measurements) - metric.keep; drop > 0 {
		entry.Measurements = slices.Clone(entry.Measurements[drop:])
	}
}

// taken is how many measurements of a metric are complete.
func taken(entry *v1alpha1.MetricResult) int32 {
	return entry.Count + entry.Error + entry.Ignored
}

func measured(result Result) v1alpha1.Measurement {
	reply := result.Reply
	m := v1alpha1.Measurement{
		Phase:     reply.Phase,
		Message:   clip(reply.Message, maxMessage),
		Value:     clip(reply.Value, maxValue),
		Metadata:  clipAll(reply.Metadata),
		StartedAt: stamp(result.Started),
	}
	switch {
	case reply.Phase.Completed():
		m.FinishedAt = stamp(result.Finished)
	case !reply.ResumeAt.IsZero():
		m.ResumeAt = stamp(reply.ResumeAt)
	}
	return m
}

func merged(into, add map[string]string) map[string]string {
	if len(into) == 0 {
		return maps.Clone(add)
	}
	out := maps.Clone(into)
	maps.Copy(out, add)
	return out
}

// tally counts a measurement that is complete. An error is no measurement, so
// it does not count towards count.
func tally(entry *v1alpha1.MetricResult, phase v1alpha1.AnalysisPhase) {
	switch phase {
	case v1alpha1.AnalysisPhaseSuccessful:
		entry.Successful++
		entry.ConsecutiveSuccess++
	case v1alpha1.AnalysisPhaseFailed:
		entry.Failed++
	case v1alpha1.AnalysisPhaseInconclusive:
		entry.Inconclusive++
	case v1alpha1.AnalysisPhaseError:
		entry.Error++
		entry.ConsecutiveError++
		entry.ConsecutiveSuccess = 0
		return
	case v1alpha1.AnalysisPhasePending, v1alpha1.AnalysisPhaseRunning:
		return
	}
	entry.Count++
	entry.ConsecutiveError = 0
	if phase != v1alpha1.AnalysisPhaseSuccessful {
		entry.ConsecutiveSuccess = 0
	}
}

// conclude judges the metrics, then the run.
func conclude(status *v1alpha1.AnalysisRunStatus, metrics []judgement, terminate bool) {
	stopping := terminate
	for _, metric := range metrics {
		verdict := judgeOne(status, metric, terminate)
		stopping = stopping || (!metric.dryRun && verdict.Phase.Completed() && verdict.Phase != v1alpha1.AnalysisPhaseSuccessful)
	}
	worst := Verdict{Phase: v1alpha1.AnalysisPhaseSuccessful}
	open := false
	for _, metric := range metrics {
		verdict := judgeOne(status, metric, stopping)
		if !verdict.Phase.Completed() {
			open = true
			continue
		}
		if !metric.dryRun && severity(verdict.Phase) > severity(worst.Phase) {
			worst = verdict
			worst.Message = messageOf(status, metric)
		}
	}
	status.RunSummary, status.DryRunSummary = summaries(status, metrics)
	switch {
	case open:
		status.Phase, status.Message = v1alpha1.AnalysisPhaseRunning, ""
	default:
		status.Phase, status.Message = worst.Phase, worst.Message
		if terminate && worst.Message == "" {
			status.Message = "Run Terminated"
		}
	}
}

// judgeOne judges a metric and writes the verdict into its result.
func judgeOne(status *v1alpha1.AnalysisRunStatus, metric judgement, terminating bool) Verdict {
	f := facts{judgement: metric, terminating: terminating}
	entry := find(status.MetricResults, metric.name)
	if entry == nil {
		return assess(f)
	}
	f.result = *entry
	verdict := assess(f)
	if !entry.Phase.Completed() {
		entry.Phase, entry.Message = verdict.Phase, verdict.Message
	}
	return verdict
}

func messageOf(status *v1alpha1.AnalysisRunStatus, metric judgement) string {
	if entry := find(status.MetricResults, metric.name); entry != nil {
		return entry.Message
	}
	return ""
}

// summaries counts metrics by phase. There is no summary of dry runs without one.
func summaries(status *v1alpha1.AnalysisRunStatus, metrics []judgement) (v1alpha1.RunSummary, *v1alpha1.RunSummary) {
	var run, dryRun v1alpha1.RunSummary
	for _, metric := range metrics {
		into := &run
		if metric.dryRun {
			into = &dryRun
		}
		into.Count++
		entry := find(status.MetricResults, metric.name)
		if entry == nil {
			continue
		}
		switch entry.Phase {
		case v1alpha1.AnalysisPhaseSuccessful:
			into.Successful++
		case v1alpha1.AnalysisPhaseFailed:
			into.Failed++
		case v1alpha1.AnalysisPhaseInconclusive:
			into.Inconclusive++
		case v1alpha1.AnalysisPhaseError:
			into.Error++
		case v1alpha1.AnalysisPhasePending, v1alpha1.AnalysisPhaseRunning:
		}
	}
	if dryRun.Count == 0 {
		return run, nil
	}
	return run, &dryRun
}

// Expiry is when a completed run is to be deleted; zero when it is kept.
// Special rules win over secondsAfterCompletion.
func Expiry(run *v1alpha1.AnalysisRun) time.Time {
	ttl := run.Spec.TTLStrategy
	if ttl == nil || run.Status.CompletedAt == nil || !run.Status.Phase.Completed() {
		return time.Time{}
	}
	seconds := ttl.SecondsAfterCompletion
	if run.Status.Phase == v1alpha1.AnalysisPhaseSuccessful && ttl.SecondsAfterSuccess != nil {
		seconds = ttl.SecondsAfterSuccess
	}
	if run.Status.Phase == v1alpha1.AnalysisPhaseFailed && ttl.SecondsAfterFailure != nil {
		seconds = ttl.SecondsAfterFailure
	}
	if seconds == nil {
		return time.Time{}
	}
	return run.Status.CompletedAt.Add(time.Duration(*seconds) * time.Second)
}

// stamp is a time in the precision of the API, so that a status reads back as it was written.
func stamp(t time.Time) *metav1.Time {
	at := metav1.NewTime(t.UTC().Truncate(time.Second))
	return &at
}
