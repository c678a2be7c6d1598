package plan_test

import (
	"testing"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

func TestWhatAnAutoscalerSees(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, rollout string
		replicas      int32
		selector      string
	}{
		{"the pods of both revisions of a canary", "rollout replicas=4 steps=50,pause", 6, "app=web"},
		{"those of the stable one with scaleAccounting: stable", "rollout replicas=4 stableScale steps=50,pause", 4, "app=web,rollouts-pod-template-hash=v1"},
		{"those behind the active Service of a blue-green update", "rollout replicas=4 blueGreen=manual", 4, "app=web,rollouts-pod-template-hash=v1"},
		{"both, where pods alone split the traffic", "rollout replicas=4 basic steps=50,pause", 4, "app=web"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := &story{t: t}
			s.Tell([]string{c.rollout})
			s.Tell([]string{"deploy v2"})
			st := s.cluster.Rollout.Status
			if st.HPAReplicas != c.replicas || st.Selector != c.selector || st.Phase != v1alpha1.RolloutPhasePaused {
				t.Errorf("it sees %d pods of %s in phase %s, want %d of %s", st.HPAReplicas, st.Selector, st.Phase, c.replicas, c.selector)
			}
		})
	}
}
