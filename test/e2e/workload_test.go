package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/test/e2e/headway"
	"github.com/headway-rollouts/headway/test/e2e/manifest"
	"github.com/headway-rollouts/headway/test/faults/network"
	"github.com/headway-rollouts/headway/test/faults/observer"
	"github.com/headway-rollouts/headway/test/kube"
)

// deployment is a Deployment of one container.
func deployment(name string, replicas int, tag string) string {
	return fmt.Sprintf(`---
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  replicas: %[2]d
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      containers: [{name: %[1]s, image: "example.com/%[1]s:%[3]s"}]
`, name, replicas, tag)
}

// referring is a Rollout with the template of a workload, without routes.
func referring(name string, replicas int, kind string, more ...string) string {
	version := "apps/v1"
	if kind == "PodTemplate" {
		version = "v1"
	}
	fields := ""
	for _, f := range more {
		fields += "\n  " + f
	}
	return fmt.Sprintf(`---
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: %[1]s}
spec:
  replicas: %[2]d%[5]s
  workloadRef: {apiVersion: %[4]s, kind: %[3]s, name: %[1]s}
  strategy: {canary: {steps: [{setWeight: 50}, {pause: {}}]}}
`, name, replicas, kind, version, fields)
}

// scalingDown is a Rollout that replaces the Deployment of its name.
func scalingDown(name string, replicas int, way string) string {
	return strings.Replace(referring(name, replicas, "Deployment"), "kind: Deployment,", "kind: Deployment, scaleDown: "+way+",", 1)
}

// of asks for a status about the workload's generation, with the annotation that says which it is.
func of(generation string) func(*v1alpha1.Rollout) error {
	return func(ro *v1alpha1.Rollout) error {
		noted := ro.Annotations[v1alpha1.WorkloadGenerationAnnotation]
		if ro.Status.WorkloadObservedGeneration != generation || noted != generation {
			return fmt.Errorf("the workload is of generation %s, observed %q, noted %q", generation, ro.Status.WorkloadObservedGeneration, noted)
		}
		return nil
	}
}

// sizeOf is the size that a Deployment asks for.
func (w *world) sizeOf(name string) int32 {
	w.Helper()
	return ptr.Deref(w.deployment(name).Spec.Replicas, 1)
}

func (w *world) deployment(name string) *appsv1.Deployment {
	w.Helper()
	d := &appsv1.Deployment{}
	if err := w.client.Get(w.Context(), client.ObjectKey{Namespace: w.namespace, Name: name}, d); err != nil {
		w.Fatal(err)
	}
	return d
}

// available waits until a Deployment has all of its pods.
func (w *world) available(name string) {
	w.Helper()
	kube.Eventually(w, within, func() error {
		d := w.deployment(name)
		if d.Status.ObservedGeneration != d.Generation || d.Status.AvailableReplicas != *d.Spec.Replicas || d.Status.Replicas != *d.Spec.Replicas {
			return fmt.Errorf("Deployment %s has %d of %d pods", name, d.Status.AvailableReplicas, *d.Spec.Replicas)
		}
		return nil
	})
}

func TestAChangeOfTheWorkloadIsAnUpdate(t *testing.T) {
	w := newWorld(t)
	watch := w.watch("web")
	w.apply(deployment("web", 0, "v1"), referring("web", 2, "Deployment"))
	first := w.until("web", healthy, of("1")).Status.StableRS
	w.release("web", "v2")
	if code, out, _ := w.plugin("status", "web"); code != 5 {
		t.Errorf("status ends with %d right after a release, want 5: it waits for a person\n%s", code, out)
	}
	ro := w.until("web", phase(v1alpha1.RolloutPhasePaused), atStep(1), because("PausedByStep"), of("2"))
	if ro.Status.StableRS != first || ro.Annotations[v1alpha1.RevisionAnnotation] != "2" {
		t.Errorf("revision %s: %s", ro.Annotations[v1alpha1.RevisionAnnotation], brief(ro))
	}
	if !ro.Spec.Template.Empty() || ro.Spec.Selector != nil {
		t.Errorf("the template or the selector was written into the Rollout: %+v %+v", ro.Spec.Template, ro.Spec.Selector)
	}
	for _, rs := range w.replicaSets("web") {
		if _, copied := rs.Annotations[v1alpha1.WorkloadGenerationAnnotation]; copied {
			t.Errorf("ReplicaSet %s carries the generation of the workload", rs.Name)
		}
	}
	if shown := w.run("get", "rollout", "web"); !strings.Contains(shown, "example.com/web:v2") || !strings.Contains(shown, "PausedByStep") && !strings.Contains(shown, "waits for a person") {
		t.Errorf("get rollout does not show the update:\n%s", shown)
	}
	w.run("promote", "web")
	w.until("web", healthy)

	w.patch(&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "web"}}, `{"spec":{"revisionHistoryLimit":3}}`)
	w.until("web", healthy, of("3")) // Another generation is no update.
	revisions := map[string]bool{}
	for _, c := range watch.History(t).Of(observer.ReplicaSet) {
		if c.Object.GetLabels()[v1alpha1.PodTemplateHashLabel] != "" {
			revisions[c.Name] = true
		}
	}
	if len(revisions) != 2 {
		t.Errorf("there were the ReplicaSets %v, want 2", revisions)
	}
}

