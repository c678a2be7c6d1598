package faults

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/test/faults/observer"
	"github.com/headway-rollouts/headway/test/kube"
)

// prometheus answers every query with the value it is set to, after a while: what
// happens meanwhile, such as a kill, meets measurements under way.
type prometheus struct {
	*httptest.Server

	value atomic.Value
	count atomic.Int32
}

func newPrometheus(t *testing.T, value string) *prometheus {
	t.Helper()
	p := &prometheus{}
	p.value.Store(value)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p.count.Add(1)
		time.Sleep(rand.N(300 * time.Millisecond))
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,%q]}]}}`, p.value.Load())
	}))
	t.Cleanup(p.Close)
	return p
}

// asked is an error until it was asked that often.
func (p *prometheus) asked(often int32) error {
	if n := p.count.Load(); n < often {
		return fmt.Errorf("asked %d times, not %d", n, often)
	}
	return nil
}

// lines are the entries of a YAML mapping in flow style.
func lines(text string) []string { return strings.Split(text, ", ") }

const (
	// measurements is how often the runs of these tests measure, a second apart.
	measurements = 5
	// counted waits in the middle for whoever looks at them.
	counted = "[{setWeight: 20}, {pause: {}}, {setWeight: 60}]"
)

// run is the one AnalysisRun of the scene, as the observer sees it.
func (s *scene) run() (*v1alpha1.AnalysisRun, error) {
	all := s.watch.Present(observer.AnalysisRun)
	run := &v1alpha1.AnalysisRun{}
	for _, object := range all {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, run); err != nil {
			return nil, err
		}
	}
	if len(all) != 1 {
		return nil, fmt.Errorf("%d AnalysisRuns, want 1", len(all))
	}
	return run, nil
}

// measuring reports whether the scene's run has measured and is not done.
func (s *scene) measuring() bool {
	run, err := s.run()
	return err == nil && !run.Status.Phase.Completed() && len(run.Status.MetricResults) > 0
}

// measuredAll waits for the end of the run, which measures that often.
func (s *scene) measuredAll(often int32) {
	s.Helper()
	kube.Eventually(s, within, func() error {
		run, err := s.run()
		if err == nil && (run.Status.Phase != v1alpha1.AnalysisPhaseSuccessful || run.Status.MetricResults[0].Count != often) {
			return fmt.Errorf("the analysis is %s: %s", run.Status.Phase, run.Status.Message)
		}
		return err
	})
}

// measuredOnce checks that each measurement of a history was kept, and taken once.
func (s *scene) measuredOnce(history observer.History) {
	s.Helper()
	before := map[string][]v1alpha1.Measurement{}
	for _, change := range history.Of(observer.AnalysisRun) {
		run := &v1alpha1.AnalysisRun{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(change.Object.Object, run); err != nil {
			s.Fatal(err)
		}
		for _, result := range run.Status.MetricResults {
			err := grew(before[run.Name], result.Measurements)
			if counted := int(result.Count + result.Error); err == nil && counted != len(result.Measurements) {
				err = fmt.Errorf("%d measurements are counted as %d", len(result.Measurements), counted)
			}
			if err != nil {
				s.Errorf("%s: version %d of AnalysisRun %s: %v", s.namespace, change.Version, run.Name, err)
			}
			before[run.Name] = result.Measurements // The runs here have one metric.
		}
	}
}

// grew checks that measurements were added to those of before, each later than the last.
func grew(before, now []v1alpha1.Measurement) error {
	if len(now) < len(before) {
		return fmt.Errorf("%d measurements became %d", len(before), len(now))
	}
	for i := range now {
		if i < len(before) && !now[i].StartedAt.Equal(before[i].StartedAt) {
			return fmt.Errorf("measurement %d is another one than before", i+1)
		}
		if i > 0 && !now[i-1].FinishedAt.Before(now[i].StartedAt) {
			return fmt.Errorf("measurement %d, of %s, is not a second after the one of %s", i+1, now[i].StartedAt, now[i-1].FinishedAt)
		}
	}
	return nil
}

// TestKilledWhileMeasuringItMeasuresAsOften kills the controller while an
// analysis beside the steps measures.
func TestKilledWhileMeasuringItMeasuresAsOften(t *testing.T) {
	t.Parallel()
	a, rng := newAPI(t), newRand(t)
	open := func(instance string) (*scene, *prometheus) {
		meter, c := newPrometheus(t, "0.99"), canary(instance)
		c.Steps, c.Strategy = counted, append(c.Strategy, "analysis: {templates: [{templateName: counted}]}")
		return a.open(t, measures("counted", instance, meter.URL, fmt.Sprintf("interval: 1s, count: %d", measurements))+c.All()), meter
	}
	newVictim(t, a.under("calm"))
	v := newVictim(t, a.under("measuring"))
	calm, calmMeter := open("calm")
	const runs = 3
	scenes, meters := make([]*scene, runs), make([]*prometheus, runs)
	for i := range scenes {
		scenes[i], meters[i] = open("measuring")
	}
	for _, s := range append(scenes, calm) {
		s.atRest()
	}
	for _, s := range append(scenes, calm) {
		s.release("v2")
		pause(rng, 500*time.Millisecond) // Each is at another place when it is killed.
	}
	struck := killWhileMeasuring(v, scenes, func() { pause(rng, 800*time.Millisecond) })
	want := ""
	for i, s := range append([]*scene{calm}, scenes...) {
		s.measuredAll(measurements)
		s.resume()
		s.atRest()
		if got := s.check(want); i == 0 {
			want = got
		}
	}
	t.Logf("%d kills struck a run under way; undisturbed it ends as\n%s", struck, want)
	if struck < 2 {
		t.Errorf("%d kills struck a run under way: too few to show anything", struck)
	}
	if asked := calmMeter.count.Load(); asked != measurements {
		t.Errorf("undisturbed, the metric was measured %d times, want %d", asked, measurements)
	}
	for _, meter := range meters { // A kill may lose the answer that is not stored yet, and no other.
		if asked := meter.count.Load(); asked < measurements || int(asked) > measurements+struck {
			t.Errorf("the metric was measured %d times with %d kills, want %d and at most one more for each", asked, struck, measurements)
		}
	}
}

// TestTwentyKillsDuringARunLoseNoMeasurementAndDoubleNone kills the controller
// each time that a run has one measurement more.
func TestTwentyKillsDuringARunLoseNoMeasurementAndDoubleNone(t *testing.T) {
	t.Parallel()
	const kills, often = 20, 24
	a := newAPI(t)
	open := func(instance string) (*scene, *prometheus) {
		meter, c := newPrometheus(t, "0.99"), canary(instance)
		c.Steps = counted
		c.Strategy = append(c.Strategy, "analysis: {templates: [{templateName: counted}], measurementRetention: [{metricName: \"*\", limit: 100}]}")
		return a.open(t, measures("counted", instance, meter.URL, fmt.Sprintf("interval: 1s, count: %d", often))+c.All()), meter
	}
	newVictim(t, a.under("twenty-calm"))
	v := newVictim(t, a.under("twenty"))
	calm, calmMeter := open("twenty-calm")
	s, meter := open("twenty")
	for _, each := range []*scene{calm, s} {
		each.atRest()
		each.release("v2")
	}
	for kill := range kills {
		kube.Eventually(v, within, func() error {
			run, err := s.run()
			if err == nil && (len(run.Status.MetricResults) == 0 || int(run.Status.MetricResults[0].Count) <= kill) {
				return fmt.Errorf("no measurement more since kill %d", kill)
			}
			return err
		})
		v.restart()
	}
	want := ""
	for _, each := range []*scene{calm, s} {
		each.measuredAll(often)
		each.resume()
		each.atRest()
		want = each.check(want)
	}
	was, is := values(calm), values(s)
	if was != is {
		t.Errorf("with %d kills it measured\n%s\nundisturbed\n%s", kills, is, was)
	}
	if asked := calmMeter.count.Load(); asked != often {
		t.Errorf("undisturbed, the metric was measured %d times, want %d", asked, often)
	}
	if asked := meter.count.Load(); asked < often || asked > often+kills { // each may lose the answer that is not stored yet
		t.Errorf("with %d kills the metric was measured %d times", kills, asked)
	}
}

// values are the measurements of the scene's run, without their times.
func values(s *scene) string {
	s.Helper()
	run, err := s.run()
	if err != nil {
		s.Fatal(err)
	}
	var out []string
	for _, m := range run.Status.MetricResults[0].Measurements {
		out = append(out, fmt.Sprintf("%s %s %s", m.Phase, m.Value, m.Message))
	}
	return strings.Join(out, "\n")
}

// killWhileMeasuring kills as long as a run is under way, and says how often that was.
func killWhileMeasuring(v *victim, scenes []*scene, pause func()) (struck int) {
	v.Helper()
	kube.Eventually(v, within, func() error {
		if !scenes[0].measuring() {
			return fmt.Errorf("nothing is measured yet")
		}
		return nil
	})
	for {
		pause()
		under := 0
		for _, s := range scenes {
			if s.measuring() {
				under++
			}
		}
		if under == 0 {
			return struck
		}
		struck++
		v.restart()
	}
}
