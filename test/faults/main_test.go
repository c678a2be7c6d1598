// Package faults kills the controller, cuts it off and loses its writes, and
// checks with watches of its own that no invariant breaks and that it ends well.
//
// With HEADWAY_LONG=1 outages take 30 s and a crash is tried at every write.
package faults

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/test/e2e/headway"
	"github.com/headway-rollouts/headway/test/e2e/manifest"
	"github.com/headway-rollouts/headway/test/faults/observer"
	"github.com/headway-rollouts/headway/test/kube"
)

func TestMain(m *testing.M) {
	code := kube.Main(m)
	headway.Clean()
	os.Exit(code)
}

// within is how long a rollout of a few steps may take on a busy machine.
const within = 60 * time.Second

// long asks for every case instead of a sample.
func long() bool { return os.Getenv("HEADWAY_LONG") != "" }

// api is the shared cluster with the CRDs installed, and its client.
type api struct {
	*kube.Cluster

	client client.Client
}

var prepare sync.Once

var prepared struct {
	client client.Client
	err    error
}

func newAPI(t *testing.T) api {
	t.Helper()
	cluster := kube.Shared(t)
	prepare.Do(func() {
		prepared.err = cluster.InstallCRDs(context.Background(), kube.Root()+"/config/crd")
		if prepared.err != nil {
			return
		}
		scheme := clientgoscheme.Scheme
		if prepared.err = v1alpha1.AddToScheme(scheme); prepared.err != nil {
			return
		}
		prepared.client, prepared.err = client.New(cluster.Config, client.Options{Scheme: scheme})
	})
	if prepared.err != nil {
		t.Fatalf("preparing the cluster: %v", prepared.err)
	}
	return api{Cluster: cluster, client: prepared.client}
}

// scene is a namespace with one Rollout named web, and its observer.
type scene struct {
	*testing.T

	api       api
	namespace string
	watch     *observer.Observer
}

// canary is the Rollout of most scenes. Its old pods go after a second.
func canary(instance string) manifest.Canary {
	return manifest.Canary{InstanceID: instance, Strategy: []string{"scaleDownDelaySeconds: 1"}}
}

// open makes the namespace with the observer and then the objects.
func (a api) open(t *testing.T, objects string) *scene {
	t.Helper()
	s := &scene{T: t, api: a, namespace: a.Namespace(t)}
	s.watch = observer.Watch(t, a.Config, s.namespace)
	s.apply(objects)
	return s
}

func (s *scene) apply(objects string) {
	s.Helper()
	if err := s.api.Apply(s.Context(), s.namespace, []byte(objects)); err != nil {
		s.Fatal(err)
	}
}

// release changes the image.
func (s *scene) release(tag string) {
	s.Helper()
	patch := fmt.Sprintf(`[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"example.com/web:%s"}]`, tag)
	ro := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "web"}}
	if err := s.api.client.Patch(s.Context(), ro, client.RawPatch(types.JSONPatchType, []byte(patch))); err != nil {
		s.Fatalf("changing the image: %v", err)
	}
}

func (s *scene) rollout() (*v1alpha1.Rollout, error) {
	ro := &v1alpha1.Rollout{}
	err := s.api.client.Get(s.Context(), client.ObjectKey{Namespace: s.namespace, Name: "web"}, ro)
	return ro, err
}

// eventually waits until the Rollout is as wanted.
func (s *scene) eventually(want func(*v1alpha1.Rollout) error) {
	s.Helper()
	kube.Eventually(s, within, func() error {
		ro, err := s.rollout()
		if err != nil {
			return err
		}
		return want(ro)
	})
}

// atRest waits until the update is over, one way or the other, and nothing is left to do.
func (s *scene) atRest() {
	s.Helper()
	s.eventually(func(ro *v1alpha1.Rollout) error { return s.resting(ro) })
}

func (s *scene) resting(ro *v1alpha1.Rollout) error {
	st := ro.Status
	over := st.Phase == v1alpha1.RolloutPhaseHealthy && st.StableRS == st.CurrentPodHash ||
		st.Phase == v1alpha1.RolloutPhaseDegraded && st.Abort
	if !over || st.ObservedGeneration != strconv.FormatInt(ro.Generation, 10) || st.Replicas != ro.DesiredReplicas() {
		return fmt.Errorf("not at rest: %s", brief(ro))
	}
	if st.Why == nil || st.Why.Code == "ScalingDownOldRevision" {
		return fmt.Errorf("old pods are left: %s", brief(ro))
	}
	var list appsv1.ReplicaSetList
	if err := s.api.client.List(s.Context(), &list, client.InNamespace(s.namespace)); err != nil {
		return err
	}
	for i := range list.Items {
		rs := &list.Items[i]
		if rs.Labels[v1alpha1.PodTemplateHashLabel] != st.StableRS && ptr.Deref(rs.Spec.Replicas, 1) > 0 {
			return fmt.Errorf("ReplicaSet %s is left: %s", rs.Name, brief(ro))
		}
	}
	return nil
}

func brief(ro *v1alpha1.Rollout) string {
	st := ro.Status
	why := ""
	if st.Why != nil {
		why = fmt.Sprintf("%s: %s", st.Why.Code, st.Why.Message)
	}
	return fmt.Sprintf("phase %s %q, step %d, observed %s of %d, stable %s of %s, pods %d, why %s", st.Phase, st.Message,
		ptr.Deref(st.CurrentStepIndex, -1), st.ObservedGeneration, ro.Generation, st.StableRS, st.CurrentPodHash, st.Replicas, why)
}

// check holds the history against the invariants, and its end against the end of another scene.
func (s *scene) check(want string) string {
	s.Helper()
	history := s.watch.History(s)
	for _, broken := range observer.Check(history, "web") {
		s.Errorf("%s: %s", s.namespace, broken)
	}
	got, err := observer.Summary(history, "web")
	if err != nil {
		s.Fatal(err)
	}
	if want != "" && got != want {
		s.Errorf("%s ended differently (-want +got):\n%s", s.namespace, cmp.Diff(want, got))
	}
	if made := len(created(history)); want != "" && made != 2 {
		s.Errorf("%s: %d ReplicaSets were created, want one for each of two images", s.namespace, made)
	}
	return got
}

// created are the names of all ReplicaSets there ever were.
func created(history observer.History) map[string]bool {
	names := map[string]bool{}
	for _, c := range history.Of(observer.ReplicaSet) {
		names[c.Name] = true
	}
	return names
}

// abort does what a person does who aborts.
func (s *scene) abort() {
	s.Helper()
	ro := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "web"}}
	if err := s.api.client.Status().Patch(s.Context(), ro, client.RawPatch(types.MergePatchType, []byte(`{"status":{"abort":true}}`))); err != nil {
		s.Fatalf("aborting: %v", err)
	}
}
