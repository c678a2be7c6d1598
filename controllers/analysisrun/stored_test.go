package analysisrun

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// measure reconciles without storing, at a time after noon, and waits for what is
// measured then.
func (w *world) measure(after time.Duration) {
	w.t.Helper()
	w.clock.SetTime(noon.Add(after))
	before := w.provider.count()
	if _, err := w.Reconcile(w.t.Context(), ctrl.Request{NamespacedName: key}); err != nil {
		w.t.Fatal(err)
	}
	select {
	case <-w.desk.finished:
	case <-time.After(10 * time.Second):
		w.t.Fatalf("no measurement arrives; %d were taken before", before)
	}
}

// The API server takes no writes for a while: measurements are taken when they are
// due, up to a limit, and stored in one patch when it does again.
func TestMeasuringDoesNotWaitForStoring(t *testing.T) {
	m := newMetric("rate")
	m.Interval = "10s"
	w := newWorld(t, newRun(m))
	w.reconcile() // stores when the run began
	for i := range maxAhead {
		w.measure(time.Duration(i) * 11 * time.Second)
	}
	w.clock.SetTime(noon.Add(time.Minute))
	if _, err := w.Reconcile(t.Context(), ctrl.Request{NamespacedName: key}); err != nil {
		t.Fatal(err)
	}
	if got := w.provider.count(); got != maxAhead {
		t.Errorf("%d measurements were taken, the limit is %d", got, maxAhead)
	}
	before := w.patches
	if _, err := w.store(); err != nil {
		t.Fatal(err)
	}
	if got := w.status().MetricResults[0]; got.Count != maxAhead || len(got.Measurements) != maxAhead || w.patches != before+1 {
		t.Errorf("%d patches stored %+v", w.patches-before, got)
	}
	w.arrive() // storing wakes a run whose measurement had to wait
	w.arrive()
	if got := w.status().MetricResults[0].Count; got != maxAhead+1 {
		t.Errorf("%d measurements in the end", got)
	}
}

// A cache that lags behind the own writes neither repeats a measurement nor stops
// the next one.
func TestACacheThatLagsDoesNotHoldUpMeasuring(t *testing.T) {
	m := newMetric("rate")
	m.Interval = "10s"
	w := newWorld(t, newRun(m))
	w.reconcile()
	var old v1alpha1.AnalysisRun
	if err := w.Client.Get(t.Context(), key, &old); err != nil {
		t.Fatal(err)
	}
	whole := w.Client
	w.Client = behind{Client: whole, old: &old}
	for i := range int32(3) {
		w.measure(time.Duration(i) * 11 * time.Second)
		if _, err := w.attempt(); err != nil {
			t.Fatal(err)
		}
		w.Client = whole
		if got := w.status().MetricResults[0].Count; got != i+1 || w.provider.count() != int(i+1) {
			t.Fatalf("%d measurements stored, %d taken, want %d", got, w.provider.count(), i+1)
		}
		w.Client = behind{Client: whole, old: &old}
	}
}

// behind is a client whose cache shows an old run.
type behind struct {
	client.Client
	old *v1alpha1.AnalysisRun
}

func (b behind) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	if run, ok := obj.(*v1alpha1.AnalysisRun); ok {
		b.old.DeepCopyInto(run)
		return nil
	}
	return b.Client.Get(ctx, key, obj, opts...)
}

// What was decided before something came is decided again: it would be taken twice.
func TestWhatWasTakenSinceTheViewIsNotTakenAgain(t *testing.T) {
	w := newWorld(t, newRun(newMetric("rate")))
	run := newRun(newMetric("rate"))
	task := analysis.Task{Verb: analysis.Take, Metric: "rate", Number: 1}
	seen := w.desk.latest(run)
	w.desk.start(seen, task, w.take)
	w.waitFor(run)
	w.desk.start(seen, task, w.take)
	w.desk.mu.Lock()
	again := w.desk.runs[key].underWay["rate"]
	w.desk.mu.Unlock()
	if again || w.desk.judge(seen, []analysis.Task{task}, w.take) || len(w.desk.results(run)) != 1 {
		t.Errorf("it is taken again; %d results", len(w.desk.results(run)))
	}
	task.Number = 2
	w.desk.start(w.desk.latest(run), task, w.take)
	w.waitFor(run)
	if w.provider.count() != 2 {
		t.Error("the next one is not taken")
	}
}

