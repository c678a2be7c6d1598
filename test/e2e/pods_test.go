package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/test/e2e/headway"
	"github.com/headway-rollouts/headway/test/e2e/manifest"
	"github.com/headway-rollouts/headway/test/faults/observer"
	"github.com/headway-rollouts/headway/test/kube"
)

// slowly are annotations of pods that take a moment to start.
const slowly = `{sim/ready-delay: "300ms"}`

// budget is a PodDisruptionBudget of the pods of web.
func budget(minAvailable int) string {
	return fmt.Sprintf(`---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {minAvailable: %d, selector: {matchLabels: {app: web}}}
`, minAvailable)
}

// guarded applies a budget and waits until it counts.
func (w *world) guarded(minAvailable int) {
	w.Helper()
	w.apply(budget(minAvailable))
	kube.Eventually(w, within, func() error {
		var pdb policyv1.PodDisruptionBudget
		err := w.client.Get(w.Context(), client.ObjectKey{Namespace: w.namespace, Name: "web"}, &pdb)
		if err == nil && pdb.Status.ObservedGeneration != pdb.Generation {
			err = errors.New("the budget was not observed")
		}
		return err
	})
}

// older waits until a pod made now would be younger than all there are: times have whole seconds.
func (w *world) older() {
	w.Helper()
	pods := w.pods()
	kube.Eventually(w, within, func() error {
		for _, pod := range pods {
			if time.Since(pod.CreationTimestamp.Time) < time.Second {
				return errors.New("the pods are too young")
			}
		}
		return nil
	})
}

// pods are the pods of the namespace that are not about to go.
func (w *world) pods() []corev1.Pod {
	w.Helper()
	var list corev1.PodList
	if err := w.client.List(w.Context(), &list, client.InNamespace(w.namespace)); err != nil {
		w.Fatal(err)
	}
	var out []corev1.Pod
	for _, pod := range list.Items {
		if pod.DeletionTimestamp.IsZero() {
			out = append(out, pod)
		}
	}
	return out
}

// restarted asks for a restart that is done.
func restarted(ro *v1alpha1.Rollout) error {
	if ro.Spec.RestartAt == nil || !ro.Spec.RestartAt.Equal(ro.Status.RestartedAt) {
		return fmt.Errorf("restartAt is %v and restartedAt %v", ro.Spec.RestartAt, ro.Status.RestartedAt)
	}
	return nil
}

// replaced checks that no pod is left of those before.
func (w *world) replaced(hash string, before []string) {
	w.Helper()
	now := w.podsOf(hash)
	if len(now) != len(before) {
		w.Errorf("%d pods of %s instead of %d", len(now), hash, len(before))
	}
	for _, old := range before {
		for _, is := range now {
			if old == is {
				w.Errorf("pod %s of %s was not restarted", old, hash)
			}
		}
	}
}

// fewest is the smallest number of pods of a revision that were ready at once,
// from the time at which all of so many were.
func fewest(history observer.History, hash string, all int) int {
	ready, least, whole := map[string]bool{}, all, false
	for _, c := range history.Of(observer.Pod) {
		if c.Object.GetLabels()[v1alpha1.PodTemplateHashLabel] != hash {
			continue
		}
		delete(ready, c.Name)
		if !c.Deleted && c.Object.GetDeletionTimestamp() == nil && readyFrame(c.Object) {
			ready[c.Name] = true
		}
		if whole = whole || len(ready) >= all; whole {
			least = min(least, len(ready))
		}
	}
	return least
}

func readyFrame(pod *unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(pod.Object, "status", "conditions")
	for _, c := range conditions {
		if c, ok := c.(map[string]any); ok && c["type"] == "Ready" {
			return c["status"] == "True"
		}
	}
	return false
}

