package analysis

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// whyText is a reason on one line.
func whyText(why *v1alpha1.Why) string {
	text := fmt.Sprintf("%s: %s", why.Code, why.Message)
	if why.Next != nil {
		text += " Next: " + why.Next.Event
		if why.Next.At != nil {
			text += " after " + why.Next.At.Sub(noon).String()
		}
	}
	return text
}

func TestWhy(t *testing.T) {
	long := every("1m")
	shown := map[v1alpha1.WhyCode]bool{}
	for _, c := range []struct {
		name  string
		run   *v1alpha1.AnalysisRun
		story map[string]string
		want  string
	}{
		{"nothing is measured yet", runOf(metric("rate", after("5m"))), nil, "WaitingForFirstMeasurement: Metric rate was not measured yet. Next: metric rate is measured after 5m0s"},
		{"measured twice of five", runOf(metric("rate", long, count(5), failures(1))), map[string]string{"rate": "SF"}, "Measuring: Metric rate: 2 of 5 measured, 1 good, 1 failed (limit 1). Next: metric rate is measured after 2m0s"},
		{"without a limit of failures", runOf(metric("rate", long, passes(3), failures(-1))), map[string]string{"rate": "SFS"}, "Measuring: Metric rate: 3 measured, 2 good, 1 failed, 1 of 3 good in a row. Next: metric rate is measured after 3m0s"},
		{"the source fails", runOf(metric("rate", long)), map[string]string{"rate": "SEE"}, "SourceFails: Metric rate could not be measured, 2 in a row (limit 4): no route to host. Next: metric rate is measured after 1m20s"},
		{"the source of one fails", runOf(metric("rate", long), metric("p99", long)), map[string]string{"rate": "S", "p99": "E"}, "SourceFails: Metric p99 could not be measured, 1 in a row (limit 4): no route to host. Next: metric p99 is measured after 10s"},
		{"two are measured, the next of them is told", runOf(metric("rate", every("2m")), metric("p99", long)), map[string]string{"rate": "S", "p99": "S"}, "Measuring: Metric p99: 1 measured, 1 good, 0 failed (limit 0). Next: metric p99 is measured after 1m0s"},
		{"all passed", runOf(metric("rate"), metric("p99")), map[string]string{"rate": "S", "p99": "S"}, "Successful: All metrics passed: 2."},
		{"it failed", runOf(metric("rate")), map[string]string{"rate": "F"}, `Failed: Metric "rate" assessed Failed due to failed (1) > failureLimit (0) (query x).`},
		{"it is in error", runOf(metric("rate", errorsMax(0))), map[string]string{"rate": "E"}, `Error: Metric "rate" assessed Error due to consecutiveErrors (1) > consecutiveErrorLimit (0): "Error Message: no route to host".`},
		{"it has no verdict", runOf(metric("rate")), map[string]string{"rate": "I"}, `Inconclusive: Metric "rate" assessed Inconclusive due to inconclusive (1) > inconclusiveLimit (0) (query x).`},
		{"its spec is invalid", runOf(), nil, "InvalidSpec: Analysis spec invalid: metrics: Required value: no metrics specified."},
	} {
		t.Run(c.name, func(t *testing.T) {
			if len(c.run.Spec.Metrics) > 0 {
				play(t, c.run, c.story)
			} else {
				c.run.Status = statusOf(c.run, nil, noon)
			}
			shown[c.run.Status.Why.Code] = true
			if got := whyText(c.run.Status.Why); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
	for code, run := range map[v1alpha1.WhyCode]*v1alpha1.AnalysisRun{WhyTerminated: terminated(t, "S"), WhyEnding: terminated(t, "R"), WhyNoData: withoutData(t)} {
		shown[code] = true
		if got := run.Status.Why.Code; got != code {
			t.Errorf("got %s, want %s", whyText(run.Status.Why), code)
		}
	}
	page, err := os.ReadFile(filepath.Join("..", "docs", "analysis.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range Codes() {
		if !shown[code] {
			t.Errorf("no case shows the code %s", code)
		}
		if !strings.Contains(string(page), "| `"+string(code)+"` |") {
			t.Errorf("docs/analysis.md does not explain the code %s", code)
		}
	}
}

// terminated is a run that was told to stop after a story.
func terminated(t *testing.T, story string) *v1alpha1.AnalysisRun {
	run := runOf(metric("rate", every("1m")))
	play(t, run, map[string]string{"rate": story})
	run.Spec.Terminate = true
	run.Status = statusOf(run, nil, noon)
	return run
}

// withoutData is a run whose last measurement had no data.
func withoutData(t *testing.T) *v1alpha1.AnalysisRun {
	run := runOf(metric("rate", every("1m"), inconcl(3)))
	play(t, run, nil)
	reply := Decide(&run.Spec.Metrics[0], Reply{Result: []float64{}}, nil, noon)
	run.Status = statusOf(run, []Result{{Task: scheduleOf(run, noon).Tasks[0], Started: noon, Finished: noon, Reply: reply}}, noon)
	if want := "Metric rate: the metric has no data, and no condition says what that means; test len(result) to decide it; 1 measured, 0 good, 0 failed (limit 0), 1 inconclusive (limit 3)."; run.Status.Why.Message != want {
		t.Errorf("got %s", run.Status.Why.Message)
	}
	return run
}

// TestAReasonCausesNoWriteOfItsOwn looks at a status again, before and after the
// next measurement is due, without one.
func TestAReasonCausesNoWriteOfItsOwn(t *testing.T) {
	for _, story := range []string{"", "S", "SF", "SE", "R", "SI"} {
		run := runOf(metric("rate", every("1m"), failures(3), inconcl(3)), metric("late", after("1h")))
		run.UID = "uid"
		play(t, run, map[string]string{"rate": story})
		for _, later := range []time.Duration{0, time.Second, 59 * time.Second, 2 * time.Minute, 3 * time.Hour} {
			if diff := cmp.Diff(run.Status, statusOf(run, nil, noon.Add(time.Hour+later))); diff != "" {
				t.Errorf("%q, looked at again: %s", story, diff)
			}
		}
	}
}
