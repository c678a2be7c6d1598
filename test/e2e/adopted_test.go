package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/test/e2e/headway"
	"github.com/headway-rollouts/headway/test/e2e/manifest"
	"github.com/headway-rollouts/headway/test/faults/network"
	"github.com/headway-rollouts/headway/test/faults/observer"
	"github.com/headway-rollouts/headway/test/kube"
)

// adoption is a Rollout called web in the middle of something, which another
// controller left and this one takes over.
type adoption struct {
	// manifests are what a user applied, for the controller of an instance id.
	manifests func(id string) string
	// bring leads from the first revision to the moment that is recorded.
	bring func(*world)
	// code is what status.why says once it is taken over.
	code string
	// goesOn is how the story ends.
	goesOn func(*world, *prometheus)
}

const (
	rarely = "interval: 5s"
)

// plain is a Rollout without routes, with its strategy as YAML in flow style.
func plain(strategy string) func(string) string {
	return func(id string) string {
		return fmt.Sprintf(`---
apiVersion: v1
kind: Service
metadata: {name: web-active}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: web-preview}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: web, labels: {argo-rollouts.argoproj.io/controller-instance-id: %s}}
spec:
  replicas: 4
  selector: {matchLabels: {app: web}}
  strategy: %s
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "example.com/web:v1"}]}
`, id, strategy)
	}
}

// behindNGINX is a canary with routes, with more lines of its strategy.
func behindNGINX(steps string, strategy ...string) func(string) string {
	return func(id string) string {
		return manifest.Canary{Steps: steps, Strategy: strategy, InstanceID: id}.All()
	}
}

func measured(manifests func(string) string) func(string) string {
	return func(id string) string {
		return manifest.Metric{Fields: []string{rarely, "successCondition: result[0] >= 0.95", "failureLimit: 1"}, InstanceID: id}.YAML() + manifests(id)
	}
}

const (
	byHand   = "{blueGreen: {activeService: web-active, previewService: web-preview, autoPromotionEnabled: false, scaleDownDelaySeconds: 1}}"
	byNumber = "{canary: {maxSurge: 1, maxUnavailable: 0, steps: [{setWeight: 50}, {pause: {}}]}}"
)

