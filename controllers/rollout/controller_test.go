package rollout

import (
	"context"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/controllers/rollout/plan"
)

// empty is a cache in which nothing is found.
type empty struct{ client.Client }

func (empty) Get(_ context.Context, key client.ObjectKey, _ client.Object, _ ...client.GetOption) error {
	return apierrors.NewNotFound(schema.GroupResource{Resource: "rollouts"}, key.Name)
}

func (empty) List(context.Context, client.ObjectList, ...client.ListOption) error { return nil }

func (empty) RESTMapper() meta.RESTMapper { return meta.NewDefaultRESTMapper(nil) }

func TestARolloutThatIsGoneLeavesNoSeries(t *testing.T) {
	r := New(Options{Client: empty{}, Recorder: record.NewFakeRecorder(1)})
	key := types.NamespacedName{Namespace: "shop", Name: "web"}
	r.metrics.Reconciled(key, 0, nil)
	r.metrics.event(key, plan.Event{Type: "Normal", Reason: "RolloutCompleted"})
	if n := count(r.metrics.Meter) + count(r.metrics.events); n != 2 {
		t.Fatalf("%d series before, want 2", n)
	}
	if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: key}); err != nil {
		t.Fatal(err)
	}
	if n := count(r.metrics.Meter) + count(r.metrics.events); n != 0 {
		t.Errorf("%d series are left", n)
	}
}

func count(c prometheus.Collector) int {
	ch := make(chan prometheus.Metric, 10)
	c.Collect(ch)
	close(ch)
	return len(ch)
}
