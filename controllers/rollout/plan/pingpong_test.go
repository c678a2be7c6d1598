package plan_test

import (
	"testing"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// TestPingPongIsRecordedWithThePromotion follows which of two Services is the
// stable one, and what the status says of the weights that go with it.
func TestPingPongIsRecordedWithThePromotion(t *testing.T) {
	t.Parallel()
	s := &story{t: t}
	s.Tell([]string{"rollout replicas=2 pingPong steps=50,pause"})
	for _, c := range []struct {
		event          string
		is             v1alpha1.PingPongType
		stable, canary string
		weight         int32
	}{
		{"look", v1alpha1.PPPing, "ping", "pong", 0},
		{"deploy v2", v1alpha1.PPPing, "ping", "pong", 50},
		{"promote", v1alpha1.PPPong, "pong", "ping", 0},
		{"deploy v3", v1alpha1.PPPong, "pong", "ping", 50},
		{"abort", v1alpha1.PPPong, "pong", "ping", 0},
		{"deploy v4", v1alpha1.PPPong, "pong", "ping", 50},
		{"promote", v1alpha1.PPPing, "ping", "pong", 0},
	} {
		s.Tell([]string{c.event})
		st := s.cluster.Rollout.Status.Canary
		stable, canary := st.Weights.Stable, st.Weights.Canary
		if st.StablePingPong != c.is || stable.ServiceName != c.stable || canary.ServiceName != c.canary || canary.Weight != c.weight {
			t.Errorf("after %q %s is stable, with %+v and %+v; want %s, and %d for %s", c.event, st.StablePingPong, stable, canary, c.is, c.weight, c.canary)
		}
	}
	if len(s.cluster.Broken) > 0 {
		t.Errorf("invariants broken: %q", s.cluster.Broken)
	}
}
