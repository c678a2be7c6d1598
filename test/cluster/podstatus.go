package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A moment is a change in a simulated pod's life; the stages say when it happens.
const (
	momentStart     = "start"     // The node takes the pod.
	momentReady     = "ready"     // The ready delay is over.
	momentReadiness = "readiness" // A gate or the sim/ready annotation changed.
	momentCrash     = "crash"     // The containers crash once more.
	momentFinish    = "finish"    // A Job's pod ends.
)

// A behaviour is what a container does, from its image tag or the pod's annotation.
const (
	run        = "run"
	badPull    = "badpull"
	crash      = "crash"
	neverReady = "neverready"
)

const (
	behaviourAnnotation  = "sim/behaviour"
	readyDelayAnnotation = "sim/ready-delay"
	readyAnnotation      = "sim/ready"
	jobAnnotation        = "sim/job"
)

// change is one moment of one pod.
type change struct {
	moment  string
	pod     *corev1.Pod
	now     metav1.Time
	address string
	host    string
}

// renderPodStatus is podStatus for the stages' templates: JSON in, JSON out.
func renderPodStatus(moment string, pod any, address, host string) (string, error) {
	c := change{moment: moment, pod: &corev1.Pod{}, now: metav1.NewTime(time.Now()), address: address, host: host}
	if err := convert(pod, c.pod); err != nil {
		return "", fmt.Errorf("reading a pod: %w", err)
	}
	status, err := c.podStatus()
	if err != nil {
		return "", err
	}
	out, err := json.Marshal(status)
	return string(out), err
}

// podStatus is the part of the pod's status that the moment changes.
func (c change) podStatus() (corev1.PodStatus, error) {
	var s corev1.PodStatus
	switch c.moment {
	case momentStart:
		s.StartTime = &c.now
		s.HostIP, s.HostIPs = c.host, []corev1.HostIP{{IP: c.host}}
		s.PodIP, s.PodIPs = c.address, []corev1.PodIP{{IP: c.address}}
		s.InitContainerStatuses = c.initContainers()
	case momentReady, momentReadiness, momentCrash, momentFinish:
	default:
		return s, fmt.Errorf("unknown moment %q", c.moment)
	}
	for i := range c.pod.Spec.Containers {
		s.ContainerStatuses = append(s.ContainerStatuses, c.container(i))
	}
	s.Phase = c.phase(s.ContainerStatuses)
	s.Conditions = c.conditions(s.ContainerStatuses)
	return s, nil
}

// phase is Pending while an image is missing, and Running until a Job's pod ends.
func (c change) phase(containers []corev1.ContainerStatus) corev1.PodPhase {
	if c.moment == momentFinish {
		if c.fails() {
			return corev1.PodFailed
		}
		return corev1.PodSucceeded
	}
	for _, s := range containers {
		if s.State.Waiting != nil && s.State.Waiting.Reason == "ImagePullBackOff" {
			return corev1.PodPending
		}
	}
	return corev1.PodRunning
}

// container is the new status of the pod's i-th container.
func (c change) container(i int) corev1.ContainerStatus {
	spec := c.pod.Spec.Containers[i]
	s := corev1.ContainerStatus{
		Name: spec.Name, Image: spec.Image, ImageID: "sim://" + spec.Image,
		ContainerID: "sim://" + string(c.pod.UID) + "/" + spec.Name,
	}
	since, restarts := c.now, int32(0)
	if i < len(c.pod.Status.ContainerStatuses) {
		old := c.pod.Status.ContainerStatuses[i]
		restarts, s.LastTerminationState = old.RestartCount, old.LastTerminationState
		if old.State.Running != nil {
			since = old.State.Running.StartedAt
		}
	}
	s.RestartCount = restarts
	started := c.moment != momentStart || c.pod.Annotations[readyDelayAnnotation] == ""

	switch b := c.behaviour(spec.Image); {
	case c.moment == momentFinish:
		s.State.Terminated = c.ended(since)
		started = false
	case b == badPull:
		s.State.Waiting = &corev1.ContainerStateWaiting{
			Reason: "ImagePullBackOff", Message: fmt.Sprintf("Back-off pulling image %q", spec.Image),
		}
		s.ImageID, s.ContainerID, started = "", "", false
	case b == crash:
		s.RestartCount++
		s.State.Waiting = &corev1.ContainerStateWaiting{
			Reason:  "CrashLoopBackOff",
			Message: fmt.Sprintf("back-off restarting failed container=%s pod=%s", spec.Name, c.pod.Name),
		}
		s.LastTerminationState.Terminated = exited(1, since, c.now)
		started = false
	default:
		s.State.Running = &corev1.ContainerStateRunning{StartedAt: since}
		s.Ready = started && b == run && c.pod.Annotations[readyAnnotation] != "false"
	}
	s.Started = &started
	return s
}

