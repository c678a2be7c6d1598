package rollout

import (
	"context"
	"errors"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/rollout/plan"
	"github.com/headway-rollouts/headway/trafficrouting/routertest"
)

// empty is a cache in which nothing is found.
type empty struct{ client.Client }

func (empty) Get(_ context.Context, key client.ObjectKey, _ client.Object, _ ...client.GetOption) error {
	return apierrors.NewNotFound(schema.GroupResource{Resource: "rollouts"}, key.Name)
}

func (empty) List(context.Context, client.ObjectList, ...client.ListOption) error { return nil }

func (empty) RESTMapper() meta.RESTMapper { return meta.NewDefaultRESTMapper(nil) }

func TestARolloutThatIsGoneLeavesNoSeries(t *testing.T) {
	r := New(Options{Client: empty{}, Live: empty{}, Recorder: record.NewFakeRecorder(1)})
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

// someone is an API server that has every Rollout; the cache of this controller has none.
type someone struct{ client.Reader }

func (someone) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	return nil
}

// silent is one that answers nothing.
type silent struct{ client.Reader }

func (silent) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	return errors.New("no answer")
}

// routed is a cache without Rollouts, with a TraefikService that one of them marked.
func routed(t *testing.T) client.Client {
	t.Helper()
	obj := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(`
apiVersion: traefik.io/v1alpha1
kind: TraefikService
metadata: {name: web, namespace: shop, annotations: {rollout.argoproj.io/routed-by: '{"rollout":"shop/web","stable":"stable","canary":"canary"}'}}
spec: {weighted: {services: [{name: stable, weight: 80}, {name: canary, weight: 20}]}}
`), &obj.Object); err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, networkingv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return routertest.NewWorld(t, routertest.Kinds{Scheme: scheme, Foreign: []schema.GroupVersionKind{obj.GroupVersionKind()}}, obj).Client
}

func TestOnlyTheRoutesOfARolloutThatIsGoneAreReleased(t *testing.T) {
	for name, c := range map[string]struct {
		live      client.Reader
		namespace string
		released  bool
		fails     bool
	}{
		"one that is gone":                         {live: empty{}, released: true},
		"one that another controller serves":       {live: someone{}},
		"one of which nobody knows":                {live: silent{}, fails: true},
		"one of a namespace that is not served":    {live: empty{}, namespace: "bank"},
		"one of the only namespace, which is gone": {live: empty{}, namespace: "shop", released: true},
	} {
		t.Run(name, func(t *testing.T) {
			cached := routed(t)
			r := New(Options{Client: cached, Live: c.live, Namespace: c.namespace, Recorder: record.NewFakeRecorder(1)})
			key := types.NamespacedName{Namespace: "shop", Name: "web"}
			if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: key}); (err != nil) != c.fails {
				t.Fatalf("error %v, want one: %t", err, c.fails)
			}
			obj := &unstructured.Unstructured{}
			obj.SetAPIVersion("traefik.io/v1alpha1")
			obj.SetKind("TraefikService")
			if err := cached.Get(t.Context(), key, obj); err != nil {
				t.Fatal(err)
			}
			if released := len(obj.GetAnnotations()) == 0; released != c.released {
				t.Errorf("released %t, want %t: %v", released, c.released, obj.Object)
			}
		})
	}
}

func count(c prometheus.Collector) int {
	ch := make(chan prometheus.Metric, 10)
	c.Collect(ch)
	close(ch)
	return len(ch)
}
