package analysis

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// TestLaws plays random runs to their end. Results come in any order and
// number, some are lost, some come twice; a status write may be lost.
func TestLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		run := anyRun(t)
		now := noon
		for range 60 {
			before := run.DeepCopy()
			results := anyResults(t, scheduleOf(run, now).Tasks, now)
			status := statusOf(run, results, now)
			if diff := cmp.Diff(status, statusOf(before, results, now)); diff != "" {
				t.Fatalf("the same facts give another status: %s", diff)
			}
			if diff := cmp.Diff(before, run); diff != "" {
				t.Fatalf("the run was changed: %s", diff)
			}
			holds(t, run, status)
			if rapid.IntRange(0, 9).Draw(t, "the write is lost") == 0 {
				continue // the shell tries again at once
			}
			run.Status = status
			schedule := scheduleOf(run, now)
			if run.Status.Phase.Completed() {
				if len(schedule.Tasks) > 0 || !schedule.Wake.IsZero() {
					t.Fatalf("a run that is complete is measured: %+v", schedule)
				}
				return
			}
			if len(schedule.Tasks) == 0 && !schedule.Wake.After(now) {
				t.Fatalf("an open run sleeps for ever: %+v", run.Status)
			}
			now = now.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "seconds")) * time.Second)
			run.Spec.Terminate = run.Spec.Terminate || rapid.IntRange(0, 30).Draw(t, "terminate") == 0
		}
	})
}

func anyRun(t *rapid.T) *v1alpha1.AnalysisRun {
	var metrics []v1alpha1.Metric
	for _, name := range []string{"a", "b", "c"}[:rapid.IntRange(1, 3).Draw(t, "metrics")] {
		n := rapid.IntRange(0, 6).Draw(t, "count")
		m := metric(name, every("5s"), count(n))
		if n == 0 || n > 3 {
			m.FailureLimit = limit(rapid.IntRange(0, 1).Draw(t, "failures"))
			m.InconclusiveLimit = limit(rapid.IntRange(0, 2).Draw(t, "inconclusives"))
			m.ConsecutiveSuccessLimit = limit(rapid.IntRange(0, 2).Draw(t, "passes"))
		}
		m.ConsecutiveErrorLimit = limit(rapid.IntRange(0, 4).Draw(t, "errors"))
		metrics = append(metrics, m)
	}
	run := runOf(metrics...)
	if rapid.Bool().Draw(t, "dry run") {
		run.Spec.DryRun = []v1alpha1.DryRun{{MetricName: "a"}}
	}
	return run
}

func anyResults(t *rapid.T, tasks []Task, now time.Time) []Result {
	var out []Result
	for _, task := range tasks {
		letters := "SSSFIER"
		if task.Verb == Terminate {
			letters = "SI"
		}
		letter := letters[rapid.IntRange(0, len(letters)-1).Draw(t, "letter")]
		result := Result{Task: task, Started: now, Finished: now, Reply: Reply{Phase: phases[letter]}}
		if letter == 'R' {
			result.Reply.ResumeAt = now.Add(time.Second)
		}
		for range rapid.IntRange(0, 2).Draw(t, "arrives") {
			out = append(out, result)
		}
	}
	return out
}

// holds checks what no status may say.
func holds(t *rapid.T, run *v1alpha1.AnalysisRun, status v1alpha1.AnalysisRunStatus) {
	if status.Phase.Completed() != (status.CompletedAt != nil) {
		t.Fatalf("%s with completedAt %v", status.Phase, status.CompletedAt)
	}
	for _, r := range status.MetricResults {
		if r.Count != r.Successful+r.Failed+r.Inconclusive {
			t.Fatalf("%d measurements are not %d+%d+%d", r.Count, r.Successful, r.Failed, r.Inconclusive)
		}
		if len(r.Measurements) > retention {
			t.Fatalf("%d measurements are kept", len(r.Measurements))
		}
	}
	if status.Phase != v1alpha1.AnalysisPhaseSuccessful || run.Spec.Terminate {
		return
	}
	// S11: without being told to stop, every metric that decides has passed on a good measurement.
	for _, m := range run.Spec.Metrics {
		r := find(status.MetricResults, m.Name)
		if r != nil && r.DryRun {
			continue
		}
		if r == nil || r.Phase != v1alpha1.AnalysisPhaseSuccessful || r.Successful == 0 {
			t.Fatalf("the run passed without %s: %+v", m.Name, r)
		}
	}
}
