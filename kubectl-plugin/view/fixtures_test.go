package view_test

import (
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/kubectl-plugin/view"
)

var now = time.Date(2026, 11, 21, 14, 20, 30, 0, time.UTC)

func ago(d time.Duration) metav1.Time { return metav1.NewTime(now.Add(-d)) }

func at(d time.Duration) *metav1.Time { t := metav1.NewTime(now.Add(d)); return &t }

func ptr[T any](v T) *T { return &v }

// world is a rollout and what it owns.
type world struct {
	ro    *v1alpha1.Rollout
	owned view.Owned
}

func (w world) view() view.RolloutView { return view.Of(w.ro, w.owned, now) }

// cart is a healthy canary with seven steps and ten pods: revision 41 runs everywhere.
func cart() world {
	ro := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{
		Name: "cart", Namespace: "shop", UID: "ro", Generation: 3, CreationTimestamp: ago(72 * time.Hour),
		Annotations: map[string]string{v1alpha1.RevisionAnnotation: "41"},
	}}
	ro.Spec.Replicas = ptr[int32](3)
	ro.Spec.Strategy.Canary = &v1alpha1.CanaryStrategy{
		CanaryService: "cart-canary", StableService: "cart-stable",
		TrafficRouting: &v1alpha1.RolloutTrafficRouting{},
		Steps: []v1alpha1.CanaryStep{
			{SetWeight: ptr[int32](25)},
			{Pause: &v1alpha1.RolloutPause{}},
			{SetWeight: ptr[int32](50)},
			{Pause: &v1alpha1.RolloutPause{Duration: ptr(intstr.FromString("10m"))}},
		},
	}
	ro.Status = v1alpha1.RolloutStatus{
		ObservedGeneration: "3", Phase: v1alpha1.RolloutPhaseHealthy,
		CurrentPodHash: "58aa", StableRS: "58aa", CurrentStepIndex: ptr[int32](4),
		Replicas: 3, UpdatedReplicas: 3, ReadyReplicas: 3, AvailableReplicas: 3,
	}
	w := world{ro: ro}
	return w.replicaSet(41, "58aa", 3, "shop/cart:2.7.4", 72*time.Hour)
}

// replicaSet adds a ReplicaSet whose pods all run.
func (w world) replicaSet(revision int, hash string, pods int32, image string, old time.Duration) world {
	name := w.ro.Name + "-" + hash
	rs := appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{
		Name: name, Namespace: "shop", UID: types.UID(name), CreationTimestamp: ago(old), OwnerReferences: owner("ro"),
		Labels:      map[string]string{v1alpha1.PodTemplateHashLabel: hash},
		Annotations: map[string]string{v1alpha1.RevisionAnnotation: fmt.Sprint(revision)},
	}}
	rs.Spec.Replicas = ptr(pods)
	rs.Spec.Template.Spec.Containers = []corev1.Container{{Name: "app", Image: image}}
	rs.Status = appsv1.ReplicaSetStatus{Replicas: pods, ReadyReplicas: pods, AvailableReplicas: pods}
	w.owned.ReplicaSets = append(w.owned.ReplicaSets, rs)
	for i := range pods {
		pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Name: fmt.Sprintf("%s-%c%dx7q", name, 'a'+rune(i), i), UID: types.UID(fmt.Sprint(name, i)),
			CreationTimestamp: ago(old), OwnerReferences: owner(types.UID(name)),
		}}
		pod.Spec.Containers = []corev1.Container{{Name: "app", Image: image}}
		pod.Status.Phase = corev1.PodRunning
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "app", Ready: true}}
		w.owned.Pods = append(w.owned.Pods, pod)
	}
	return w
}

func owner(uid types.UID) []metav1.OwnerReference {
	return []metav1.OwnerReference{{UID: uid, Controller: ptr(true)}}
}

// rolling is cart on the way to revision 42, at the given step.
func rolling(step int32) world {
	w := cart().replicaSet(42, "6d9f", 1, "shop/cart:2.8.0", 15*time.Minute)
	w.ro.Annotations[v1alpha1.RevisionAnnotation] = "42"
	w.ro.Status.CurrentPodHash = "6d9f"
	w.ro.Status.CurrentStepIndex = ptr(step)
	w.ro.Status.Phase = v1alpha1.RolloutPhaseProgressing
	w.ro.Status.Message = "more replicas need to be updated"
	w.ro.Status.Replicas, w.ro.Status.ReadyReplicas, w.ro.Status.AvailableReplicas, w.ro.Status.UpdatedReplicas = 4, 4, 4, 1
	w.ro.Status.Canary.Weights = &v1alpha1.TrafficWeights{
		Canary: v1alpha1.WeightDestination{Weight: 25}, Stable: v1alpha1.WeightDestination{Weight: 75},
	}
	return w
}

