package experiment

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/experiment/plan"
)

// report stores the status in one patch of what differs, and then tells what became true.
func (r *Reconciler) report(ctx context.Context, seen *observed, p plan.Plan, actErr error) (ctrl.Result, error) {
	e := seen.Experiment
	diff, err := statusDiff(&e.Status, &p.Status)
	if err != nil {
		return ctrl.Result{}, err
	}
	key := client.ObjectKeyFromObject(e)
	if diff != nil && onlyCounts(&e.Status, &p.Status) {
		if wait := r.settling.Wait(key, seen.Now); wait > 0 {
			if p.Wake == 0 || wait < p.Wake {
				p.Wake = wait
			}
			return outcome(p, actErr, r.Resync)
		}
	}
	r.settling.Forget(key)
	if diff != nil {
		ctrl.LoggerFrom(ctx).V(1).Info("Storing the status", "patch", string(diff))
		if err := r.patchStatus(ctx, e, diff, seen.Now); err != nil {
			if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
				return ctrl.Result{RequeueAfter: staleRetry}, nil // decided on an Experiment that is no more
			}
			return ctrl.Result{}, fmt.Errorf("storing the status: %w", err)
		}
		for _, event := range p.Events {
			r.emit(e, event)
		}
	}
	return outcome(p, actErr, r.Resync)
}

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

// patchStatus patches the Experiment itself: it has no status subresource. A
// merge patch replaces lists whole, so it must not meet another version of the
// Experiment than it was made of, or another one of the same name.
func (r *Reconciler) patchStatus(ctx context.Context, e *v1alpha1.Experiment, diff json.RawMessage, now time.Time) error {
	body, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": e.UID, "resourceVersion": e.ResourceVersion},
		"status":   diff,
	})
	if err != nil {
		return fmt.Errorf("encoding the status: %w", err)
	}
	into := &v1alpha1.Experiment{ObjectMeta: identity(e)}
	c := r.writes.Client(r.Client, client.ObjectKeyFromObject(e), now)
	return c.Patch(ctx, into, client.RawPatch(types.MergePatchType, body)) //nolint:wrapcheck // report says what it was doing.
}

// statusDiff is the merge patch from one status to another; nil when they are equal.
func statusDiff(from, to *v1alpha1.ExperimentStatus) (json.RawMessage, error) {
	was, err := json.Marshal(from)
	if err != nil {
		return nil, fmt.Errorf("encoding the old status: %w", err)
	}
	is, err := json.Marshal(to)
	if err != nil {
		return nil, fmt.Errorf("encoding the new status: %w", err)
	}
	diff, err := jsonpatch.CreateMergePatch(was, is)
	if err != nil {
		return nil, fmt.Errorf("comparing statuses: %w", err)
	}
	if string(diff) == "{}" {
		return nil, nil
	}
	return diff, nil
}

// onlyCounts reports whether two statuses differ in pod counts alone.
func onlyCounts(from, to *v1alpha1.ExperimentStatus) bool {
	a, b := withoutCounts(from), withoutCounts(to)
	diff, err := statusDiff(&a, &b)
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