// behaviour of a container with this image.
func (c change) behaviour(image string) string {
	b := c.pod.Annotations[behaviourAnnotation]
	if b == "" {
		image, _, _ = strings.Cut(image, "@")
		b = image[strings.LastIndex(image, ":")+1:]
	}
	switch b {
	case badPull, neverReady:
		return b
	case crash:
		if !c.isJob() { // A Job's pod runs first and fails when it ends.
			return b
		}
	}
	return run
}

func (c change) isJob() bool {
	if c.pod.Annotations[jobAnnotation] != "" {
		return true
	}
	return slices.ContainsFunc(c.pod.OwnerReferences, func(o metav1.OwnerReference) bool { return o.Kind == "Job" })
}

// fails tells how a Job's pod ends: as its annotation says, or by the tag crash.
func (c change) fails() bool {
	if v := c.pod.Annotations[jobAnnotation]; v != "" {
		return v == "fail"
	}
	if c.pod.Annotations[behaviourAnnotation] == crash {
		return true
	}
	return slices.ContainsFunc(c.pod.Spec.Containers, func(s corev1.Container) bool {
		image, _, _ := strings.Cut(s.Image, "@")
		return strings.HasSuffix(image, ":"+crash)
	})
}

func (c change) ended(since metav1.Time) *corev1.ContainerStateTerminated {
	if c.fails() {
		return exited(1, since, c.now)
	}
	return exited(0, since, c.now)
}

func exited(code int32, since, now metav1.Time) *corev1.ContainerStateTerminated {
	reason := "Completed"
	if code != 0 {
		reason = "Error"
	}
	return &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, StartedAt: since, FinishedAt: now}
}

// initContainers have all done their work, but for sidecars, which run.
func (c change) initContainers() []corev1.ContainerStatus {
	out := make([]corev1.ContainerStatus, 0, len(c.pod.Spec.InitContainers))
	for _, spec := range c.pod.Spec.InitContainers {
		s := corev1.ContainerStatus{Name: spec.Name, Image: spec.Image, ImageID: "sim://" + spec.Image, Ready: true}
		sidecar := spec.RestartPolicy != nil && *spec.RestartPolicy == corev1.ContainerRestartPolicyAlways
		if sidecar {
			s.State.Running = &corev1.ContainerStateRunning{StartedAt: c.now}
		} else {
			s.State.Terminated = exited(0, c.now, c.now)
		}
		s.Started = &sidecar
		out = append(out, s)
	}
	return out
}

// conditions are the kubelet's own; those of readiness gates belong to others.
func (c change) conditions(containers []corev1.ContainerStatus) []corev1.PodCondition {
	var unready []string
	for _, s := range containers {
		if !s.Ready {
			unready = append(unready, s.Name)
		}
	}
	running := corev1.PodCondition{Type: corev1.ContainersReady, Status: corev1.ConditionTrue}
	switch {
	case c.moment == momentFinish && c.fails():
		running.Status, running.Reason = corev1.ConditionFalse, "PodFailed"
	case c.moment == momentFinish:
		running.Status, running.Reason = corev1.ConditionFalse, "PodCompleted"
	case len(unready) > 0:
		running.Status, running.Reason = corev1.ConditionFalse, "ContainersNotReady"
		running.Message = "containers with unready status: [" + strings.Join(unready, " ") + "]"
	}
	ready := running
	ready.Type = corev1.PodReady
	if gate := c.closedGate(); ready.Status == corev1.ConditionTrue && gate != "" {
		ready.Status, ready.Reason = corev1.ConditionFalse, "ReadinessGatesNotReady"
		ready.Message = fmt.Sprintf("the status of pod readiness gate %q is not \"True\"", gate)
	}
	out := []corev1.PodCondition{
		{Type: corev1.PodReadyToStartContainers, Status: corev1.ConditionTrue},
		{Type: corev1.PodInitialized, Status: corev1.ConditionTrue},
		running,
		ready,
	}
	for i := range out {
		out[i].LastTransitionTime = c.now
		if old := c.condition(out[i].Type); old != nil && old.Status == out[i].Status {
			out[i].LastTransitionTime = old.LastTransitionTime
		}
	}
	return out
}

// closedGate is the first readiness gate whose condition is not True, if any.
func (c change) closedGate() corev1.PodConditionType {
	for _, g := range c.pod.Spec.ReadinessGates {
		if cond := c.condition(g.ConditionType); cond == nil || cond.Status != corev1.ConditionTrue {
			return g.ConditionType
		}
	}
	return ""
}

func (c change) condition(t corev1.PodConditionType) *corev1.PodCondition {
	for i := range c.pod.Status.Conditions {
		if c.pod.Status.Conditions[i].Type == t {
			return &c.pod.Status.Conditions[i]
		}
	}
	return nil
}

// convert reads a template's value into a typed object.
func convert(from, to any) error {
	data, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, to)
}
