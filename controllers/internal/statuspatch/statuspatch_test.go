package statuspatch

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

func status() *v1alpha1.RolloutStatus {
	return &v1alpha1.RolloutStatus{Replicas: 3, CurrentStepIndex: ptr.To[int32](1)}
}

func TestTheStatusPatchHoldsOnlyWhatDiffers(t *testing.T) {
	to := status()
	to.Abort, to.CurrentStepIndex = true, nil
	diff, err := Diff(status(), to)
	if err != nil || string(diff) != `{"abort":true,"currentStepIndex":null}` {
		t.Errorf("diff = %s, %v", diff, err)
	}
	if diff, err := Diff(status(), status()); diff != nil || err != nil {
		t.Errorf("equal statuses differ by %s, %v", diff, err)
	}
}

func TestAPatchNamesTheObjectAndTheVersionItWasMadeOf(t *testing.T) {
	ro := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: "web", UID: "u1", ResourceVersion: "7"}}
	patch, err := Of(ro, []byte(`{"abort":true}`))
	if err != nil {
		t.Fatal(err)
	}
	body, err := patch.Data(ro)
	want := `{"metadata":{"resourceVersion":"7","uid":"u1"},"status":{"abort":true}}`
	if err != nil || string(body) != want {
		t.Errorf("body = %s, %v; want %s", body, err, want)
	}
}
