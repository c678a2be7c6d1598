// Package experiment is the shell around the planner of Experiments: it
// observes the cluster, asks plan.Make what to do, carries it out and reports.
// It decides nothing.
package experiment

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/experiment/plan"
	"github.com/headway-rollouts/headway/controllers/internal/analysistemplates"
	"github.com/headway-rollouts/headway/controllers/internal/outcome"
	"github.com/headway-rollouts/headway/controllers/internal/ownwrites"
	"github.com/headway-rollouts/headway/controllers/internal/settle"
)

// Options are what the controller needs from the process around it.
type Options struct {
	// Client reads from a cache and writes to the API server.
	Client client.Client
	// APIReader is asked for an analysis template that the cache does not have:
	// a missing one ends the Experiment, so it must not be one made a moment ago.
	APIReader client.Reader
	// Recorder sends Events; required.
	Recorder record.EventRecorder
	// Clock is the source of time. Default the real one.
	Clock clock.PassiveClock
	// Concurrency is how many Experiments are reconciled at once. Default 10.
	Concurrency int
	// ClusterTemplates says whether ClusterAnalysisTemplates may be read; false with --namespaced.
	ClusterTemplates bool
	// Resync is how often every Experiment is looked at without an event; 0 means never.
	Resync time.Duration
}

// Reconciler makes Experiments true.
type Reconciler struct {
	Options

	templates analysistemplates.Reader
	writes    ownwrites.Log
	settling  settle.Log
	metrics   *metrics
}

// New makes a Reconciler and fills in defaults.
func New(opts Options) *Reconciler {
	if opts.Clock == nil {
		opts.Clock = clock.RealClock{}
	}
	if opts.Concurrency <= 0 {
		opts.Concurrency = 10
	}
	return &Reconciler{
		Options:   opts,
		templates: analysistemplates.Reader{Client: opts.Client, Live: opts.APIReader, Cluster: opts.ClusterTemplates},
		metrics:   newMetrics(),
	}
}

// Reconcile observes, plans, acts and reports once.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	began := r.Clock.Now()
	result, err := r.reconcile(ctx, req)
	if errors.Is(err, errGone) {
		r.writes.Forget(req.NamespacedName)
		r.settling.Forget(req.NamespacedName)
		r.metrics.Forget(req.NamespacedName)
		return ctrl.Result{}, nil
	}
	r.metrics.Reconciled(req.NamespacedName, r.Clock.Since(began), err)
	return result, err
}

// errGone says that there is no such Experiment any more.
var errGone = errors.New("the Experiment is gone")

func (r *Reconciler) reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	e := v1alpha1.Experiment{ObjectMeta: metav1.ObjectMeta{Namespace: req.Namespace, Name: req.Name}}
	fresh, err := r.writes.Read(ctx, r.Client, &e, r.Clock.Now())
	if apierrors.IsNotFound(err) {
		return ctrl.Result{}, errGone
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	switch {
	case !e.DeletionTimestamp.IsZero():
		return ctrl.Result{}, nil // its objects are collected with it
	case !fresh:
		return outcome.Stale(), nil
	}
	seen, err := r.observe(ctx, &e)
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("observing: %w", err)
	}
	p := plan.Make(seen.Snapshot)
	refusals, actErr := r.act(ctx, seen, p.Actions)
	return r.report(ctx, seen, plan.Refused(seen.Snapshot, p, refusals), actErr)
}
