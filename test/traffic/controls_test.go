package traffic

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/test/e2e/headway"
	"github.com/headway-rollouts/headway/test/kube"
)

// The controls of all other tests: here requests must be lost. A count of losses that
// is 0 here, too, says nothing there.

// An application that ends at SIGTERM loses what is under way, and what the proxy
// sends before it has heard.
func TestControlAnApplicationThatDoesNotDrainLosesRequests(t *testing.T) {
	eachRoute(t, func(t *testing.T, r route) {
		s := open(t, r, options{tag: "v1-abrupt", strategy: r.canary("[{setWeight: 50}, {pause: {}}]")})
		for range 4 {
			s.killPod("v1-abrupt", 4)
		}
		s.mustLose()
	})
}

func (s *scene) mustLose() {
	s.Helper()
	kube.Eventually(s, within, func() error {
		if got := s.load.Counts(); got.Lost == 0 {
			return errors.New("the control lost no request: " + got.String())
		}
		return nil
	})
	s.Logf("as it must, the control lost requests: %s", s.load.Stop())
}

// The same three writes, by hand and without a controller, end a rollout: all traffic
// to the canary, the stable Service to its pods, and no more of the old ones. Only
// their order differs. (The controller itself has no switch for this: it would be one
// in production too.)
func TestControlTheSameWritesInTheWrongOrderLoseRequests(t *testing.T) {
	eachRoute(t, func(t *testing.T, r route) {
		h := halfWay(t, r)
		h.stablePodsGo()
		h.allToCanary()
		h.stableServiceFollows()
		h.only("v2", 300)
		h.mustLose()
	})
}

func TestControlTheSameWritesInTheRightOrderLoseNone(t *testing.T) {
	eachRoute(t, func(t *testing.T, r route) {
		h := halfWay(t, r)
		h.allToCanary()
		h.stableServiceFollows()
		h.shows("v2", 100)
		h.stablePodsGo()
		h.only("v2", 300)
		h.failedOnPurpose(h.lostNothing())
	})
}

// hands do what a controller does, in an order of their own.
type hands struct{ *scene }

// halves numbers the controllers of halfWay, of which each serves one Rollout.
var halves atomic.Int32

// halfWay is a rollout at half of the traffic whose controller has stopped.
func halfWay(t *testing.T, r route) *hands {
	t.Helper()
	owner := fmt.Sprintf("hands-%s-%d", r.name, halves.Add(1))
	c := headway.Start(t, headway.Options{Kubeconfig: theWorld(t).cluster.Kubeconfig, Args: []string{"--instance-id", owner}})
	s := open(t, r, options{strategy: r.canary("[{setCanaryScale: {replicas: 4}}, {setWeight: 50}, {pause: {}}]"), owner: owner})
	s.release("v2")
	s.until(pausedAt(2))
	s.shows("v2", 50)
	c.Stop()
	return &hands{s}
}

func (h *hands) allToCanary() {
	h.Helper()
	object := &unstructured.Unstructured{}
	object.SetAPIVersion(h.route.all.apiVersion)
	object.SetKind(h.route.all.kind)
	object.SetNamespace(h.namespace)
	object.SetName(h.route.all.name)
	h.write(object, types.JSONPatchType, h.route.all.patch)
}

// stableServiceFollows makes the stable Service select the canary's pods.
func (h *hands) stableServiceFollows() {
	h.Helper()
	ro, err := h.rollout()
	if err != nil {
		h.Fatal(err)
	}
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: h.namespace, Name: "web-stable"}}
	h.write(service, types.MergePatchType, fmt.Sprintf(`{"spec":{"selector":{%q:%q}}}`, v1alpha1.PodTemplateHashLabel, ro.Status.CurrentPodHash))
}

// stablePodsGo scales the stable ReplicaSet to 0 and waits until its pods have gone,
// which they have not before they have drained.
func (h *hands) stablePodsGo() {
	h.Helper()
	ro, err := h.rollout()
	if err != nil {
		h.Fatal(err)
	}
	set := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: h.namespace, Name: "web-" + ro.Status.StableRS}}
	h.write(set, types.MergePatchType, `{"spec":{"replicas":0}}`)
	kube.Eventually(h, within, func() error {
		var pods corev1.PodList
		if err := h.world.client.List(h.Context(), &pods, client.InNamespace(h.namespace)); err != nil {
			return err
		}
		if n := len(pods.Items); n != 4 {
			return fmt.Errorf("%d pods are there, want the 4 of the canary", n)
		}
		return nil
	})
}

func (h *hands) write(object client.Object, kind types.PatchType, patch string) {
	h.Helper()
	if err := h.world.client.Patch(h.Context(), object, client.RawPatch(kind, []byte(patch))); err != nil {
		h.Fatal(err)
	}
}
