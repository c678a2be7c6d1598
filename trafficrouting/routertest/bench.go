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

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
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
	w := NewWorld(t, h.Kinds, objects...)
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
	if b.Rests && weight == 0 {
		more, err := b.router.Apply(b.t.Context(), b.ref, b.split(weight))
		if err != nil {
			b.t.Fatalf("applying weight %d once more: %v", weight, err)
		}
		changes = append(changes, more...)
	}
	return changes
}

func (b bench) applySplit(split trafficrouting.Split) {
	b.t.Helper()
	if _, err := b.router.Apply(b.t.Context(), b.ref, split); err != nil {
		b.t.Fatalf("applying %s: %v", split, err)
	}
}

func (b bench) observe() trafficrouting.Observed {
	b.t.Helper()
	seen, err := b.router.Observe(b.t.Context(), b.ref)
	if err != nil {
		b.t.Fatalf("observing: %v", err)
	}
	return seen
}

// wantSeen ignores Verified: the data plane is not here. What routes select has a duty of its own.
func (b bench) wantSeen(want trafficrouting.Observed) {
	b.t.Helper()
	got := b.observe()
	got.Verified, got.Unverified, got.Selects = nil, "", nil
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

// everything is what the world holds of the kinds that the router touches.
func (b bench) everything() []client.Object {
	b.t.Helper()
	var lists []client.ObjectList
	if b.Lists != nil {
		lists = b.Lists()
	}
	return b.Objects(b.t, append(lists, b.lists()...)...)
}

// left returns the objects that the router writes.
func (b bench) left() []client.Object {
	b.t.Helper()
	return slices.DeleteFunc(b.everything(), func(o client.Object) bool { return !b.Managed(o) })
}

// managed returns them too; there must be one.
func (b bench) managed() []client.Object {
	b.t.Helper()
	objects := b.left()
	if len(objects) == 0 && !b.Rests {
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
	return lagging{b.Client, b.indexed(b.t).WithObjects(b.everything()...).Build()}
}

// rest is everything in the world that is not the router's, as JSON by kind and name.
func (b bench) rest() map[string]string {
	b.t.Helper()
	rest := map[string]string{}
	for _, obj := range b.everything() {
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
		texts = append(texts, b.text(obj))
	}
	return texts
}

// text is an object as JSON, without what every write changes.
func (b bench) text(obj client.Object) string {
	b.t.Helper()
	obj.SetResourceVersion("")
	obj.SetGeneration(0)
	text, err := json.Marshal(obj)
	if err != nil {
		b.t.Fatalf("encoding %s: %v", obj.GetName(), err)
	}
	return string(text)
}

// managedWithoutMark are the contents without the mark, which stays until the object is released.
func (b bench) managedWithoutMark() []string {
	b.t.Helper()
	var texts []string
	for _, obj := range b.managed() {
		annotations := obj.GetAnnotations()
		if delete(annotations, v1alpha1.RoutedByAnnotation); len(annotations) == 0 {
			annotations = nil
		}
		obj.SetAnnotations(annotations)
		texts = append(texts, b.text(obj))
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