// adoptions are the moments, by the names of their files in testdata/adoption.
var adoptions = map[string]adoption{
	"canary-paused": {
		behindNGINX(half, quickEnd), untilPaused, "PausedByStep",
		func(w *world, _ *prometheus) {
			w.resized(6, atStep(1), weighs(50))
			w.reapplied("v2", atStep(1), weighs(50))
			w.promoted()
		},
	},
	"canary-paused-for-an-hour": {
		behindNGINX("[{setWeight: 50}, {pause: {duration: 1h}}]", quickEnd), untilPaused, "PausedForTime",
		func(w *world, _ *prometheus) {
			ro := w.until("web", atStep(1))
			if ends, want := ro.Status.Why.Next.At, ro.Status.PauseConditions[0].StartTime.Add(time.Hour); !ends.Time.Equal(want) {
				w.Errorf("the pause ends at %s, want %s", ends, want)
			}
			w.promoted()
		},
	},
	"canary-aborted": {
		behindNGINX(half, quickAbort, quickEnd), func(w *world) {
			untilPaused(w)
			w.run("abort", "web")
			w.emptied("web", w.until("web", phase(v1alpha1.RolloutPhaseDegraded), weighs(0)).Status.CurrentPodHash)
		}, "Aborted", retried,
	},
	// The other controller never rests here: it points the canary Service back
	// and forth as long as the aborted pods run.
	restless: {
		behindNGINX(half, "abortScaleDownDelaySeconds: 600", quickEnd), func(w *world) {
			untilPaused(w)
			w.run("abort", "web")
			w.until("web", phase(v1alpha1.RolloutPhaseDegraded), weighs(0))
		}, "Aborted", retried,
	},
	"canary-promoted": {
		behindNGINX(half, "scaleDownDelaySeconds: 600"), func(w *world) {
			untilPaused(w)
			w.run("promote", "web")
			w.until("web", healthy, weighs(0))
		}, "ScalingDownOldRevision",
		func(w *world, _ *prometheus) {
			w.release("web", "v3")
			w.until("web", phase(v1alpha1.RolloutPhasePaused), atStep(1), weighs(50))
			w.promoted()
		},
	},
	"canary-measured": {
		measured(behindNGINX(half, background, quickEnd, quickAbort)), untilPaused, "PausedByStep",
		func(w *world, metric *prometheus) {
			metric.say(value("0.5"))
			w.until("web", phase(v1alpha1.RolloutPhaseDegraded), because("AbortedByAnalysis", "success-rate"), weighs(0))
			metric.say(value("0.99"))
			w.run("retry", "rollout", "web")
			w.until("web", phase(v1alpha1.RolloutPhasePaused), atStep(1), weighs(50))
			w.promoted()
		},
	},
	"canary-held-by-its-user": {
		behindNGINX(half, quickEnd), func(w *world) {
			w.patch(named("web"), `{"spec":{"paused":true}}`)
			w.release("web", "v2")
			w.until("web", phase(v1alpha1.RolloutPhasePaused), atStep(0), counts(4, 0))
		}, "PausedByUser",
		func(w *world, _ *prometheus) {
			w.patch(named("web"), `{"spec":{"paused":false}}`)
			w.until("web", phase(v1alpha1.RolloutPhasePaused), atStep(1), weighs(50))
			w.promoted()
		},
	},
	"basic-paused": {
		plain(byNumber), untilPaused, "PausedByStep",
		func(w *world, _ *prometheus) {
			w.resized(6, atStep(1), counts(6, 3))
			w.promoted()
		},
	},
	"bluegreen-paused": {
		plain(byHand), func(w *world) {
			w.release("web", "v2")
			w.until("web", phase(v1alpha1.RolloutPhasePaused))
		}, "PausedByStep",
		func(w *world, _ *prometheus) {
			w.resized(6, phase(v1alpha1.RolloutPhasePaused))
			w.promoted()
			if active := w.selects("web-active"); active != w.until("web", healthy).Status.CurrentPodHash {
				w.Errorf("the active Service selects %s", active)
			}
		},
	},
	"bluegreen-aborted": {
		plain(strings.Replace(byHand, "scaleDownDelaySeconds: 1", "abortScaleDownDelaySeconds: 600", 1)), func(w *world) {
			w.release("web", "v2")
			w.until("web", phase(v1alpha1.RolloutPhasePaused))
			w.run("abort", "web")
			w.until("web", phase(v1alpha1.RolloutPhaseDegraded))
		}, "Aborted",
		func(w *world, _ *prometheus) {
			w.run("retry", "rollout", "web")
			w.until("web", phase(v1alpha1.RolloutPhasePaused))
			w.promoted()
		},
	},
}

const restless = "canary-aborted-and-restless"

// retried is how the story of an abort ends: scaling does not begin it again, a person does.
func retried(w *world, _ *prometheus) {
	w.resized(6, phase(v1alpha1.RolloutPhaseDegraded), weighs(0))
	w.run("retry", "rollout", "web")
	w.until("web", phase(v1alpha1.RolloutPhasePaused), atStep(1), weighs(50))
	w.promoted()
}

func untilPaused(w *world) {
	w.release("web", "v2")
	w.until("web", phase(v1alpha1.RolloutPhasePaused), atStep(1))
}

// weighs asks for the weight of the canary in the status.
func weighs(weight int32) func(*v1alpha1.Rollout) error {
	return func(ro *v1alpha1.Rollout) error {
		if weights := ro.Status.Canary.Weights; weights == nil || weights.Canary.Weight != weight {
			return fmt.Errorf("the canary has no weight %d", weight)
		}
		return nil
	}
}

// resized changes spec.replicas, which is another generation and must be no other update.
func (w *world) resized(replicas int, want ...func(*v1alpha1.Rollout) error) {
	w.Helper()
	w.sameUpdate(fmt.Sprintf(`{"spec":{"replicas":%d}}`, replicas), append(want, func(*v1alpha1.Rollout) error { return w.whole(replicas) })...)
}

// reapplied writes the template as a user did, without what the other
// controller added when it stored the Rollout.
func (w *world) reapplied(tag string, want ...func(*v1alpha1.Rollout) error) {
	w.Helper()
	w.sameUpdate(fmt.Sprintf(`{"spec":{"template":{"metadata":{"creationTimestamp":null},
		"spec":{"containers":[{"name":"web","image":"example.com/web:%s"}]}}}}`, tag), want...)
}