// A Deployment that was deleted and made again counts its generations anew.
func TestAWorkloadThatWasMadeAgainIsLookedAt(t *testing.T) {
	w := newWorld(t)
	w.apply(deployment("web", 0, "v1"), referring("web", 1, "Deployment"))
	first := w.until("web", healthy, of("1")).Status.StableRS
	own := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "web"}}
	if err := w.client.Delete(t.Context(), own); err != nil {
		t.Fatal(err)
	}
	w.until("web", phase(v1alpha1.RolloutPhaseDegraded), because("InvalidSpec", `there is no Deployment "web" in this namespace`))
	if pods := w.podsOf(first); len(pods) != 1 {
		t.Errorf("%d pods are left without the workload, want 1", len(pods))
	}
	w.apply(deployment("web", 0, "v2"))
	ro := w.until("web", phase(v1alpha1.RolloutPhasePaused), of("1"))
	if ro.Status.StableRS != first || ro.Status.CurrentPodHash == first {
		t.Errorf("not an update: %s", brief(ro))
	}
}

func TestTemplatesComeFromEveryKindOfWorkload(t *testing.T) {
	t.Parallel()
	const template = `template:
  metadata: {labels: {app: web}}
  spec: {containers: [{name: web, image: "example.com/web:v1"}]}
`
	replicaSet := "---\napiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: web}\nspec:\n  replicas: 0\n  selector: {matchLabels: {app: web}}\n  " +
		strings.ReplaceAll(strings.TrimSpace(template), "\n", "\n  ")
	for name, c := range map[string]struct{ workload, rollout string }{
		"a ReplicaSet":  {replicaSet, referring("web", 1, "ReplicaSet")},
		"a PodTemplate": {"---\napiVersion: v1\nkind: PodTemplate\nmetadata: {name: web}\n" + template, referring("web", 1, "PodTemplate", "selector: {matchLabels: {app: web}}")},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.apply(c.rollout) // The workload comes later.
			w.until("web", phase(v1alpha1.RolloutPhaseDegraded), because("InvalidSpec", `"web" in this namespace`))
			w.apply(c.workload)
			first := w.until("web", healthy, of("1")).Status.StableRS
			w.apply(strings.Replace(c.workload, "web:v1", "web:v2", 1))
			w.until("web", phase(v1alpha1.RolloutPhasePaused), of("2"))
			w.run("abort", "web")
			if ro := w.until("web", phase(v1alpha1.RolloutPhaseDegraded)); ro.Status.StableRS != first {
				t.Error(brief(ro))
			}
		})
	}
}

func TestAWrongWorkloadIsToldAndNothingIsDone(t *testing.T) {
	w := newWorld(t)
	template := "template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: a}]}}"
	w.apply(deployment("web", 0, "v1"), deployment("both", 0, "v1"),
		strings.Replace(referring("web", 1, "Deployment"), "kind: Deployment", "kind: StatefulSet", 1),
		referring("both", 1, "Deployment", template),
		"---\napiVersion: v1\nkind: PodTemplate\nmetadata: {name: ends}\ntemplate:\n  metadata: {labels: {app: ends}}\n  spec: {restartPolicy: Never, containers: [{name: a, image: a}]}",
		referring("ends", 1, "PodTemplate", "selector: {matchLabels: {app: ends}}"))
	for name, says := range map[string]string{
		"web":  "only a Deployment or ReplicaSet of apps/v1 or a PodTemplate of v1 has a template to take",
		"both": "the pods come from workloadRef: remove the template or workloadRef",
		"ends": "its template.spec.restartPolicy cannot be used",
	} {
		w.until(name, phase(v1alpha1.RolloutPhaseDegraded), because("InvalidSpec", says))
	}
	if made := w.replicaSets(""); slices.ContainsFunc(made, func(rs appsv1.ReplicaSet) bool { return rs.Labels[v1alpha1.PodTemplateHashLabel] != "" }) {
		t.Errorf("ReplicaSets were made: %v", made)
	}
}

