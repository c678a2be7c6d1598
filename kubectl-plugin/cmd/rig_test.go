package cmd

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func ptr[T any](v T) *T { return &v }

// buffer is an output that a test reads while a command writes it.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// stillClock moves only when a test moves it.
type stillClock struct {
	mu      sync.Mutex
	now     time.Time
	waiting []alarm
}

type alarm struct {
	at time.Time
	c  chan time.Time
}

func (c *stillClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *stillClock) After(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make(chan time.Time, 1)
	if d <= 0 {
		out <- c.now
		return out
	}
	c.waiting = append(c.waiting, alarm{c.now.Add(d), out})
	return out
}

func (c *stillClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	var left []alarm
	for _, a := range c.waiting {
		if a.at.After(c.now) {
			left = append(left, a)
			continue
		}
		a.c <- c.now
	}
	c.waiting = left
}

// rig is a command line in front of a fake cluster.
type rig struct {
	t        *testing.T
	out, err *buffer
	in       string
	clock    *stillClock
	env      map[string]string
	tty      bool
	client   client.WithWatch
	funcs    interceptor.Funcs
	patches  []string
}

func newRig(t *testing.T, objects ...client.Object) *rig {
	t.Helper()
	scheme, err := newScheme()
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, out: &buffer{}, err: &buffer{}, clock: &stillClock{now: noon}}
	base := fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1alpha1.Rollout{}).WithObjects(objects...).Build()
	r.client = base
	return r
}

// record keeps the body of every patch, with the resource it went to.
func (r *rig) record(resource string, obj client.Object, patch client.Patch) {
	data, err := patch.Data(obj)
	if err != nil {
		r.t.Error(err)
	}
	r.patches = append(r.patches, resource+" "+string(data))
}

func (r *rig) session() session {
	funcs := r.funcs
	if funcs.Patch == nil {
		funcs.Patch = func(ctx context.Context, c client.WithWatch, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
			r.record("main", obj, patch)
			return c.Patch(ctx, obj, patch, opts...)
		}
	}
	if funcs.SubResourcePatch == nil {
		funcs.SubResourcePatch = func(ctx context.Context, c client.Client, sub string, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
			r.record(sub, obj, patch)
			return c.SubResource(sub).Patch(ctx, obj, patch, opts...)
		}
	}
	return session{WithWatch: interceptor.NewClient(r.client, funcs), namespace: "shop"}
}

func (r *rig) app(called string) *app {
	a := newApp([]string{called}, genericiooptions.IOStreams{In: strings.NewReader(r.in), Out: r.out, ErrOut: r.err})
	a.clock = r.clock
	a.env = func(key string) (string, bool) { v, ok := r.env[key]; return v, ok }
	a.terminal = func(any) (terminalSize, bool) {
		if r.tty {
			return terminalSize{width: 80, height: 40}, true
		}
		return terminalSize{}, false
	}
	a.connect = func(*genericclioptions.ConfigFlags) (session, error) { return r.session(), nil }
	return a
}

// run runs a command line such as "kubectl-rollouts get rollout cart".
func (r *rig) run(line string) int { return r.runContext(context.Background(), line) }

func (r *rig) runContext(ctx context.Context, line string) int {
	args := strings.Fields(line)
	return r.app(args[0]).run(ctx, args)
}

// eventually polls, because commands run beside the test.
func (r *rig) eventually(what string, met func() bool) {
	r.t.Helper()
	deadline := time.After(10 * time.Second)
	for !met() {
		select {
		case <-deadline:
			r.t.Fatalf("%s did not happen; stdout:\n%s\nstderr:\n%s", what, r.out.String(), r.err.String())
		case <-time.After(time.Millisecond):
		}
	}
}