// sameUpdate changes the spec, which must leave the update under way as it is.
func (w *world) sameUpdate(patch string, want ...func(*v1alpha1.Rollout) error) {
	w.Helper()
	before, err := w.rollout("web")
	if err != nil {
		w.Fatal(err)
	}
	w.patch(named("web"), patch)
	after := w.until("web", want...)
	if after.Generation == before.Generation {
		w.Errorf("%s changed nothing", patch)
	}
	for what, same := range map[string]bool{
		"the current revision": before.Status.CurrentPodHash == after.Status.CurrentPodHash,
		"the steps":            before.Status.CurrentStepHash == after.Status.CurrentStepHash,
		"the abort":            before.Status.Abort == after.Status.Abort,
	} {
		if !same {
			w.Errorf("%s changed %s: %s", patch, what, brief(after))
		}
	}
}

// whole reports why the pods of all revisions are not at least so many, or nil.
func (w *world) whole(replicas int) error {
	available := 0
	for _, rs := range w.replicaSets("web") {
		available += int(rs.Status.AvailableReplicas)
		if rs.Status.AvailableReplicas != ptr.Deref(rs.Spec.Replicas, 1) {
			return fmt.Errorf("ReplicaSet %s has %d pods", rs.Name, rs.Status.AvailableReplicas)
		}
	}
	if available < replicas {
		return fmt.Errorf("%d of %d pods", available, replicas)
	}
	return nil
}

// promoted promotes until the update is done.
func (w *world) promoted() {
	w.Helper()
	w.run("promote", "web")
	w.until("web", healthy)
}

