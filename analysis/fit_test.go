package analysis

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// measuredRun plays rounds of good measurements that all say the same.
func measuredRun(run *v1alpha1.AnalysisRun, rounds int, reply Reply) *v1alpha1.AnalysisRun {
	now := noon
	reply.Phase = v1alpha1.AnalysisPhaseSuccessful
	schedule := scheduleOf(run, now)
	for range rounds {
		var results []Result
		for _, task := range schedule.Tasks {
			results = append(results, Result{Task: task, Started: now, Finished: now, Reply: reply})
		}
		run.Status = statusOf(run, results, now)
		now = now.Add(time.Minute)
		schedule = scheduleOf(run, now)
	}
	return run
}

func metricsOf(n int) []v1alpha1.Metric {
	var out []v1alpha1.Metric
	for i := range n {
		out = append(out, metric(fmt.Sprintf("m%d", i), every("1s")))
	}
	return out
}

func bytesOf(t *testing.T, value any) int {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return len(text)
}

func TestAStatusStaysStorable(t *testing.T) {
	for name, letter := range map[string]string{"digits": "1", "quotes": `"`, "controls": "\x01", "beyond ASCII": "é", "separators": "\u2028"} {
		t.Run(name, func(t *testing.T) {
			long := strings.Repeat(letter, 5000)
			reply := Reply{Value: long, Message: long, Metadata: map[string]string{"warnings": long}, MetricMetadata: map[string]string{"query": long}}
			all := runOf(metricsOf(1)...)
			all.Spec.MeasurementRetention = []v1alpha1.MeasurementRetention{{MetricName: "*", Limit: 2000}}
			for _, run := range []*v1alpha1.AnalysisRun{measuredRun(all, 150, reply), measuredRun(runOf(metricsOf(60)...), 12, reply), measuredRun(runOf(metricsOf(300)...), 12, reply)} {
				if n := bytesOf(t, run.Status); n > maxStatus {
					t.Errorf("%d metrics have %d bytes", len(run.Spec.Metrics), n)
				}
				for _, result := range run.Status.MetricResults {
					if last := latest(result); last == nil || !strings.HasPrefix(last.Value, letter) || result.Count < 12 || result.Successful != result.Count {
						t.Fatalf("something that counts is lost: %+v", result)
					}
				}
			}
		})
	}
}

func TestNoMoreThanAHundredMeasurementsAreKept(t *testing.T) {
	run := runOf(metricsOf(1)...)
	run.Spec.MeasurementRetention = []v1alpha1.MeasurementRetention{{MetricName: "*", Limit: 2000}}
	result := measuredRun(run, 150, Reply{Value: "1"}).Status.MetricResults[0]
	if len(result.Measurements) != 100 || result.Count != 150 {
		t.Errorf("%d of %d are kept", len(result.Measurements), result.Count)
	}
}

func TestTheOldestMeasurementsAreShortenedFirst(t *testing.T) {
	long := strings.Repeat("1", 2000)
	run := runOf(metricsOf(60)...)
	result := measuredRun(run, 10, Reply{Value: long, Metadata: map[string]string{"warnings": long}}).Status.MetricResults[0]
	if len(result.Measurements) != 10 {
		t.Fatalf("%d measurements are kept", len(result.Measurements))
	}
	if got := len(result.Measurements[0].Value); got > maxOld+len("…") {
		t.Errorf("the oldest has a value of %d bytes", got)
	}
	if diff := cmp.Diff(long, latest(result).Value); diff != "" {
		t.Errorf("the last one is shortened: %s", diff)
	}
}

func TestAStatusThatFitsStaysAsItIs(t *testing.T) {
	run := measuredRun(runOf(metricsOf(3)...), 10, Reply{Value: strings.Repeat("1", 2000)})
	got := *run.Status.DeepCopy()
	fit(&got, maxStatus)
	if diff := cmp.Diff(run.Status, got); diff != "" {
		t.Error(diff)
	}
}

func TestTheShortestStatusKeepsWhatCounts(t *testing.T) {
	run := measuredRun(runOf(metricsOf(2)...), 10, Reply{Value: strings.Repeat("1", 2000), Metadata: map[string]string{"job-name": "j"}})
	before := run.Status.DeepCopy()
	got := Shortest(run.Status)
	if diff := cmp.Diff(*before, run.Status); diff != "" {
		t.Errorf("the status it was made of is changed: %s", diff)
	}
	for i, result := range got.MetricResults {
		was := before.MetricResults[i]
		was.Measurements = was.Measurements[9:]
		was.Measurements[0].Value = strings.Repeat("1", maxOld) + "…"
		if diff := cmp.Diff(was, result); diff != "" {
			t.Error(diff)
		}
	}
	run.Status = got
	if diff := cmp.Diff(got, statusOf(run, nil, noon)); diff != "" {
		t.Errorf("the run does not go on from it: %s", diff)
	}
}
