package kubelet

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
)

const (
	// A container that ended is restarted after backOff, then twice as late each time.
	backOff     = 250 * time.Millisecond
	mostBackOff = 10 * time.Second

	// deleteLimit bounds the last request for a pod, which comes after its context ended.
	deleteLimit = 10 * time.Second
)

// pod is a pod on this node, from its first sight to its end.
type pod struct {
	client kubernetes.Interface
	object *corev1.Pod // As it was first seen; its spec does not change.
	ip     string

	deleted     chan struct{} // Closed when it is to end gracefully.
	deletedOnce sync.Once
	grace       time.Duration // Set before deleted is closed.
	vanished    chan struct{} // Closed when it is no longer in the API.

	mu    sync.Mutex
	state state
}

func newPod(client kubernetes.Interface, object *corev1.Pod, ip string) *pod {
	return &pod{
		client: client, object: object, ip: ip,
		deleted: make(chan struct{}), vanished: make(chan struct{}), state: state{started: metav1.Now()},
	}
}

// terminate asks for a graceful end. Asking twice is the same as once.
func (p *pod) terminate(seen *corev1.Pod) {
	p.deletedOnce.Do(func() {
		p.grace = time.Duration(ptr.Deref(seen.DeletionGracePeriodSeconds, 0)) * time.Second
		close(p.deleted)
	})
}

// vanish asks for the end at once. It is called once.
func (p *pod) vanish() { close(p.vanished) }

// run is the life of the pod.
func (p *pod) run(ctx context.Context, images Images) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-p.vanished:
			cancel()
		case <-ctx.Done():
		}
	}()
	if path, env := p.pull(ctx, images); path != "" {
		p.restart(ctx, path, env)
	}
	select {
	case <-p.deleted:
		p.remove(ctx)
	case <-ctx.Done():
	}
}

// pull finds the program of the image and its environment. What it cannot run, waits and says why.
func (p *pod) pull(ctx context.Context, images Images) (path string, env []string) {
	if n := len(p.object.Spec.Containers); n != 1 || len(p.object.Spec.InitContainers) != 0 {
		p.wait(ctx, "CreateContainerError", "this kubelet runs pods of one container")
		return "", nil
	}
	image := p.object.Spec.Containers[0].Image
	repository, _ := splitImage(image)
	path, known := images[repository]
	if !known {
		p.wait(ctx, "ErrImagePull", fmt.Sprintf("there is no image %s", image))
		return "", nil
	}
	env, err := environment(p.object, p.ip)
	if err != nil {
		p.wait(ctx, "CreateContainerConfigError", err.Error())
		return "", nil
	}
	return path, env
}

func (p *pod) wait(ctx context.Context, reason, message string) {
	p.change(ctx, func(s *state) { s.waiting = &corev1.ContainerStateWaiting{Reason: reason, Message: message} })
}

// restart runs the container again and again until the pod is deleted.
func (p *pod) restart(ctx context.Context, path string, env []string) {
	wait := backOff
	for {
		c, err := start(path, p.object.Spec.Containers[0].Args, env)
		if err != nil {
			p.wait(ctx, "RunContainerError", err.Error())
			return
		}
		p.change(ctx, func(s *state) { s.running, s.waiting = ptr.To(metav1.NewTime(c.started)), nil })
		if p.attend(ctx, c) {
			return
		}
		p.change(ctx, func(s *state) { s.crashed(c) })
		select {
		case <-time.After(wait):
		case <-p.deleted:
			return
		case <-ctx.Done():
			return
		}
		wait = min(2*wait, mostBackOff)
		p.change(ctx, func(s *state) { s.restarts++ })
	}
}

// attend probes a container until it ended, and ends it when the pod is deleted or
// its liveness probe fails. It reports whether that was all.
func (p *pod) attend(ctx context.Context, c *process) (done bool) {
	probes, stop := context.WithCancel(ctx)
	defer stop()
	spec := p.object.Spec.Containers[0]
	go p.probe(probes, spec.ReadinessProbe, func(passes bool) {
		p.change(probes, func(s *state) { s.setReady(passes) })
	})
	dead := make(chan struct{}, 1)
	if spec.LivenessProbe != nil {
		go p.probe(probes, spec.LivenessProbe, func(passes bool) {
			if !passes {
				dead <- struct{}{}
			}
		})
	}
	select {
	case <-c.ended:
		return false
	case <-dead:
		c.stop(p.gracePeriod())
		return false
	case <-p.deleted:
		p.end(ctx, c)
		return true
	case <-ctx.Done():
		c.kill()
		return true
	}
}

func (p *pod) gracePeriod() time.Duration {
	return time.Duration(ptr.Deref(p.object.Spec.TerminationGracePeriodSeconds, corev1.DefaultTerminationGracePeriodSeconds)) * time.Second
}

// end does what the API promises a container that is deleted: preStop, SIGTERM, and
// SIGKILL when both took longer than the grace period.
func (p *pod) end(ctx context.Context, c *process) {
	deadline := time.Now().Add(p.grace)
	hook, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	if l := p.object.Spec.Containers[0].Lifecycle; l != nil && l.PreStop != nil {
		switch {
		case l.PreStop.Sleep != nil:
			pause(hook, time.Duration(l.PreStop.Sleep.Seconds)*time.Second)
		case l.PreStop.HTTPGet != nil:
			_ = p.ask(hook, l.PreStop.HTTPGet) // A hook that fails keeps no container alive.
		}
	}
	stopped := context.AfterFunc(ctx, func() { _ = c.cmd.Process.Kill() })
	defer stopped()
	c.stop(time.Until(deadline))
}

// remove takes the pod out of the API, which is the kubelet's to do when all has ended.
func (p *pod) remove(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deleteLimit)
	defer cancel()
	p.change(ctx, func(s *state) { s.setReady(false); s.running = nil })
	_ = p.client.CoreV1().Pods(p.object.Namespace).Delete(ctx, p.object.Name, metav1.DeleteOptions{
		GracePeriodSeconds: ptr.To[int64](0), Preconditions: metav1.NewUIDPreconditions(string(p.object.UID)),
	})
}