var timestamp = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`)

// left reads a recorded moment, with its times as if it were recorded now.
func left(t *testing.T, name string) []unstructured.Unstructured {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "adoption", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	head, body, _ := strings.Cut(string(data), "\n---\n")
	at, err := time.Parse(time.RFC3339, timestamp.FindString(head))
	if err != nil {
		t.Fatal(err)
	}
	since := time.Since(at).Truncate(time.Second)
	body = timestamp.ReplaceAllStringFunc(body, func(text string) string {
		then, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Error(err)
		}
		return then.Add(since).UTC().Format(time.RFC3339)
	})
	var objects []unstructured.Unstructured
	for _, doc := range strings.Split(body, "\n---\n") {
		var obj unstructured.Unstructured
		if err := yaml.Unmarshal([]byte(doc), &obj.Object); err != nil {
			t.Fatal(err)
		}
		objects = append(objects, obj)
	}
	return objects
}

// restore makes the objects of a moment again, for the controller of this test
// alone. Pods run before a Service selects them, and the status comes last, as if
// it had all happened.
func (w *world) restore(name string) {
	w.Helper()
	objects := left(w.T, name)
	ro := &objects[0]
	status := ro.Object["status"].(map[string]any)
	delete(ro.Object, "status")
	w.create(ro, nil)
	for _, revisions := range []bool{true, false} {
		for i := range objects[1:] {
			if obj := &objects[i+1]; (obj.GetKind() == "ReplicaSet") == revisions {
				w.create(obj, ro)
			}
		}
		kube.Eventually(w, within, func() error { return w.whole(4) })
	}
	status["observedGeneration"] = fmt.Sprint(ro.GetGeneration())
	body, err := json.Marshal(map[string]any{"status": status})
	if err != nil {
		w.Fatal(err)
	}
	w.patchStatus("web", string(body))
}

func (w *world) create(obj, owner *unstructured.Unstructured) {
	w.Helper()
	obj.SetNamespace(w.namespace)
	if obj.GroupVersionKind().Group == v1alpha1.GroupVersion.Group {
		labels := obj.GetLabels()
		if labels == nil {
			labels = map[string]string{}
		}
		labels[v1alpha1.InstanceIDLabel] = w.namespace
		obj.SetLabels(labels)
	}
	owners := obj.GetOwnerReferences()
	for i := range owners {
		owners[i].UID = owner.GetUID()
	}
	if len(owners) > 0 {
		obj.SetOwnerReferences(owners)
	}
	if err := w.client.Create(w.Context(), obj); err != nil {
		w.Fatal(err)
	}
}

// meaning is what a status tells its readers, without what only this controller
// says and without the condition Paused, which others leave behind after a pause.
func meaning(st v1alpha1.RolloutStatus) v1alpha1.RolloutStatus {
	st.Why, st.Duration = nil, nil
	st.Conditions = slices.DeleteFunc(slices.Clone(st.Conditions), func(c v1alpha1.RolloutCondition) bool { return c.Type == v1alpha1.RolloutPaused })
	for i := range st.Conditions {
		st.Conditions[i].LastUpdateTime = metav1.Time{}
	}
	slices.SortFunc(st.Conditions, func(a, b v1alpha1.RolloutCondition) int { return strings.Compare(string(a.Type), string(b.Type)) })
	return st
}

// allPods are the UIDs of all pods of the namespace, sorted.
func (w *world) allPods() []string {
	w.Helper()
	var list corev1.PodList
	if err := w.client.List(w.Context(), &list, client.InNamespace(w.namespace)); err != nil {
		w.Fatal(err)
	}
	var ids []string
	for i := range list.Items {
		ids = append(ids, string(list.Items[i].UID))
	}
	slices.Sort(ids)
	return ids
}

// statusWrites is how often the status may be written when a Rollout is taken over.
const statusWrites = 1

// TestAnotherControllersUpdateGoesOn takes over a Rollout at each moment that
// was recorded: no pod comes or goes, no traffic moves, the status means what it
// meant, and the story ends as it should.
func TestAnotherControllersUpdateGoesOn(t *testing.T) {
	t.Parallel()
	for name, c := range adoptions {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			metric := newPrometheus(t, value("0.99"))
			w.restore(name)
			watch := w.watch("web")
			before, err := w.rollout("web")
			if err != nil {
				t.Fatal(err)
			}
			pods, version := w.allPods(), watch.History(t).Last()

			meddler := network.NewMeddler(w, w.cluster.Config)
			meddler.Lose(w.namespace, 0, network.Unsent)
			headway.Start(w, headway.Options{
				Kubeconfig: network.Kubeconfig(w, w.cluster.Kubeconfig, meddler.Address), Args: []string{"--instance-id", w.namespace},
				Env: []string{"ARGO_ROLLOUTS_PROMETHEUS_ADDRESS=" + metric.URL},
			})
			after := w.until("web", because(c.code))
			w.quiet(watch)

			if diff := cmp.Diff(meaning(before.Status), meaning(after.Status)); diff != "" {
				t.Errorf("the status means something else (-before +after):\n%s", diff)
			}
			if diff := cmp.Diff(pods, w.allPods()); diff != "" {
				t.Errorf("pods came or went (-before +after):\n%s", diff)
			}
			points := 0
			if name == restless {
				points = 1 // wherever it was left
			}
			w.onlyTold(watch.History(t).Since(version), meddler.Writes(), points)
			c.goesOn(w, metric)
		})
	}
}

// onlyTold checks that nothing was written but the status, what was measured
// and, as often as it may, the canary Service.
func (w *world) onlyTold(changes observer.History, writes []network.Write, points int) {
	w.Helper()
	for _, c := range changes {
		service := c.Kind == observer.Service && points > 0
		if c.Kind != observer.Rollout && c.Kind != observer.AnalysisRun && !service {
			w.Errorf("%s %s was changed at version %d", c.Kind, c.Name, c.Version)
		}
	}
	statuses := 0
	for _, write := range writes {
		switch {
		case !strings.Contains(write.Path, "/namespaces/"+w.namespace+"/"):
			// Routes of another test's Rollout, which is gone: whoever sees that gives them back.
		case strings.HasSuffix(write.Path, "/rollouts/web/status"):
			statuses++
		case strings.HasSuffix(write.Path, "/services/web-canary") && points > 0:
			points--
		case write.Method == "PATCH" && strings.Contains(write.Path, "/analysisruns/web-"):
		default:
			w.Errorf("it wrote %s", write)
		}
	}
	if statuses > statusWrites {
		w.Errorf("the status was written %d times, want at most %d", statuses, statusWrites)
	}
}
