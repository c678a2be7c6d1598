// Package rollout is the shell around the planner: it observes the cluster,
// asks plan.Make what to do, carries it out and reports. It decides nothing.
package rollout

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
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/cluster"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/internal/ondemand"
	"github.com/headway-rollouts/headway/controllers/internal/outcome"
	"github.com/headway-rollouts/headway/controllers/internal/ownwrites"
	"github.com/headway-rollouts/headway/controllers/rollout/plan"
	"github.com/headway-rollouts/headway/trafficrouting/alb"
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
	// Cache is that of Client. Kinds of meshes and ingresses are watched in it once a Rollout names them;
	// without it they are read by Client.
	Cache cache.Cache
	// Mesh is the cluster that has the VirtualServices and DestinationRules; nil is the one of the Rollouts.
	Mesh cluster.Cluster
	// LoadBalancers asks AWS what Ingresses came to; nil believes the Ingresses.
	LoadBalancers alb.LoadBalancers
	// Namespace is the only one that is watched; empty is all of them.
	Namespace string
	// Recorder sends Events; required.
	Recorder record.EventRecorder
	// Clock is the source of time. Default the real one.
	Clock clock.PassiveClock
	// Concurrency is how many Rollouts are reconciled at once. Default 10.
	Concurrency int
	// ClusterTemplates says whether ClusterAnalysisTemplates and CustomResourceDefinitions may be read;
	// false with --namespaced.
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
	// objects are those that routers read: of the cluster of the Rollouts, and of the mesh if it is another one.
	objects   []*ondemand.Objects
	balancers balancers
	// meshWrites are those to a mesh in another cluster.
	meshWrites ownwrites.Log
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

// Reconcile observes, plans, acts and reports once.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	began := r.Clock.Now()
	result, err := r.reconcile(ctx, req)
	if errors.Is(err, errGone) {
		return r.bury(ctx, req.NamespacedName)
	}
	r.metrics.Reconciled(req.NamespacedName, r.Clock.Since(began), err)
	return result, err
}

// errGone says that there is no such Rollout any more.
var errGone = errors.New("the Rollout is gone")

func (r *Reconciler) reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	ro := v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: req.Namespace, Name: req.Name}}
	fresh, err := r.read(ctx, &ro)
	switch {
	case apierrors.IsNotFound(err):
		return ctrl.Result{}, errGone
	case errors.Is(err, ondemand.ErrBehind):
		return outcome.Stale(), nil
	case err != nil:
		return ctrl.Result{}, err
	}
	switch {
	case !ro.DeletionTimestamp.IsZero():
		return ctrl.Result{}, nil // its objects are collected with it
	case !fresh:
		return outcome.Stale(), nil
	}
	seen, err := r.observe(ctx, &ro)
	if errors.Is(err, errBehind) {
		return outcome.Stale(), nil
	}
	if err != nil {
		return ctrl.Result{}, r.unreadable(ctx, &ro, fmt.Errorf("observing: %w", err))
	}
	p := plan.Make(seen.Snapshot)
	p.Wake = r.askAgain(seen, p.Wake)
	actErr := r.act(ctx, seen, p.Actions)
	return r.report(ctx, seen, p, actErr)
}

// read reads a Rollout, and reports whether the caches show what its last passes wrote.
func (r *Reconciler) read(ctx context.Context, ro *v1alpha1.Rollout) (bool, error) {
	fresh, err := r.writes.Read(ctx, r.Client, ro, r.Clock.Now())
	if err != nil || !fresh || r.Mesh == nil {
		return fresh, err
	}
	fresh, err = r.meshWrites.Seen(ctx, r.mesh(), client.ObjectKeyFromObject(ro), r.Clock.Now())
	if err != nil {
		return false, fmt.Errorf("checking for own writes to the mesh: %w", err)
	}
	return fresh, nil
}

// bury forgets a Rollout that is gone, once nothing carries its mark any more.
func (r *Reconciler) bury(ctx context.Context, key client.ObjectKey) (ctrl.Result, error) {
	switch err := r.release(ctx, key); {
	case errors.Is(err, ondemand.ErrBehind), err != nil && outcome.ConflictsOnly(err):
		return outcome.Stale(), nil
	case err != nil:
		return ctrl.Result{}, err
	}
	r.forget(key)
	return ctrl.Result{}, nil
}

// forget drops what is remembered of a Rollout that is gone.
func (r *Reconciler) forget(key client.ObjectKey) {
	r.writes.Forget(key)
	r.meshWrites.Forget(key)
	r.deferred.Forget(key)
	r.metrics.forget(key)
	r.workloads.forget(key)
	r.balancers.forget(key)
}

// mesh reads and writes what meshes have.
func (r *Reconciler) mesh() client.Client {
	if r.Mesh == nil || len(r.objects) < 2 {
		return r.Client
	}
	return r.objects[1]
}
