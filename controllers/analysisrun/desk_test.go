package analysisrun

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// results are the measurements of a run that were taken and not yet stored.
func (d *desk) results(run *v1alpha1.AnalysisRun) []analysis.Result {
	return d.latest(run).results
}

// counter has the desk take measurements of runs that all ask the same, and
// counts how often they ask.
type counter struct {
	*desk
	clock *clocktesting.FakePassiveClock
	asked atomic.Int32
	reply analysis.Reply
}

func newCounter(t *testing.T) *counter {
	t.Helper()
	clock := clocktesting.NewFakePassiveClock(noon)
	c := &counter{desk: newDesk(512, clock), clock: clock}
	c.reply = analysis.Reply{Result: 1.0, Value: "1"}
	t.Cleanup(c.close)
	return c
}

func (c *counter) measure(_ context.Context, _ *v1alpha1.AnalysisRun, task analysis.Task, given *answer) (analysis.Result, *answer) {
	if given == nil {
		c.asked.Add(1)
		given = &answer{asked: c.clock.Now(), reply: c.reply}
	}
	return analysis.Result{Task: task, Reply: given.reply}, given
}

// take has each of n runs measured once, the way a controller does.
func (c *counter) take(t *testing.T, n int) {
	t.Helper()
	metric := newMetric("rate")
	metric.Interval = "10s"
	for i := range n {
		run := newRun(metric)
		run.Name = fmt.Sprint("run-", i)
		c.start(c.latest(run), analysis.Task{Verb: analysis.Take, Metric: "rate", Number: 1}, c.measure)
		select {
		case <-c.finished:
		case <-time.After(10 * time.Second):
			t.Fatal("no measurement arrives")
		}
		results := c.results(run)
		if len(results) != 1 || results[0].Reply.Phase != c.reply.Phase {
			t.Fatalf("got %+v", results)
		}
		c.store(c.latest(run), v1alpha1.AnalysisRunStatus{}, "")
	}
}

func TestRunsThatAskTheSameAskOnceWithinTheInterval(t *testing.T) {
	c := newCounter(t)
	c.take(t, 5) // all at one moment
	if got := c.asked.Load(); got != 1 {
		t.Errorf("asked %d times at one moment", got)
	}
	c.clock.SetTime(noon.Add(10 * time.Second))
	c.take(t, 1)
	c.clock.SetTime(noon.Add(14 * time.Second))
	c.take(t, 5) // run-0 has used that answer, the others have not
	if got := c.asked.Load(); got != 3 {
		t.Errorf("asked %d times, want 3", got)
	}
}

func TestAnErrorIsNotKeptForOthers(t *testing.T) {
	c := newCounter(t)
	c.reply = analysis.Failure(errors.New("no route to host"))
	c.take(t, 3)
	if got := c.asked.Load(); got != 3 {
		t.Errorf("asked %d times, want 3", got)
	}
}

func TestWhoFollowsARunThatIsGivenUpAsksItself(t *testing.T) {
	w := newWorld(t, newRun(newMetric("rate")))
	begun := make(chan struct{})
	var asked atomic.Int32
	w.provider.answer = func(ctx context.Context, _ analysis.Query) analysis.Reply {
		if asked.Add(1) == 1 {
			close(begun)
			<-ctx.Done()
			return analysis.Failure(ctx.Err())
		}
		return analysis.Reply{Result: 1.0, Value: "1"}
	}
	leader := newRun(newMetric("rate"))
	leader.Name = "leader"
	task := analysis.Task{Verb: analysis.Take, Metric: "rate", Number: 1}
	w.desk.start(w.desk.latest(leader), task, w.take)
	<-begun
	follower := newRun(newMetric("rate"))
	w.desk.start(w.desk.latest(follower), task, w.take)
	w.desk.forgetKey(keyOf(leader))
	w.waitFor(follower)
	if got := w.desk.results(follower); len(got) != 1 || got[0].Reply.Phase != v1alpha1.AnalysisPhaseSuccessful || asked.Load() != 2 {
		t.Errorf("asked %d times, got %+v", asked.Load(), got)
	}
}

