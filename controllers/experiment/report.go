package experiment

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/experiment/plan"
	"github.com/headway-rollouts/headway/controllers/internal/outcome"
	"github.com/headway-rollouts/headway/controllers/internal/statuspatch"
)

// report stores the status in one patch of what differs, and then tells what became true.
func (r *Reconciler) report(ctx context.Context, seen *observed, p plan.Plan, actErr error) (ctrl.Result, error) {
	e := seen.Experiment
	diff, err := statuspatch.Diff(&e.Status, &p.Status)
	if err != nil {
		return ctrl.Result{}, err
	}
	key := client.ObjectKeyFromObject(e)
	if diff != nil && onlyCounts(&e.Status, &p.Status) {
		if wait := r.settling.Wait(key, seen.Now); wait > 0 {
			if p.Wake == 0 || wait < p.Wake {
				p.Wake = wait
			}
			return outcome.Of(p.Wake, r.Resync, actErr)
		}
	}
	r.settling.Forget(key)
	if diff != nil {
		ctrl.LoggerFrom(ctx).V(1).Info("Storing the status", "patch", string(diff))
		if err := r.patchStatus(ctx, e, diff, seen.Now); err != nil {
			if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
				return outcome.Stale(), nil // decided on an Experiment that is no more
			}
			return ctrl.Result{}, fmt.Errorf("storing the status: %w", err)
		}
		for _, event := range p.Events {
			r.emit(e, event)
		}
	}
	return outcome.Of(p.Wake, r.Resync, actErr)
}

// patchStatus patches the Experiment itself: it has no status subresource.
func (r *Reconciler) patchStatus(ctx context.Context, e *v1alpha1.Experiment, diff json.RawMessage, now time.Time) error {
	c := r.writes.Client(r.Client, client.ObjectKeyFromObject(e), now)
	_, err := statuspatch.Store(ctx, c, e, diff)
	return err
}

// onlyCounts reports whether two statuses differ in pod counts alone.
func onlyCounts(from, to *v1alpha1.ExperimentStatus) bool {
	a, b := withoutCounts(from), withoutCounts(to)
	diff, err := statuspatch.Diff(&a, &b)
	return err == nil && diff == nil
}

func withoutCounts(st *v1alpha1.ExperimentStatus) v1alpha1.ExperimentStatus {
	out := *st.DeepCopy()
	for i := range out.TemplateStatuses {
		t := &out.TemplateStatuses[i]
		t.Replicas, t.UpdatedReplicas, t.ReadyReplicas, t.AvailableReplicas = 0, 0, 0, 0
		t.LastTransitionTime, t.PodTemplateHash = nil, "" // The hash comes with the first count.
	}
	return out
}

// emit sends an Event about the Experiment, and about the Rollout that it is a
// step of where the event asks for that.
func (r *Reconciler) emit(e *v1alpha1.Experiment, event plan.Event) {
	r.Recorder.Event(e, event.Type, event.Reason, event.Message)
	owner := metav1.GetControllerOf(e)
	if !event.Rollout || owner == nil || owner.Kind != v1alpha1.RolloutKind.Kind {
		return
	}
	ro := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: e.Namespace, Name: owner.Name, UID: owner.UID}}
	r.Recorder.Event(ro, event.Type, event.Reason, fmt.Sprintf("Experiment %s: %s", e.Name, event.Message))
}
