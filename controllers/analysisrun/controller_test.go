package analysisrun

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/record"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

var (
	noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	key  = types.NamespacedName{Namespace: "team", Name: "run"}
)

// provider answers as it is told and remembers what it was asked.
type provider struct {
	answer func(ctx context.Context, q analysis.Query) analysis.Reply

	mu    sync.Mutex
	asked []analysis.Query
}

func (p *provider) Measure(ctx context.Context, q analysis.Query) analysis.Reply {
	p.mu.Lock()
	p.asked = append(p.asked, q)
	p.mu.Unlock()
	return p.answer(ctx, q)
}

func (p *provider) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.asked)
}

// world is a reconciler with everything around it.
type world struct {
	*Reconciler
	t        *testing.T
	clock    *clocktesting.FakePassiveClock
	provider *provider
	events   *record.FakeRecorder
	patches  int
	queue    pile
}

// pile is the queue of those whose status is to be stored.
type pile struct {
	queueOfRuns
	requests []ctrl.Request
}

func (p *pile) Add(request ctrl.Request) { p.requests = append(p.requests, request) }

func newWorld(t *testing.T, run *v1alpha1.AnalysisRun, others ...client.Object) *world {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, clientgoscheme.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	w := &world{t: t, clock: clocktesting.NewFakePassiveClock(noon), provider: &provider{}, events: record.NewFakeRecorder(100)}
	w.provider.answer = func(context.Context, analysis.Query) analysis.Reply {
		return analysis.Reply{Phase: v1alpha1.AnalysisPhaseSuccessful, Value: "1"}
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(append(others, run)...).
		WithInterceptorFuncs(interceptor.Funcs{Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
			w.patches++
			return c.Patch(ctx, obj, patch, opts...)
		}}).Build()
	w.open(c, w.provider)
	return w
}

// open makes the reconciler of a world.
func (w *world) open(c client.Client, provider analysis.Provider) {
	w.t.Helper()
	w.Reconciler = New(Options{
		Client: c, APIReader: c, Recorder: w.events, Clock: w.clock,
		Providers: map[string]analysis.Provider{"prometheus": provider},
	})
	if err := w.unstored.open(w.t.Context(), &w.queue); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(w.desk.close)
}

func newRun(metrics ...v1alpha1.Metric) *v1alpha1.AnalysisRun {
	return &v1alpha1.AnalysisRun{
		ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name, UID: "uid-1"},
		Spec:       v1alpha1.AnalysisRunSpec{Metrics: metrics},
	}
}

func newMetric(name string) v1alpha1.Metric {
	return v1alpha1.Metric{Name: name, Provider: v1alpha1.MetricProvider{Prometheus: &v1alpha1.PrometheusMetric{Query: name}}}
}

// reconcile reconciles and stores, and reconciles again, until nothing is left to
// be stored or storing is to be tried again.
func (w *world) reconcile() ctrl.Result {
	w.t.Helper()
	for {
		result, err := w.Reconcile(w.t.Context(), ctrl.Request{NamespacedName: key})
		if err != nil {
			w.t.Fatal(err)
		}
		if len(w.queue.requests) == 0 {
			return result
		}
		again, err := w.store()
		if err != nil {
			w.t.Fatal(err)
		}
		if again.RequeueAfter > 0 {
			return again
		}
	}
}

// store stores what waits for it, and returns what the last of it came to.
func (w *world) store() (last ctrl.Result, err error) {
	for _, request := range w.queue.requests {
		var one error
		last, one = statuses{w.Reconciler}.Reconcile(w.t.Context(), request)
		err = errors.Join(err, one)
	}
	w.queue.requests = nil
	return last, err
}

// attempt reconciles and stores once.
func (w *world) attempt() (ctrl.Result, error) {
	w.t.Helper()
	if _, err := w.Reconcile(w.t.Context(), ctrl.Request{NamespacedName: key}); err != nil {
		w.t.Fatal(err)
	}
	return w.store()
}

