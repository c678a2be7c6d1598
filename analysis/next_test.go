package analysis

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

type edit func(*v1alpha1.Metric)

func limit(n int) *intstr.IntOrString {
	value := intstr.FromInt32(int32(n))
	return &value
}

func count(n int) edit { return func(m *v1alpha1.Metric) { m.Count = limit(n) } }
func every(d string) edit {
	return func(m *v1alpha1.Metric) { m.Interval = v1alpha1.DurationString(d) }
}

func after(d string) edit {
	return func(m *v1alpha1.Metric) { m.InitialDelay = v1alpha1.DurationString(d) }
}
func failures(n int) edit  { return func(m *v1alpha1.Metric) { m.FailureLimit = limit(n) } }
func inconcl(n int) edit   { return func(m *v1alpha1.Metric) { m.InconclusiveLimit = limit(n) } }
func errorsMax(n int) edit { return func(m *v1alpha1.Metric) { m.ConsecutiveErrorLimit = limit(n) } }

func passes(n int) edit { return func(m *v1alpha1.Metric) { m.ConsecutiveSuccessLimit = limit(n) } }

func metric(name string, edits ...edit) v1alpha1.Metric {
	m := v1alpha1.Metric{Name: name, Provider: v1alpha1.MetricProvider{Prometheus: &v1alpha1.PrometheusMetric{Query: "x"}}}
	for _, e := range edits {
		e(&m)
	}
	return m
}

func runOf(metrics ...v1alpha1.Metric) *v1alpha1.AnalysisRun {
	return &v1alpha1.AnalysisRun{Spec: v1alpha1.AnalysisRunSpec{Metrics: metrics}}
}

// phases are the letters of a story: what each measurement said.
var phases = map[byte]v1alpha1.AnalysisPhase{
	'S': v1alpha1.AnalysisPhaseSuccessful,
	'F': v1alpha1.AnalysisPhaseFailed,
	'I': v1alpha1.AnalysisPhaseInconclusive,
	'E': v1alpha1.AnalysisPhaseError,
	'R': v1alpha1.AnalysisPhaseRunning,
}

func statusOf(run *v1alpha1.AnalysisRun, results []Result, now time.Time) v1alpha1.AnalysisRunStatus {
	status, _ := Next(run, results, now)
	return status
}

func scheduleOf(run *v1alpha1.AnalysisRun, now time.Time) Schedule {
	_, schedule := Next(run, nil, now)
	return schedule
}

// play runs a story: at each moment the due measurements of each metric say
// the next letter of its own story. T terminates the run. It ends with the run,
// with the letters, or after 1000 moments.
func play(t *testing.T, run *v1alpha1.AnalysisRun, stories map[string]string) time.Duration {
	t.Helper()
	now := noon
	var schedule Schedule
	run.Status, schedule = Next(run, nil, now)
	for range 1000 {
		var results []Result
		for _, task := range schedule.Tasks {
			story := stories[task.Metric]
			if story == "" {
				return now.Sub(noon)
			}
			stories[task.Metric] = story[1:]
			reply := Reply{Phase: phases[story[0]]}
			if reply.Phase == v1alpha1.AnalysisPhaseError {
				reply.Message = "no route to host"
			}
			results = append(results, Result{Task: task, Started: now, Finished: now, Reply: reply})
		}
		run.Status, schedule = Next(run, results, now)
		if run.Status.Phase.Completed() {
			return now.Sub(noon)
		}
		if schedule.Wake.IsZero() && len(schedule.Tasks) == 0 {
			t.Fatalf("the run sleeps for ever: %+v", run.Status)
		}
		if len(schedule.Tasks) == 0 {
			now = schedule.Wake
			schedule = scheduleOf(run, now)
		}
	}
	return now.Sub(noon)
}

