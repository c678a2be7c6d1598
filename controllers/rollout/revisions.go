package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/rollout/plan"
	"github.com/headway-rollouts/headway/controllers/rollout/resources"
)

// observeRevisions finds the ReplicaSets of the Rollout: those that it controls
// and selects, and those that nobody controls and that are its own by their name.
func (r *Reconciler) observeRevisions(ctx context.Context, seen *observed) error {
	ro := seen.Rollout
	owned, err := r.replicaSets(ctx, ro.Namespace, ownerIndex, string(ro.UID))
	if err != nil {
		return err
	}
	seen.Revisions = make(map[string]plan.Revision, len(owned))
	selector, known := selectorOf(ro)
	for _, rs := range owned {
		if known && !selector.Matches(labels.Set(rs.Labels)) {
			seen.unselected[rs.Name] = rs
			seen.Unselected = append(seen.Unselected, rs.Name)
			continue
		}
		seen.add(rs, false)
	}
	slices.Sort(seen.Unselected)
	if known {
		if err := r.observeOrphans(ctx, seen); err != nil {
			return err
		}
	}
	return r.identify(ctx, seen)
}

func (s *observed) add(rs *appsv1.ReplicaSet, orphan bool) {
	rev := resources.Revision(s.Rollout, rs)
	rev.Orphan = orphan
	s.Revisions[rev.Hash], s.replicaSets[rev.Hash] = rev, rs
}

// replicaSets reads those that an index of the cache has under a key, and that are not being deleted.
func (r *Reconciler) replicaSets(ctx context.Context, namespace, index, key string) ([]*appsv1.ReplicaSet, error) {
	var list appsv1.ReplicaSetList
	if err := r.Client.List(ctx, &list, client.InNamespace(namespace), client.MatchingFields{index: key}, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing ReplicaSets: %w", err)
	}
	out := make([]*appsv1.ReplicaSet, 0, len(list.Items))
	for i := range list.Items {
		if list.Items[i].DeletionTimestamp.IsZero() {
			out = append(out, &list.Items[i])
		}
	}
	return out, nil
}

// selectorOf is the selector of a Rollout; known is false while it has none, or a wrong one.
func selectorOf(ro *v1alpha1.Rollout) (selector labels.Selector, known bool) {
	if ro.Spec.Selector == nil {
		return labels.Nothing(), false
	}
	selector, err := metav1.LabelSelectorAsSelector(ro.Spec.Selector)
	return selector, err == nil && !selector.Empty()
}

// observeOrphans finds the ReplicaSets without a controller that this Rollout
// is to adopt, those with its name first.
func (r *Reconciler) observeOrphans(ctx context.Context, seen *observed) error {
	orphans, err := r.replicaSets(ctx, seen.Rollout.Namespace, orphanIndex, orphaned)
	if err != nil || len(orphans) == 0 {
		return err
	}
	others, err := r.neighbours(ctx, seen.Rollout)
	if err != nil {
		return err
	}
	slices.SortFunc(orphans, func(a, b *appsv1.ReplicaSet) int {
		return resources.CompareOrphans(seen.Rollout, a, b)
	})
	for _, rs := range orphans {
		if _, taken := seen.Revisions[rs.Labels[v1alpha1.PodTemplateHashLabel]]; !taken && resources.Adoptable(seen.Rollout, rs, others) {
			seen.add(rs, true)
		}
	}
	return nil
}

// neighbours are the other Rollouts of the namespace, which may want the same orphan.
func (r *Reconciler) neighbours(ctx context.Context, ro *v1alpha1.Rollout) ([]v1alpha1.Rollout, error) {
	var list v1alpha1.RolloutList
	if err := r.Client.List(ctx, &list, client.InNamespace(ro.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing Rollouts: %w", err)
	}
	return slices.DeleteFunc(list.Items, func(other v1alpha1.Rollout) bool { return other.UID == ro.UID }), nil
}

// orphanKeys is the index of ReplicaSets that nobody controls.
func orphanKeys(obj client.Object) []string {
	if metav1.GetControllerOf(obj) != nil {
		return nil
	}
	return []string{orphaned}
}

// claimants are the Rollouts that may adopt a ReplicaSet that nobody controls.
func (r *Reconciler) claimants(ctx context.Context, obj client.Object) []reconcile.Request {
	if metav1.GetControllerOf(obj) != nil {
		return nil
	}
	var list v1alpha1.RolloutList
	if err := r.Client.List(ctx, &list, client.InNamespace(obj.GetNamespace()), client.UnsafeDisableDeepCopy); err != nil {
		return nil // it is tried again with the next event of either
	}
	var requests []reconcile.Request
	for i := range list.Items {
		if resources.Claims(&list.Items[i], obj.GetLabels()) {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
		}
	}
	return requests
}

// errBehind says that the cache does not show yet what the API server has.
var errBehind = errors.New("the cache is behind the API server")

// taken reports whether a name belongs to somebody else's ReplicaSet. The API
// server has the last word: the ReplicaSets of a Rollout that was deleted and
// made again lose their owner, and the cache may learn of it last.
func (r *Reconciler) taken(ctx context.Context, ro *v1alpha1.Rollout, name string) (bool, error) {
	key := client.ObjectKey{Namespace: ro.Namespace, Name: name}
	var cached appsv1.ReplicaSet
	err := r.Client.Get(ctx, key, &cached)
	if apierrors.IsNotFound(err) || err == nil && metav1.IsControlledBy(&cached, ro) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking for ReplicaSet %s: %w", name, err)
	}
	var live appsv1.ReplicaSet
	switch err := r.Live.Get(ctx, key, &live); {
	case apierrors.IsNotFound(err):
		return false, errBehind
	case err != nil:
		return false, fmt.Errorf("reading ReplicaSet %s: %w", name, err)
	case metav1.IsControlledBy(&live, ro), live.ResourceVersion != cached.ResourceVersion && metav1.GetControllerOf(&live) == nil:
		return false, errBehind
	}
	return true, nil
}