// arrive waits for a result on the desk and reconciles.
func (w *world) arrive() ctrl.Result {
	w.t.Helper()
	select {
	case <-w.desk.finished:
		return w.reconcile()
	case <-time.After(10 * time.Second):
		w.t.Fatal("no measurement arrives")
		return ctrl.Result{}
	}
}

// waitFor waits for a result of a run on the desk.
func (w *world) waitFor(run *v1alpha1.AnalysisRun) {
	w.t.Helper()
	for {
		select {
		case e := <-w.desk.finished:
			if e.Object.GetName() == run.Name {
				return
			}
		case <-time.After(10 * time.Second):
			w.t.Fatal("no measurement arrives")
		}
	}
}

func keyOf(run *v1alpha1.AnalysisRun) types.NamespacedName {
	return types.NamespacedName{Namespace: run.Namespace, Name: run.Name}
}

func (w *world) status() v1alpha1.AnalysisRunStatus {
	w.t.Helper()
	var run v1alpha1.AnalysisRun
	if err := w.Client.Get(w.t.Context(), key, &run); err != nil {
		w.t.Fatal(err)
	}
	return run.Status
}

func (w *world) told() []string {
	var out []string
	for {
		select {
		case e := <-w.events.Events:
			out = append(out, e)
		default:
			return out
		}
	}
}

func TestARunIsMeasuredAndStoredInTwoPatches(t *testing.T) {
	w := newWorld(t, newRun(newMetric("rate")))
	if got := w.reconcile(); got.RequeueAfter != 0 {
		t.Errorf("wakes after %s while it is measured", got.RequeueAfter)
	}
	if got := w.status(); got.Phase != v1alpha1.AnalysisPhaseRunning {
		t.Errorf("got %s", got.Phase)
	}
	w.arrive()
	at := metav1.NewTime(noon)
	want := v1alpha1.AnalysisRunStatus{
		Phase: v1alpha1.AnalysisPhaseSuccessful, StartedAt: &at, CompletedAt: &at,
		RunSummary: v1alpha1.RunSummary{Count: 1, Successful: 1},
		MetricResults: []v1alpha1.MetricResult{{
			Name: "rate", Phase: v1alpha1.AnalysisPhaseSuccessful, Count: 1, Successful: 1, ConsecutiveSuccess: 1,
			Measurements: []v1alpha1.Measurement{{Phase: v1alpha1.AnalysisPhaseSuccessful, Value: "1", StartedAt: &at, FinishedAt: &at}},
		}},
	}
	want.Why = w.status().Why // package analysis has its cases
	if diff := cmp.Diff(want, w.status()); diff != "" {
		t.Error(diff)
	}
	w.reconcile()
	if w.patches != 2 {
		t.Errorf("%d patches, want 2", w.patches)
	}
	events := []string{
		"Normal MetricSuccessful Metric 'rate' Completed. Result: Successful",
		"Normal AnalysisRunSuccessful Analysis Completed. Result: Successful",
	}
	if diff := cmp.Diff(events, w.told()); diff != "" {
		t.Error(diff)
	}
}

func TestAMetricUnderWayIsNotMeasuredTwice(t *testing.T) {
	w := newWorld(t, newRun(newMetric("rate")))
	release := make(chan struct{})
	w.provider.answer = func(context.Context, analysis.Query) analysis.Reply {
		<-release
		return analysis.Reply{Phase: v1alpha1.AnalysisPhaseSuccessful}
	}
	for range 5 {
		w.reconcile()
	}
	close(release)
	w.arrive()
	if n := w.provider.count(); n != 1 {
		t.Errorf("measured %d times", n)
	}
	if got := w.status().Phase; got != v1alpha1.AnalysisPhaseSuccessful {
		t.Errorf("got %s", got)
	}
}