// analysed adds an AnalysisRun of revision 42 with two metrics.
func (w world) analysed(phase v1alpha1.AnalysisPhase, values ...float64) world {
	run := v1alpha1.AnalysisRun{ObjectMeta: metav1.ObjectMeta{
		Name: "cart-6d9f-42", CreationTimestamp: ago(5 * time.Minute), OwnerReferences: owner("ro"),
		Labels:      map[string]string{v1alpha1.RolloutTypeLabel: v1alpha1.RolloutTypeBackground},
		Annotations: map[string]string{v1alpha1.RevisionAnnotation: "42"},
	}}
	run.Spec.Metrics = []v1alpha1.Metric{
		{Name: "success-rate", SuccessCondition: "result[0] >= 0.95", FailureLimit: ptr(intstr.FromInt32(2)), Interval: "1m"},
		{Name: "p99", FailureCondition: "result[0] > 400", Interval: "1m"},
	}
	rate := v1alpha1.MetricResult{Name: "success-rate", Phase: phase}
	for i, value := range values {
		m := v1alpha1.Measurement{Phase: v1alpha1.AnalysisPhaseSuccessful, Value: fmt.Sprintf("[%v]", value), FinishedAt: at(time.Duration(i-len(values)) * time.Minute)}
		if value < 0.95 {
			m.Phase = v1alpha1.AnalysisPhaseFailed
			rate.Failed++
		} else {
			rate.Successful++
		}
		rate.Measurements = append(rate.Measurements, m)
	}
	run.Status = v1alpha1.AnalysisRunStatus{Phase: phase, MetricResults: []v1alpha1.MetricResult{rate, {
		Name: "p99", Phase: v1alpha1.AnalysisPhaseRunning, Successful: 1,
		Measurements: []v1alpha1.Measurement{{Phase: v1alpha1.AnalysisPhaseSuccessful, Value: "[182]", FinishedAt: at(-time.Minute)}},
	}}}
	w.owned.AnalysisRuns = append(w.owned.AnalysisRuns, run)
	return w
}

func paused(step int32, reason v1alpha1.PauseReason) world {
	w := rolling(step)
	w.ro.Status.Phase, w.ro.Status.Message = v1alpha1.RolloutPhasePaused, string(reason)
	w.ro.Status.ControllerPause = true
	w.ro.Status.PauseConditions = []v1alpha1.PauseCondition{{Reason: reason, StartTime: ago(3 * time.Minute)}}
	return w
}

func aborted() world {
	w := rolling(0).analysed(v1alpha1.AnalysisPhaseFailed, 0.991, 0.98, 0.91, 0.88, 0.871)
	w.ro.Status.Abort, w.ro.Status.AbortedAt = true, at(-2*time.Minute)
	w.ro.Status.Phase = v1alpha1.RolloutPhaseDegraded
	w.ro.Status.Message = `RolloutAborted: Rollout aborted update to revision 42: Metric "success-rate" assessed Failed due to failed (3) > failureLimit (2)`
	w.ro.Status.Canary.Weights = &v1alpha1.TrafficWeights{Stable: v1alpha1.WeightDestination{Weight: 100}, Verified: ptr(true)}
	w.owned.ReplicaSets[1].Annotations[v1alpha1.ScaleDownDeadlineAnnotation] = now.Add(25 * time.Second).Format(time.RFC3339)
	return w
}

func imagePullError() world {
	w := rolling(0)
	w.owned.ReplicaSets[1].Status = appsv1.ReplicaSetStatus{Replicas: 1}
	w.ro.Status.Message = "updated replicas are still becoming available"
	w.ro.Status.AvailableReplicas, w.ro.Status.ReadyReplicas = 3, 3
	pod := &w.owned.Pods[3]
	pod.Status.Phase = corev1.PodPending
	pod.Status.ContainerStatuses[0] = corev1.ContainerStatus{Name: "app", State: corev1.ContainerState{
		Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: `Back-off pulling image "shop/cart:2.8.0"`},
	}}
	return w
}

