package e2e

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/test/e2e/manifest"
	"github.com/headway-rollouts/headway/test/faults/observer"
	"github.com/headway-rollouts/headway/test/kube"
)

// slowPods become ready after so long that a story can change its mind before.
const slowPods = `{sim/ready-delay: "3s"}`

// ofSlowPods are Rollouts of each strategy whose pods take their time.
var ofSlowPods = map[string]func() string{
	"canary with NGINX": func() string {
		return manifest.Canary{Steps: "[{setWeight: 50}]", Strategy: []string{quickEnd}, Annotations: slowPods}.All()
	},
	"canary by replicas": func() string { return slow(plain("{canary: {steps: [{setWeight: 50}]}}")("")) },
	"blue-green":         func() string { return slow(plain(strings.Replace(byHand, "false", "true", 1))("")) },
}

// slow gives the pods of a manifest the delay, and takes the empty instance id away.
func slow(text string) string {
	text = strings.Replace(text, "metadata: {labels: {app: web}}", "metadata: {labels: {app: web}, annotations: "+slowPods+"}", 1)
	return strings.Replace(text, ", labels: {argo-rollouts.argoproj.io/controller-instance-id: }", "", 1)
}

// TestThreeChangesInASecondEndInTheThird edits the template again before any
// pod of the one before is ready.
func TestThreeChangesInASecondEndInTheThird(t *testing.T) {
	t.Parallel()
	for name, manifests := range ofSlowPods {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			watch := observer.Watch(w, w.cluster.Config, w.namespace)
			w.apply(manifests())
			first := w.until("web", healthy).Status.StableRS
			began := time.Now()
			for _, tag := range []string{"v2", "v3", "v4"} {
				w.release("web", tag)
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Skipf("SKIPPED, NOTHING WAS CHECKED: three changes took %s on this machine", took)
			}
			last := w.until("web", healthy, func(ro *v1alpha1.Rollout) error {
				if ro.Status.StableRS == first {
					return errors.New("the first one is still stable")
				}
				return nil
			})
			for _, rs := range w.replicaSets("web") {
				if rs.Labels[v1alpha1.PodTemplateHashLabel] == last.Status.StableRS && image(&rs) != "example.com/web:v4" {
					t.Errorf("it ends with %s", image(&rs))
				}
			}
			neverServed(t, watch.History(t), first, last.Status.StableRS)
		})
	}
}

func image(rs *appsv1.ReplicaSet) string { return rs.Spec.Template.Spec.Containers[0].Image }

// neverServed checks that no revision but these had an available pod or a Service.
func neverServed(t *testing.T, history observer.History, hashes ...string) {
	t.Helper()
	for _, c := range history {
		var hash string
		switch c.Kind {
		case observer.ReplicaSet:
			if n, _, _ := unstructured.NestedInt64(c.Object.Object, "status", "availableReplicas"); n > 0 {
				hash = c.Object.GetLabels()[v1alpha1.PodTemplateHashLabel]
			}
		case observer.Service:
			hash, _, _ = unstructured.NestedString(c.Object.Object, "spec", "selector", v1alpha1.PodTemplateHashLabel)
		case observer.Rollout, observer.Ingress, observer.Pod, observer.AnalysisRun: // None of them says who serves.
		}
		if hash != "" && !slices.Contains(hashes, hash) {
			t.Errorf("%s %s served revision %s at version %d", c.Kind, c.Name, hash, c.Version)
		}
	}
}