func TestStories(t *testing.T) {
	const (
		ok     = v1alpha1.AnalysisPhaseSuccessful
		failed = v1alpha1.AnalysisPhaseFailed
		maybe  = v1alpha1.AnalysisPhaseInconclusive
		broken = v1alpha1.AnalysisPhaseError
		open   = v1alpha1.AnalysisPhaseRunning
	)
	long := every("1m")
	cases := []struct {
		name    string
		edits   []edit
		story   string
		phase   v1alpha1.AnalysisPhase
		message string
		took    time.Duration
	}{
		{"one good measurement passes", nil, "S", ok, "", 0},
		{"one bad measurement fails", nil, "F", failed, `Metric "rate" assessed Failed due to failed (1) > failureLimit (0)`, 0},
		{"one inconclusive measurement is inconclusive", nil, "I", maybe, `Metric "rate" assessed Inconclusive due to inconclusive (1) > inconclusiveLimit (0)`, 0},
		{"measurements are an interval apart", []edit{long, count(3)}, "SSS", ok, "", 2 * time.Minute},
		{"the first waits for the initial delay", []edit{after("5m")}, "S", ok, "", 5 * time.Minute},
		{"a failure within the limit is forgiven", []edit{long, count(2), failures(1)}, "FS", ok, "", time.Minute},
		{"a failure above the limit is not", []edit{long, count(5), failures(1)}, "FSF", failed, `Metric "rate" assessed Failed due to failed (2) > failureLimit (1)`, 2 * time.Minute},
		{"only failures never pass, even within the limit", []edit{count(1), failures(1)}, "F", failed, `Metric "rate" assessed Failed due to no successful measurement in count (1)`, 0},
		{"only doubts never pass, even within the limit", []edit{count(1), inconcl(1)}, "I", maybe, `Metric "rate" assessed Inconclusive due to no successful measurement in count (1)`, 0},
		{"an error is retried after 10 s, not after the interval", []edit{long, count(1)}, "ES", ok, "", 10 * time.Second},
		{"four errors in a row are forgiven", nil, "EEEES", ok, "", 40 * time.Second},
		{"five errors in a row are an error", nil, "EEEEE", broken, `Metric "rate" assessed Error due to consecutiveErrors (5) > consecutiveErrorLimit (4): "Error Message: no route to host"`, 40 * time.Second},
		{"a measurement in between resets the errors", []edit{long, count(2)}, "EEEESEEEES", ok, "", 40*time.Second + time.Minute + 40*time.Second},
		{"an error limit of 0 forgives none", []edit{errorsMax(0)}, "E", broken, `Metric "rate" assessed Error due to consecutiveErrors (1) > consecutiveErrorLimit (0): "Error Message: no route to host"`, 0},
		{"without a count it goes on", []edit{long}, "SSSSS", open, "", 5 * time.Minute},
		{"count 0 is no count", []edit{long, count(0)}, "SSS", open, "", 3 * time.Minute},
		{"successes in a row end an endless metric", []edit{long, passes(3)}, "SSSS", ok, "", 2 * time.Minute},
		{"a failure starts the row again", []edit{long, passes(2), failures(-1)}, "SFSS", ok, "", 3 * time.Minute},
		{"an error starts the row again", []edit{long, passes(2), failures(-1)}, "SESS", ok, "", 2*time.Minute + 10*time.Second},
		{"without a failure limit failures do not end it", []edit{long, passes(2), failures(-1)}, "FFFSS", ok, "", 4 * time.Minute},
		{"the count ends the wait for a row, undecided", []edit{long, passes(2), count(3), failures(1)}, "SFS", maybe, `Metric "rate" assessed Inconclusive due to consecutiveSuccess (1) < consecutiveSuccessLimit (2)`, 2 * time.Minute},
		{"the count ends the wait for a row, failed without a limit", []edit{long, passes(2), count(3), failures(-1)}, "SFS", failed, `Metric "rate" assessed Failed due to consecutiveSuccess (1) < consecutiveSuccessLimit (2)`, 2 * time.Minute},
		{"a measurement under way is looked at again", nil, "RRS", ok, "", 0},
		{"interval 0 measures once a second", []edit{every("0s"), count(3)}, "SSS", ok, "", 2 * time.Second},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			run := runOf(metric("rate", c.edits...))
			took := play(t, run, map[string]string{"rate": c.story})
			if took != c.took {
				t.Errorf("took %s, want %s", took, c.took)
			}
			if got, asked := strings.CutSuffix(run.Status.Message, " (query x)"); run.Status.Phase != c.phase || got != c.message || asked != (got != "" && c.phase != broken) {
				t.Errorf("got %s %q, want %s %q", run.Status.Phase, run.Status.Message, c.phase, c.message)
			}
			if (run.Status.CompletedAt != nil) != c.phase.Completed() {
				t.Errorf("completedAt is %v", run.Status.CompletedAt)
			}
		})
	}
}