func TestAResultSurvivesALostWrite(t *testing.T) {
	w := newWorld(t, newRun(newMetric("rate")))
	w.reconcile()
	<-w.desk.finished
	broken := interceptor.NewClient(w.Client.(client.WithWatch), interceptor.Funcs{
		Patch: func(context.Context, client.WithWatch, client.Object, client.Patch, ...client.PatchOption) error {
			return errors.New("no route to host")
		},
	})
	whole := w.Client
	w.Client = broken
	if _, err := w.attempt(); err == nil {
		t.Fatal("a lost write is no error")
	}
	w.Client = whole
	w.reconcile()
	if got := w.status().Phase; got != v1alpha1.AnalysisPhaseSuccessful || w.provider.count() != 1 {
		t.Errorf("got %s after %d measurements", got, w.provider.count())
	}
}

func TestTheNextMeasurementWakesTheRun(t *testing.T) {
	m := newMetric("rate")
	m.Interval = "1m"
	w := newWorld(t, newRun(m))
	w.reconcile()
	if got := w.arrive(); got.RequeueAfter < time.Minute || got.RequeueAfter >= time.Minute+time.Second {
		t.Errorf("wakes after %s", got.RequeueAfter)
	}
	w.clock.SetTime(noon.Add(time.Minute + time.Second))
	w.reconcile()
	w.arrive()
	if got := w.status().MetricResults[0].Count; got != 2 {
		t.Errorf("%d measurements", got)
	}
}

// An answer that somebody else asked for is judged and stored within the reconcile in
// which the measurement is due; one that needs a Secret is judged beside it.
func TestAnAnswerThatIsThereIsStoredAtOnce(t *testing.T) {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: "creds"}, Data: map[string][]byte{"token": []byte("s3cret")}}
	arg := v1alpha1.Argument{Name: "token", ValueFrom: &v1alpha1.ValueFrom{SecretKeyRef: &v1alpha1.SecretKeyRef{Name: "creds", Key: "token"}}}
	for name, c := range map[string]struct {
		args   []v1alpha1.Argument
		atOnce int32
	}{
		"no Secret": {nil, 2},
		"a Secret":  {[]v1alpha1.Argument{arg}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMetric("rate")
			m.Interval = "10s"
			run := newRun(m)
			run.Spec.Args = c.args
			w := newWorld(t, run, secret)
			w.reconcile()
			w.arrive()
			other := newRun(m)
			other.Name, other.Spec.Args = "other", c.args
			w.clock.SetTime(noon.Add(9 * time.Second))
			w.desk.start(w.desk.latest(other), analysis.Task{Verb: analysis.Take, Metric: "rate", Number: 1}, w.take)
			w.waitFor(other)
			w.clock.SetTime(noon.Add(12 * time.Second))
			before := w.patches
			w.reconcile()
			if got := w.status().MetricResults[0].Count; got != c.atOnce || w.patches-before != int(c.atOnce-1) {
				t.Errorf("%d measurements in %d patches, want %d at once", got, w.patches-before, c.atOnce)
			}
			if c.atOnce == 1 {
				w.arrive()
			}
			if got := w.status().MetricResults[0].Count; got != 2 {
				t.Errorf("%d measurements in the end", got)
			}
		})
	}
}

func TestSecretsAreReadAndHidden(t *testing.T) {
	m := newMetric("rate")
	m.Provider.Prometheus.Headers = []v1alpha1.WebMetricHeader{{Key: "Authorization", Value: "Bearer {{args.token}}"}}
	run := newRun(m)
	run.Spec.Args = []v1alpha1.Argument{{Name: "token", ValueFrom: &v1alpha1.ValueFrom{
		SecretKeyRef: &v1alpha1.SecretKeyRef{Name: "creds", Key: "token"},
	}}}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: "creds"}, Data: map[string][]byte{"token": []byte("s3cret")}}
	w := newWorld(t, run, secret)
	w.provider.answer = func(_ context.Context, q analysis.Query) analysis.Reply {
		return analysis.Failure(errors.New("refused " + q.Metric.Provider.Prometheus.Headers[0].Value))
	}
	w.reconcile()
	w.arrive()
	if got := w.status().MetricResults[0].Measurements[0].Message; got != "refused Bearer *****" {
		t.Errorf("message is %q", got)
	}
}

