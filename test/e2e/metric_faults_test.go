package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/test/e2e/manifest"
	"github.com/headway-rollouts/headway/test/kube"
)

// nobody is an address where nothing listens.
const nobody = "http://127.0.0.1:1"

// gate is an update whose second step measures.
const gate = "[{setWeight: 50}, {analysis: {templates: [{templateName: measured}]}}, {setWeight: 80}]"

// metricFault is one way in which a Prometheus is no help, and what comes of it.
type metricFault struct {
	answer http.HandlerFunc
	bad    manifest.Metric // without an address it is that of the answer
	run    v1alpha1.AnalysisPhase
	says   []string // the message of status.why
	shows  string   // the measurement that the plugin prints
}

// first are fields of a metric that is decided by its first measurement.
func first(conditions ...string) []string {
	return append([]string{"count: 1", "consecutiveErrorLimit: 0"}, conditions...)
}

// enough is the condition of most metrics.
const enough = "successCondition: result[0] >= 0.95"

func metricFaults() map[string]metricFault {
	const inError, failed, undecided = v1alpha1.AnalysisPhaseError, v1alpha1.AnalysisPhaseFailed, v1alpha1.AnalysisPhaseInconclusive
	plain := manifest.Metric{Fields: first(enough)}
	const errorLimit = "consecutiveErrors (1) > consecutiveErrorLimit (0)"
	return map[string]metricFault{
		"it is down":                 {hang, manifest.Metric{Address: nobody, Fields: first(enough)}, inError, []string{errorLimit, "connection refused"}, "connection refused"},
		"it is slower than its time": {hang, manifest.Metric{Timeout: 1, Fields: first(enough)}, inError, []string{errorLimit, "prometheus did not answer in time"}, "did not answer in time"},
		"it answers with 500":        {broken, plain, inError, []string{errorLimit, "500"}, "500"},
		"a login page answers":       {html, plain, inError, []string{errorLimit, "querying prometheus"}, "querying prometheus"},
		"it says NaN":                {value("NaN"), plain, failed, []string{"failed (1) > failureLimit (0)"}, "[NaN]"},
		"it says NaN, which no failure condition is true of": {
			value("NaN"),
			manifest.Metric{Fields: first("failureCondition: result[0] < 0.95")},
			undecided,
			[]string{"inconclusive (1) > inconclusiveLimit (0)"},
			"[NaN]",
		},
		"it says infinity, which is more than enough": {
			value("+Inf"), plain, undecided, []string{"inconclusive (1) > inconclusiveLimit (0)"}, "[+Inf]",
		},
		"it knows no such series": {vector(), plain, inError, []string{errorLimit, "there may be no data"}, "[]"},
		"it knows no such series, and nobody looks": {
			vector(),
			manifest.Metric{Fields: first(`successCondition: "all(result, # >= 0.95)"`)},
			undecided,
			[]string{"inconclusive (1) > inconclusiveLimit (0)"},
			"[]",
		},
		"its condition nests too deep": {
			value("0.99"),
			manifest.Metric{Fields: first(deep(2000))},
			inError,
			[]string{"metrics[0].successCondition", "make it flatter"},
			"make it flatter",
		},
	}
}

// deep is a condition in so many brackets.
func deep(brackets int) string {
	return fmt.Sprintf("successCondition: %q", strings.Repeat("(", brackets)+"true"+strings.Repeat(")", brackets))
}

func TestAPrometheusThatIsNoHelpPromotesNothing(t *testing.T) {
	t.Parallel()
	for name, fault := range metricFaults() {
		t.Run(name, func(t *testing.T) { newWorld(t).play(fault) })
	}
}

