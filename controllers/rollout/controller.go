// Package rollout is the shell around the planner: it observes the cluster,
// asks plan.Make what to do, carries it out and reports. It decides nothing.
package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/internal/ownwrites"
	"github.com/headway-rollouts/headway/controllers/rollout/plan"
	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/nginx"
)

// Options are what the controller needs from the process around it.
type Options struct {
	// Client reads from a cache and writes to the API server.
	Client client.Client
	// Live reads from the API server, where a cache would hold too much or know too late.
	Live client.Reader
	// Sights is a cache of metadata alone. It is empty until a Rollout refers to a workload; without it
	// workloads are read each time, and their changes wake nobody.
	Sights cache.Cache
	// Recorder sends Events; required.
	Recorder record.EventRecorder
	// Clock is the source of time. Default the real one.
	Clock clock.PassiveClock
	// Concurrency is how many Rollouts are reconciled at once. Default 10.
	Concurrency int
	// ClusterTemplates says whether ClusterAnalysisTemplates may be read; false with --namespaced.
	ClusterTemplates bool
	// Resync is how often every Rollout is looked at without an event; 0 means never.
	Resync time.Duration
}

// Reconciler makes Rollouts true.
type Reconciler struct {
	Options

	writes    ownwrites.Log
	deferred  deferrals
	metrics   *metrics
	workloads workloads
}

// New makes a Reconciler and fills in defaults.
func New(opts Options) *Reconciler {
	if opts.Clock == nil {
		opts.Clock = clock.RealClock{}
	}
	if opts.Concurrency <= 0 {
		opts.Concurrency = 10
	}
	return &Reconciler{Options: opts, metrics: newMetrics(), workloads: workloads{live: opts.Live, sights: opts.Sights}}
}

// staleRetry is how soon to look again when the cache has not seen our own writes yet.
const staleRetry = 20 * time.Millisecond

// Reconcile observes, plans, acts and reports once.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	began := r.Clock.Now()
	result, err := r.reconcile(ctx, req)
	if errors.Is(err, errGone) {
		r.forget(req.NamespacedName)
		return ctrl.Result{}, nil
	}
	r.metrics.reconciled(req.NamespacedName, r.Clock.Since(began), err)
	return result, err
}

// errGone says that there is no such Rollout any more.
var errGone = errors.New("the Rollout is gone")

func (r *Reconciler) reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	fresh, err := r.writes.Seen(ctx, r.Client, req.NamespacedName, r.Clock.Now())
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("checking for own writes: %w", err)
	}
	var ro v1alpha1.Rollout // read after the writes were seen, so that it is not older than they are
	if err := r.Client.Get(ctx, req.NamespacedName, &ro); err != nil {
		if apierrors.IsNotFound(err) {
			return ctrl.Result{}, errGone
		}
		return ctrl.Result{}, fmt.Errorf("reading the Rollout: %w", err)
	}
	switch {
	case !ro.DeletionTimestamp.IsZero():
		return ctrl.Result{}, nil // its objects are collected with it
	case !fresh:
		return ctrl.Result{RequeueAfter: staleRetry}, nil
	}
	seen, err := r.observe(ctx, &ro)
	if errors.Is(err, errBehind) {
		return ctrl.Result{RequeueAfter: staleRetry}, nil
	}
	if err != nil {
		return ctrl.Result{}, r.unreadable(ctx, &ro, fmt.Errorf("observing: %w", err))
	}
	p := plan.Make(seen.Snapshot)
	actErr := r.act(ctx, seen, p.Actions)
	return r.report(ctx, seen, p, actErr)
}

// forget drops what is remembered of a Rollout that is gone.
func (r *Reconciler) forget(key client.ObjectKey) {
	r.writes.Forget(key)
	r.deferred.Forget(key)
	r.metrics.forget(key)
	r.workloads.forget(key)
}

// router serves every Rollout: NGINX is the only one yet, and also takes back what was made for an
// earlier spec. Validation has refused other routers.
func router(c client.Client) trafficrouting.Router { return nginx.New(c) }

// outcome turns what carrying out a plan came to into what the queue does next.
func outcome(p plan.Plan, actErr error, resync time.Duration) (ctrl.Result, error) {
	if actErr != nil && !conflictsOnly(actErr) {
		return ctrl.Result{}, actErr
	}
	after := p.Wake
	switch {
	case actErr != nil: // somebody else wrote first: look again
		after = staleRetry
	case after == 0:
		after = resync
	}
	return ctrl.Result{RequeueAfter: after}, nil
}

// conflictsOnly reports whether nothing failed but preconditions. It looks at
// every error that was joined: a quota must not hide behind a conflict.
func conflictsOnly(err error) bool {
	switch e := err.(type) { //nolint:errorlint // It walks the tree itself.
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			if !conflictsOnly(one) {
				return false
			}
		}
		return true
	case interface{ Unwrap() error }:
		return conflictsOnly(e.Unwrap())
	default:
		return apierrors.IsConflict(err)
	}
}