func TestMeasurementsThatCannotBeTaken(t *testing.T) {
	plugin := v1alpha1.Metric{Name: "rate", Provider: v1alpha1.MetricProvider{Plugin: map[string]json.RawMessage{"example/metric": []byte("{}")}}}
	secret := newRun(newMetric("rate"))
	secret.Spec.Args = []v1alpha1.Argument{{Name: "x", ValueFrom: &v1alpha1.ValueFrom{SecretKeyRef: &v1alpha1.SecretKeyRef{Name: "none", Key: "k"}}}}
	cases := []struct {
		name   string
		run    *v1alpha1.AnalysisRun
		answer func(context.Context, analysis.Query) analysis.Reply
		want   string
	}{
		{"a provider that is not served", newRun(plugin), nil, "provider plugin is not served by this version of Headway"},
		{"a secret that is missing", secret, nil, `reading secret "none" for args.x`},
		{"a provider that panics", newRun(newMetric("rate")), func(context.Context, analysis.Query) analysis.Reply { panic("oh") }, "the metric provider broke down"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, c.run)
			if c.answer != nil {
				w.provider.answer = c.answer
			}
			w.reconcile()
			w.arrive()
			got := w.status().MetricResults[0].Measurements[0]
			if got.Phase != v1alpha1.AnalysisPhaseError || !strings.Contains(got.Message, c.want) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestADeletedRunIsGivenUp(t *testing.T) {
	w := newWorld(t, newRun(newMetric("rate")))
	begun, ended := make(chan struct{}), make(chan struct{})
	w.provider.answer = func(ctx context.Context, _ analysis.Query) analysis.Reply {
		close(begun)
		<-ctx.Done()
		close(ended)
		return analysis.Failure(ctx.Err())
	}
	w.reconcile()
	<-begun
	if err := w.Client.Delete(t.Context(), newRun()); err != nil {
		t.Fatal(err)
	}
	w.clock.SetTime(noon.Add(time.Minute))
	w.reconcile()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("it is still measured")
	}
}

func TestAFailureGivesUpTheOtherMetrics(t *testing.T) {
	w := newWorld(t, newRun(newMetric("bad"), newMetric("slow")))
	w.provider.answer = func(ctx context.Context, q analysis.Query) analysis.Reply {
		if q.Metric.Name == "slow" {
			<-ctx.Done()
		}
		return analysis.Reply{Phase: v1alpha1.AnalysisPhaseFailed}
	}
	w.reconcile()
	w.arrive()
	if got := w.status(); got.Phase != v1alpha1.AnalysisPhaseFailed || got.Message != `Metric "bad" assessed Failed due to failed (1) > failureLimit (0) (query bad)` {
		t.Errorf("got %+v", got)
	}
	if len(w.desk.runs) != 0 {
		t.Error("the desk still holds the run")
	}
}

func TestTTL(t *testing.T) {
	run := newRun(newMetric("rate"))
	seconds := int32(60)
	run.Spec.TTLStrategy = &v1alpha1.TTLStrategy{SecondsAfterCompletion: &seconds}
	w := newWorld(t, run)
	w.reconcile()
	if got := w.arrive(); got.RequeueAfter != time.Minute {
		t.Errorf("wakes after %s", got.RequeueAfter)
	}
	w.clock.SetTime(noon.Add(time.Minute))
	w.reconcile()
	var gone v1alpha1.AnalysisRun
	if err := w.Client.Get(t.Context(), key, &gone); !apierrors.IsNotFound(err) {
		t.Errorf("the run is still there: %v", err)
	}
}

func TestANewRunOfTheSameNameStartsAfresh(t *testing.T) {
	w := newWorld(t, newRun(newMetric("rate")))
	w.reconcile()
	<-w.desk.finished
	other := newRun(newMetric("rate"))
	other.UID = "uid-2"
	if got := w.desk.results(other); got != nil {
		t.Errorf("it has results of the run before it: %+v", got)
	}
}