// The controller that stores may see a newer cache than the one that measures.
func TestAnOlderViewOfTheCacheKnowsWhatWasStored(t *testing.T) {
	version := func(v string) *v1alpha1.AnalysisRun {
		r := newRun(newMetric("rate"))
		r.ResourceVersion = v
		return r
	}
	w := newWorld(t, version("7"))
	w.desk.seatOf(version("7"))
	w.desk.store(view{run: version("7")}, v1alpha1.AnalysisRunStatus{Phase: v1alpha1.AnalysisPhaseRunning}, "8")
	if got := w.desk.latest(version("9")).run; got.ResourceVersion != "9" {
		t.Errorf("a newer run is taken for version %s", got.ResourceVersion)
	}
	if got := w.desk.latest(version("7")).run; got.Status.Phase != v1alpha1.AnalysisPhaseRunning || got.ResourceVersion != "8" {
		t.Errorf("what was stored is forgotten: %s %q", got.ResourceVersion, got.Status.Phase)
	}
	opaque := version("a")
	w.desk.store(view{run: opaque}, v1alpha1.AnalysisRunStatus{Phase: v1alpha1.AnalysisPhaseRunning}, "b")
	for shown, want := range map[string]string{"a": "b", "b": "b", "c": "c"} {
		if got := w.desk.latest(version(shown)).run.ResourceVersion; got != want {
			t.Errorf("where versions cannot be compared, %s is taken for %s", shown, got)
		}
	}
}

// Only the echo of a status from which nothing follows is left out.
func TestWhatIsAnEcho(t *testing.T) {
	run := func(version string) *v1alpha1.AnalysisRun {
		r := newRun(newMetric("rate"))
		r.ResourceVersion = version
		return r
	}
	started := run("7")
	at := metav1.NewTime(noon)
	started.Status.StartedAt = &at
	good := v1alpha1.AnalysisRunStatus{Phase: v1alpha1.AnalysisPhaseRunning}
	for name, c := range map[string]struct {
		was    *v1alpha1.AnalysisRun
		status v1alpha1.AnalysisRunStatus
		shown  string
		want   bool
	}{
		"what was stored":               {started, good, "8", true},
		"what was there before":         {started, good, "7", false},
		"what somebody made of it":      {started, good, "9", false},
		"the first status of a run":     {run("7"), good, "8", false},
		"the verdict, which is awaited": {started, v1alpha1.AnalysisRunStatus{Phase: v1alpha1.AnalysisPhaseFailed}, "8", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, run("7"))
			if w.desk.echo(run(c.shown)) {
				t.Error("nothing was stored")
			}
			w.desk.seatOf(c.was)
			w.desk.store(view{run: c.was}, c.status, "8")
			if w.news(event.UpdateEvent{ObjectOld: c.was, ObjectNew: run(c.shown)}) == w.desk.echo(run(c.shown)) && c.shown != "7" {
				t.Error("an echo is news, or news is none")
			}
			if !w.news(event.UpdateEvent{ObjectOld: run(c.shown), ObjectNew: run(c.shown)}) {
				t.Error("a resync is left out")
			}
			if got := w.desk.echo(run(c.shown)); got != c.want {
				t.Errorf("an echo %t, want %t", got, c.want)
			}
		})
	}
}

