package analysisrun

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/internal/outcome"
	"github.com/headway-rollouts/headway/controllers/internal/statuspatch"
)

// statuses stores the statuses of runs, and deletes those whose time is over. It has
// a queue of its own, so that no measurement waits for the API server; what was
// measured while a run waited is stored together.
type statuses struct{ *Reconciler }

// Reconcile stores what is known of a run and not stored.
func (s statuses) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	began := s.Clock.Now()
	result, err := s.reconcile(ctx, req)
	if errors.Is(err, errGone) {
		s.metrics.Forget(req.NamespacedName) // the other controller may have come first
		return ctrl.Result{}, nil
	}
	s.metrics.Reconciled(req.NamespacedName, s.Clock.Since(began), err)
	return result, err
}

func (s statuses) reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	cached, err := s.read(ctx, req.NamespacedName)
	if err != nil {
		return ctrl.Result{}, err
	}
	seen := s.desk.latest(cached)
	switch {
	case !cached.DeletionTimestamp.IsZero():
		return ctrl.Result{}, nil
	case cached.Status.Phase.Completed():
		s.tellLate(cached)
		return ctrl.Result{}, s.remove(ctx, cached)
	case seen.run.Status.Phase.Completed():
		return ctrl.Result{}, nil // the cache will show it
	case s.desk.refused(seen.run):
		return outcome.Stale(), nil // until the cache shows who wrote
	}
	status, _ := analysis.Next(seen.run, seen.results, s.Clock.Now())
	version, err := s.report(ctx, seen.run, &status)
	if err != nil {
		if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
			s.desk.refuse(seen.run)
			return outcome.Stale(), nil // decided on a run that is no more
		}
		s.desk.doubt(seen.run)
		return ctrl.Result{}, fmt.Errorf("storing the status: %w", err)
	}
	s.desk.store(seen, status, version)
	return ctrl.Result{}, nil
}

// remove deletes a completed run whose time is over.
func (r *Reconciler) remove(ctx context.Context, run *v1alpha1.AnalysisRun) error {
	if at := analysis.Expiry(run); at.IsZero() || at.After(r.Clock.Now()) {
		return nil
	}
	ctrl.LoggerFrom(ctx).Info("Deleting AnalysisRun", "reason", "its ttlStrategy is over")
	err := r.Client.Delete(ctx, run,
		client.Preconditions{UID: &run.UID}, client.PropagationPolicy(metav1.DeletePropagationBackground))
	if err = client.IgnoreNotFound(err); err != nil && !apierrors.IsConflict(err) {
		return fmt.Errorf("deleting the AnalysisRun: %w", err)
	}
	return nil
}

// report stores a status, and then tells what became true. One that the API
// server finds too large is stored without what counts least. It returns the
// version of the run since then.
func (r *Reconciler) report(ctx context.Context, run *v1alpha1.AnalysisRun, status *v1alpha1.AnalysisRunStatus) (version string, err error) {
	version, err = store(ctx, r.Client, run, status)
	if tooLarge(err) {
		ctrl.LoggerFrom(ctx).Info("Storing a shorter status", "reason", err.Error())
		*status = analysis.Shortest(*status)
		version, err = store(ctx, r.Client, run, status)
	}
	if err != nil {
		return "", err
	}
	before := &run.Status
	if untold := r.desk.untold(run); untold != nil {
		before = untold
	}
	r.tell(run, before, status)
	return version, nil
}

// tellLate tells what the cache shows of a write whose reply was lost.
func (r *Reconciler) tellLate(run *v1alpha1.AnalysisRun) {
	if untold := r.desk.untold(run); untold != nil {
		r.tell(run, untold, &run.Status)
	}
}

// tooLarge reports that an object does not fit in a request or in etcd. Only
// the first has a code; the others are sentences of etcd and of its client.
func tooLarge(err error) bool {
	if err == nil {
		return false
	}
	return apierrors.IsRequestEntityTooLargeError(err) ||
		strings.Contains(err.Error(), "etcdserver: request is too large") ||
		strings.Contains(err.Error(), "trying to send message larger than max")
}

// store stores a status in one patch of what differs. AnalysisRuns have no
// status subresource.
func store(ctx context.Context, c client.Client, run *v1alpha1.AnalysisRun, status *v1alpha1.AnalysisRunStatus) (version string, err error) {
	diff, err := statuspatch.Diff(&run.Status, status)
	if err != nil || diff == nil {
		return run.ResourceVersion, err
	}
	return statuspatch.Store(ctx, c, run, diff)
}

// tell sends an Event for every metric that ended between two statuses, and for the
// run.
func (r *Reconciler) tell(run *v1alpha1.AnalysisRun, from, status *v1alpha1.AnalysisRunStatus) {
	before := make(map[string]v1alpha1.AnalysisPhase, len(from.MetricResults))
	for _, result := range from.MetricResults {
		before[result.Name] = result.Phase
	}
	for _, result := range status.MetricResults {
		if result.Phase.Completed() && !before[result.Name].Completed() {
			r.Recorder.Eventf(run, weight(result.Phase), "Metric"+string(result.Phase),
				"Metric '%s' Completed. Result: %s", result.Name, result.Phase)
		}
	}
	if status.Phase.Completed() && !from.Phase.Completed() {
		r.Recorder.Eventf(run, weight(status.Phase), "AnalysisRun"+string(status.Phase),
			"Analysis Completed. Result: %s", status.Phase)
	}
}

// weight is the type of the Event of a phase.
func weight(phase v1alpha1.AnalysisPhase) string {
	if phase == v1alpha1.AnalysisPhaseFailed || phase == v1alpha1.AnalysisPhaseError {
		return corev1.EventTypeWarning
	}
	return corev1.EventTypeNormal
}
