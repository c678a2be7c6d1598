package analysisrun

import (
	"context"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/internal/statuspatch"
)

// report stores a status, and then tells what became true. One that the API
// server finds too large is stored without what counts least.
func (r *Reconciler) report(ctx context.Context, run *v1alpha1.AnalysisRun, status *v1alpha1.AnalysisRunStatus) error {
	err := r.store(ctx, run, status)
	if tooLarge(err) {
		ctrl.LoggerFrom(ctx).Info("Storing a shorter status", "reason", err.Error())
		shortest := analysis.Shortest(*status)
		err = r.store(ctx, run, &shortest)
	}
	if err != nil {
		return err
	}
	r.tell(run, status)
	return nil
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
func (r *Reconciler) store(ctx context.Context, run *v1alpha1.AnalysisRun, status *v1alpha1.AnalysisRunStatus) error {
	diff, err := statuspatch.Diff(&run.Status, status)
	if err != nil || diff == nil {
		return err
	}
	patch, err := statuspatch.Of(run, diff)
	if err != nil {
		return err
	}
	into := &v1alpha1.AnalysisRun{ObjectMeta: metav1.ObjectMeta{Namespace: run.Namespace, Name: run.Name}}
	c := r.writes.Client(r.Client, client.ObjectKeyFromObject(run), r.Clock.Now())
	if err := c.Patch(ctx, into, patch); err != nil {
		return err //nolint:wrapcheck // The caller says what it was doing, and asks for the kind of error.
	}
	return nil
}

// tell sends an Event for every metric that ended, and for the run.
func (r *Reconciler) tell(run *v1alpha1.AnalysisRun, status *v1alpha1.AnalysisRunStatus) {
	before := make(map[string]v1alpha1.AnalysisPhase, len(run.Status.MetricResults))
	for _, result := range run.Status.MetricResults {
		before[result.Name] = result.Phase
	}
	for _, result := range status.MetricResults {
		if result.Phase.Completed() && !before[result.Name].Completed() {
			r.Recorder.Eventf(run, weight(result.Phase), "Metric"+string(result.Phase),
				"Metric '%s' Completed. Result: %s", result.Name, result.Phase)
		}
	}
	if status.Phase.Completed() && !run.Status.Phase.Completed() {
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