// TestAnAutoscalersWritesKeepTheFloors scales through the scale subresource in
// the middle of each step, while its pods are on their way.
func TestAnAutoscalersWritesKeepTheFloors(t *testing.T) {
	t.Parallel()
	t.Run("canary with NGINX", func(t *testing.T) {
		w := newWorld(t)
		w.watch("web") // S1 to S16, among them S5 and S6.
		w.apply(manifest.Canary{Steps: manifest.Weights, Strategy: []string{quickEnd}, Annotations: slowPods}.All())
		w.until("web", healthy)
		w.release("web", "v2")
		for i, size := range []int32{7, 9, 3, 5} { // each leaves the next step short of pods
			// The controller has nothing more to write until pods are ready.
			w.until("web", atStep(int32(i)), because("WaitingForPods"), w.asksFor([]int32{1, 3, 6, 3}[i]))
			w.scaleTo(size)
		}
		w.until("web", healthy, because("Healthy"), counts(5, 5))
	})
	for name, strategy := range map[string]string{
		"canary by replicas": "{canary: {maxSurge: 1, maxUnavailable: 1, steps: [{setWeight: 25}, {setWeight: 50}, {setWeight: 75}]}}",
		"blue-green":         strings.Replace(byHand, "false", "true", 1),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			watch := observer.Watch(w, w.cluster.Config, w.namespace)
			w.apply(slow(plain(strategy)("")))
			w.until("web", healthy)
			w.release("web", "v2")
			for _, size := range []int32{6, 9, 7, 12} {
				w.until("web", because("WaitingForPods")) // It has seen the size before.
				w.scaleTo(size)
			}
			w.until("web") // It has seen the last size.
			seen := watch.History(t).Last()
			w.until("web", healthy, because("Healthy"))
			serving(t, watch.History(t), seen)
		})
	}
}

// asksFor asks for a current revision with a size, whose pods are not all ready.
func (w *world) asksFor(size int32) func(*v1alpha1.Rollout) error {
	return func(ro *v1alpha1.Rollout) error {
		for _, rs := range w.replicaSets("web") {
			if rs.Labels[v1alpha1.PodTemplateHashLabel] == ro.Status.CurrentPodHash && *rs.Spec.Replicas == size && rs.Status.AvailableReplicas < size {
				return nil
			}
		}
		return fmt.Errorf("the current revision does not wait for %d pods", size)
	}
}

// scaleTo writes the scale subresource, as an autoscaler does.
func (w *world) scaleTo(size int32) {
	w.Helper()
	ro := named("web")
	ro.Namespace = w.namespace
	kube.Eventually(w, within, func() error {
		scale := &autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: size}}
		if err := w.client.SubResource("scale").Update(w.Context(), ro, client.WithSubResourceBody(scale)); err != nil {
			return fmt.Errorf("scaling to %d: %w", size, err)
		}
		return nil
	})
}

// serving checks S3 and S6 where no canary Ingress tells the weights: when a
// ReplicaSet shrinks or the active Service moves, the pods that serve afterwards
// are as many as before, or all but one. Until the last size was seen, that is
// the smaller one of two sizes.
func serving(t *testing.T, history observer.History, seen uint64) {
	t.Helper()
	available, sizes, asked := map[string]int32{}, map[string]int32{}, []int32{4}
	active := ""
	serves := func() (n int32) {
		for hash, pods := range available {
			if active == "" || hash == active {
				n += min(pods, sizes[hash])
			}
		}
		return n
	}
	for _, c := range history {
		before, moved := serves(), false
		switch c.Kind {
		case observer.Rollout:
			if n, ok, _ := unstructured.NestedInt64(c.Object.Object, "spec", "replicas"); ok && int32(n) != asked[len(asked)-1] {
				asked = append(asked, int32(n))
			}
		case observer.ReplicaSet:
			var rs appsv1.ReplicaSet
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(c.Object.Object, &rs); err != nil {
				t.Fatal(err)
			}
			hash := rs.Labels[v1alpha1.PodTemplateHashLabel]
			moved = *rs.Spec.Replicas < sizes[hash]
			available[hash], sizes[hash] = rs.Status.AvailableReplicas, *rs.Spec.Replicas
		case observer.Service:
			if c.Name == "web-active" {
				hash, _, _ := unstructured.NestedString(c.Object.Object, "spec", "selector", v1alpha1.PodTemplateHashLabel)
				moved, active = hash != active, hash
			}
		case observer.Ingress, observer.Pod, observer.AnalysisRun: // There is no route; ReplicaSets count pods.
		}
		least := asked[len(asked)-1] - 1
		if c.Version <= seen {
			least = slices.Min(asked[max(0, len(asked)-2):]) - 1
		}
		if now := serves(); moved && now < before && now < least {
			t.Errorf("%s %s at version %d leaves %d of %d pods that serve, %d are the least", c.Kind, c.Name, c.Version, now, before, least)
		}
	}
}