func TestARestartReplacesEveryPodWithinTheBudgetAndSurvivesAKill(t *testing.T) {
	w := newWorld(t)
	watch := w.watch("web")
	options := headway.Options{Kubeconfig: w.cluster.Kubeconfig, Args: []string{"--instance-id", w.namespace}}
	first := headway.Start(t, options)
	w.apply(manifest.Canary{InstanceID: w.namespace, Annotations: slowly}.All())
	w.guarded(3)
	stable := w.until("web", healthy).Status.StableRS
	before := w.podsOf(stable)
	w.older()
	w.run("restart", "web")
	w.until("web", phase(v1alpha1.RolloutPhaseProgressing), because("Restarting", "are replaced"))
	kube.Eventually(t, within, func() error {
		if cmp.Equal(before, w.podsOf(stable)) {
			return errors.New("no pod has gone")
		}
		return nil
	})
	first.Kill()
	headway.Start(t, options)
	w.until("web", healthy, restarted, counts(4, 4), because("Healthy"))
	w.replaced(stable, before)
	if least := fewest(watch.History(t), stable, 4); least < 3 {
		t.Errorf("%d pods were ready, and the budget asks for 3", least)
	}
	w.madeOnce(watch, 1)
	w.quiet(watch)
}

func TestABudgetThatAllowsNothingIsToldAndWaitedFor(t *testing.T) {
	w := newWorld(t)
	w.watch("web")
	w.apply(manifest.Canary{}.All())
	w.guarded(4)
	stable := w.until("web", healthy).Status.StableRS
	before := w.podsOf(stable)
	w.older()
	w.run("restart", "web")
	w.until("web", because("Restarting", "4 of 4 are left", "may not go now", "disruption budget", "needs 4 healthy pods and has 4"))
	if got := w.podsOf(stable); !cmp.Equal(before, got) {
		t.Errorf("pods were lost (-before +after):\n%s", cmp.Diff(before, got))
	}
	w.guarded(3)
	w.until("web", healthy, restarted, counts(4, 4))
	w.replaced(stable, before)
}

func TestAnOnlyPodIsReplacedAfterItsSuccessorIsThere(t *testing.T) {
	t.Parallel()
	for name, manifests := range map[string]string{
		"a canary":           manifest.Canary{Replicas: "1", Annotations: slowly}.All(),
		"paused by the user": manifest.Canary{Replicas: "1", Annotations: slowly}.All(),
		"blue-green":         lonelyBlueGreen,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			watch := w.watch("web")
			w.apply(manifests)
			w.guarded(1)
			stable := w.until("web", healthy).Status.StableRS
			before := w.podsOf(stable)
			w.older()
			want := healthy
			if strings.HasPrefix(name, "paused") {
				w.patch(named("web"), `{"spec":{"paused":true}}`)
				want = phase(v1alpha1.RolloutPhasePaused)
			}
			w.run("restart", "web")
			w.until("web", restarted, want, counts(1, 1))
			w.replaced(stable, before)
			if least := fewest(watch.History(t), stable, 1); least < 1 {
				t.Error("for a moment there was no pod")
			}
		})
	}
}

const lonelyBlueGreen = `---
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  strategy:
    blueGreen:
      activeService: web
      activeMetadata: {labels: {role: active}}
      previewMetadata: {labels: {role: preview}}
      autoPromotionEnabled: false
      scaleDownDelaySeconds: 1
  template:
    metadata: {labels: {app: web}, annotations: {sim/ready-delay: "300ms"}}
    spec: {containers: [{name: web, image: "example.com/web:v1"}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
`

func TestARestartInTheMiddleOfAnUpdateChangesNothingElse(t *testing.T) {
	t.Parallel()
	for name, aborted := range map[string]bool{"paused": false, "aborted": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			watch := w.watch("web")
			stable, tried := w.halfway(manifest.Canary{Annotations: slowly})
			w.sized("web", map[string]int32{stable: 4, tried: 2})
			old, tries := w.podsOf(stable), w.podsOf(tried)
			w.older()
			if aborted {
				w.run("abort", "web")
			}
			w.run("restart", "web")
			if aborted {
				w.until("web", restarted, phase(v1alpha1.RolloutPhaseDegraded), because("Aborted"))
				w.emptied("web", tried)
			} else {
				w.until("web", restarted, phase(v1alpha1.RolloutPhasePaused), atStep(1), counts(6, 2))
				w.replaced(tried, tries)
			}
			w.sized("web", map[string]int32{stable: 4, tried: int32(len(w.podsOf(tried)))})
			w.replaced(stable, old)
			if least := fewest(watch.History(t), stable, 4); least < 3 {
				t.Errorf("only %d of the stable pods were ready", least)
			}
			w.madeOnce(watch, 2)
		})
	}
}

