package routertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/trafficrouting"
)

// bench is one router in one world.
type bench struct {
	Harness
	*World
	t      *testing.T
	router trafficrouting.Router
	ref    trafficrouting.Ref
}

func (h Harness) bench(t *testing.T, total *int32, objects ...client.Object) bench {
	t.Helper()
	w := NewWorld(t, h.Scheme, objects...)
	return bench{Harness: h, World: w, t: t, router: h.Router(w.Client), ref: trafficrouting.Ref{Rollout: h.Rollout(total)}}
}

func (b bench) total() int32 { return b.ref.Rollout.Spec.Strategy.Canary.MaxTrafficWeight() }

func (b bench) split(weight int32) trafficrouting.Split {
	canary := b.ref.Rollout.Spec.Strategy.Canary
	return trafficrouting.Split{
		MaxWeight: b.total(),
		Stable:    trafficrouting.Backend{Service: canary.StableService, Hash: "aaaa", Weight: b.total() - weight},
		Canary:    trafficrouting.Backend{Service: canary.CanaryService, Hash: "bbbb", Weight: weight},
	}
}

func (b bench) apply(weight int32) []trafficrouting.Change {
	b.t.Helper()
	changes, err := b.router.Apply(b.t.Context(), b.ref, b.split(weight))
	if err != nil {
		b.t.Fatalf("applying weight %d: %v", weight, err)
	}
	return changes
}

func (b bench) observe() trafficrouting.Observed {
	b.t.Helper()
	seen, err := b.router.Observe(b.t.Context(), b.ref)
	if err != nil {
		b.t.Fatalf("observing: %v", err)
	}
	return seen
}

// wantSeen ignores Verified: the data plane is not here.
func (b bench) wantSeen(want trafficrouting.Observed) {
	b.t.Helper()
	got := b.observe()
	got.Verified = nil
	if diff := cmp.Diff(want, got); diff != "" {
		b.t.Errorf("observed (-want +got):\n%s", diff)
	}
}

func (b bench) wantQuiet() {
	b.t.Helper()
	if writes := b.Writes(); len(writes) > 0 {
		b.t.Errorf("wrote %q, want no write", writes)
	}
}

// left returns the objects that the router writes.
func (b bench) left() []client.Object {
	b.t.Helper()
	return slices.DeleteFunc(b.Objects(b.t, b.Lists()...), func(o client.Object) bool { return !b.Managed(o) })
}

// managed returns them too; there must be one.
func (b bench) managed() []client.Object {
	b.t.Helper()
	objects := b.left()
	if len(objects) == 0 {
		b.t.Fatal("the router manages no object")
	}
	return objects
}

// edit changes one object as somebody else would.
func (b bench) edit(obj client.Object, change func(client.Object)) {
	b.t.Helper()
	change(obj)
	if err := b.Direct.Update(b.t.Context(), obj); err != nil {
		b.t.Fatalf("editing %s: %v", obj.GetName(), err)
	}
}

// lagging reads from a cache that is behind the API server it writes to.
type lagging struct {
	client.Client

	cache client.Reader
}

func (l lagging) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	return l.cache.Get(ctx, key, obj, opts...) //nolint:wrapcheck // It stands in for the cache.
}

func (l lagging) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	return l.cache.List(ctx, list, opts...) //nolint:wrapcheck // It stands in for the cache.
}

// stale is a client that goes on reading the world as it is now.
func (b bench) stale() client.Client {
	b.t.Helper()
	return lagging{b.Client, indexed(b.t, b.Scheme).WithObjects(b.Objects(b.t, b.Lists()...)...).Build()}
}

// rest is everything in the world that is not the router's, as JSON by kind and name.
func (b bench) rest() map[string]string {
	b.t.Helper()
	rest := map[string]string{}
	for _, obj := range b.Objects(b.t, b.Lists()...) {
		obj.SetManagedFields(nil)
		if b.Managed(obj) {
			obj.SetResourceVersion("")
			obj.SetGeneration(0)
			b.Strip(obj)
		}
		text, err := json.Marshal(obj)
		if err != nil {
			b.t.Fatalf("encoding %s: %v", obj.GetName(), err)
		}
		rest[fmt.Sprintf("%T %s", obj, obj.GetName())] = string(text)
	}
	return rest
}

// weightsOf are the weights worth trying: both ends, their neighbours and the middle.
func weightsOf(total int32) []int32 {
	weights := []int32{0, 1, total / 2, total - 1, total, 0}
	return slices.DeleteFunc(weights, func(w int32) bool { return w < 0 })
}

func (h Harness) totals() []*int32 {
	totals := []*int32{nil}
	for _, total := range h.Totals {
		totals = append(totals, &total)
	}
	return totals
}

// wantSum checks that the weights in every managed object are shares that sum to the total.
func (b bench) wantSum() {
	b.t.Helper()
	for _, obj := range b.managed() {
		weights, sum := b.weights(obj), int64(0)
		for _, w := range weights {
			sum += int64(w)
			if w < 0 || w > b.total() {
				b.t.Errorf("%s has weight %d, want 0 to %d", obj.GetName(), w, b.total())
			}
		}
		if sum != int64(b.total()) {
			b.t.Errorf("%s has weights %v, want a sum of %d", obj.GetName(), weights, b.total())
		}
	}
}

func (b bench) weights(obj client.Object) []int32 {
	b.t.Helper()
	weights, err := b.Weights(obj)
	if err != nil {
		b.t.Fatalf("reading the weights of %s: %v", obj.GetName(), err)
	}
	return weights
}

// adorn adds what no router owns.
func adorn(obj client.Object) {
	obj.SetAnnotations(with(obj.GetAnnotations(), "example.com/note", "<kept> & \"quoted\""))
	obj.SetLabels(with(obj.GetLabels(), "team", "shop"))
	obj.SetFinalizers(append(obj.GetFinalizers(), "example.com/hold"))
}

func with(m map[string]string, key, value string) map[string]string {
	if m == nil {
		m = map[string]string{}
	}
	m[key] = value
	return m
}

// contents are the managed objects as JSON, without what every write changes.
func (b bench) contents() []string {
	b.t.Helper()
	var texts []string
	for _, obj := range b.managed() {
		obj.SetResourceVersion("")
		obj.SetGeneration(0)
		text, err := json.Marshal(obj)
		if err != nil {
			b.t.Fatalf("encoding %s: %v", obj.GetName(), err)
		}
		texts = append(texts, string(text))
	}
	return texts
}

// named is the managed object of that name.
func (b bench) named(name string) client.Object {
	b.t.Helper()
	for _, obj := range b.managed() {
		if obj.GetName() == name {
			return obj
		}
	}
	b.t.Fatalf("the router manages no %q", name)
	return nil
}

// fieldErrorOnly fails the test for an error that is not about the spec.
func fieldErrorOnly(t *testing.T, doing string, err error) {
	t.Helper()
	if err != nil {
		wantFieldError(t, doing, err)
	}
}

func wantFieldError(t *testing.T, doing string, err error) {
	t.Helper()
	var invalid *field.Error
	if !errors.As(err, &invalid) {
		t.Errorf("%s: error %v, want one that wraps a *field.Error", doing, err)
	} else if invalid.Field == "" {
		t.Errorf("%s: error %v has no field path", doing, err)
	}
}