// play runs an update into a fault and, as the control, again without it.
func (w *world) play(fault metricFault) {
	w.Helper()
	watch := w.watch("web")
	metric := newPrometheus(w.T, fault.answer)
	good := manifest.Metric{Address: metric.URL, Fields: first(enough)}
	if fault.bad.Address == "" {
		fault.bad.Address = metric.URL
	}
	w.apply(fault.bad.YAML(), manifest.Canary{Steps: gate, Strategy: []string{quickAbort, quickEnd}}.All())
	stable := w.until("web", healthy).Status.StableRS
	w.release("web", "v2")
	w.endsBadly(fault, stable)

	metric.say(value("0.99"))
	w.apply(good.YAML())
	w.run("retry", "rollout", "web")
	if done := w.until("web", healthy); done.Status.StableRS == stable {
		w.Error("with a good answer the same update was not promoted")
	}
	w.madeOnce(watch, 2)
}

// endsBadly waits for the outcome of a fault and leaves the update aborted.
func (w *world) endsBadly(fault metricFault, stable string) {
	w.Helper()
	if fault.run != v1alpha1.AnalysisPhaseInconclusive {
		ro := w.until("web", phase(v1alpha1.RolloutPhaseDegraded), because("AbortedByAnalysis", append(fault.says, "All traffic is on the stable revision")...))
		w.explains(fault)
		w.isBack(ro, stable)
		return
	}
	ro := w.until("web", phase(v1alpha1.RolloutPhasePaused), atStep(1), because("InconclusiveAnalysis", fault.says...))
	if weight := ro.Status.Canary.Weights.Canary.Weight; weight != 50 || ro.Status.StableRS != stable {
		w.Errorf("it waits for a person with weight %d: %s", weight, brief(ro))
	}
	w.explains(fault)
	w.run("abort", "web")
	w.isBack(w.until("web", phase(v1alpha1.RolloutPhaseDegraded), because("Aborted")), stable)
}

// explains checks the AnalysisRun and what a person is told.
func (w *world) explains(fault metricFault) {
	w.Helper()
	if runs := w.runs(); len(runs) != 1 || runs[0].Status.Phase != fault.run {
		w.Errorf("the analysis: %+v", runs)
	}
	text := w.run("why", "web")
	if err := holds(text, append(fault.says, fault.shows, string(fault.run), "to go on")...); err != nil {
		w.Errorf("kubectl rollouts why: %v", err)
	}
}

// isBack checks that an aborted update has no traffic and waits until the Services agree.
func (w *world) isBack(ro *v1alpha1.Rollout, stable string) {
	w.Helper()
	if weight := ro.Status.Canary.Weights.Canary.Weight; weight != 0 || ro.Status.StableRS != stable {
		w.Errorf("the canary has weight %d: %s", weight, brief(ro))
	}
	kube.Eventually(w, within, func() error {
		if is, tried := w.selects("web-stable"), w.selects("web-canary"); is != stable || tried != stable {
			return fmt.Errorf("the Services select %s and %s, want %s", is, tried, stable)
		}
		return nil
	})
}

// TestAnEndlessReplyIsNotRead stands for a reply of 1 GB.
func TestAnEndlessReplyIsNotRead(t *testing.T) {
	w := newWorld(t)
	var sent atomic.Int64
	answer := func(rw http.ResponseWriter, r *http.Request) { endless(counting{rw, &sent}, r) }
	w.play(metricFault{
		answer,
		manifest.Metric{Fields: first(enough)},
		v1alpha1.AnalysisPhaseError,
		[]string{"larger than 1 MiB", "make the query return less"},
		"larger than 1 MiB",
	})
	// What was sent and not read is in the buffers of two sockets.
	const mostSent, mostMemory = 64 << 20, 512 << 20
	if n := sent.Load(); n < 1<<20 || n > mostSent {
		t.Errorf("it was sent %d bytes, want more than it reads and less than %d", n, mostSent)
	}
	peak, err := peakMemory(shared.process.PID())
	if err != nil {
		t.Logf("SKIPPED, the memory of the controller: %v", err)
	} else if peak > mostMemory {
		t.Errorf("the controller has taken %d MiB", peak>>20)
	}
}

// counting counts what is sent.
type counting struct {
	http.ResponseWriter
	sent *atomic.Int64
}