func TestANewTemplateIsARestartToo(t *testing.T) {
	w := newWorld(t)
	w.watch("web")
	stable, _ := w.halfway(manifest.Canary{})
	pods := w.podsOf(stable)
	at := time.Now().UTC().Format(time.RFC3339)
	w.patch(named("web"), fmt.Sprintf(`{"spec":{"restartAt":%q,"template":{"metadata":{"annotations":{"x":"y"}}}}}`, at))
	w.until("web", restarted, phase(v1alpha1.RolloutPhasePaused), atStep(1))
	if got := w.podsOf(stable); !cmp.Equal(pods, got) {
		t.Errorf("the stable pods were restarted (-before +after):\n%s", cmp.Diff(pods, got))
	}
}

// carry waits until all pods of a revision have labels and annotations; empty is none of that name.
func (w *world) carry(hash string, want map[string]string) {
	w.Helper()
	kube.Eventually(w, within, func() error {
		for _, pod := range w.pods() {
			if pod.Labels[v1alpha1.PodTemplateHashLabel] != hash {
				continue
			}
			for key, value := range want {
				if got := pod.Labels[key] + pod.Annotations[key]; got != value {
					return fmt.Errorf("pod %s has %s=%q, want %q", pod.Name, key, got, value)
				}
			}
		}
		for _, rs := range w.replicaSets("web") {
			if rs.Labels[v1alpha1.PodTemplateHashLabel] == hash && rs.Annotations[v1alpha1.PendingMetadataAnnotation] != "" {
				return fmt.Errorf("ReplicaSet %s is still marked", rs.Name)
			}
		}
		return nil
	})
}

func TestPodsCarryTheMetadataOfTheirRole(t *testing.T) {
	w := newWorld(t)
	watch := w.watch("web")
	stable, tried := w.halfway(manifest.Canary{
		Replicas:    "12", // more than are changed at once
		Annotations: `{tier: plain, kept: "yes"}`,
		Strategy: []string{
			"canaryMetadata: {labels: {role: canary}, annotations: {tier: trial}}",
			"stableMetadata: {labels: {role: stable, since: ever}}",
			"antiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: {weight: 1}}",
		},
	})
	w.carry(stable, map[string]string{"role": "stable", "since": "ever", "tier": "plain"})
	w.carry(tried, map[string]string{"role": "canary", "since": "", "tier": "trial", "kept": "yes"})
	w.keepsAway(tried, stable)
	pods := w.podsOf(tried)

	w.run("promote", "web")
	w.until("web", healthy, current(tried))
	w.carry(tried, map[string]string{"role": "stable", "since": "ever", "tier": "plain", "kept": "yes"})
	for _, uid := range pods {
		if !strings.Contains(strings.Join(w.podsOf(tried), " "), uid) {
			t.Errorf("pod %s was replaced to be labelled", uid)
		}
	}
	w.keepsAway(tried, stable)

	// As after an upgrade that computes other hashes: the revision is found by its template.
	w.patchStatus("web", `{"status":{"observedGeneration":"0","collisionCount":7}}`)
	w.until("web", healthy, current(tried), because("Healthy"))

	w.patch(named("web"), `{"spec":{"strategy":{"canary":{"stableMetadata":null,"canaryMetadata":null}}}}`)
	w.until("web", healthy, current(tried))
	w.carry(tried, map[string]string{"role": "", "since": "", "tier": "plain", "kept": "yes"})
	w.madeOnce(watch, 2)
	w.quiet(watch)
}

