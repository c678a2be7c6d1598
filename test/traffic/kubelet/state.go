package kubelet

import (
	"context"
	"encoding/json"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// state is what is known of the container of a pod.
type state struct {
	started  metav1.Time // when the pod was first seen
	running  *metav1.Time
	waiting  *corev1.ContainerStateWaiting
	last     *corev1.ContainerStateTerminated
	restarts int32
	ready    bool
	turned   metav1.Time // when ready changed last
}

func (s *state) setReady(ready bool) {
	if s.ready != ready {
		s.ready, s.turned = ready, metav1.Now()
	}
}

// crashed notes that the container ended by itself.
func (s *state) crashed(c *process) {
	code, message := c.exit()
	s.last = &corev1.ContainerStateTerminated{
		ExitCode: code, Reason: "Error", Message: message, StartedAt: metav1.NewTime(c.started), FinishedAt: metav1.Now(),
	}
	s.waiting = &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: message}
	s.running = nil
	s.setReady(false)
}

// status is the state as the API has it. The pod's own conditions are merged by type.
func (s *state) status(object *corev1.Pod, ip string) corev1.PodStatus {
	ready := corev1.ConditionFalse
	if s.ready {
		ready = corev1.ConditionTrue
	}
	turned := s.turned
	if turned.IsZero() {
		turned = s.started
	}
	container := corev1.ContainerStatus{
		Name: object.Spec.Containers[0].Name, Image: object.Spec.Containers[0].Image, ImageID: object.Spec.Containers[0].Image,
		Ready: s.ready, RestartCount: s.restarts, Started: ptr.To(s.running != nil), State: corev1.ContainerState{Waiting: s.waiting},
		LastTerminationState: corev1.ContainerState{Terminated: s.last},
	}
	phase := corev1.PodPending
	if s.running != nil {
		container.State.Running = &corev1.ContainerStateRunning{StartedAt: *s.running}
	}
	if s.running != nil || s.last != nil {
		phase = corev1.PodRunning
	}
	return corev1.PodStatus{
		Phase: phase, HostIP: hostIP, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}}, StartTime: &s.started,
		Conditions: []corev1.PodCondition{
			{Type: corev1.PodInitialized, Status: corev1.ConditionTrue, LastTransitionTime: s.started},
			{Type: corev1.ContainersReady, Status: ready, LastTransitionTime: turned},
			{Type: corev1.PodReady, Status: ready, LastTransitionTime: turned},
		},
		ContainerStatuses: []corev1.ContainerStatus{container},
	}
}

// A status that could not be stored is stored again: nobody else would tell of it.
const (
	patchTries = 5
	patchWait  = 100 * time.Millisecond
)

// change changes the state and stores the status, one change after another. A probe
// of a container that has ended has nothing to say: its context is over.
func (p *pod) change(ctx context.Context, how func(*state)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	how(&p.state)
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": p.object.UID}, "status": p.state.status(p.object, p.ip)})
	if err != nil {
		panic("writing a pod's status: " + err.Error()) // It is made of plain values.
	}
	for range patchTries {
		_, err = p.client.CoreV1().Pods(p.object.Namespace).
			Patch(ctx, p.object.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
		if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) || !pause(ctx, patchWait) {
			return
		}
	}
}
