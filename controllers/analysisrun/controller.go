package analysisrun

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/analysis/egress"
	"github.com/headway-rollouts/headway/analysis/provider/datadog"
	"github.com/headway-rollouts/headway/analysis/provider/job"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// Options are what the controller needs from the process around it.
type Options struct {
	// Client reads from a cache and writes to the API server.
	Client client.Client
	// APIReader reads Secrets, Jobs and their pods from the API server; they are never cached.
	APIReader client.Reader
	// Recorder sends Events; required.
	Recorder record.EventRecorder
	// Clock is the source of time. Default the real one.
	Clock clock.PassiveClock
	// Concurrency is how many runs are reconciled at once. Default 30.
	Concurrency int
	// Measurements is how many measurements are taken at once, at most 16 of
	// them for one run or one source, and 32 for one namespace. Default 512.
	Measurements int
	// Addresses are those that metrics may reach. Default those that
	// egress.Policy allows.
	Addresses egress.Policy
	// Namespace is the controller's own, where the Secrets with the credentials
	// of some providers are.
	Namespace string
	// PrometheusAddress is the server of metrics that name none; may be empty.
	PrometheusAddress string
	// Jobs is where the Jobs of metrics run. Default beside their runs.
	Jobs job.Place
	// Datadog is what the environment of the controller says of Datadog; may be empty.
	Datadog datadog.Environment
	// Selector limits the runs to those of this instance. Default all.
	Selector labels.Selector
	// Providers are used besides and before the built-in ones, by the name of
	// their field in a metric, such as "prometheus". Default none.
	Providers map[string]analysis.Provider
}

// Reconciler carries AnalysisRuns to their end.
type Reconciler struct {
	Options

	desk     *desk
	turns    egress.Turns
	unstored *waiting
	metrics  *metrics
}

const (
	// maxDecoding is how many replies are decoded and judged at once.
	maxDecoding = 4
	// What failed is tried again after a time that doubles: soon enough after an
	// outage of the API server that nobody waits for it.
	shortestBackoff, longestBackoff = 5 * time.Millisecond, 30 * time.Second
)

// New makes a Reconciler and fills in defaults.
func New(opts Options) *Reconciler {
	if opts.Clock == nil {
		opts.Clock = clock.RealClock{}
	}
	if opts.Concurrency <= 0 {
		opts.Concurrency = 30
	}
	if opts.Measurements <= 0 {
		opts.Measurements = 512
	}
	if opts.Selector == nil {
		opts.Selector = labels.Everything()
	}
	if opts.Jobs.Client == nil {
		opts.Jobs.Client, opts.Jobs.Reader = opts.Client, opts.APIReader
	}
	opts.Providers = withBuiltIn(opts)
	desk := newDesk(opts.Measurements, opts.Clock)
	return &Reconciler{Options: opts, desk: desk, turns: egress.NewTurns(maxDecoding), unstored: &waiting{}, metrics: newMetrics(desk.metrics)}
}

// SetupWithManager watches AnalysisRuns and the desk. When the manager stops,
// measurements under way are given up.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	if err := r.metrics.register(mgr.GetCache()); err != nil {
		return fmt.Errorf("registering metrics: %w", err)
	}
	stop := manager.RunnableFunc(func(ctx context.Context) error {
		<-ctx.Done()
		r.desk.close()
		return nil
	})
	if err := mgr.Add(stop); err != nil {
		return fmt.Errorf("adding the desk: %w", err)
	}
	ours := predicate.NewPredicateFuncs(func(obj client.Object) bool {
		return r.Selector.Matches(labels.Set(obj.GetLabels()))
	})
	err := r.builder(mgr, "AnalysisRuns").
		For(&v1alpha1.AnalysisRun{}, builder.WithPredicates(ours, predicate.Funcs{UpdateFunc: r.news})).
		WatchesRawSource(source.Channel(r.desk.finished, &handler.EnqueueRequestForObject{})).
		Complete(r)
	if err == nil {
		err = r.builder(mgr, "AnalysisRunStatuses").WatchesRawSource(source.Func(r.unstored.open)).Complete(statuses{r})
	}
	if err != nil {
		return fmt.Errorf("building the controller: %w", err)
	}
	return nil
}