func TestAFailedMetricStopsTheOthers(t *testing.T) {
	run := runOf(metric("rate", every("1m")), metric("latency", every("1m"), count(9)), metric("late", after("1h")))
	play(t, run, map[string]string{"rate": "SF", "latency": "SS"})
	want := v1alpha1.AnalysisRunStatus{
		Phase:      v1alpha1.AnalysisPhaseFailed,
		Message:    `Metric "rate" assessed Failed due to failed (1) > failureLimit (0) (query x)`,
		StartedAt:  at(0),
		RunSummary: v1alpha1.RunSummary{Count: 3, Successful: 1, Failed: 1},
		MetricResults: []v1alpha1.MetricResult{
			{
				Name: "rate", Phase: v1alpha1.AnalysisPhaseFailed, Count: 2, Successful: 1, Failed: 1,
				Message:      `Metric "rate" assessed Failed due to failed (1) > failureLimit (0) (query x)`,
				Measurements: []v1alpha1.Measurement{measurementOf('S', 0), measurementOf('F', time.Minute)},
			},
			{
				Name: "latency", Phase: v1alpha1.AnalysisPhaseSuccessful, Count: 2, Successful: 2, ConsecutiveSuccess: 2,
				Measurements: []v1alpha1.Measurement{measurementOf('S', 0), measurementOf('S', time.Minute)},
			},
		},
		CompletedAt: at(time.Minute),
		Why:         run.Status.Why,
	}
	if diff := cmp.Diff(want, run.Status); diff != "" {
		t.Error(diff)
	}
}

func at(d time.Duration) *metav1.Time {
	return stamp(noon.Add(d))
}

func measurementOf(letter byte, d time.Duration) v1alpha1.Measurement {
	return v1alpha1.Measurement{Phase: phases[letter], StartedAt: at(d), FinishedAt: at(d)}
}

func TestTheWorstMetricDecides(t *testing.T) {
	cases := []struct {
		name, one, two string
		want           v1alpha1.AnalysisPhase
	}{
		{"failed is worse than error", "F", "E", v1alpha1.AnalysisPhaseFailed},
		{"error is worse than inconclusive", "I", "E", v1alpha1.AnalysisPhaseError},
		{"inconclusive is worse than successful", "I", "S", v1alpha1.AnalysisPhaseInconclusive},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			run := runOf(metric("one", errorsMax(0)), metric("two", errorsMax(0)))
			play(t, run, map[string]string{"one": c.one, "two": c.two})
			if run.Status.Phase != c.want {
				t.Errorf("got %s, want %s", run.Status.Phase, c.want)
			}
		})
	}
}

func TestADryRunNeverDecides(t *testing.T) {
	run := runOf(metric("rate"), metric("trial"))
	run.Spec.DryRun = []v1alpha1.DryRun{{MetricName: "tri.*"}}
	play(t, run, map[string]string{"rate": "S", "trial": "F"})
	if run.Status.Phase != v1alpha1.AnalysisPhaseSuccessful {
		t.Errorf("got %s: %s", run.Status.Phase, run.Status.Message)
	}
	if diff := cmp.Diff(&v1alpha1.RunSummary{Count: 1, Failed: 1}, run.Status.DryRunSummary); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(v1alpha1.RunSummary{Count: 1, Successful: 1}, run.Status.RunSummary); diff != "" {
		t.Error(diff)
	}
}

func TestTerminate(t *testing.T) {
	cases := []struct {
		name  string
		story string
		then  byte
		want  v1alpha1.AnalysisPhase
	}{
		{"before the first measurement it passes", "", 0, v1alpha1.AnalysisPhaseSuccessful},
		{"after good measurements it passes", "SS", 0, v1alpha1.AnalysisPhaseSuccessful},
		{"after errors within the limit it passes", "E", 0, v1alpha1.AnalysisPhaseSuccessful},
		{"a measurement under way is ended first", "R", 'I', v1alpha1.AnalysisPhaseInconclusive},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			run := runOf(metric("rate", every("1m")))
			play(t, run, map[string]string{"rate": c.story})
			run.Spec.Terminate = true
			now := noon.Add(time.Hour)
			var results []Result
			for _, task := range scheduleOf(run, now).Tasks {
				if task.Verb != Terminate {
					t.Fatalf("task is %s", task.Verb)
				}
				results = append(results, Result{Task: task, Started: now, Finished: now, Reply: Reply{Phase: phases[c.then]}})
			}
			status := statusOf(run, results, now)
			if status.Phase != c.want {
				t.Errorf("got %s", status.Phase)
			}
			if c.want == v1alpha1.AnalysisPhaseSuccessful && status.Message != "Run Terminated" {
				t.Errorf("message is %q", status.Message)
			}
		})
	}
}

func TestRetentionKeepsTotals(t *testing.T) {
	run := runOf(metric("rate", every("1m"), count(30)), metric("few", every("1m"), count(30)))
	run.Spec.MeasurementRetention = []v1alpha1.MeasurementRetention{{MetricName: "few", Limit: 2}}
	play(t, run, map[string]string{"rate": strings.Repeat("S", 30), "few": strings.Repeat("S", 30)})
	for i, want := range []int{10, 2} {
		result := run.Status.MetricResults[i]
		if len(result.Measurements) != want || result.Count != 30 || result.Successful != 30 {
			t.Errorf("%s keeps %d of %d", result.Name, len(result.Measurements), result.Count)
		}
	}
}

