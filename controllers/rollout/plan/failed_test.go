package plan_test

import (
	"errors"
	"testing"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/rollout/plan"
)

// A status for each try would wake the next try at once.
func TestAnErrorThatDiffersInItsNumbersAloneIsToldOnce(t *testing.T) {
	ro := &v1alpha1.Rollout{}
	tell := func(text string) string {
		ro.Status = plan.Failed(plan.Snapshot{Rollout: ro}, ro.Status, errors.New(text))
		return ro.Status.Why.Message
	}
	first := tell("read tcp 10.0.0.1:40123->10.0.0.2:443: i/o timeout")
	if again := tell("read tcp 10.0.0.1:51888->10.0.0.2:443: i/o timeout"); again != first {
		t.Errorf("told again as %q", again)
	}
	if other := tell("pods is forbidden: exceeded quota"); other == first {
		t.Error("another error is not told")
	}
}
