package rollout

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/rollout/plan"
	"github.com/headway-rollouts/headway/controllers/rollout/resources"
)

// leaves reports whether the Rollout is being deleted, which the cache may not
// show yet. What lost its owner then is meant to stay behind: taken back, it
// would be collected with the Rollout. So the API server is asked before
// anything is taken over.
func (r *Reconciler) leaves(ctx context.Context, seen *observed, actions []plan.Action) (bool, error) {
	if !slices.ContainsFunc(actions, seen.takesOver) {
		return false, nil
	}
	var live metav1.PartialObjectMetadata
	live.SetGroupVersionKind(v1alpha1.RolloutKind)
	err := r.Live.Get(ctx, client.ObjectKeyFromObject(seen.Rollout), &live)
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("asking whether the Rollout is being deleted: %w", err)
	}
	return live.UID != seen.Rollout.UID || !live.DeletionTimestamp.IsZero(), nil
}

// takesOver reports whether an action gives something of a former Rollout a new owner.
func (s *observed) takesOver(a plan.Action) bool {
	switch a.(type) {
	case plan.Adopt:
		return true
	case plan.Route:
		return s.Traffic.Unowned
	default:
		return false
	}
}

// adopt makes the Rollout the controller of the very ReplicaSet that was seen without one.
func (a actor) adopt(ctx context.Context, rs *appsv1.ReplicaSet) error {
	owners := append(slices.Clone(rs.OwnerReferences), *metav1.NewControllerRef(a.seen.Rollout, v1alpha1.RolloutKind))
	if err := a.own(ctx, rs, owners); err != nil {
		return fmt.Errorf("adopting ReplicaSet %s: %w", rs.Name, err)
	}
	return nil
}

// release gives the ReplicaSet up, with its pods.
func (a actor) release(ctx context.Context, rs *appsv1.ReplicaSet) error {
	owners := slices.DeleteFunc(slices.Clone(rs.OwnerReferences), func(o metav1.OwnerReference) bool { return o.UID == a.seen.Rollout.UID })
	if err := a.own(ctx, rs, owners); err != nil {
		return fmt.Errorf("releasing ReplicaSet %s: %w", rs.Name, err)
	}
	return nil
}

func (a actor) own(ctx context.Context, rs *appsv1.ReplicaSet, owners []metav1.OwnerReference) error {
	return a.patch(ctx, &appsv1.ReplicaSet{ObjectMeta: identity(rs)}, map[string]any{"metadata": map[string]any{
		"uid": rs.UID, "resourceVersion": rs.ResourceVersion, "ownerReferences": owners,
	}})
}

// scaleWorkload writes the size of the Deployment and whose doing it is. It
// holds only for the Deployment that was seen: somebody may scale it too.
func (a actor) scaleWorkload(ctx context.Context, p plan.ScaleWorkload) error {
	ro, was := a.seen.Rollout, a.seen.workload
	key := client.ObjectKeyFromObject(ro)
	body, err := encode(map[string]any{
		"metadata": map[string]any{"uid": was.UID, "resourceVersion": was.ResourceVersion, "annotations": was.Scaled(ro, p.To)},
		"spec":     map[string]any{"replicas": p.To},
	})
	if err != nil {
		return err
	}
	// Not by a.client: it would look for this write in a cache of Deployments, which is not to be.
	into := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: ro.Namespace, Name: was.Name}}
	if err := a.Client.Patch(ctx, into, client.RawPatch(types.MergePatchType, body)); err != nil {
		a.workloads.forget(key)
		return fmt.Errorf("scaling Deployment %s: %w", was.Name, err)
	}
	into.ManagedFields = nil
	a.workloads.remember(key, resources.OfDeployment(into))
	a.event(corev1.EventTypeNormal, "ScalingDeployment", fmt.Sprintf("Scaled Deployment %s from %d to %d: %s", was.Name, p.From, p.To, p.Why))
	return nil
}
