package plan

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// nginxRouted makes the world one whose routes are served.
func nginxRouted(w world) world {
	w.canary.TrafficRouting = &v1alpha1.RolloutTrafficRouting{Nginx: &v1alpha1.NginxTrafficRouting{StableIngress: "web"}}
	return w
}

func TestAWeightThatIsNotVerifiedHoldsItsStep(t *testing.T) {
	for _, c := range []struct {
		name     string
		verified *bool
		done     bool
	}{
		{"a router that does not verify", nil, true},
		{"seen in the data plane", new(true), true},
		{"not seen there yet", new(false), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := nginxRouted(scene{v1: 4, v2: 4, stable: "v1", canary: "v2", weight: 50}.world())
			w.Revisions["v2"] = Revision{Hash: "v2", Replicas: 2, Pods: 2, Ready: 2, Available: 2}
			w.Traffic.Verified = c.verified
			if got := w.stepDone(); got != c.done {
				t.Errorf("the step is done: %t, want %t", got, c.done)
			}
			if got := status(w).Canary.Weights.Verified; got != c.verified {
				t.Errorf("the status says verified %v, want %v", got, c.verified)
			}
			w = nginxRouted(scene{v1: 4, v2: 4, stable: "v2", canary: "v2"}.world())
			w.step, w.Traffic.Verified = 1, c.verified
			if got := w.promoted(); got != c.done {
				t.Errorf("the update is promoted: %t, want %t", got, c.done)
			}
		})
	}
}

func TestWhatKeepsPodsAwayIsACondition(t *testing.T) {
	w := scene{v1: 4, v2: 0, stable: "v1", canary: "v1"}.world()
	current := w.Revisions["v2"]
	current.Failure = "exceeded quota"
	w.Revisions["v2"] = current
	st := status(w)
	failure := conditionOf(st, v1alpha1.RolloutReplicaFailure)
	if failure == nil || failure.Status != corev1.ConditionTrue || failure.Message != "exceeded quota" {
		t.Fatalf("the condition is %+v", failure)
	}
	if st.Why.Code != WhyPodsCannotStart {
		t.Errorf("the reason is %s, want %s", st.Why.Code, WhyPodsCannotStart)
	}
	w.old, current.Failure = st, ""
	w.Revisions["v2"] = current
	if left := conditionOf(status(w), v1alpha1.RolloutReplicaFailure); left != nil {
		t.Errorf("it stays: %+v", left)
	}
}