// TestAMeasurementThatGetsNoPlaceIsAnError plays the minute that it waits.
func TestAMeasurementThatGetsNoPlaceIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(1, clocktesting.NewFakePassiveClock(noon))
		never := func(ctx context.Context, _ *v1alpha1.AnalysisRun, task analysis.Task, _ *answer) (analysis.Result, *answer) {
			<-ctx.Done()
			return analysis.Result{Task: task}, nil
		}
		for _, name := range []string{"stuck", "waits"} {
			run := newRun(newMetric(name))
			run.Name = name
			d.start(d.latest(run), analysis.Task{Verb: analysis.Take, Metric: name, Number: 1}, never)
		}
		began := time.Now()
		<-d.finished
		waits := newRun(newMetric("waits"))
		waits.Name = "waits"
		got := d.results(waits)
		if took := time.Since(began); took != queueTime || len(got) != 1 || !strings.Contains(got[0].Reply.Message, "no place to ask prometheus within 1m0s") {
			t.Errorf("after %s: %+v", took, got)
		}
		d.close()
	})
}

func TestAnAnswerIsJudgedByTheConditionsOfEach(t *testing.T) {
	strict, lax := newMetric("rate"), newMetric("rate")
	strict.SuccessCondition, lax.SuccessCondition = "result > 1", "result > 0"
	w := newWorld(t, newRun(strict))
	w.provider.answer = func(context.Context, analysis.Query) analysis.Reply {
		return analysis.Reply{Result: 1.0, Value: "1"}
	}
	other := newRun(lax)
	other.Name = "other"
	task := analysis.Task{Verb: analysis.Take, Metric: "rate", Number: 1}
	for run, want := range map[*v1alpha1.AnalysisRun]v1alpha1.AnalysisPhase{newRun(strict): v1alpha1.AnalysisPhaseFailed, other: v1alpha1.AnalysisPhaseSuccessful} {
		w.desk.start(w.desk.latest(run), task, w.take)
		w.waitFor(run)
		if got := w.desk.results(run); len(got) != 1 || got[0].Reply.Phase != want {
			t.Errorf("%s: got %+v, want %s", run.Name, got, want)
		}
	}
}

func TestWhatASecretOfAProviderHoldsIsHidden(t *testing.T) {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "headway", Name: "profile"},
		Data:       map[string][]byte{"token": []byte("s3cret-token"), "region": []byte("us")},
	}
	w := newWorld(t, newRun(newMetric("rate")), secret)
	w.Namespace = "headway"
	w.provider.answer = func(ctx context.Context, q analysis.Query) analysis.Reply {
		values, err := q.Secrets(ctx, "", "profile")
		if err != nil {
			return analysis.Failure(err)
		}
		return analysis.Failure(errors.New("status 403 for " + values["token"]))
	}
	w.reconcile()
	w.arrive()
	if got := w.status().MetricResults[0].Measurements[0].Message; got != "status 403 for *****" {
		t.Errorf("message is %q", got)
	}
}

func TestAValueIsHeldAgainstTheSamplesItRestsOn(t *testing.T) {
	metric := newMetric("rate")
	metric.FailureCondition = "result > 0.1"
	metric.MinSamples = &v1alpha1.MinSamples{Query: "requests"}
	for counted, want := range map[float64]string{
		100: "Successful 0.5",
		99:  "Inconclusive the metric has no data: 99 of at least 100 samples",
	} {
		metric.FailureCondition, metric.MinSamples.Least.IntVal = "result > 0.9", 100
		w := newWorld(t, newRun(metric))
		w.provider.answer = func(_ context.Context, q analysis.Query) analysis.Reply {
			if q.Metric.Provider.Prometheus.Query == "requests" {
				return analysis.Reply{Result: []float64{counted - 1, 1}}
			}
			return analysis.Reply{Result: 0.5, Value: "0.5"}
		}
		w.reconcile()
		w.arrive()
		m := w.status().MetricResults[0].Measurements[0]
		if got := string(m.Phase) + " " + m.Message; !strings.HasPrefix(want, got) || m.Metadata[analysis.SamplesKey] != fmt.Sprint(counted) {
			t.Errorf("%v samples: got %q %v, want %q", counted, got, m.Metadata, want)
		}
	}
}
