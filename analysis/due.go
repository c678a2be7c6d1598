package analysis

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// Task is a measurement that is due.
type Task struct {
	Verb Verb
	// Metric is the name of the metric, Index its place in the spec.
	Metric string
	Index  int
	// Number of the measurement within its metric, from 1.
	Number int32
	// UnderWay is the measurement to resume or terminate; nil when one is taken.
	UnderWay *v1alpha1.Measurement
}

// Schedule is what to measure now, and when to look again.
type Schedule struct {
	Tasks []Task
	// Wake is when the next measurement is due; zero when none is to come.
	Wake time.Time
}

// due says which measurements of a run that goes on are due.
func due(status *v1alpha1.AnalysisRunStatus, metrics []judgement, terminate bool, now time.Time) Schedule {
	var s Schedule
	stopping := terminate || ended(status, metrics)
	for _, metric := range metrics {
		s.add(status, metric, stopping, now)
	}
	return s
}

func (s *Schedule) add(status *v1alpha1.AnalysisRunStatus, metric judgement, stopping bool, now time.Time) {
	result := find(status.MetricResults, metric.name)
	task := Task{Verb: Take, Metric: metric.name, Index: metric.index, Number: 1}
	at := timeOf(status.StartedAt, now).Add(metric.delay)
	if result != nil {
		if result.Phase.Completed() {
			return
		}
		task.Number = result.Count + result.Error + 1
		if last := latest(*result); last != nil {
			at = nextAfter(last, metric, now)
			if !last.Phase.Completed() {
				task.Verb, task.UnderWay = Resume, last
			}
		}
	}
	if stopping {
		if task.Verb != Resume {
			return
		}
		task.Verb, at = Terminate, now
	}
	if at.After(now) {
		s.wake(at)
		return
	}
	s.Tasks = append(s.Tasks, task)
}

func (s *Schedule) wake(at time.Time) {
	if s.Wake.IsZero() || at.Before(s.Wake) {
		s.Wake = at
	}
}

// nextAfter is when the metric is looked at after its last measurement.
func nextAfter(last *v1alpha1.Measurement, metric judgement, now time.Time) time.Time {
	switch {
	case !last.Phase.Completed():
		return timeOf(last.ResumeAt, now)
	case last.Phase == v1alpha1.AnalysisPhaseError:
		return timeOf(last.FinishedAt, now).Add(errorRetry)
	default:
		return timeOf(last.FinishedAt, now).Add(max(metric.interval, minInterval))
	}
}

// ended reports that a metric that decides the run has ended it: then no other
// is measured any more.
func ended(status *v1alpha1.AnalysisRunStatus, metrics []judgement) bool {
	for _, metric := range metrics {
		result := find(status.MetricResults, metric.name)
		if result == nil || metric.dryRun || result.Phase == v1alpha1.AnalysisPhaseSuccessful {
			continue
		}
		if result.Phase.Completed() {
			return true
		}
	}
	return false
}

func find(results []v1alpha1.MetricResult, name string) *v1alpha1.MetricResult {
	for i := range results {
		if results[i].Name == name {
			return &results[i]
		}
	}
	return nil
}

func timeOf(t *metav1.Time, otherwise time.Time) time.Time {
	if t == nil || t.IsZero() {
		return otherwise
	}
	return t.Time
}