func TestInvalidSpecs(t *testing.T) {
	two := metric("rate")
	two.Provider.Web = &v1alpha1.WebMetric{}
	cases := []struct {
		name string
		run  *v1alpha1.AnalysisRun
		want string
	}{
		{"no metrics", runOf(), "no metrics specified"},
		{"two metrics of one name", runOf(metric("rate"), metric("rate")), `metrics[1].name: Duplicate value: "rate"`},
		{"two providers", runOf(two), "multiple providers specified"},
		{"no provider", runOf(v1alpha1.Metric{Name: "rate"}), "no provider specified"},
		{"a count without an interval", runOf(metric("rate", count(2))), "interval must be specified when count > 1"},
		{"an interval that is none", runOf(metric("rate", every("often"))), "must be a duration"},
		{"limits that are never reached", runOf(metric("rate", count(1), failures(2))), "count must be >= failureLimit"},
		{"no failure limit and no success limit", runOf(metric("rate", failures(-1))), "consecutiveSuccessLimit must be above 0"},
		{"an argument that is not given", runOf(metric("rate", every("{{args.often}}"))), "failed to resolve {{args.often}}"},
		{"a tag that is not closed", runOf(metric("rate", every("{{args.often"))), "not closed"},
		{"a condition that is too deep", runOf(metric("rate", func(m *v1alpha1.Metric) { m.SuccessCondition = strings.Repeat("(", 1000) })), "nests 65 deep"},
		{"a condition that is too long", runOf(metric("rate", func(m *v1alpha1.Metric) { m.SuccessCondition = strings.Repeat(" ", 5000) })), "Too long"},
		{"a dry run of nothing", withDryRun(runOf(metric("rate")), "x"), "dryRun[0]: Rule didn't match any metric name(s)"},
		{"a dry run that is no pattern", withDryRun(runOf(metric("rate")), "("), "neither a name nor a regular expression"},
		{"a dry run that takes long to read", withDryRun(runOf(metric("rate")), "r|(a{100}){10}"), "needs more than 500 instructions"},
		{"rules that take long to look for", slowRules(), "looking for the rules in the names of all metrics takes too long"},
		{"an argument without value", withArg(runOf(metric("rate")), v1alpha1.Argument{Name: "x"}), "args.x was not resolved"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			status, schedule := Next(c.run, nil, noon)
			if status.Phase != v1alpha1.AnalysisPhaseError || !strings.HasPrefix(status.Message, "Analysis spec invalid: ") ||
				!strings.Contains(status.Message, c.want) || status.CompletedAt == nil {
				t.Errorf("got %+v, want %q", status, c.want)
			}
			if len(schedule.Tasks) != 0 || !schedule.Wake.IsZero() {
				t.Errorf("an invalid run has tasks: %+v", schedule)
			}
		})
	}
}

func withDryRun(run *v1alpha1.AnalysisRun, rule string) *v1alpha1.AnalysisRun {
	run.Spec.DryRun = []v1alpha1.DryRun{{MetricName: rule}}
	return run
}

// slowRules has as many rules and letters as fit.
func slowRules() *v1alpha1.AnalysisRun {
	var metrics []v1alpha1.Metric
	for i := range 200 {
		metrics = append(metrics, metric(strings.Repeat("x", 1000)+strconv.Itoa(i)))
	}
	run := runOf(metrics...)
	for i := range 100 {
		run.Spec.DryRun = append(run.Spec.DryRun, v1alpha1.DryRun{MetricName: strings.Repeat("x?", 50) + strconv.Itoa(i)})
	}
	return run
}

func TestAnySetOfRulesIsReadSoon(t *testing.T) {
	for name, rule := range map[string]string{
		"repetitions":            "m|(" + strings.Repeat("[a-z]?", 30) + "%d){1000}",
		"repetitions in others":  "m|((a{10}){10}){10}%d",
		"classes of Unicode":     `m|(?i)[` + strings.Repeat(`\pL\PL`, 38) + `]%d`,
		"ranges of Unicode":      `m|(?i)[` + strings.Repeat(`\x{41}-\x{1e942}`, 13) + `]%d`,
		"as much as is accepted": "m|" + strings.Repeat("[^a-z]?", 34) + "%d",
	} {
		t.Run(name, func(t *testing.T) {
			run := runOf(metric("m"))
			for i := range 100 {
				run.Spec.DryRun = append(run.Spec.DryRun, v1alpha1.DryRun{MetricName: fmt.Sprintf(rule, i)})
				run.Spec.MeasurementRetention = append(run.Spec.MeasurementRetention, v1alpha1.MeasurementRetention{MetricName: fmt.Sprintf(rule, i)})
			}
			start := time.Now()
			status := statusOf(run, nil, noon)
			if took := time.Since(start); took > 2*time.Second {
				t.Errorf("took %s", took)
			}
			if accepted := status.Phase == v1alpha1.AnalysisPhaseRunning; accepted != strings.Contains(name, "accepted") {
				t.Errorf("got %s: %.200s", status.Phase, status.Message)
			}
		})
	}
}

