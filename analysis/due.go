package analysis

import (
	"crypto/sha256"
	"encoding/binary"
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
	// Due is when the measurement is due.
	Due time.Time
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
		task.Number = taken(result) + 1
		if last := latest(*result); last != nil {
			at = metric.after(last, at, now)
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
	task.Due = at
	s.Tasks = append(s.Tasks, task)
}

func (s *Schedule) wake(at time.Time) {
	if s.Wake.IsZero() || at.Before(s.Wake) {
		s.Wake = at
	}
}

// after is when the metric is looked at after its last measurement. first is
// when its first one was due.
func (j judgement) after(last *v1alpha1.Measurement, first, now time.Time) time.Time {
	finished := timeOf(last.FinishedAt, now)
	switch {
	case !last.Phase.Completed():
		return timeOf(last.ResumeAt, now)
	case last.Phase == v1alpha1.AnalysisPhaseError:
		return finished.Add(errorRetry)
	}
	interval := max(j.interval, minInterval)
	next := j.slot(timeOf(last.StartedAt, finished), first).Add(interval)
	// A source that takes long to answer gets a rest.
	if rest := finished.Add(max(interval/2, minInterval)); next.Before(rest) {
		return rest
	}
	return next
}

// slot is the time at which a measurement was due that was started at some time
// at or after it. The slots are an interval apart, so that a measurement that
// is a little late delays no other; one that is late by more than a tenth of
// the interval begins a row of its own, so that no two are much closer.
//
// Example: every 10 s from 12:00:00, with a phase of 0.4 s, slots are at
// 12:00:00.4, 12:00:10.4 and so on. One started at 12:00:20.6 was due at
// 12:00:20.4; one started at 12:00:23 was due then.
func (j judgement) slot(started, first time.Time) time.Time {
	interval := max(j.interval, minInterval)
	// A status has whole seconds, so it was started within one of them: no slot
	// of a short interval may be at the end of one.
	first = endOfSecond(first).Truncate(time.Second).Add(j.phase)
	past := endOfSecond(started).Sub(first)
	slot := first.Add(max(0, past).Truncate(interval))
	if started.Sub(slot) > interval/10 {
		return started
	}
	return slot
}

// endOfSecond is the last moment of a second that has begun.
func endOfSecond(t time.Time) time.Time { return t.Add(time.Second - 1) }

// shift spreads the measurements of all runs over time: each metric of a run
// gets a phase of its own, always the same, below a second and a tenth of its
// interval.
func shift(metrics []judgement, uid string) {
	if uid == "" {
		return
	}
	for i := range metrics {
		sum := sha256.Sum256([]byte(uid + "/" + metrics[i].name))
		most := min(time.Second, max(metrics[i].interval, minInterval)/10)
		metrics[i].phase = (most * time.Duration(binary.BigEndian.Uint16(sum[:]))) >> 16
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