// At every moment there are as many ready pods as there were, whoever owns them.
func TestADeploymentIsReplacedByReferenceAndBroughtBack(t *testing.T) {
	t.Parallel()
	for _, way := range []string{v1alpha1.ScaleDownNever, v1alpha1.ScaleDownOnSuccess, v1alpha1.ScaleDownProgressively} {
		t.Run(way, func(t *testing.T) {
			w := newWorld(t)
			const replicas = 5
			w.apply(deployment("web", replicas, "v1"))
			w.available("web")
			pods := w.count("web")
			kube.Eventually(t, within, func() error {
				if pods.from(); pods.fewest != replicas {
					return errors.New("the pods were not counted yet")
				}
				return nil
			})

			w.apply(scalingDown("web", replicas, way))
			w.until("web", healthy)
			if way == v1alpha1.ScaleDownNever {
				if size := w.sizeOf("web"); size != replicas {
					t.Errorf("the Deployment was scaled to %d", size)
				}
				w.patch(&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "web"}}, `{"spec":{"replicas":0}}`)
			}
			w.available("web") // With no pods, all of them are.
			kube.Eventually(t, within, func() error {
				if size := w.sizeOf("web"); size != 0 {
					return fmt.Errorf("the Deployment still has %d pods", size)
				}
				return nil
			})
			w.until("web", healthy, of(fmt.Sprint(w.deployment("web").Generation)))

			// And back: the Rollout leaves alone what a person scales up.
			w.patch(&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "web"}}, fmt.Sprintf(`{"spec":{"replicas":%d}}`, replicas))
			w.available("web")
			w.until("web", healthy, of(fmt.Sprint(w.deployment("web").Generation)))
			if err := w.client.Delete(t.Context(), &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "web"}},
				client.PropagationPolicy(metav1.DeletePropagationForeground)); err != nil {
				t.Fatal(err)
			}
			w.gone("web")
			w.available("web")
			if fewest, most := pods.bounds(); fewest < replicas || most > 2*replicas {
				t.Errorf("between %d and %d pods were ready, want %d to %d", fewest, most, replicas, 2*replicas)
			}
		})
	}
}

// gone waits until a Rollout is.
func (w *world) gone(name string) {
	w.Helper()
	kube.Eventually(w, within, func() error {
		if _, err := w.rollout(name); !apierrors.IsNotFound(err) {
			return fmt.Errorf("the Rollout is still there: %w", err)
		}
		return nil
	})
}

// A first revision whose pods cannot start takes nothing from the Deployment.
// With room for one pod more, all of them are replaced, one after another.
func TestADeploymentKeepsWhatTheRolloutCannotReplace(t *testing.T) {
	w := newWorld(t)
	quota := func(pods int) {
		w.apply(fmt.Sprintf("---\napiVersion: v1\nkind: ResourceQuota\nmetadata: {name: pods}\nspec: {hard: {pods: %q}}", fmt.Sprint(pods)))
	}
	w.apply(deployment("web", 3, "v1"))
	w.available("web")
	quota(3)
	kube.Eventually(t, within, func() error {
		q := &corev1.ResourceQuota{}
		if err := w.client.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: "pods"}, q); err != nil {
			return err
		}
		if used := q.Status.Used.Pods(); used.Value() != 3 {
			return fmt.Errorf("the quota counts %d pods", used.Value())
		}
		return nil
	})
	pods := w.count("web")
	w.apply(scalingDown("web", 3, v1alpha1.ScaleDownProgressively))
	w.until("web", phase(v1alpha1.RolloutPhaseProgressing), because("PodsCannotBeCreated", "quota"))
	pods.from()
	if size := w.sizeOf("web"); size != 3 {
		t.Errorf("the Deployment was scaled to %d", size)
	}
	quota(4)
	w.until("web", healthy)
	kube.Eventually(t, within, func() error {
		if size := w.sizeOf("web"); size != 0 {
			return fmt.Errorf("the Deployment still has %d pods", size)
		}
		return nil
	})
	if fewest, most := pods.bounds(); fewest < 3 || most > 4 {
		t.Errorf("between %d and %d pods were ready, want 3 and 4", fewest, most)
	}
}

