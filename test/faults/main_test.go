// Package faults kills the controller, cuts it off and loses its writes, and
// checks with watches of its own that no invariant breaks and that it ends well.
//
// With HEADWAY_LONG=1 outages take 30 s, every write is lost in every way and
// there are more kills. HEADWAY_SEED plays the random moments of a run again.
package faults

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
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
	flag.Parse()
	if err := flag.Set("test.parallel", atOnce); err != nil {
		panic(err) // The flag is go test's own.
	}
	code := kube.Main(m)
	headway.Clean()
	os.Exit(code)
}

// atOnce is how many tests run at once: most of their time is waiting, for pods and outages.
const atOnce = "5"

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

// strangers are in every scene: they look like a Rollout's own and belong to none,
// so nobody may touch them.
const strangers = `---
apiVersion: v1
kind: Service
metadata: {name: stranger}
spec: {selector: {app: web, who: stranger}, ports: [{port: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: stranger-web-canary
  annotations: {nginx.ingress.kubernetes.io/canary: "true", nginx.ingress.kubernetes.io/canary-weight: "7"}
spec:
  ingressClassName: nginx
  rules: [{host: web.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: stranger, port: {number: 80}}}}]}}]
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: stranger, labels: {app: web}}
spec:
  replicas: 0
  selector: {matchLabels: {app: web, who: stranger}}
  template: {metadata: {labels: {app: web, who: stranger}}, spec: {containers: [{name: web, image: "example.com/web:v1"}]}}
`

// open makes the namespace with the observer and then the objects.
func (a api) open(t *testing.T, objects string) *scene {
	t.Helper()
	s := &scene{T: t, api: a, namespace: a.Namespace(t)}
	s.watch = observer.Watch(t, a.Config, s.namespace)
	s.apply(strangers + objects)
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
	s.patch(s.api.client, types.JSONPatchType, fmt.Sprintf(`[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"example.com/web:%s"}]`, tag))
}

// abort does what a person does who aborts.
func (s *scene) abort() {
	s.Helper()
	s.patch(statusOf(s.api.client), types.MergePatchType, `{"status":{"abort":true}}`)
}

// resume does what a person does who ends a pause, once there is one.
func (s *scene) resume() {
	s.Helper()
	s.eventually(func(ro *v1alpha1.Rollout) error {
		if len(ro.Status.PauseConditions) == 0 {
			return fmt.Errorf("not paused: %s", brief(ro))
		}
		return nil
	})
	s.patch(statusOf(s.api.client), types.MergePatchType, `{"status":{"pauseConditions":null}}`)
}

// patcher is a client of objects, or of their statuses.
type patcher interface {
	Patch(ctx context.Context, obj client.Object, patch client.Patch, opts ...client.PatchOption) error
}

// statusClient patches statuses alone.
type statusClient struct{ client.Client }

func statusOf(c client.Client) patcher { return statusClient{c} }

func (c statusClient) Patch(ctx context.Context, obj client.Object, patch client.Patch, _ ...client.PatchOption) error {
	return c.Status().Patch(ctx, obj, patch)
}

// patch changes the Rollout and waits until the observer has seen it: what is
// looked at next must not be older.
func (s *scene) patch(c patcher, kind types.PatchType, body string) {
	s.Helper()
	ro := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "web"}}
	if err := c.Patch(s.Context(), ro, client.RawPatch(kind, []byte(body))); err != nil {
		s.Fatalf("changing the Rollout by %s: %v", body, err)
	}
	s.eventually(func(seen *v1alpha1.Rollout) error {
		order, err := resourceversion.CompareResourceVersion(seen.ResourceVersion, ro.ResourceVersion)
		if err == nil && order < 0 {
			err = fmt.Errorf("version %s was not seen yet", ro.ResourceVersion)
		}
		return err
	})
}

// rollout is the Rollout as the observer sees it.
func (s *scene) rollout() (*v1alpha1.Rollout, error) {
	ro := &v1alpha1.Rollout{}
	object := s.watch.Present(observer.Rollout)["web"]
	if object == nil {
		return ro, errors.New("there is no Rollout")
	}
	return ro, runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, ro)
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
	if at := ro.Spec.RestartAt; at != nil && !at.Equal(st.RestartedAt) {
		return fmt.Errorf("pods are not restarted: %s", brief(ro))
	}
	if st.Why == nil || st.Why.Code == "ScalingDownOldRevision" {
		return fmt.Errorf("old pods are left: %s", brief(ro))
	}
	if st.Why.Code == "ActionFailed" {
		return fmt.Errorf("what was refused was not tried again: %s", brief(ro))
	}
	for name, rs := range s.watch.Present(observer.ReplicaSet) {
		asked, _, err := unstructured.NestedInt64(rs.Object, "spec", "replicas")
		if err != nil {
			return err
		}
		for _, mark := range []string{v1alpha1.PendingMetadataAnnotation, v1alpha1.RestartSpareAnnotation} {
			if text := rs.GetAnnotations()[mark]; text != "" {
				return fmt.Errorf("ReplicaSet %s has %s: %s", name, mark, text)
			}
		}
		isStable := rs.GetLabels()[v1alpha1.PodTemplateHashLabel] == st.StableRS
		if !isStable && asked > 0 {
			return fmt.Errorf("ReplicaSet %s is left: %s", name, brief(ro))
		}
		if isStable && !carries(rs.GetAnnotations(), ro.Spec.Strategy.Canary) {
			return fmt.Errorf("ReplicaSet %s does not have the metadata of its role yet: %v", name, rs.GetAnnotations())
		}
	}
	return nil
}

// carries reports whether annotations say that the metadata of the stable role
// was put on. It follows the promotion by a pass, so what is pending shows late.
func carries(annotations map[string]string, strategy *v1alpha1.CanaryStrategy) bool {
	if strategy == nil || strategy.StableMetadata == nil {
		return true
	}
	var has v1alpha1.PodTemplateMetadata
	err := json.Unmarshal([]byte(annotations[v1alpha1.EphemeralMetadataAnnotation]), &has)
	return err == nil && cmp.Equal(has, *strategy.StableMetadata)
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
	s.signed()
	s.measuredOnce(history)
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

// signed checks that the controller's writes can be told from others': some
// invariants are about who wrote.
func (s *scene) signed() {
	s.Helper()
	for kind, name := range map[observer.Kind]string{observer.Rollout: "web", observer.Ingress: "web-web-canary"} {
		object := s.watch.Present(kind)[name]
		if object == nil || !slices.ContainsFunc(object.GetManagedFields(), func(e metav1.ManagedFieldsEntry) bool { return observer.ByController(e.Manager) }) {
			s.Errorf("%s: %s %s does not say that the controller wrote it", s.namespace, kind, name)
		}
	}
}

// created are the names of all ReplicaSets of Rollouts there ever were.
func created(history observer.History) map[string]bool {
	names := map[string]bool{}
	for _, c := range history.Of(observer.ReplicaSet) {
		if metav1.GetControllerOf(c.Object) != nil {
			names[c.Name] = true
		}
	}
	return names
}