// cart is a canary at its first pause, which has no duration.
func cart(change ...func(*v1alpha1.Rollout)) *v1alpha1.Rollout {
	ro := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{
		Name: "cart", Namespace: "shop", UID: "ro", Generation: 2,
		CreationTimestamp: metav1.NewTime(noon.Add(-time.Hour)),
		Annotations:       map[string]string{v1alpha1.RevisionAnnotation: "42"},
	}}
	ro.Spec.Replicas = ptr[int32](2)
	ro.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "cart"}}
	ro.Spec.Template.Spec.Containers = []corev1.Container{{Name: "app", Image: "cart:1"}, {Name: "proxy", Image: "proxy:1"}}
	ro.Spec.Template.Spec.InitContainers = []corev1.Container{{Name: "init", Image: "init:1"}}
	ro.Spec.Strategy.Canary = &v1alpha1.CanaryStrategy{Steps: []v1alpha1.CanaryStep{
		{SetWeight: ptr[int32](50)},
		{Pause: &v1alpha1.RolloutPause{}},
		{SetWeight: ptr[int32](75)},
		{Pause: &v1alpha1.RolloutPause{Duration: ptr(intstr.FromString("10m"))}},
	}}
	ro.Status = v1alpha1.RolloutStatus{
		ObservedGeneration: "2", Phase: v1alpha1.RolloutPhasePaused, Message: "CanaryPauseStep", ControllerPause: true,
		PauseConditions: []v1alpha1.PauseCondition{{Reason: v1alpha1.PauseReasonCanaryPauseStep, StartTime: metav1.NewTime(noon.Add(-time.Minute))}},
		CurrentPodHash:  "new", StableRS: "old", CurrentStepIndex: ptr[int32](1),
		Replicas: 2, UpdatedReplicas: 1, ReadyReplicas: 2, AvailableReplicas: 2,
	}
	for _, f := range change {
		f(ro)
	}
	return ro
}

func running(ro *v1alpha1.Rollout) {
	ro.Status.Phase, ro.Status.Message = v1alpha1.RolloutPhaseProgressing, "more replicas need to be updated"
	ro.Status.PauseConditions, ro.Status.ControllerPause = nil, false
}

func healthy(ro *v1alpha1.Rollout) {
	running(ro)
	ro.Status.Phase, ro.Status.Message = v1alpha1.RolloutPhaseHealthy, ""
	ro.Status.StableRS, ro.Status.CurrentStepIndex, ro.Status.UpdatedReplicas = "new", ptr[int32](4), 2
}

func aborted(ro *v1alpha1.Rollout) {
	running(ro)
	ro.Status.Abort, ro.Status.Phase, ro.Status.Message = true, v1alpha1.RolloutPhaseDegraded, "RolloutAborted: Rollout aborted update to revision 42"
	ro.Status.CurrentStepIndex = ptr[int32](0)
}

func timedPause(ro *v1alpha1.Rollout) { ro.Status.CurrentStepIndex = ptr[int32](3) }

// owned is a ReplicaSet of cart with one running pod.
func owned(hash, revision string) []client.Object {
	labels := map[string]string{"app": "cart", v1alpha1.PodTemplateHashLabel: hash}
	rs := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{
		Name: "cart-" + hash, Namespace: "shop", UID: types.UID("rs-" + hash), Labels: labels,
		CreationTimestamp: metav1.NewTime(noon.Add(-time.Minute)),
		Annotations:       map[string]string{v1alpha1.RevisionAnnotation: revision},
		OwnerReferences:   []metav1.OwnerReference{{UID: "ro", Controller: ptr(true)}},
	}}
	rs.Spec.Replicas = ptr[int32](1)
	rs.Spec.Template.Spec.Containers = []corev1.Container{{Name: "app", Image: "cart:" + hash}}
	rs.Status = appsv1.ReplicaSetStatus{Replicas: 1, ReadyReplicas: 1, AvailableReplicas: 1}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: rs.Name + "-x7q", Namespace: "shop", Labels: labels, CreationTimestamp: rs.CreationTimestamp,
		OwnerReferences: []metav1.OwnerReference{{UID: rs.UID, Controller: ptr(true)}},
	}}
	pod.Spec.Containers = rs.Spec.Template.Spec.Containers
	pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{Ready: true}}}
	return []client.Object{rs, pod}
}
