package view

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// Roles of a revision.
const (
	roleStable  = "stable"
	roleCanary  = "canary"
	roleActive  = "active"
	rolePreview = "preview"
)

func replicaSetOf(rs *appsv1.ReplicaSet, pods []corev1.Pod) ReplicaSetView {
	v := ReplicaSetView{
		Name:      clean(rs.Name),
		Hash:      clean(rs.Labels[v1alpha1.PodTemplateHashLabel]),
		CreatedAt: rs.CreationTimestamp.UTC(),
		Ready:     rs.Status.ReadyReplicas,
		Available: rs.Status.AvailableReplicas,
		Desired:   1,
	}
	if rs.Spec.Replicas != nil {
		v.Desired = *rs.Spec.Replicas
	}
	v.Health, v.Message = replicaSetHealth(rs, v.Desired)
	for _, c := range rs.Spec.Template.Spec.Containers {
		v.Images = append(v.Images, clean(c.Image))
	}
	if at, err := time.Parse(time.RFC3339, rs.Annotations[v1alpha1.ScaleDownDeadlineAnnotation]); err == nil && v.Desired > 0 {
		at = at.UTC()
		v.ScaleDownAt = &at
	}
	for i := range pods {
		if metav1.IsControlledBy(&pods[i], rs) {
			v.Pods = append(v.Pods, podOf(&pods[i]))
		}
	}
	slices.SortFunc(v.Pods, func(a, b PodView) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.Name, b.Name))
	})
	return v
}

func rolesOf(ro *v1alpha1.Rollout, hash string) []string {
	if hash == "" {
		return nil
	}
	var roles []string
	st := &ro.Status
	switch {
	case hash == st.StableRS:
		roles = append(roles, roleStable)
	case ro.Spec.Strategy.Canary != nil && hash == st.CurrentPodHash:
		roles = append(roles, roleCanary)
	}
	if ro.Spec.Strategy.BlueGreen == nil {
		return roles
	}
	switch hash {
	case st.BlueGreen.ActiveSelector:
		roles = append(roles, roleActive)
	case st.BlueGreen.PreviewSelector:
		roles = append(roles, rolePreview)
	}
	return roles
}

func replicaSetHealth(rs *appsv1.ReplicaSet, desired int32) (Health, string) {
	for _, c := range rs.Status.Conditions {
		if c.Type == appsv1.ReplicaSetReplicaFailure && c.Status == corev1.ConditionTrue {
			return Degraded, clean(c.Message)
		}
	}
	switch {
	case desired == 0 && rs.Status.Replicas == 0:
		return ScaledDown, ""
	case rs.Status.ObservedGeneration < rs.Generation, rs.Status.AvailableReplicas < desired, rs.Status.Replicas != desired:
		return Progressing, ""
	}
	return Healthy, ""
}

func podOf(pod *corev1.Pod) PodView {
	v := PodView{
		Name:      clean(pod.Name),
		Total:     int32(len(pod.Spec.Containers)), //nolint:gosec // The API server bounds an object to a few MiB.
		CreatedAt: pod.CreationTimestamp.UTC(),
	}
	for i := range pod.Status.ContainerStatuses {
		cs := &pod.Status.ContainerStatuses[i]
		v.Restarts += cs.RestartCount
		if cs.Ready {
			v.Ready++
		}
	}
	status, message := podStatus(pod)
	v.Status, v.Message = clean(status), clean(message)
	v.Health = podHealth(pod, v)
	return v
}

// podStatus is the word kubectl get pods prints, and what is behind it.
func podStatus(pod *corev1.Pod) (status, message string) {
	if pod.DeletionTimestamp != nil {
		return "Terminating", ""
	}
	for i := range pod.Status.InitContainerStatuses {
		if word, message := containerTrouble(&pod.Status.InitContainerStatuses[i]); word != "" {
			return "Init:" + word, message
		}
	}
	for i := range pod.Status.ContainerStatuses {
		if word, message := containerTrouble(&pod.Status.ContainerStatuses[i]); word != "" {
			return word, message
		}
	}
	if pod.Status.Reason != "" {
		return pod.Status.Reason, pod.Status.Message
	}
	return phaseWord(pod.Status.Phase), notScheduled(pod)
}

// containerTrouble is why a container does not run; empty when it does.
func containerTrouble(cs *corev1.ContainerStatus) (word, message string) {
	switch {
	case cs.State.Waiting != nil && cs.State.Waiting.Reason != "" && cs.State.Waiting.Reason != "PodInitializing":
		return cs.State.Waiting.Reason, cs.State.Waiting.Message
	case cs.State.Terminated != nil && cs.State.Terminated.ExitCode != 0:
		reason := cmp.Or(cs.State.Terminated.Reason, fmt.Sprintf("ExitCode:%d", cs.State.Terminated.ExitCode))
		return reason, cs.State.Terminated.Message
	}
	return "", ""
}

func phaseWord(phase corev1.PodPhase) string {
	switch phase {
	case "":
		return "Pending"
	case corev1.PodSucceeded:
		return "Completed"
	case corev1.PodPending, corev1.PodRunning, corev1.PodFailed, corev1.PodUnknown:
		return string(phase)
	}
	return string(phase)
}

func notScheduled(pod *corev1.Pod) string {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return c.Message
		}
	}
	return ""
}

// starting are the waiting reasons of a pod that is on its way.
var starting = []string{"Pending", "ContainerCreating", "Terminating", "Init:ContainerCreating", "SchedulingGated"}

func podHealth(pod *corev1.Pod, v PodView) Health {
	switch {
	case v.Status == "Completed":
		return Healthy
	case v.Status == "Running" && v.Ready == v.Total:
		return Healthy
	case v.Status == "Running", slices.Contains(starting, v.Status):
		return Progressing
	case pod.Status.Phase == corev1.PodUnknown:
		return Unknown
	}
	return Degraded
}