// Where statuses wait for the API server, a verdict goes before the further good
// measurements of others; and none is lost that came before the queue was there.
func TestAVerdictIsStoredFirst(t *testing.T) {
	running := v1alpha1.AnalysisRunStatus{Phase: v1alpha1.AnalysisPhaseRunning, MetricResults: []v1alpha1.MetricResult{{Name: "rate", Phase: v1alpha1.AnalysisPhaseRunning, Count: 1, Successful: 1}}}
	after := func(change func(*v1alpha1.AnalysisRunStatus)) *v1alpha1.AnalysisRunStatus {
		status := running.DeepCopy()
		status.MetricResults[0].Count++
		change(status)
		return status
	}
	var unstored waiting
	add := func(name string, change func(*v1alpha1.AnalysisRunStatus)) {
		run := newRun()
		run.Name, run.Status = name, running
		unstored.add(run, after(change))
	}
	add("good, early", func(s *v1alpha1.AnalysisRunStatus) { s.MetricResults[0].Successful++ })
	add("failed", func(s *v1alpha1.AnalysisRunStatus) { s.MetricResults[0].Failed++ })
	queue := priorityqueue.New[ctrl.Request]("test")
	defer queue.ShutDown()
	if err := unstored.open(t.Context(), queue); err != nil {
		t.Fatal(err)
	}
	add("good", func(s *v1alpha1.AnalysisRunStatus) { s.MetricResults[0].Successful++ })
	add("an error", func(s *v1alpha1.AnalysisRunStatus) { s.MetricResults[0].Error++ })
	add("no data", func(s *v1alpha1.AnalysisRunStatus) { s.MetricResults[0].Ignored++ })
	add("inconclusive", func(s *v1alpha1.AnalysisRunStatus) { s.MetricResults[0].Inconclusive++ })
	add("a metric that ended", func(s *v1alpha1.AnalysisRunStatus) {
		s.MetricResults[0].Phase = v1alpha1.AnalysisPhaseSuccessful
	})
	add("a run that ended", func(s *v1alpha1.AnalysisRunStatus) { s.Phase = v1alpha1.AnalysisPhaseSuccessful })
	add("a metric of another name", func(s *v1alpha1.AnalysisRunStatus) { s.MetricResults[0].Name = "errors" })
	add("another metric", func(s *v1alpha1.AnalysisRunStatus) {
		s.MetricResults = append(s.MetricResults, v1alpha1.MetricResult{Name: "errors"})
	})
	var got []string
	for range 10 {
		request, _ := queue.Get()
		got = append(got, request.Name)
		queue.Done(request)
	}
	want := []string{
		"a run that ended", "failed", "an error", "no data", "inconclusive", "a metric that ended", "a metric of another name", "another metric",
		"good, early", "good",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A measurement of a run that took its name must not be stored in the other.
func TestWhatWasTakenForAnotherRunOfTheNameIsNotStored(t *testing.T) {
	w := newWorld(t, newRun(newMetric("rate")))
	w.reconcile()
	<-w.desk.finished
	next := newRun(newMetric("rate"))
	next.UID = types.UID("uid-2")
	if seen := w.desk.latest(next); len(seen.results) != 0 || seen.run != next {
		t.Errorf("%d results of another run", len(seen.results))
	}
	if results := w.desk.results(newRun()); len(results) != 1 {
		t.Errorf("%d results of the run", len(results))
	}
}

// A run that is over or gone when its status was stored leaves nothing behind.
func TestNothingIsKeptOfARunThatIsForgotten(t *testing.T) {
	over := v1alpha1.AnalysisRunStatus{Phase: v1alpha1.AnalysisPhaseSuccessful}
	going := v1alpha1.AnalysisRunStatus{Phase: v1alpha1.AnalysisPhaseRunning}
	t.Run("over, and shown before the reply came", func(t *testing.T) {
		w := newWorld(t, newRun(newMetric("rate")))
		w.desk.store(view{run: newRun()}, over, "8")
		if len(w.desk.runs) != 0 {
			t.Error("it is remembered")
		}
	})
	t.Run("deleted while it was stored", func(t *testing.T) {
		w := newWorld(t, newRun(newMetric("rate")))
		w.desk.start(w.desk.latest(newRun()), analysis.Task{Verb: analysis.Take, Metric: "rate", Number: 1}, w.take)
		w.desk.forgetKey(key)
		w.desk.store(view{run: newRun()}, going, "8")
		if len(w.desk.runs) != 0 {
			t.Error("it is remembered")
		}
	})
	t.Run("replaced while it was stored", func(t *testing.T) {
		w := newWorld(t, newRun(newMetric("rate")))
		next := newRun(newMetric("rate"))
		next.UID = "uid-2"
		w.desk.start(w.desk.latest(next), analysis.Task{Verb: analysis.Take, Metric: "rate", Number: 1}, w.take)
		w.desk.store(view{run: newRun()}, going, "8")
		if s := w.desk.runs[key]; s == nil || s.uid != next.UID || s.stored != nil || s.ctx.Err() != nil {
			t.Error("the run that took its name is given up")
		}
	})
}

// What comes while a status is stored is kept for the next one.
func TestAResultThatComesWhileAStatusIsStoredIsKept(t *testing.T) {
	w := newWorld(t, newRun(newMetric("rate")))
	run := newRun(newMetric("rate"))
	for n := range int32(2) {
		w.desk.start(w.desk.latest(run), analysis.Task{Verb: analysis.Take, Metric: "rate", Number: n + 1}, w.take)
		w.waitFor(run)
	}
	seen := w.desk.latest(run)
	seen.results = seen.results[:1]
	w.desk.store(seen, v1alpha1.AnalysisRunStatus{Phase: v1alpha1.AnalysisPhaseRunning}, "8")
	if left := w.desk.results(run); len(left) != 1 || left[0].Task.Number != 2 {
		t.Errorf("left are %+v", left)
	}
	w.desk.store(w.desk.latest(run), v1alpha1.AnalysisRunStatus{Phase: v1alpha1.AnalysisPhaseFailed}, "9")
	if w.desk.runs[key].ctx.Err() == nil {
		t.Error("a verdict does not end what is measured for the run")
	}
	w.desk.start(w.desk.latest(run), analysis.Task{Verb: analysis.Take, Metric: "rate", Number: 3}, w.take)
	if w.desk.runs[key].underWay["rate"] {
		t.Error("it is measured after its verdict")
	}
}

// Nothing is measured before it is stored when the run began, and nothing is written
// again to a version that somebody changed.
func TestMeasuringBeginsWhenTheFirstStatusIsStored(t *testing.T) {
	w := newWorld(t, newRun(newMetric("rate")))
	gone := false
	w.Client = interceptor.NewClient(w.Client.(client.WithWatch), interceptor.Funcs{
		Patch: func(context.Context, client.WithWatch, client.Object, client.Patch, ...client.PatchOption) error {
			w.patches++
			if gone {
				return apierrors.NewNotFound(schema.GroupResource{}, key.Name)
			}
			return apierrors.NewConflict(schema.GroupResource{}, key.Name, errors.New("written"))
		},
	})
	for range 3 {
		if again, err := w.attempt(); err != nil || again.RequeueAfter == 0 {
			t.Fatalf("%v, %v", again, err)
		}
	}
	if w.provider.count() != 0 || w.patches != 1 {
		t.Errorf("%d measurements, %d patches", w.provider.count(), w.patches)
	}
	gone = true
	w.clock.SetTime(noon.Add(refusalTime))
	if again, err := w.attempt(); err != nil || again.RequeueAfter == 0 || w.patches != 2 {
		t.Errorf("%v, %v after %d patches", again, err, w.patches)
	}
}

// A run that is deleted while it waits for its store is no error, and leaves no series.
func TestARunThatIsGoneIsNotStored(t *testing.T) {
	w := newWorld(t, newRun(newMetric("rate")))
	if _, err := w.Reconcile(t.Context(), ctrl.Request{NamespacedName: key}); err != nil {
		t.Fatal(err)
	}
	if err := w.Client.Delete(t.Context(), newRun()); err != nil {
		t.Fatal(err)
	}
	if again, err := w.store(); err != nil || again.RequeueAfter != 0 || w.patches != 0 {
		t.Errorf("%v, %v, %d patches", again, err, w.patches)
	}
}

// A measurement that is under way at its source is stored as such, looked at again,
// and ended with the run.
func TestAMeasurementThatGoesOnIsLookedAtAgain(t *testing.T) {
	w := newWorld(t, newRun(newMetric("judgement")))
	w.provider.answer = func(_ context.Context, q analysis.Query) analysis.Reply {
		if q.Verb == analysis.Resume && q.UnderWay.Metadata["id"] == "7" {
			return analysis.Reply{Phase: v1alpha1.AnalysisPhaseSuccessful, Value: "1"}
		}
		return analysis.Reply{Phase: v1alpha1.AnalysisPhaseRunning, Metadata: map[string]string{"id": "7"}, ResumeAt: q.Now.Add(time.Second)}
	}
	w.reconcile()
	w.arrive()
	if got := w.status().MetricResults[0].Measurements; len(got) != 1 || got[0].Phase != v1alpha1.AnalysisPhaseRunning {
		t.Fatalf("got %+v", got)
	}
	w.clock.SetTime(noon.Add(2 * time.Second))
	w.reconcile()
	w.arrive()
	if got := w.status(); got.Phase != v1alpha1.AnalysisPhaseSuccessful || len(got.MetricResults[0].Measurements) != 1 {
		t.Errorf("got %+v", got)
	}
}

// A look that changes nothing is not kept: it would count as one that is not stored.
func TestALookThatChangesNothingIsNotKept(t *testing.T) {
	w := newWorld(t, newRun(newMetric("judgement")))
	w.provider.answer = func(context.Context, analysis.Query) analysis.Reply {
		return analysis.Reply{Phase: v1alpha1.AnalysisPhaseRunning}
	}
	w.reconcile()
	for range maxAhead + 1 {
		w.arrive()
	}
	if left := w.desk.results(newRun()); len(left) > 1 { // the next look may have come
		t.Errorf("%d looks are kept", len(left))
	}
}