func degradedByDeadline() world {
	w := imagePullError()
	w.ro.Status.Phase = v1alpha1.RolloutPhaseDegraded
	w.ro.Status.Message = `ProgressDeadlineExceeded: ReplicaSet "cart-6d9f" has timed out progressing.`
	return w
}

func invalidSpec() world {
	w := cart()
	w.ro.Status.Phase = v1alpha1.RolloutPhaseDegraded
	w.ro.Status.Message = `InvalidSpec: The Rollout "cart" is invalid: spec.strategy.canary.steps[0].setWeight: Invalid value: 120: must be between 0 and 100`
	return w
}

func newRollout() world {
	w := cart()
	w.ro.Status = v1alpha1.RolloutStatus{}
	w.ro.Generation, w.ro.Annotations, w.ro.CreationTimestamp = 1, nil, ago(0)
	w.owned = view.Owned{}
	return w
}

func longNames() world {
	w := aborted()
	w.ro.Name = strings.Repeat("checkout-and-basket-", 6) + "end"
	for i := range w.owned.ReplicaSets {
		w.owned.ReplicaSets[i].Name = w.ro.Name + "-" + w.owned.ReplicaSets[i].Labels[v1alpha1.PodTemplateHashLabel]
		w.owned.ReplicaSets[i].Spec.Template.Spec.Containers[0].Image = "registry.example.com/" + strings.Repeat("deep/", 20) + fmt.Sprint("cart:", i)
	}
	for i := range w.owned.Pods {
		w.owned.Pods[i].Name = w.ro.Name + w.owned.Pods[i].Name
	}
	return w
}

// hostile has terminal escapes, line breaks and text direction overrides wherever a user can write.
func hostile() world {
	const evil = "\x1b[2J\x1b]0;owned\a line\nbreak\ttab \u202edesrever\u009b31m"
	w := aborted()
	w.ro.Status.Message = evil
	w.ro.Status.Why = &v1alpha1.Why{Code: "Evil" + evil, Message: evil, Unblock: evil, Next: &v1alpha1.WhyNext{Event: evil}}
	w.owned.Pods[0].Status.Reason, w.owned.Pods[0].Status.Message = evil, evil
	w.owned.ReplicaSets[0].Spec.Template.Spec.Containers[0].Image = evil
	w.owned.AnalysisRuns[0].Spec.Metrics[0].SuccessCondition = evil
	w.owned.AnalysisRuns[0].Status.MetricResults[0].Measurements[0].Value = evil
	w.owned.Notes = []string{evil}
	return w
}

func reportedByController() world {
	w := rolling(3)
	w.ro.Status.Why = &v1alpha1.Why{
		Code: "Measuring", Message: "step 4 of 4 waits until revision 42 has had 50 % of the traffic for 10m", Since: at(-3 * time.Minute),
		Next: &v1alpha1.WhyNext{At: at(4*time.Minute + 48*time.Second), Event: "weight 100"}, Unblock: "kubectl rollouts promote cart -n shop",
	}
	return w.analysed(v1alpha1.AnalysisPhaseRunning, 0.99, 0.97, 0.98, 0.94)
}

func blueGreen() world {
	w := cart().replicaSet(42, "6d9f", 3, "shop/cart:2.8.0", 15*time.Minute).replicaSet(40, "47ab", 0, "shop/cart:2.7.3", 200*time.Hour)
	w.ro.Annotations[v1alpha1.RevisionAnnotation] = "42"
	w.ro.Spec.Strategy = v1alpha1.RolloutStrategy{BlueGreen: &v1alpha1.BlueGreenStrategy{ActiveService: "cart", PreviewService: "cart-preview"}}
	w.ro.Status.CurrentPodHash, w.ro.Status.CurrentStepIndex = "6d9f", nil
	w.ro.Status.BlueGreen = v1alpha1.BlueGreenStatus{ActiveSelector: "58aa", PreviewSelector: "6d9f"}
	w.ro.Status.Phase, w.ro.Status.Message = v1alpha1.RolloutPhasePaused, "BlueGreenPause"
	w.ro.Status.PauseConditions = []v1alpha1.PauseCondition{{Reason: v1alpha1.PauseReasonBlueGreenPause, StartTime: ago(time.Minute)}}
	w.ro.Status.Replicas, w.ro.Status.ReadyReplicas, w.ro.Status.AvailableReplicas = 6, 6, 6
	return w
}
