package main

import (
	"math"
	"time"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// reading is what the status of an AnalysisRun of one metric says at a moment.
type reading struct {
	at time.Time
	// taken counts measurements, and failed those of them that are errors.
	taken, failed int32
	// last is when the last one was started, in whole seconds.
	last time.Time
}

// readings are those of many runs, by name.
type readings map[string]reading

func readingOf(run *v1alpha1.AnalysisRun) reading {
	var r reading
	for _, result := range run.Status.MetricResults {
		r.taken += result.Count + result.Error
		r.failed += result.Error
		if n := len(result.Measurements); n > 0 && result.Measurements[n-1].StartedAt != nil {
			r.last = result.Measurements[n-1].StartedAt.Time
		}
	}
	return r
}

// rate is the measurements per second of all runs since an earlier reading.
func (r readings) rate(earlier readings) float64 {
	var sum float64
	for name, now := range r {
		if then, both := earlier[name]; both && now.at.After(then.at) {
			sum += float64(now.taken-then.taken) / now.at.Sub(then.at).Seconds()
		}
	}
	return sum
}

// failed is the measurements since an earlier reading that are errors.
func (r readings) failed(earlier readings) (sum int32) {
	for name, now := range r {
		sum += now.failed - earlier[name].failed
	}
	return sum
}

// drift is the mean time between the measurements of a run beyond their interval:
// of all runs, and of the run that has the largest, whatever its sign. A status has
// whole seconds, so that of a single run is known within a second divided by its
// number of measurements.
func (r readings) drift(earlier readings, interval time.Duration) (mean, largest time.Duration) {
	var elapsed time.Duration
	var steps int64
	for name, now := range r {
		then := earlier[name]
		if then.last.IsZero() || now.taken <= then.taken {
			continue
		}
		took, n := now.last.Sub(then.last), int64(now.taken-then.taken)
		elapsed, steps = elapsed+took, steps+n
		if of := took/time.Duration(n) - interval; math.Abs(float64(of)) > math.Abs(float64(largest)) {
			largest = of
		}
	}
	if steps == 0 {
		return 0, 0
	}
	return elapsed/time.Duration(steps) - interval, largest
}
