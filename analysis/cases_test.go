package analysis

import (
	"flag"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

var update = flag.Bool("update", false, "write what is expected of the cases again")

const casesFile = "testdata/cases.txt"

// TestCases plays the runs of testdata/cases.txt, which says how to read them.
// Rewrite with -update, and keep only what you understand.
func TestCases(t *testing.T) {
	data, err := os.ReadFile(casesFile)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	seen := map[string]bool{}
	for i, line := range lines {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		columns := strings.SplitN(line, " | ", 4)
		if len(columns) < 3 {
			t.Fatalf("line %d has no name, metrics and stories: %s", i+1, line)
		}
		name, want := strings.TrimSpace(columns[0]), strings.Join(columns[3:], "")
		if seen[name] {
			t.Errorf("two cases are called %q", name)
		}
		seen[name] = true
		t.Run(name, func(t *testing.T) {
			got := newCase(t, columns[1], columns[2]).play()
			lines[i] = strings.Join(append(columns[:3], got), " | ")
			if diff := cmp.Diff(want, got); diff != "" && !*update {
				t.Error(diff)
			}
		})
	}
	if len(seen) < 160 {
		t.Errorf("only %d cases are left", len(seen))
	}
	if *update {
		if err := os.WriteFile(casesFile, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// caseRun is a case that is played.
type caseRun struct {
	*testing.T
	run *v1alpha1.AnalysisRun
	// stories and takes are what each metric sees, and how long it takes to see it.
	stories map[string]string
	takes   map[string]time.Duration
	now     time.Time
}

func newCase(t *testing.T, metrics, stories string) *caseRun {
	t.Helper()
	three := "3"
	c := &caseRun{T: t, run: &v1alpha1.AnalysisRun{}, now: noon, stories: map[string]string{}, takes: map[string]time.Duration{}}
	c.run.Spec.Args = []v1alpha1.Argument{
		{Name: "three", Value: &three},
		{Name: "secret", ValueFrom: &v1alpha1.ValueFrom{SecretKeyRef: &v1alpha1.SecretKeyRef{Name: "s", Key: "k"}}},
	}
	told := strings.Split(stories, ",")
	for i, text := range strings.Split(metrics, " + ") {
		name, rules, named := strings.Cut(strings.TrimSpace(text), ": ")
		if !named {
			name, rules = "rate", name
		}
		m := metric(name)
		for _, rule := range strings.Split(rules, "; ") {
			c.apply(&m, strings.TrimSpace(rule))
		}
		c.run.Spec.Metrics = append(c.run.Spec.Metrics, m)
		if i < len(told) {
			c.stories[name] = strings.TrimSpace(told[i])
		}
	}
	return c
}

// apply sets what a word of the short form is about.
func (c *caseRun) apply(m *v1alpha1.Metric, rule string) {
	word, value, _ := strings.Cut(rule, " ")
	number := intstr.Parse(value)
	switch word {
	case "-":
	case "every":
		m.Interval = v1alpha1.DurationString(value)
	case "delay":
		m.InitialDelay = v1alpha1.DurationString(value)
	case "count":
		m.Count = &number
	case "failures":
		m.FailureLimit = &number
	case "doubts":
		m.InconclusiveLimit = &number
	case "errors":
		m.ConsecutiveErrorLimit = &number
	case "row":
		m.ConsecutiveSuccessLimit = &number
	case "good":
		m.SuccessCondition = value
	case "bad":
		m.FailureCondition = value
	case "noData":
		m.NoData = v1alpha1.NoDataPolicy(value)
	case "least":
		m.MinSamples = &v1alpha1.MinSamples{Least: number}
	case "counted":
		m.MinSamples = &v1alpha1.MinSamples{Least: number, Query: "count(x)"}
	default:
		c.applyToRun(m.Name, word, value)
	}
}

// applyToRun sets what a run or its player says of a metric.
func (c *caseRun) applyToRun(name, word, value string) {
	switch word {
	case "dry":
		c.run.Spec.DryRun = append(c.run.Spec.DryRun, v1alpha1.DryRun{MetricName: name})
	case "keep":
		limit, err := strconv.ParseInt(value, 10, 32)
		if err != nil {
			c.Fatal(err)
		}
		c.run.Spec.MeasurementRetention = append(c.run.Spec.MeasurementRetention, v1alpha1.MeasurementRetention{MetricName: name, Limit: int32(limit)})
	case "takes":
		takes, err := time.ParseDuration(value)
		if err != nil {
			c.Fatal(err)
		}
		c.takes[name] = takes
	default:
		c.Fatalf("unknown word %q", word)
	}
}

// play tells the stories until the run ends or a metric has nothing more to
// tell, and says what came of it.
func (c *caseRun) play() string {
	var schedule Schedule
	c.run.Status, schedule = Next(c.run, nil, c.now)
	for range 1000 {
		if c.run.Status.Phase.Completed() || !c.step(&schedule) {
			return c.outcome(schedule)
		}
	}
	c.Fatal("it does not end")
	return ""
}

// step takes what is due, or waits for it. It is false when a story is over.
func (c *caseRun) step(schedule *Schedule) bool {
	if len(schedule.Tasks) == 0 {
		if !schedule.Wake.After(c.now) {
			c.Fatalf("the run sleeps for ever: %+v", c.run.Status)
		}
		c.now = schedule.Wake
		c.run.Status, *schedule = Next(c.run, nil, c.now)
		return true
	}
	over, end := false, c.now
	var results []Result
	for _, task := range schedule.Tasks {
		story := c.stories[task.Metric]
		if story == "" {
			over = true
			continue
		}
		c.stories[task.Metric] = story[1:]
		if story[0] == 'T' {
			c.run.Spec.Terminate = true
			continue
		}
		result := Result{Task: task, Started: c.now, Finished: c.now.Add(c.takes[task.Metric]), Reply: c.reply(task, story[0])}
		results = append(results, result)
		if result.Finished.After(end) {
			end = result.Finished
		}
	}
	c.now = end
	c.run.Status, *schedule = Next(c.run, results, c.now)
	return !over
}

// seen are the letters of a story that are values: the conditions judge them.
var seen = map[byte]Reply{
	'V': {Result: []float64{1}, Value: "[1]"},
	'W': {Result: []float64{1, 1, 1}, Value: "[1,1,1]"},
	'B': {Result: []float64{0}, Value: "[0]"},
	'N': {},
	'e': {Result: []float64{}, Value: "[]"},
	'n': {Result: []float64{math.NaN()}, Value: "[NaN]"},
	'i': {Result: []float64{math.Inf(1)}, Value: "[+Inf]"},
	'm': {Result: []float64{1, math.NaN(), 1}, Value: "[1,NaN,1]"},
	'D': {Phase: v1alpha1.AnalysisPhaseError, Message: "no points", NoData: true},
}

// counted are the letters of a story that are a value and what the query of
// minSamples counts for it.
var counted = map[byte]struct {
	value   byte
	samples float64
}{
	'0': {'V', 0}, '1': {'V', 9}, '2': {'V', 100}, '3': {'V', math.NaN()}, '4': {'V', math.Inf(1)},
	'5': {'B', 100}, '6': {'B', 9}, '7': {'N', 100}, '8': {'N', 0},
}

func (c *caseRun) reply(task Task, letter byte) Reply {
	if reply, ok := seen[letter]; ok {
		return c.decide(task, reply, nil)
	}
	if by, ok := counted[letter]; ok {
		return c.decide(task, seen[by.value], &by.samples)
	}
	reply := Reply{Phase: phases[letter]}
	switch letter {
	case 'E':
		reply.Message = "no route to host"
	case 'R':
		reply.ResumeAt = c.now.Add(15 * time.Second)
	case 'X':
		reply = Reply{Phase: v1alpha1.AnalysisPhaseInconclusive, Ignored: true, Message: "ignored"}
	}
	if reply.Phase == "" {
		c.Fatalf("unknown letter %c", letter)
	}
	return reply
}

// decide judges a value as it is judged when it was measured.
func (c *caseRun) decide(task Task, reply Reply, samples *float64) Reply {
	metric, err := ResolveMetric(c.run.Spec.Metrics[task.Index], map[string]string{"three": "3", "secret": "0.5"})
	if err != nil {
		c.Fatal(err)
	}
	return RedactReply(Decide(&metric, reply, samples, c.now), []string{"0.5"})
}

// outcome is all that a status says, in one line.
func (c *caseRun) outcome(schedule Schedule) string {
	status := &c.run.Status
	c.checkFrame(schedule)
	said := ""
	if status.Message != "" {
		said = ": " + status.Message
	}
	var metrics []string
	for _, m := range c.run.Spec.Metrics {
		result := find(status.MetricResults, m.Name)
		if result == nil {
			metrics = append(metrics, m.Name+" unmeasured")
			continue
		}
		if result.Message != "" && result.Message == status.Message {
			said = " as " + m.Name
		}
		metrics = append(metrics, briefly(result))
	}
	return fmt.Sprintf("%s %s%s; %s", status.Phase, c.now.Sub(noon), said, strings.Join(metrics, " / "))
}

// briefly is a result in short form: letters are the measurements that are
// kept, then come the counters that are not 0.
func briefly(r *v1alpha1.MetricResult) string {
	out := []string{r.Name}
	if r.DryRun {
		out = append(out, "dry")
	}
	out = append(out, string(r.Phase), "")
	for _, m := range r.Measurements {
		out[len(out)-1] += string(m.Phase[0])
	}
	for _, counter := range []struct {
		letters string
		count   int32
	}{
		{"n", r.Count},
		{"s", r.Successful},
		{"f", r.Failed},
		{"i", r.Inconclusive},
		{"e", r.Error},
		{"ee", r.ConsecutiveError},
		{"ss", r.ConsecutiveSuccess},
		{"x", r.Ignored},
	} {
		if counter.count != 0 {
			out = append(out, fmt.Sprintf("%s%d", counter.letters, counter.count))
		}
	}
	text := strings.Join(out, " ")
	if r.Message != "" {
		text += ": " + strings.TrimPrefix(r.Message, fmt.Sprintf("Metric %q assessed %s due to ", r.Name, r.Phase))
	}
	return text
}

// checkFrame checks what follows from the rest of a status.
func (c *caseRun) checkFrame(schedule Schedule) {
	status := c.run.Status
	if diff := cmp.Diff(at(0), status.StartedAt); diff != "" {
		c.Error(diff)
	}
	if status.Phase.Completed() {
		if diff := cmp.Diff(stamp(c.now), status.CompletedAt); diff != "" {
			c.Error(diff)
		}
		if len(schedule.Tasks) > 0 || !schedule.Wake.IsZero() {
			c.Errorf("a run that is complete is measured: %+v", schedule)
		}
	}
	var run, dryRun v1alpha1.RunSummary
	for _, m := range c.run.Spec.Metrics {
		into := &run
		for _, rule := range c.run.Spec.DryRun {
			if rule.MetricName == m.Name {
				into = &dryRun
			}
		}
		into.Count++
		if r := find(status.MetricResults, m.Name); r != nil {
			addTo(into, r.Phase)
		}
	}
	if diff := cmp.Diff(run, status.RunSummary); diff != "" {
		c.Error(diff)
	}
	if got := status.DryRunSummary; got != nil || dryRun.Count > 0 {
		if diff := cmp.Diff(&dryRun, got); diff != "" {
			c.Error(diff)
		}
	}
}

func addTo(summary *v1alpha1.RunSummary, phase v1alpha1.AnalysisPhase) {
	counters := map[v1alpha1.AnalysisPhase]*int32{
		v1alpha1.AnalysisPhaseSuccessful: &summary.Successful, v1alpha1.AnalysisPhaseFailed: &summary.Failed,
		v1alpha1.AnalysisPhaseInconclusive: &summary.Inconclusive, v1alpha1.AnalysisPhaseError: &summary.Error,
	}
	if counter := counters[phase]; counter != nil {
		*counter++
	}
}
