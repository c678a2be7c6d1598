package rollout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/internal/outcome"
	"github.com/headway-rollouts/headway/controllers/internal/settle"
	"github.com/headway-rollouts/headway/controllers/internal/statuspatch"
	"github.com/headway-rollouts/headway/controllers/rollout/plan"
)

// report stores the status in one patch of what differs, and then tells what became true.
func (r *Reconciler) report(ctx context.Context, seen *observed, p plan.Plan, actErr error) (ctrl.Result, error) {
	ro := seen.Rollout
	key := client.ObjectKeyFromObject(ro)
	if len(seen.refused) > 0 {
		p.Status = plan.Refused(seen.Snapshot, p.Status, seen.refused[0].pod, seen.refused[0].reason)
	}
	if actErr != nil && !outcome.ConflictsOnly(actErr) {
		p.Status = plan.Failed(seen.Snapshot, p.Status, actErr)
	}
	diff, err := statuspatch.Diff(&ro.Status, &p.Status)
	if err != nil {
		return ctrl.Result{}, err
	}
	if diff == nil {
		r.deferred.Forget(key)
		return outcome.Of(p.Wake, r.Resync, actErr)
	}
	if wait := r.deferred.wait(key, &ro.Status, &p.Status, seen.Now); wait > 0 && actErr == nil {
		if p.Wake == 0 || wait < p.Wake {
			p.Wake = wait
		}
		return outcome.Of(p.Wake, r.Resync, nil)
	}
	r.deferred.Forget(key)
	ctrl.LoggerFrom(ctx).V(1).Info("Storing the status", "patch", string(diff))
	if err := r.patchStatus(ctx, ro, diff, seen.Now); err != nil {
		if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
			return outcome.Stale(), nil // decided on a Rollout that is no more
		}
		return ctrl.Result{}, fmt.Errorf("storing the status: %w", err)
	}
	for _, e := range p.Events {
		r.emit(ro, e)
	}
	return outcome.Of(p.Wake, r.Resync, actErr)
}

// unreadable tells why a Rollout could not be observed, and returns that error.
func (r *Reconciler) unreadable(ctx context.Context, ro *v1alpha1.Rollout, cause error) error {
	now := r.Clock.Now()
	st := plan.Unreadable(plan.Snapshot{Now: now, Rollout: ro}, cause)
	diff, err := statuspatch.Diff(&ro.Status, &st)
	if err == nil && diff != nil {
		err = r.patchStatus(ctx, ro, diff, now)
	}
	if err != nil && !apierrors.IsConflict(err) {
		return errors.Join(cause, fmt.Errorf("storing the status: %w", err))
	}
	return cause
}

func (r *Reconciler) patchStatus(ctx context.Context, ro *v1alpha1.Rollout, diff json.RawMessage, now time.Time) error {
	c := r.writes.Client(r.Client, client.ObjectKeyFromObject(ro), now)
	_, err := statuspatch.StoreSubresource(ctx, c, ro, diff)
	return err
}

// deferrals hold back status writes that only count pods, or say that a new
// ReplicaSet is under way: pods come one by one, and the write that matters, a
// step done, follows within moments.
type deferrals struct{ settle.Log }

// wait is how long a status may still be held back; 0 when it should be written now.
func (d *deferrals) wait(key types.NamespacedName, from, to *v1alpha1.RolloutStatus, now time.Time) time.Duration {
	if !onlyCounts(from, to) {
		return 0
	}
	return d.Wait(key, now)
}

// onlyCounts reports whether two statuses differ in pod counts, and what is said about them, alone.
func onlyCounts(from, to *v1alpha1.RolloutStatus) bool {
	a, b := withoutCounts(from), withoutCounts(to)
	diff, err := statuspatch.Diff(&a, &b)
	return err == nil && diff == nil && from.Phase == to.Phase
}

func withoutCounts(st *v1alpha1.RolloutStatus) v1alpha1.RolloutStatus {
	out := *st.DeepCopy()
	out.Replicas, out.UpdatedReplicas, out.ReadyReplicas, out.AvailableReplicas, out.HPAReplicas = 0, 0, 0, 0, 0
	out.Message, out.Why = "", nil
	if w := out.Canary.Weights; w != nil {
		w.Canary.PodTemplateHash, w.Stable.PodTemplateHash = "", ""
	}
	for i := range out.Conditions {
		c := &out.Conditions[i]
		c.LastUpdateTime, c.LastTransitionTime = metav1.Time{}, metav1.Time{}
		if c.Type == v1alpha1.RolloutAvailable || c.Reason == plan.ReasonCreated || c.Reason == plan.ReasonUpdated {
			c.Status, c.Reason, c.Message = "", "", ""
		}
	}
	return out
}

func (r *Reconciler) emit(ro *v1alpha1.Rollout, e plan.Event) {
	r.metrics.event(client.ObjectKeyFromObject(ro), e)
	r.Recorder.Event(ro, e.Type, e.Reason, e.Message)
}
