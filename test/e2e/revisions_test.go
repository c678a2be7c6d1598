package e2e

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/test/e2e/manifest"
	"github.com/headway-rollouts/headway/test/kube"
)

// half is an update that waits for a person with half of the traffic.
const half = "[{setWeight: 50}, {pause: {}}, {setWeight: 80}]"

// halfway brings a Rollout of v1 to the pause of its update to v2.
func (w *world) halfway(canary manifest.Canary) (stable, tried string) {
	w.Helper()
	if canary.Steps == "" {
		canary.Steps = half
	}
	canary.Strategy = append(canary.Strategy, quickAbort, quickEnd)
	w.apply(canary.All())
	stable = w.until("web", healthy).Status.StableRS
	w.release("web", "v2")
	return stable, w.until("web", phase(v1alpha1.RolloutPhasePaused), atStep(1), because("PausedByStep")).Status.CurrentPodHash
}

func TestAThirdRevisionTakesThePlaceOfTheSecond(t *testing.T) {
	w := newWorld(t)
	watch := w.watch("web")
	first, second := w.halfway(manifest.Canary{})
	w.release("web", "v3")
	ro := w.until("web", phase(v1alpha1.RolloutPhasePaused), atStep(1), current(w.third(first, second)))
	third := ro.Status.CurrentPodHash
	if ro.Status.StableRS != first || w.selects("web-canary") != third {
		t.Errorf("the canary Service selects %s: %s", w.selects("web-canary"), brief(ro))
	}
	w.emptied("web", second)
	w.run("promote", "web")
	if done := w.until("web", healthy); done.Status.StableRS != third || done.Annotations[v1alpha1.RevisionAnnotation] != "3" {
		t.Errorf("revision %s: %s", done.Annotations[v1alpha1.RevisionAnnotation], brief(done))
	}
	if want, got := []string{"0", "50", "0", "50", "80", "0"}, weights(watch.History(t), "web-web-canary"); !cmp.Equal(want, got) {
		t.Errorf("weights (-want +got):\n%s", cmp.Diff(want, got))
	}
	w.madeOnce(watch, 3)
}

// third is the hash of the only revision beside two others; it waits until there is one.
func (w *world) third(first, second string) string {
	w.Helper()
	var hash string
	kube.Eventually(w, within, func() error {
		for _, rs := range w.replicaSets("web") {
			if hash = rs.Labels[v1alpha1.PodTemplateHashLabel]; hash != first && hash != second {
				return nil
			}
		}
		return errors.New("there is no third ReplicaSet")
	})
	return hash
}

// current asks for a current revision.
func current(hash string) func(*v1alpha1.Rollout) error {
	return func(ro *v1alpha1.Rollout) error {
		if ro.Status.CurrentPodHash != hash {
			return fmt.Errorf("%s is not current", hash)
		}
		return nil
	}
}

// emptied waits until a revision has no pods.
func (w *world) emptied(rollout, hash string) {
	w.Helper()
	kube.Eventually(w, within, func() error {
		for _, rs := range w.replicaSets(rollout) {
			if rs.Labels[v1alpha1.PodTemplateHashLabel] == hash && (ptr.Deref(rs.Spec.Replicas, 1) > 0 || rs.Status.Replicas > 0) {
				return fmt.Errorf("ReplicaSet %s has %d of %d pods", rs.Name, rs.Status.Replicas, ptr.Deref(rs.Spec.Replicas, 1))
			}
		}
		return nil
	})
}

// podsOf are the UIDs of the pods of a revision that are not about to go, sorted.
func (w *world) podsOf(hash string) []string {
	w.Helper()
	var list corev1.PodList
	if err := w.client.List(w.Context(), &list, client.InNamespace(w.namespace), client.MatchingLabels{v1alpha1.PodTemplateHashLabel: hash}); err != nil {
		w.Fatal(err)
	}
	var ids []string
	for i := range list.Items {
		if list.Items[i].DeletionTimestamp.IsZero() {
			ids = append(ids, string(list.Items[i].UID))
		}
	}
	slices.Sort(ids)
	return ids
}

func TestGoingBackToTheStableRevisionRunsNoSteps(t *testing.T) {
	w := newWorld(t)
	watch := w.watch("web")
	first, second := w.halfway(manifest.Canary{})
	pods := w.podsOf(first)
	w.release("web", "v1")
	ro := w.until("web", healthy, current(first), atStep(3))
	if ro.Annotations[v1alpha1.RevisionAnnotation] != "3" || ro.Status.StableRS != first {
		t.Errorf("revision %s: %s", ro.Annotations[v1alpha1.RevisionAnnotation], brief(ro))
	}
	if want, got := []string{"0", "50", "0"}, weights(watch.History(t), "web-web-canary"); !cmp.Equal(want, got) {
		t.Errorf("weights (-want +got):\n%s", cmp.Diff(want, got))
	}
	w.emptied("web", second)
	if got := w.podsOf(first); !cmp.Equal(pods, got) {
		t.Errorf("the stable pods were replaced (-before +after):\n%s", cmp.Diff(pods, got))
	}
	w.madeOnce(watch, 2)
	w.release("web", "v2")
	w.until("web", phase(v1alpha1.RolloutPhasePaused), atStep(1), current(second))
	w.madeOnce(watch, 2)
}

