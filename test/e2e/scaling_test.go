package e2e

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/test/e2e/manifest"
	"github.com/headway-rollouts/headway/test/kube"
)

// sizes are what the ReplicaSets of a Rollout are asked for and have, by hash.
func (w *world) sizes(rollout string) map[string]int32 {
	w.Helper()
	sizes := map[string]int32{}
	for _, rs := range w.replicaSets(rollout) {
		size := ptr.Deref(rs.Spec.Replicas, 1)
		if rs.Status.AvailableReplicas != size {
			size = -1 // on the way
		}
		sizes[rs.Labels[v1alpha1.PodTemplateHashLabel]] = size
	}
	return sizes
}

// sized waits until the ReplicaSets have sizes and all their pods.
func (w *world) sized(rollout string, want map[string]int32) {
	w.Helper()
	kube.Eventually(w, within, func() error {
		if got := w.sizes(rollout); !cmp.Equal(want, got) {
			return fmt.Errorf("sizes (-want +got):\n%s", cmp.Diff(want, got))
		}
		return nil
	})
}

func TestScalingInAnUpdateKeepsItsStepAndWeight(t *testing.T) {
	w := newWorld(t)
	watch := w.watch("web")
	stable, tried := w.halfway(manifest.Canary{})
	w.sized("web", map[string]int32{stable: 4, tried: 2})
	for _, c := range []struct{ replicas, tried int32 }{{9, 5}, {3, 2}, {0, 0}, {4, 2}} {
		w.patch(named("web"), fmt.Sprintf(`{"spec":{"replicas":%d}}`, c.replicas))
		w.sized("web", map[string]int32{stable: c.replicas, tried: c.tried})
		ro := w.until("web", phase(v1alpha1.RolloutPhasePaused), atStep(1), counts(c.replicas+c.tried, c.tried))
		if ro.Status.StableRS != stable {
			t.Error(brief(ro))
		}
	}
	if want, got := []string{"0", "50"}, weights(watch.History(t), "web-web-canary"); !cmp.Equal(want, got) {
		t.Errorf("weights (-want +got):\n%s", cmp.Diff(want, got))
	}
	w.run("promote", "web")
	w.until("web", healthy)
	w.sized("web", map[string]int32{stable: 0, tried: 4})
	w.until("web", counts(4, 4))
	w.madeOnce(watch, 2)
}

// counts asks for pods of all revisions, and of the current one, in the status.
func counts(replicas, updated int32) func(*v1alpha1.Rollout) error {
	return func(ro *v1alpha1.Rollout) error {
		st := ro.Status
		if st.Replicas != replicas || st.HPAReplicas != replicas || st.AvailableReplicas != replicas || st.UpdatedReplicas != updated {
			return fmt.Errorf("the status counts %d pods, %d for autoscalers, %d available, %d updated; want %d, updated %d",
				st.Replicas, st.HPAReplicas, st.AvailableReplicas, st.UpdatedReplicas, replicas, updated)
		}
		return nil
	}
}

// autoscaler asks for twice the pods there are, up to a limit: each pod reports twice its target.
func autoscaler(most int) string {
	return fmt.Sprintf(`
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  minReplicas: 2
  maxReplicas: %d
  scaleTargetRef: {apiVersion: argoproj.io/v1alpha1, kind: Rollout, name: web}
  metrics: [{type: Resource, resource: {name: cpu, target: {type: AverageValue, averageValue: 50m}}}]
  behavior: {scaleUp: {policies: [{type: Pods, value: 100, periodSeconds: 1}]}}
`, most)
}

const busy = `{sim/cpu: "100"}`

func TestAnAutoscalerScalesThroughAnUpdate(t *testing.T) {
	w := newWorld(t)
	watch := w.watch("web")
	stable, tried := w.halfway(manifest.Canary{Replicas: "2", Annotations: busy})
	w.until("web", counts(3, 1))
	w.apply(autoscaler(6))
	w.sized("web", map[string]int32{stable: 6, tried: 3})
	ro := w.until("web", phase(v1alpha1.RolloutPhasePaused), atStep(1), counts(9, 3))
	if ptr.Deref(ro.Spec.Replicas, 0) != 6 || ro.Status.Canary.Weights.Canary.Weight != 50 {
		t.Errorf("replicas %d: %s", ptr.Deref(ro.Spec.Replicas, 0), brief(ro))
	}
	w.scaleSays(6, 9)
	w.autoscalerActs()

	w.apply(autoscaler(4)) // A limit below what there is scales down.
	w.sized("web", map[string]int32{stable: 4, tried: 2})
	w.until("web", phase(v1alpha1.RolloutPhasePaused), atStep(1), counts(6, 2))
	w.run("promote", "web")
	w.until("web", healthy)
	w.sized("web", map[string]int32{stable: 0, tried: 4})
	w.until("web", counts(4, 4))
	w.scaleSays(4, 4)
	if want, got := []string{"0", "50", "80", "0"}, weights(watch.History(t), "web-web-canary"); !cmp.Equal(want, got) {
		t.Errorf("weights (-want +got):\n%s", cmp.Diff(want, got))
	}
	w.madeOnce(watch, 2)
}

// scaleSays checks what the scale subresource tells an autoscaler.
func (w *world) scaleSays(wanted, counted int32) {
	w.Helper()
	ro, err := w.rollout("web")
	if err != nil {
		w.Fatal(err)
	}
	var scale autoscalingv1.Scale
	if err := w.client.SubResource("scale").Get(w.Context(), ro, &scale); err != nil {
		w.Fatal(err)
	}
	want := autoscalingv1.ScaleStatus{Replicas: counted, Selector: "app=web"}
	if scale.Spec.Replicas != wanted || scale.Status != want {
		w.Errorf("the scale subresource asks for %d and says %+v, want %d and %+v", scale.Spec.Replicas, scale.Status, wanted, want)
	}
}

// autoscalerActs waits until the autoscaler says that it can read and scale the Rollout.
func (w *world) autoscalerActs() {
	w.Helper()
	kube.Eventually(w, within, func() error {
		var hpa autoscalingv2.HorizontalPodAutoscaler
		if err := w.client.Get(w.Context(), client.ObjectKey{Namespace: w.namespace, Name: "web"}, &hpa); err != nil {
			return err
		}
		able := map[autoscalingv2.HorizontalPodAutoscalerConditionType]bool{}
		for _, c := range hpa.Status.Conditions {
			able[c.Type] = c.Status == corev1.ConditionTrue
		}
		if !able[autoscalingv2.AbleToScale] || !able[autoscalingv2.ScalingActive] {
			return errors.New(fmt.Sprint(hpa.Status.Conditions))
		}
		return nil
	})
}

// TestTheScaleSubresourceScales is what kubectl scale does.
func TestTheScaleSubresourceScales(t *testing.T) {
	w := newWorld(t)
	w.watch("web")
	w.apply(manifest.Canary{Replicas: "null"}.All())
	ro := w.until("web", healthy, counts(1, 1))
	scale := &autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: 3}}
	if err := w.client.SubResource("scale").Update(t.Context(), ro, client.WithSubResourceBody(scale)); err != nil {
		t.Fatal(err)
	}
	w.until("web", healthy, counts(3, 3))
	w.scaleSays(3, 3)
}
