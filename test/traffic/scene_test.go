package traffic

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/test/kube"
	"github.com/headway-rollouts/headway/test/traffic/load"
)

const (
	// within is how long anything may take on a busy machine.
	within = 90 * time.Second
	// perSecond are the requests of a scene's steady stream.
	perSecond = 150
	// enough requests are sent in every scene that claims that none was lost.
	enough = 2000
)

// eachRoute runs a scenario for every kind of route, beside each other and others.
func eachRoute(t *testing.T, scenario func(t *testing.T, r route)) {
	t.Helper()
	theWorld(t)
	t.Parallel()
	for _, r := range routes {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			scenario(t, r)
		})
	}
}

// scene is a namespace with one Rollout, its route, and a stream of requests to it.
type scene struct {
	*testing.T

	world     *world
	route     route
	namespace string
	load      *load.Load
}

// options are how the Rollout of a scene differs from others.
type options struct {
	tag      string // of the first release; default v1
	strategy string // as YAML in flow style
	service  string // whose error rate the AnalysisTemplate measures; default canary
	owner    string // instance ID of the controller; default the shared one
}

// label names the controller that serves the Rollout, unless it is the shared one.
func (o options) label() string {
	if o.owner == "" {
		return ""
	}
	return "argo-rollouts.argoproj.io/controller-instance-id: " + o.owner
}

// open makes a namespace with a Rollout that is healthy and whose route is served,
// and starts the stream of requests.
func open(t *testing.T, r route, o options) *scene {
	t.Helper()
	w := theWorld(t)
	s := &scene{T: t, world: w, route: r, namespace: w.cluster.Namespace(t)}
	if o.tag == "" {
		o.tag = "v1"
	}
	if o.service == "" {
		o.service = canary
	}
	host := s.namespace + ".test"
	s.apply(services, fmt.Sprintf(r.manifest, host), r.errorRate(s, o.service), fmt.Sprintf(rollout, o.label(), o.strategy, o.tag))
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.endpoints())
		}
	})
	s.until(healthy)
	target := load.Target{Address: proxyAddress, Host: host, Protocol: r.protocol}
	s.served(target)
	s.load = load.Start(t.Context(), target, perSecond)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("requests until the failure: %s", s.load.Counts())
		}
		s.load.Stop()
	})
	return s
}

// rollout has a label, a strategy and the tag of its image.
const rollout = `
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: web, labels: {%s}}
spec:
  replicas: 4
  progressDeadlineSeconds: 120
  selector: {matchLabels: {app: web}}
  strategy: %s
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 25
      schedulerName: processes # The kubelet's own.
      containers:
      - name: web
        image: example.com/web:%s
        env:
        - {name: POD_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
        - {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        readinessProbe: {httpGet: {path: /ready, port: 8080}, periodSeconds: 1, failureThreshold: 1}
        livenessProbe: {httpGet: {path: /live, port: 8080}, periodSeconds: 5}
`

// canary is a canary strategy with the scene's route. Old pods go soon, so that they
// go while requests are counted.
func (r route) canary(steps string) string {
	return fmt.Sprintf("{canary: {stableService: web-stable, canaryService: web-canary, scaleDownDelaySeconds: 3, abortScaleDownDelaySeconds: 3, "+
		"trafficRouting: {%s}, steps: %s}}", r.routing, steps)
}

func (s *scene) apply(docs ...string) {
	s.Helper()
	if err := s.world.cluster.Apply(s.Context(), s.namespace, []byte(strings.Join(docs, "\n---\n"))); err != nil {
		s.Fatal(err)
	}
}

// served waits until the proxy knows the route: before, its answer is 404.
func (s *scene) served(target load.Target) {
	s.Helper()
	kube.Eventually(s, within, func() error {
		l := load.Start(s.Context(), target, 1)
		defer l.Stop()
		if got := l.Burst(s.Context(), 5); got.Lost > 0 {
			return errors.New(got.String())
		}
		return nil
	})
}

func (s *scene) rollout() (*v1alpha1.Rollout, error) {
	ro := &v1alpha1.Rollout{}
	err := s.world.client.Get(s.Context(), client.ObjectKey{Namespace: s.namespace, Name: "web"}, ro)
	return ro, err
}