func TestAPersonAbortsAndRetries(t *testing.T) {
	w := newWorld(t)
	watch := w.watch("web")
	first, second := w.halfway(manifest.Canary{})
	w.run("abort", "web")
	ro := w.until("web", phase(v1alpha1.RolloutPhaseDegraded), atStep(0), because("Aborted", "aborted by a person"))
	if !ro.Status.Abort || ro.Status.AbortedAt == nil || ro.Status.CurrentPodHash != second {
		t.Errorf("not recorded as aborted: %s", brief(ro))
	}
	w.isBack(ro, first)
	w.emptied("web", second)
	w.run("retry", "rollout", "web")
	w.until("web", phase(v1alpha1.RolloutPhasePaused), atStep(1))
	w.run("promote", "web")
	if done := w.until("web", healthy); done.Status.StableRS != second || done.Status.Abort {
		t.Error(brief(done))
	}
	w.madeOnce(watch, 2)
}

// TestARetryWhilePodsAreTakenAwayWaitsForNewOnes retries at the moment at which
// the ReplicaSet was told to remove its pods and still counts them.
func TestARetryWhilePodsAreTakenAwayWaitsForNewOnes(t *testing.T) {
	w := newWorld(t)
	watch := w.watch("web")
	_, second := w.halfway(manifest.Canary{Replicas: "8"})
	for range 3 {
		w.run("abort", "web")
		w.until("web", phase(v1alpha1.RolloutPhaseDegraded))
		kube.Eventually(t, within, func() error {
			for _, rs := range w.replicaSets("web") {
				if rs.Labels[v1alpha1.PodTemplateHashLabel] == second && ptr.Deref(rs.Spec.Replicas, 1) > 0 {
					return errors.New("its pods are not told to go yet")
				}
			}
			return nil
		})
		w.run("retry", "rollout", "web")
		w.until("web", phase(v1alpha1.RolloutPhasePaused), atStep(1))
	}
	w.madeOnce(watch, 2) // The watch knows whether pods were there whenever they got traffic.
}

func TestADeadlineBringsAnUpdateBackWhosePodsNeverStart(t *testing.T) {
	t.Parallel()
	for _, tag := range []string{"neverready", "badpull", "crash"} {
		t.Run(tag, func(t *testing.T) {
			w := newWorld(t)
			watch := w.watch("web")
			deadline := []string{"progressDeadlineSeconds: 3", "progressDeadlineAbort: true"}
			w.apply(manifest.Canary{Spec: deadline, Strategy: []string{quickAbort, quickEnd}}.All())
			stable := w.until("web", healthy).Status.StableRS
			pods := w.podsOf(stable)
			w.release("web", tag)
			ro := w.until("web", phase(v1alpha1.RolloutPhaseDegraded), because("AbortedByDeadline", "revision 2", "All traffic is on the stable revision"))
			w.isBack(ro, stable)
			w.emptied("web", ro.Status.CurrentPodHash)
			if got := weights(watch.History(t), "web-web-canary"); !cmp.Equal([]string{"0"}, got) {
				t.Errorf("traffic went to pods that never started: weights %v", got)
			}
			if got := w.podsOf(stable); !cmp.Equal(pods, got) {
				t.Errorf("the stable pods were touched (-before +after):\n%s", cmp.Diff(pods, got))
			}
			w.patch(named("web"), `{"spec":{"progressDeadlineSeconds":null}}`) // A busy machine may need longer.
			w.release("web", "v3")
			if done := w.until("web", healthy); done.Status.StableRS == stable {
				t.Error("a revision that starts was not promoted")
			}
		})
	}
}

func TestWithoutAnAbortTheDeadlineOnlyTells(t *testing.T) {
	w := newWorld(t)
	w.watch("web")
	w.apply(manifest.Canary{Spec: []string{"progressDeadlineSeconds: 3"}, Strategy: []string{quickEnd}}.All())
	stable := w.until("web", healthy).Status.StableRS
	w.release("web", "neverready")
	ro := w.until("web", phase(v1alpha1.RolloutPhaseDegraded), because("DeadlineExceeded", "made no progress for 3s", "0 of its 1 pods"))
	if ro.Status.Abort || ro.Status.StableRS != stable {
		t.Error(brief(ro))
	}
	if code, _, _ := w.plugin("status", "web", "--watch=false"); code != 3 {
		t.Errorf("status ends with %d, want 3", code)
	}
	w.release("web", "v3")
	if done := w.until("web", healthy); done.Status.StableRS == stable {
		t.Error("a revision that starts was not promoted")
	}
}

func TestAFirstImageThatNeverRanIsNothingToGoBackTo(t *testing.T) {
	w := newWorld(t)
	w.watch("web")
	w.apply(manifest.Canary{Tag: "badpull", Spec: []string{"progressDeadlineSeconds: 3"}, Strategy: []string{quickEnd}}.All())
	ro := w.until("web", phase(v1alpha1.RolloutPhaseDegraded), because("DeadlineExceeded", "0 of its 4 pods"))
	if ro.Status.StableRS != "" {
		t.Errorf("stable without ever having a pod: %s", brief(ro))
	}
	w.release("web", "v2")
	w.until("web", healthy)
}
