package statuspatch

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

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

// Whatever differs, the patch makes one status of the other.
func TestTheStatusPatchLeadsFromOneStatusToTheOther(t *testing.T) {
	weights := func(canary int32) *v1alpha1.TrafficWeights {
		return &v1alpha1.TrafficWeights{Canary: v1alpha1.WeightDestination{Weight: canary}, Stable: v1alpha1.WeightDestination{Weight: 100 - canary}}
	}
	statuses := map[string]*v1alpha1.RolloutStatus{
		"empty":       {},
		"some":        status(),
		"weights":     {Canary: v1alpha1.CanaryStatus{Weights: weights(20)}},
		"moved":       {Canary: v1alpha1.CanaryStatus{Weights: weights(40), StablePingPong: "ping"}},
		"lists":       {Conditions: []v1alpha1.RolloutCondition{{Type: "Paused"}}, Message: "waits"},
		"longer list": {Conditions: []v1alpha1.RolloutCondition{{Type: "Paused"}, {Type: "Healthy"}}, BlueGreen: v1alpha1.BlueGreenStatus{ActiveSelector: "a"}},
	}
	for fromName, from := range statuses {
		for toName, to := range statuses {
			diff, err := Diff(from, to)
			if err != nil || (diff == nil) != (fromName == toName) {
				t.Fatalf("from %s to %s: %s, %v", fromName, toName, diff, err)
			}
			if diff == nil {
				continue
			}
			was, _ := json.Marshal(from)
			is, err := jsonpatch.MergePatch(was, diff)
			if err != nil {
				t.Fatal(err)
			}
			var got v1alpha1.RolloutStatus
			if err := json.Unmarshal(is, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(*to, got); diff != "" {
				t.Errorf("from %s to %s: %s", fromName, toName, diff)
			}
		}
	}
}

// Only the metadata comes back, and the status subresource is used where there is one.
func TestTheReplyIsTheMetadataAlone(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	ro := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}}
	run := &v1alpha1.AnalysisRun{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "run"}}
	var answered []string
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(ro, run).WithStatusSubresource(ro).WithInterceptorFuncs(interceptor.Funcs{
		Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
			answered = append(answered, fmt.Sprintf("%T", obj))
			return c.Patch(ctx, obj, patch, opts...)
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
			answered = append(answered, fmt.Sprintf("%s %T", sub, obj))
			return c.SubResource(sub).Patch(ctx, obj, patch, opts...)
		},
	}).Build()
	for _, obj := range []client.Object{ro, run} {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(obj), obj); err != nil {
			t.Fatal(err)
		}
	}
	if version, err := StoreSubresource(t.Context(), c, ro, []byte(`{"abort":true}`)); err != nil || version == "" || version == ro.ResourceVersion {
		t.Fatal(err)
	}
	if version, err := Store(t.Context(), c, run, []byte(`{"phase":"Running"}`)); err != nil || version == "" || version == run.ResourceVersion {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"status *v1.PartialObjectMetadata", "*v1.PartialObjectMetadata"}, answered); diff != "" {
		t.Error(diff)
	}
	if _, err := Store(t.Context(), c, run, []byte(`{"phase":"Failed"}`)); !apierrors.IsConflict(err) {
		t.Errorf("the version of the object is old, got %v", err)
	}
	for _, obj := range []client.Object{ro, run} {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(obj), obj); err != nil {
			t.Fatal(err)
		}
	}
	if !ro.Status.Abort || run.Status.Phase != v1alpha1.AnalysisPhaseRunning {
		t.Errorf("stored %+v and %+v", ro.Status, run.Status)
	}
}

func TestAPatchNamesTheObjectAndTheVersionItWasMadeOf(t *testing.T) {
	ro := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: "web", UID: "u1", ResourceVersion: "7"}}
	patch, err := patchOf(ro, []byte(`{"abort":true}`))
	if err != nil {
		t.Fatal(err)
	}
	body, err := patch.Data(ro)
	want := `{"metadata":{"resourceVersion":"7","uid":"u1"},"status":{"abort":true}}`
	if err != nil || string(body) != want {
		t.Errorf("body = %s, %v; want %s", body, err, want)
	}
}