// news leaves out the echo of what was stored: it is known, and it was said when to
// look again. A resync, which changes nothing, looks at every run.
func (r *Reconciler) news(e event.UpdateEvent) bool {
	return e.ObjectOld.GetResourceVersion() == e.ObjectNew.GetResourceVersion() || !r.desk.echo(e.ObjectNew)
}

// builder begins one of the two controllers.
func (r *Reconciler) builder(mgr ctrl.Manager, name string) *builder.Builder {
	yes := true
	return ctrl.NewControllerManagedBy(mgr).Named(name).WithOptions(controller.Options{
		MaxConcurrentReconciles: r.Concurrency, RecoverPanic: &yes, EnableWarmup: &yes,
		RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[ctrl.Request](shortestBackoff, longestBackoff),
	})
}

// Reconcile judges what was measured, has it stored, and has taken what is due.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	began := r.Clock.Now()
	result, err := r.reconcile(ctx, req)
	if errors.Is(err, errGone) {
		r.forget(req.NamespacedName)
		return ctrl.Result{}, nil
	}
	r.metrics.Reconciled(req.NamespacedName, r.Clock.Since(began), err)
	return result, err
}

// errGone says that there is no such AnalysisRun any more.
var errGone = errors.New("the AnalysisRun is gone")

// forget drops what is remembered of an AnalysisRun that is gone.
func (r *Reconciler) forget(key types.NamespacedName) {
	r.desk.forgetKey(key)
	r.metrics.Forget(key)
}

func (r *Reconciler) reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	cached, err := r.read(ctx, req.NamespacedName)
	switch {
	case err != nil:
		return ctrl.Result{}, err
	case !cached.DeletionTimestamp.IsZero():
		r.desk.forgetKey(req.NamespacedName)
		return ctrl.Result{}, nil
	case cached.Status.Phase.Completed():
		r.tellLate(cached)
		r.desk.forgetKey(req.NamespacedName)
		return r.expire(cached), nil
	}
	return r.advance(cached), nil
}

// read reads a run from the cache. The error of one that is gone is errGone.
func (r *Reconciler) read(ctx context.Context, key types.NamespacedName) (*v1alpha1.AnalysisRun, error) {
	var run v1alpha1.AnalysisRun
	err := r.Client.Get(ctx, key, &run)
	if apierrors.IsNotFound(err) {
		return nil, errGone
	}
	if err != nil {
		return nil, fmt.Errorf("reading the AnalysisRun: %w", err)
	}
	return &run, nil
}

// advance takes a run one step further.
func (r *Reconciler) advance(cached *v1alpha1.AnalysisRun) ctrl.Result {
	now := r.Clock.Now()
	seen := r.desk.latest(cached)
	if seen.run.Status.Phase.Completed() {
		return ctrl.Result{} // the cache will show it
	}
	status, schedule := analysis.Next(seen.run, seen.results, now)
	if r.desk.judge(seen, schedule.Tasks, r.take) {
		seen = r.desk.latest(cached)
		status, schedule = analysis.Next(seen.run, seen.results, now)
	}
	if len(seen.results) > 0 || !equality.Semantic.DeepEqual(seen.run.Status, status) {
		r.unstored.add(seen.run, &status)
	}
	if seen.run.Status.StartedAt == nil || status.Phase.Completed() {
		return ctrl.Result{} // storing it wakes the run
	}
	next := *seen.run // its spec is shared, and nobody changes it
	next.Status = status
	seen.run = &next
	for _, task := range schedule.Tasks {
		r.desk.start(seen, task, r.take)
	}
	if schedule.Wake.IsZero() {
		return ctrl.Result{} // the desk wakes the run
	}
	return ctrl.Result{RequeueAfter: max(schedule.Wake.Sub(now), time.Millisecond)}
}

// expire has a completed run deleted when its time is over.
func (r *Reconciler) expire(run *v1alpha1.AnalysisRun) ctrl.Result {
	at := analysis.Expiry(run)
	if at.IsZero() {
		return ctrl.Result{}
	}
	if wait := at.Sub(r.Clock.Now()); wait > 0 {
		return ctrl.Result{RequeueAfter: wait}
	}
	r.unstored.add(run, &run.Status)
	return ctrl.Result{}
}