// keepsAway checks the pods of a revision avoid the nodes of another.
func (w *world) keepsAway(hash, from string) {
	w.Helper()
	for _, rs := range w.replicaSets("web") {
		if rs.Labels[v1alpha1.PodTemplateHashLabel] != hash {
			continue
		}
		want := []corev1.WeightedPodAffinityTerm{{Weight: 1, PodAffinityTerm: corev1.PodAffinityTerm{
			LabelSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
				{Key: v1alpha1.PodTemplateHashLabel, Operator: metav1.LabelSelectorOpIn, Values: []string{from}},
			}},
			Namespaces: []string{w.namespace}, TopologyKey: "kubernetes.io/hostname",
		}}}
		got, err := json.Marshal(rs.Spec.Template.Spec.Affinity)
		if err != nil {
			w.Fatal(err)
		}
		affinity := rs.Spec.Template.Spec.Affinity
		if affinity == nil || affinity.PodAntiAffinity == nil || !cmp.Equal(want, affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution) {
			w.Errorf("affinity of %s: %s", rs.Name, got)
		}
	}
}

func TestAThirdRevisionAvoidsTheStableOneNotTheSecond(t *testing.T) {
	w := newWorld(t)
	w.watch("web")
	stable, second := w.halfway(manifest.Canary{Strategy: []string{"antiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: {weight: 1}}"}})
	w.release("web", "v3")
	third := w.third(stable, second)
	w.until("web", phase(v1alpha1.RolloutPhasePaused), atStep(1), current(third))
	w.keepsAway(third, stable)
	w.run("promote", "web")
	w.until("web", healthy, current(third))
	w.release("web", "v2") // It comes back and avoided the first one.
	w.until("web", phase(v1alpha1.RolloutPhasePaused), atStep(1), current(second))
	w.keepsAway(second, third)
}

// stranger is a pod that has the hash of a revision and belongs to nobody.
const stranger = `---
apiVersion: v1
kind: Pod
metadata: {name: stranger, labels: {app: other, role: own, rollouts-pod-template-hash: %q}}
spec: {containers: [{name: web, image: "example.com/web:v1"}]}
`

func TestPodsOfOthersAreLeftAlone(t *testing.T) {
	w := newWorld(t)
	w.watch("web")
	w.apply(manifest.Canary{Replicas: "2"}.All())
	hash := w.until("web", healthy).Status.StableRS
	w.apply(fmt.Sprintf(stranger, hash))
	w.older()
	w.run("restart", "web")
	w.until("web", restarted, healthy)
	w.patch(named("web"), `{"spec":{"strategy":{"canary":{"stableMetadata":{"labels":{"role":"stable"}}}}}}`)
	w.until("web", healthy)
	kube.Eventually(t, within, func() error {
		others := 0
		for _, pod := range w.pods() {
			role := pod.Labels["role"]
			if pod.Name == "stranger" && role == "own" {
				others++
			} else if role != "stable" {
				return fmt.Errorf("pod %s has the role %q", pod.Name, role)
			}
		}
		if others != 1 {
			t.Fatal("the pod of somebody else is gone")
		}
		return nil
	})
}

func TestPreviewAndActivePodsCarryTheirMetadata(t *testing.T) {
	w := newWorld(t)
	w.watch("web")
	w.apply(lonelyBlueGreen)
	first := w.until("web", healthy).Status.StableRS
	w.carry(first, map[string]string{"role": "active"})
	w.release("web", "v2")
	ro := w.until("web", phase(v1alpha1.RolloutPhasePaused))
	w.carry(first, map[string]string{"role": "active"})
	w.carry(ro.Status.CurrentPodHash, map[string]string{"role": "preview"})
	w.run("promote", "web")
	ro = w.until("web", healthy, current(ro.Status.CurrentPodHash))
	w.carry(ro.Status.CurrentPodHash, map[string]string{"role": "active"})
}