// until waits until the controller has seen the spec and the Rollout is as wanted.
func (s *scene) until(want func(*v1alpha1.Rollout) error) {
	s.Helper()
	kube.Eventually(s, within, func() error {
		ro, err := s.rollout()
		if err != nil {
			return err
		}
		if ro.Status.ObservedGeneration != strconv.FormatInt(ro.Generation, 10) {
			return fmt.Errorf("generation %d was not observed", ro.Generation)
		}
		if err := want(ro); err != nil {
			return fmt.Errorf("%w: %s", err, brief(ro))
		}
		return nil
	})
}

func brief(ro *v1alpha1.Rollout) string {
	st := ro.Status
	text := fmt.Sprintf("phase %s %q, step %d, abort %t, stable %s of %s, pods %d", st.Phase, st.Message,
		ptr.Deref(st.CurrentStepIndex, -1), st.Abort, st.StableRS, st.CurrentPodHash, st.Replicas)
	if st.Why != nil {
		text += fmt.Sprintf(", why %s: %s", st.Why.Code, st.Why.Message)
	}
	return text
}

func healthy(ro *v1alpha1.Rollout) error {
	if st := ro.Status; st.Phase != v1alpha1.RolloutPhaseHealthy || st.StableRS != st.CurrentPodHash {
		return errors.New("not healthy")
	}
	return nil
}

// alone asks for a Rollout that is healthy and has no other pods than it wants.
func alone(ro *v1alpha1.Rollout) error {
	if err := healthy(ro); err != nil {
		return err
	}
	if ro.Status.Replicas != ro.DesiredReplicas() {
		return fmt.Errorf("%d pods are there", ro.Status.Replicas)
	}
	return nil
}

// paused asks for a Rollout that waits for a person.
func paused(ro *v1alpha1.Rollout) error {
	if ro.Status.Phase != v1alpha1.RolloutPhasePaused {
		return errors.New("not paused")
	}
	return nil
}

// pausedAt asks for a Rollout that waits at a step for a person.
func pausedAt(step int32) func(*v1alpha1.Rollout) error {
	return func(ro *v1alpha1.Rollout) error {
		if ro.Status.Phase != v1alpha1.RolloutPhasePaused || ptr.Deref(ro.Status.CurrentStepIndex, -1) != step {
			return fmt.Errorf("not paused at step %d", step)
		}
		return nil
	}
}

func aborted(ro *v1alpha1.Rollout) error {
	if ro.Status.Phase != v1alpha1.RolloutPhaseDegraded || !ro.Status.Abort {
		return errors.New("not aborted")
	}
	return nil
}

// release changes the image.
func (s *scene) release(tag string) {
	s.Helper()
	s.patch(fmt.Sprintf(`[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"example.com/web:%s"}]`, tag))
}

func (s *scene) patch(body string) {
	s.Helper()
	if err := s.world.client.Patch(s.Context(), s.named(), client.RawPatch(types.JSONPatchType, []byte(body))); err != nil {
		s.Fatalf("changing the Rollout: %v", err)
	}
}

// promote ends a pause, as a person does.
func (s *scene) promote() {
	s.Helper()
	s.patchStatus(`{"status":{"pauseConditions":null}}`)
}

// abort goes back, as a person does.
func (s *scene) abort() {
	s.Helper()
	s.patchStatus(`{"status":{"abort":true}}`)
}

func (s *scene) patchStatus(body string) {
	s.Helper()
	if err := s.world.client.Status().Patch(s.Context(), s.named(), client.RawPatch(types.MergePatchType, []byte(body))); err != nil {
		s.Fatalf("changing the Rollout's status: %v", err)
	}
}

func (s *scene) named() *v1alpha1.Rollout {
	return &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "web"}}
}

// pods are the pods of a release that are not being deleted.
func (s *scene) pods(tag string) []corev1.Pod {
	s.Helper()
	var list corev1.PodList
	if err := s.world.client.List(s.Context(), &list, client.InNamespace(s.namespace)); err != nil {
		s.Fatal(err)
	}
	var out []corev1.Pod
	for _, p := range list.Items {
		if p.DeletionTimestamp == nil && strings.HasSuffix(p.Spec.Containers[0].Image, ":"+tag) {
			out = append(out, p)
		}
	}
	return out
}