// An apps/v1 Deployment keeps its ReplicaSets whatever selector a Rollout has.
func TestAConvertedManifestLeavesTheDeploymentAlone(t *testing.T) {
	w := newWorld(t)
	w.apply(deployment("web", 2, "v1"))
	w.available("web")
	before := w.replicaSets("web")
	w.apply(manifest.Canary{Replicas: "2"}.All())
	w.until("web", healthy)
	for _, rs := range w.replicaSets("web") {
		if owner := metav1.GetControllerOf(&rs); owner.Kind == "Deployment" && (rs.UID != before[0].UID || ptr.Deref(rs.Spec.Replicas, 1) != 2) {
			t.Errorf("ReplicaSet %s was changed: %+v", rs.Name, rs.Spec)
		}
	}
	if size := w.sizeOf("web"); size != 2 {
		t.Errorf("the Deployment was scaled to %d", size)
	}
}

// requests counts what a controller asks of the API server, Leases and discovery aside.
type requests struct {
	mu   sync.Mutex
	seen []string
}

func (r *requests) ofWorkloads() (all, ofWorkloads []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range r.seen {
		if strings.Contains(one, "/deployments") || strings.Contains(one, "/podtemplates") {
			ofWorkloads = append(ofWorkloads, one)
		}
	}
	return slices.Clone(r.seen), ofWorkloads
}

// A workload costs a watch of metadata once some Rollout refers to one, a read
// for each of its changes, and nothing at rest.
func TestWorkloadsCostNothingUntilTheyAreReferredTo(t *testing.T) {
	w := newWorld(t)
	asked := &requests{}
	meddler := network.NewMeddler(w, w.cluster.Config)
	counting := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, in *http.Request) {
		asked.mu.Lock()
		asked.seen = append(asked.seen, in.Method+" "+in.URL.Path+" "+in.URL.Query().Get("watch")+" "+in.Header.Get("Accept"))
		asked.mu.Unlock()
		meddler.ServeHTTP(out, in)
	}))
	t.Cleanup(func() { counting.CloseClientConnections(); counting.Close() })
	headway.Start(w, headway.Options{
		Kubeconfig: network.Kubeconfig(w, w.cluster.Kubeconfig, counting.URL), Args: []string{"--instance-id", w.namespace},
	})
	mine := func(text string) string {
		return strings.Replace(text, "metadata: {name: web}", "metadata: {name: web, labels: {argo-rollouts.argoproj.io/controller-instance-id: "+w.namespace+"}}", 1)
	}
	w.apply(manifest.Canary{Name: "other", Replicas: "1", InstanceID: w.namespace}.All())
	w.until("other", healthy)
	if _, of := asked.ofWorkloads(); len(of) > 0 {
		t.Errorf("without a reference it asked for %q", of)
	}
	w.apply(deployment("web", 0, "v1"), mine(referring("web", 1, "Deployment")))
	w.until("web", healthy, of("1"))
	for range 3 { // The cache of metadata is filled soon after.
		w.patch(&v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: "web"}}, `{"spec":{"progressDeadlineSeconds":700}}`)
		w.until("web", healthy)
	}
	_, before := asked.ofWorkloads()
	for i := range 5 { // Looking at the Rollout again asks nothing.
		w.patch(&v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: "web"}}, fmt.Sprintf(`{"spec":{"progressDeadlineSeconds":%d}}`, 800+i))
		w.until("web", healthy)
	}
	if _, after := asked.ofWorkloads(); len(after) != len(before) {
		t.Errorf("without a change of the workload it asked for %q", after[len(before):])
	}
	for _, one := range before {
		if list := strings.HasSuffix(strings.Fields(one)[1], "/deployments"); list && !strings.Contains(one, "PartialObjectMetadata") {
			t.Errorf("it asked for the bodies of all Deployments: %s", one)
		}
	}
	w.release("web", "v2")
	w.until("web", phase(v1alpha1.RolloutPhasePaused), of("2"))
	_, after := asked.ofWorkloads()
	if read := len(after) - len(before); read != 1 {
		t.Errorf("a change took %d requests, want 1: %q", read, after[len(before):])
	}
}
