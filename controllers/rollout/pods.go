package rollout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/rollout/plan"
	"github.com/headway-rollouts/headway/controllers/rollout/resources"
)

// This file reads and changes single pods. They are not cached: that would hold
// all pods of a cluster for what is rarely asked. So no write to a pod is
// remembered either; each is judged by a list that is newer.

// observePods lists the pods that the planner asks for, none at rest.
func (r *Reconciler) observePods(ctx context.Context, seen *observed) error {
	hashes := plan.PodsOf(seen.Snapshot)
	if len(hashes) == 0 {
		return nil
	}
	hashed, err := labels.NewRequirement(v1alpha1.PodTemplateHashLabel, selection.In, hashes)
	if err != nil {
		return fmt.Errorf("selecting pods by %v: %w", hashes, err)
	}
	var list corev1.PodList
	selector := client.MatchingLabelsSelector{Selector: labels.NewSelector().Add(*hashed)}
	if err := r.Live.List(ctx, &list, client.InNamespace(seen.Rollout.Namespace), selector); err != nil {
		return fmt.Errorf("listing pods: %w", err)
	}
	for i := range list.Items {
		pod := &list.Items[i]
		hash := pod.Labels[v1alpha1.PodTemplateHashLabel]
		rs := seen.replicaSets[hash]
		ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
		if ended || rs == nil || !metav1.IsControlledBy(pod, rs) {
			continue
		}
		seen.Pods, seen.pods[pod.Name] = append(seen.Pods, resources.Pod(pod, rs, hash, seen.Now)), pod
	}
	slices.SortFunc(seen.Pods, func(a, b plan.Pod) int { return cmp.Compare(a.Name, b.Name) })
	return nil
}

// onPods carries out the actions on pods and on what they are made of.
func (a actor) onPods(ctx context.Context, action plan.Action) error {
	switch action := action.(type) {
	case plan.Evict:
		return a.evict(ctx, action)
	case plan.Label:
		return a.label(ctx, action)
	case plan.LabelPod:
		return a.labelPod(ctx, action)
	case plan.Labelled:
		return a.labelled(ctx, action)
	case plan.Avoid:
		return a.avoid(ctx, action)
	default:
		return fmt.Errorf("unknown action %T: this is a bug", action)
	}
}

// refusal is an eviction that has to wait.
type refusal struct{ pod, reason string }

// evictionTime is how long one eviction may take. A PodDisruptionBudget that was
// made just now answers "later", and the client would wait for that.
const evictionTime = 5 * time.Second

// evict asks for the very pod that was seen to end. A pod that may not go yet
// is no failure: the budget of its application is there for that.
func (a actor) evict(ctx context.Context, p plan.Evict) error {
	pod := a.seen.pods[p.Pod]
	limited, cancel := context.WithTimeout(ctx, evictionTime)
	defer cancel()
	err := a.Client.SubResource("eviction").Create(limited, &corev1.Pod{ObjectMeta: identity(pod)}, &policyv1.Eviction{
		ObjectMeta:    identity(pod),
		DeleteOptions: &metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(pod.UID))},
	})
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case apierrors.IsTooManyRequests(err):
		a.seen.refused = append(a.seen.refused, refusal{p.Pod, refusalOf(err)})
		return nil
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
		a.seen.refused = append(a.seen.refused, refusal{p.Pod, "The API server asks to wait."})
		return nil
	}
	return wrap(err, "evicting pod "+p.Pod)
}

// refusalOf is what the API server says of a pod that may not go: which budget, and how many it needs.
func refusalOf(err error) string {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return err.Error()
	}
	text := status.Status().Message
	if details := status.Status().Details; details != nil {
		for _, cause := range details.Causes {
			text += " " + cause.Message + "."
		}
	}
	return text
}

func (a actor) label(ctx context.Context, p plan.Label) error {
	rs := a.seen.replicaSets[p.Revision]
	body, err := resources.Relabel(rs, p.Metadata)
	if err != nil {
		return fmt.Errorf("labelling ReplicaSet %s: %w", rs.Name, err)
	}
	return wrap(a.patch(ctx, &appsv1.ReplicaSet{ObjectMeta: identity(rs)}, body), "labelling ReplicaSet "+rs.Name)
}

func (a actor) labelPod(ctx context.Context, p plan.LabelPod) error {
	pod := a.seen.pods[p.Pod]
	unrecorded := actor{Reconciler: a.Reconciler, seen: a.seen, client: a.Client}
	err := unrecorded.patch(ctx, &corev1.Pod{ObjectMeta: identity(pod)}, resources.PodChanges(pod, a.seen.replicaSets[p.Revision]))
	return wrap(client.IgnoreNotFound(err), "labelling pod "+p.Pod)
}

// labelled takes the mark off the very ReplicaSet whose pods were seen.
func (a actor) labelled(ctx context.Context, p plan.Labelled) error {
	rs := a.seen.replicaSets[p.Revision]
	body := map[string]any{"metadata": map[string]any{
		"uid": rs.UID, "resourceVersion": rs.ResourceVersion,
		"annotations": map[string]any{v1alpha1.PendingMetadataAnnotation: nil},
	}}
	return wrap(a.patch(ctx, &appsv1.ReplicaSet{ObjectMeta: identity(rs)}, body), "labelling ReplicaSet "+rs.Name)
}

func (a actor) avoid(ctx context.Context, p plan.Avoid) error {
	rs := a.seen.replicaSets[p.Revision]
	body := resources.Avoid(a.seen.Rollout, rs, p.To)
	return wrap(a.patch(ctx, &appsv1.ReplicaSet{ObjectMeta: identity(rs)}, body), "changing the affinity of ReplicaSet "+rs.Name)
}
