package e2e

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/test/e2e/manifest"
	"github.com/headway-rollouts/headway/test/kube"
)

// cascadeOrphan deletes a Rollout and leaves what it owns.
func (w *world) cascadeOrphan(name string) {
	w.Helper()
	own := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name}}
	if err := w.client.Delete(w.Context(), own, client.PropagationPolicy(metav1.DeletePropagationOrphan)); err != nil {
		w.Fatal(err)
	}
	w.gone(name)
}

func TestARolloutThatIsAppliedAgainTakesItsPodsOver(t *testing.T) {
	t.Parallel()
	for name, canary := range map[string]manifest.Canary{
		"with NGINX":     {Steps: half, Strategy: []string{quickEnd}},
		"with its steps": {Steps: "[{setWeight: 25}, {pause: {}}]", Strategy: []string{quickEnd}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			watch := w.watch()
			w.apply(canary.All())
			w.until("web", healthy)
			w.release("web", "v2")
			w.until("web", phase(v1alpha1.RolloutPhasePaused), because("PausedByStep"))
			w.run("promote", "web", "--full", "-y")
			hash := w.until("web", healthy).Status.StableRS
			for _, rs := range w.replicaSets("web") {
				if rs.Labels[v1alpha1.PodTemplateHashLabel] != hash {
					w.emptied("web", rs.Labels[v1alpha1.PodTemplateHashLabel])
				}
			}
			w.until("web", healthy, because("Healthy"))
			pods := w.podsOf(hash)
			w.cascadeOrphan("web")
			for _, rs := range w.replicaSets("") {
				if metav1.GetControllerOf(&rs) != nil {
					t.Errorf("ReplicaSet %s was taken back while the Rollout was being deleted", rs.Name)
				}
			}
			before := watch.History(t).Last()
			canary.Tag = "v2"
			w.apply(canary.Rollout())
			ro := w.until("web", healthy, because("Healthy"), current(hash))
			if ro.Annotations[v1alpha1.RevisionAnnotation] != "2" || ro.Status.CollisionCount != nil {
				t.Errorf("revision %s: %s", ro.Annotations[v1alpha1.RevisionAnnotation], brief(ro))
			}
			if got := w.podsOf(hash); !cmp.Equal(pods, got) {
				t.Errorf("pods were replaced (-before +after):\n%s", cmp.Diff(pods, got))
			}
			if all := w.replicaSets("web"); len(all) != 2 {
				t.Errorf("it has %d ReplicaSets, want the 2 that were left", len(all))
			}
			for _, c := range watch.History(t).Since(before) {
				if c.Kind == "Service" {
					t.Errorf("Service %s was written", c.Name)
				}
			}
			if got := weights(watch.History(t), "web-web-canary"); got[len(got)-1] != "0" {
				t.Errorf("weights %v", got)
			}
		})
	}
}

func TestARolloutThatIsAppliedAgainInAnUpdateGoesOnWithIt(t *testing.T) {
	w := newWorld(t)
	watch := w.watch()
	canary := manifest.Canary{Steps: half, Strategy: []string{quickAbort, quickEnd}}
	first, second := w.halfway(canary)
	pods := slices.Concat(w.podsOf(first), w.podsOf(second))
	w.cascadeOrphan("web")
	canary.Tag = "v2"
	w.apply(canary.Rollout())
	ro := w.until("web", phase(v1alpha1.RolloutPhasePaused), atStep(1), current(second))
	if ro.Status.StableRS != first {
		t.Error(brief(ro))
	}
	if got := slices.Concat(w.podsOf(first), w.podsOf(second)); !cmp.Equal(pods, got) {
		t.Errorf("pods were replaced (-before +after):\n%s", cmp.Diff(pods, got))
	}
	if want, got := []string{"0", "50"}, weights(watch.History(t), "web-web-canary"); !cmp.Equal(want, got) {
		t.Errorf("weights (-want +got):\n%s", cmp.Diff(want, got))
	}
	w.run("abort", "web")
	w.isBack(w.until("web", phase(v1alpha1.RolloutPhaseDegraded)), first)
}

// Two Rollouts whose selectors are the same do not take each other's ReplicaSets.
func TestRolloutsOfOneSelectorAdoptWhatHasTheirName(t *testing.T) {
	w := newWorld(t)
	rollout := func(name, tag string) string {
		return fmt.Sprintf(`---
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: %s}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  strategy: {canary: {}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: "example.com/web:%s"}]}}
`, name, tag)
	}
	w.apply(rollout("a", "v1"), rollout("b", "v2"))
	hashes := map[string]string{}
	for _, name := range []string{"a", "b"} {
		hashes[name] = w.until(name, healthy).Status.StableRS
	}
	w.cascadeOrphan("a")
	// Something that b sees and acts on, after a is gone.
	w.patch(named("b"), `{"spec":{"replicas":2}}`)
	w.until("b", healthy)
	pods := w.podsOf(hashes["a"])
	if len(pods) != 1 {
		t.Errorf("%d pods of a are left", len(pods))
	}
	w.apply(rollout("a", "v1"))
	w.until("a", healthy, current(hashes["a"]))
	if got := w.podsOf(hashes["a"]); !cmp.Equal(pods, got) {
		t.Errorf("pods were replaced (-before +after):\n%s", cmp.Diff(pods, got))
	}
}

// A ReplicaSet whose labels were changed is given up with its pods.
func TestAReplicaSetThatIsNotSelectedIsReleased(t *testing.T) {
	w := newWorld(t)
	first, _ := w.halfway(manifest.Canary{})
	w.run("promote", "web")
	w.until("web", healthy, because("Healthy"))
	w.emptied("web", first)
	old := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: "web-" + first}}
	w.patch(old, `{"metadata":{"labels":{"app":"another"}}}`)
	kube.Eventually(t, within, func() error {
		for _, rs := range w.replicaSets("web") {
			if rs.Name == old.Name {
				return errors.New("it still belongs to the Rollout")
			}
		}
		return nil
	})
	w.patch(old, `{"metadata":{"labels":{"app":"web"}}}`)
	kube.Eventually(t, within, func() error {
		for _, rs := range w.replicaSets("web") {
			if rs.Name == old.Name {
				return nil
			}
		}
		return errors.New("it was not adopted again")
	})
	w.until("web", healthy, because("Healthy"))
}