func withArg(run *v1alpha1.AnalysisRun, arg v1alpha1.Argument) *v1alpha1.AnalysisRun {
	run.Spec.Args = append(run.Spec.Args, arg)
	return run
}

func TestLimitsMayBeArguments(t *testing.T) {
	value := "3"
	run := withArg(runOf(metric("rate", every("1m"))), v1alpha1.Argument{Name: "n", Value: &value})
	text := intstr.FromString("{{ args.n }}")
	run.Spec.Metrics[0].Count = &text
	if took := play(t, run, map[string]string{"rate": "SSSS"}); took != 2*time.Minute {
		t.Errorf("took %s", took)
	}
}

func TestAResultCountsOnce(t *testing.T) {
	run := runOf(metric("rate", every("1m"), count(3)))
	run.Status = statusOf(run, nil, noon)
	task := scheduleOf(run, noon).Tasks[0]
	result := Result{Task: task, Started: noon, Finished: noon, Reply: Reply{Phase: v1alpha1.AnalysisPhaseSuccessful}}
	run.Status = statusOf(run, []Result{result}, noon)
	again := statusOf(run, []Result{result}, noon)
	if diff := cmp.Diff(run.Status, again); diff != "" {
		t.Error(diff)
	}
}

func TestACompletedRunStaysAsItIs(t *testing.T) {
	run := runOf(metric("rate"))
	play(t, run, map[string]string{"rate": "S"})
	before := run.Status.DeepCopy()
	late := Result{Task: Task{Metric: "rate", Number: 2}, Reply: Reply{Phase: v1alpha1.AnalysisPhaseFailed}}
	if diff := cmp.Diff(*before, statusOf(run, []Result{late}, noon.Add(time.Hour))); diff != "" {
		t.Error(diff)
	}
}

func TestExpiry(t *testing.T) {
	seconds := func(n int32) *int32 { return &n }
	all := &v1alpha1.TTLStrategy{SecondsAfterCompletion: seconds(10), SecondsAfterSuccess: seconds(20), SecondsAfterFailure: seconds(30)}
	cases := []struct {
		phase v1alpha1.AnalysisPhase
		ttl   *v1alpha1.TTLStrategy
		want  time.Time
	}{
		{v1alpha1.AnalysisPhaseSuccessful, all, noon.Add(20 * time.Second)},
		{v1alpha1.AnalysisPhaseFailed, all, noon.Add(30 * time.Second)},
		{v1alpha1.AnalysisPhaseError, all, noon.Add(10 * time.Second)},
		{v1alpha1.AnalysisPhaseInconclusive, all, noon.Add(10 * time.Second)},
		{v1alpha1.AnalysisPhaseRunning, all, time.Time{}},
		{v1alpha1.AnalysisPhaseFailed, nil, time.Time{}},
		{v1alpha1.AnalysisPhaseFailed, &v1alpha1.TTLStrategy{}, time.Time{}},
	}
	for i, c := range cases {
		t.Run(fmt.Sprintf("%d %s", i, c.phase), func(t *testing.T) {
			run := &v1alpha1.AnalysisRun{
				Spec:   v1alpha1.AnalysisRunSpec{TTLStrategy: c.ttl},
				Status: v1alpha1.AnalysisRunStatus{Phase: c.phase, CompletedAt: at(0)},
			}
			if got := Expiry(run); !got.Equal(c.want) {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestAConditionMayHoldASecret(t *testing.T) {
	run := withArg(runOf(metric("rate", func(m *v1alpha1.Metric) { m.SuccessCondition = "result > {{args.least}}" })), v1alpha1.Argument{
		Name: "least", ValueFrom: &v1alpha1.ValueFrom{SecretKeyRef: &v1alpha1.SecretKeyRef{Name: "s", Key: "k"}},
	})
	if got := statusOf(run, nil, noon); got.Phase != v1alpha1.AnalysisPhaseRunning {
		t.Errorf("got %s: %s", got.Phase, got.Message)
	}
}
