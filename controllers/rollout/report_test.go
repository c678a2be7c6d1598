package rollout

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/internal/settle"
)

var key = types.NamespacedName{Namespace: "shop", Name: "web"}

func status() *v1alpha1.RolloutStatus {
	at := metav1.NewTime(time.Unix(1000, 0))
	return &v1alpha1.RolloutStatus{
		Phase: v1alpha1.RolloutPhaseProgressing, Replicas: 4, AvailableReplicas: 4, CurrentStepIndex: new(int32(1)),
		Conditions: []v1alpha1.RolloutCondition{{Type: v1alpha1.RolloutProgressing, Status: corev1.ConditionTrue, Reason: "ReplicaSetUpdated", LastUpdateTime: at}},
		Why:        &v1alpha1.Why{Code: "WaitingForPods", Message: "0 of 1"},
	}
}

func TestWhichStatusesMayWaitForCompany(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*v1alpha1.RolloutStatus)
		waits  bool
	}{
		"pods were counted":          {func(st *v1alpha1.RolloutStatus) { st.Replicas, st.HPAReplicas = 5, 5 }, true},
		"the reason counts pods":     {func(st *v1alpha1.RolloutStatus) { st.Why.Message = "1 of 1" }, true},
		"progress moved its time":    {func(st *v1alpha1.RolloutStatus) { st.Conditions[0].LastUpdateTime = metav1.Now() }, true},
		"a step is done":             {func(st *v1alpha1.RolloutStatus) { st.CurrentStepIndex = new(int32(2)) }, false},
		"the phase changed":          {func(st *v1alpha1.RolloutStatus) { st.Phase = v1alpha1.RolloutPhaseDegraded }, false},
		"an abort was recorded":      {func(st *v1alpha1.RolloutStatus) { st.Abort = true }, false},
		"the new pods are under way": {func(st *v1alpha1.RolloutStatus) { st.Conditions[0].Reason = "NewReplicaSetCreated" }, true},
		"the deadline is exceeded": {func(st *v1alpha1.RolloutStatus) {
			st.Conditions[0].Status, st.Conditions[0].Reason = corev1.ConditionFalse, "ProgressDeadlineExceeded"
		}, false},
		"a pause began": {func(st *v1alpha1.RolloutStatus) {
			st.PauseConditions = []v1alpha1.PauseCondition{{Reason: v1alpha1.PauseReasonCanaryPauseStep}}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			var d deferrals
			to := status()
			c.change(to)
			if wait := d.wait(key, status(), to, time.Unix(2000, 0)); wait > 0 != c.waits {
				t.Errorf("waits %s, want waiting: %v", wait, c.waits)
			}
		})
	}
}

func TestAStatusWaitsNoLongerThanTheSettleTime(t *testing.T) {
	var d deferrals
	began := time.Unix(2000, 0)
	counted := status()
	counted.Replicas = 5
	if wait := d.wait(key, status(), counted, began); wait != settle.Time {
		t.Errorf("it waits %s, want %s", wait, settle.Time)
	}
	if wait := d.wait(key, status(), counted, began.Add(settle.Time)); wait > 0 {
		t.Errorf("it still waits %s", wait)
	}
	d.Forget(key)
	if wait := d.wait(key, status(), counted, began.Add(time.Hour)); wait != settle.Time {
		t.Errorf("after it was written the next one waits %s, want %s", wait, settle.Time)
	}
}
