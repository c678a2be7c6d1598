package resources

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/headway-rollouts/headway/controllers/rollout/plan"
)

// Pod reads what matters from a pod of a ReplicaSet.
func Pod(pod *corev1.Pod, rs *appsv1.ReplicaSet, revision string, now time.Time) plan.Pod {
	p := plan.Pod{
		Name:     pod.Name,
		Revision: revision,
		Created:  pod.CreationTimestamp.Time,
		Going:    !pod.DeletionTimestamp.IsZero(),
		Outdated: PodChanges(pod, rs) != nil,
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			p.Ready = true
			since := c.LastTransitionTime.Add(time.Duration(rs.Spec.MinReadySeconds) * time.Second)
			p.Available = rs.Spec.MinReadySeconds == 0 || !now.Before(since)
		}
	}
	return p
}
