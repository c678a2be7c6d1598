package rollout

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/controllers/rollout/plan"
)

// evicting is an API server that answers evictions alone, and keeps the last one.
type evicting struct {
	client.Client

	answer error
	asked  *policyv1.Eviction
}

func (e *evicting) SubResource(string) client.SubResourceClient { return eviction{to: e} }

type eviction struct {
	client.SubResourceClient

	to *evicting
}

func (e eviction) Create(_ context.Context, _, sub client.Object, _ ...client.SubResourceCreateOption) error {
	e.to.asked, _ = sub.(*policyv1.Eviction)
	return e.to.answer
}

func TestAnEvictionMeansThePodThatWasSeen(t *testing.T) {
	pods := schema.GroupResource{Resource: "pods"}
	later := apierrors.NewTooManyRequests("Cannot evict pod.", 0)
	later.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: policyv1.DisruptionBudgetCause, Message: "The disruption budget web needs 4 healthy pods and has 4 currently"}}
	for name, c := range map[string]struct {
		answer  error
		refused []refusal
		fails   bool
	}{
		"it goes":                           {},
		"it is gone":                        {answer: apierrors.NewNotFound(pods, "web-1")},
		"it may not go now":                 {answer: later, refused: []refusal{{"web-1", "Cannot evict pod. The disruption budget web needs 4 healthy pods and has 4 currently."}}},
		"the API server does not answer":    {answer: context.DeadlineExceeded, refused: []refusal{{"web-1", "The API server asks to wait."}}},
		"another pod has its name by now":   {answer: apierrors.NewConflict(pods, "web-1", nil), fails: true},
		"two budgets speak of it":           {answer: apierrors.NewInternalError(context.Canceled), fails: true},
		"the controller may not evict pods": {answer: apierrors.NewForbidden(pods, "web-1", nil), fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			api := &evicting{answer: c.answer}
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-1", UID: "u7"}}
			seen := &observed{pods: map[string]*corev1.Pod{"web-1": pod}}
			err := actor{Reconciler: New(Options{Client: api}), seen: seen}.one(t.Context(), plan.Evict{Pod: "web-1"})
			if (err != nil) != c.fails {
				t.Errorf("error %v", err)
			}
			if diff := cmp.Diff(c.refused, seen.refused, cmp.AllowUnexported(refusal{})); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
			if got := api.asked.DeleteOptions.Preconditions; got == nil || got.UID == nil || *got.UID != "u7" {
				t.Errorf("preconditions %v", got)
			}
		})
	}
}