// Write sends.
func (c counting) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.sent.Add(int64(n))
	return n, err
}

// peakMemory is the most resident memory that a process ever had, in bytes. It needs Linux.
func peakMemory(pid int) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if text, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(text), " kB"), 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("no VmHWM")
}

// TestErrorsAbortOnlyAboveTheirLimit takes no limit from the test: five errors
// in a row are too many, ten seconds apart.
func TestErrorsAbortOnlyAboveTheirLimit(t *testing.T) {
	w := newWorld(t)
	w.watch("web")
	metric := newPrometheus(t, broken)
	fields := []string{"interval: 1s", enough}
	canary := manifest.Canary{Steps: "[{setWeight: 50}, {pause: {}}]", Strategy: []string{background, quickAbort, quickEnd}}
	w.apply(manifest.Metric{Address: metric.URL, Fields: fields}.YAML(), canary.All())
	stable := w.until("web", healthy).Status.StableRS
	w.release("web", "v2")
	w.until("web", phase(v1alpha1.RolloutPhasePaused), atStep(1))
	kube.Eventually(t, within, func() error {
		if n := w.consecutiveErrors(); n < 4 {
			return fmt.Errorf("%d errors in a row", n)
		}
		return nil
	})
	if ro, err := w.rollout("web"); err != nil || ro.Status.Abort {
		t.Errorf("aborted at the limit, not above it: %v %s", err, brief(ro))
	}
	ro := w.until("web", phase(v1alpha1.RolloutPhaseDegraded), because("AbortedByAnalysis", "consecutiveErrors (5) > consecutiveErrorLimit (4)", "500"))
	w.isBack(ro, stable)
	if got := metric.questions(); got != 5 {
		t.Errorf("asked %d times, want 5", got)
	}
}

// consecutiveErrors are the errors in a row of the only metric.
func (w *world) consecutiveErrors() int32 {
	w.Helper()
	for _, run := range w.runs() {
		for _, result := range run.Status.MetricResults {
			return result.ConsecutiveError
		}
	}
	return 0
}

// TestASlowPrometheusHoldsNoWorker gives the controller one worker of each kind
// and a query that takes the default time, 30 s.
func TestASlowPrometheusHoldsNoWorker(t *testing.T) {
	w := newWorld(t)
	id := w.ownController("--rollout-threads=1", "--analysis-threads=1")
	w.watch("slow", "quick")
	metrics := map[string]*prometheus{"slow": newPrometheus(t, hang), "quick": newPrometheus(t, value("0.99"))}
	stable := map[string]string{}
	for name, metric := range metrics {
		steps := fmt.Sprintf("[{setWeight: 50}, {analysis: {templates: [{templateName: %s}]}}]", name)
		w.apply(
			manifest.Metric{Name: name, Address: metric.URL, Fields: first(enough), InstanceID: id}.YAML(),
			manifest.Canary{Name: name, Steps: steps, Strategy: []string{quickAbort, quickEnd}, InstanceID: id}.All(),
		)
		stable[name] = w.until(name, healthy).Status.StableRS
	}
	w.release("slow", "v2")
	kube.Eventually(t, within, func() error {
		if metrics["slow"].waiting() != 1 {
			return errors.New("the slow one is not asked")
		}
		return nil
	})
	w.release("quick", "v2")
	if ro := w.until("quick", healthy); ro.Status.StableRS == stable["quick"] {
		t.Error("the quick one was not promoted")
	}
	if slow := metrics["slow"]; slow.waiting() != 1 || slow.questions() != 1 {
		t.Errorf("meanwhile the slow one was asked %d times and %d queries wait, want the first to be under way", slow.questions(), slow.waiting())
	}
	ro := w.until("slow", phase(v1alpha1.RolloutPhaseDegraded), because("AbortedByAnalysis", "prometheus did not answer in time"))
	if ro.Status.StableRS != stable["slow"] || ro.Status.Canary.Weights.Canary.Weight != 0 {
		t.Error(brief(ro))
	}
}
