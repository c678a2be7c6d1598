package routertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
)

func hasName(t *testing.T, h Harness) {
	if h.bench(t, nil).router.Type() == "" {
		t.Error("Type is empty, want the name of the metrics and events")
	}
}

func beforeTheFirst(t *testing.T, h Harness) {
	b := h.bench(t, nil, h.Given()...)
	before := b.ref.Rollout.DeepCopy()
	seen := b.observe()
	if seen.CanaryWeight != 0 {
		t.Errorf("observed weight %d, want 0", seen.CanaryWeight)
	}
	if seen.InSync && !seen.Exists {
		t.Error("observed a route in sync that does not exist")
	}
	b.wantQuiet()
	b.apply(10)
	if diff := cmp.Diff(before, b.ref.Rollout); diff != "" {
		t.Errorf("the Rollout was changed (-before +after):\n%s", diff)
	}
}

func roundTrip(t *testing.T, h Harness) {
	for _, total := range h.totals() {
		b := h.bench(t, total, h.Given()...)
		for _, weight := range weightsOf(b.total()) {
			changes := b.apply(weight)
			if writes := b.Writes(); len(writes) > 0 && len(changes) == 0 {
				t.Errorf("weight %d of %d: wrote %q and returned no change", weight, b.total(), writes)
			}
			b.wantSeen(trafficrouting.Observed{Exists: true, CanaryWeight: weight, InSync: true})
			if changes := b.apply(weight); len(changes) > 0 {
				t.Errorf("weight %d of %d again returned %v, want no change", weight, b.total(), changes)
			}
			b.wantQuiet()
			b.wantSum()
		}
	}
}

func refusesBadSplits(t *testing.T, h Harness) {
	for name, spoil := range map[string]func(*trafficrouting.Split){
		"a negative canary weight": func(s *trafficrouting.Split) { s.Canary.Weight, s.Stable.Weight = -1, s.MaxWeight+1 },
		"a negative stable weight": func(s *trafficrouting.Split) { s.Canary.Weight, s.Stable.Weight = s.MaxWeight+1, -1 },
		"a sum below the total":    func(s *trafficrouting.Split) { s.Stable.Weight-- },
		"a sum that overflows":     func(s *trafficrouting.Split) { s.Canary.Weight, s.Stable.Weight = 1<<31-1, 1<<31-1 },
		"a zero split":             func(s *trafficrouting.Split) { *s = trafficrouting.Split{} },
	} {
		b := h.bench(t, nil, h.Given()...)
		split := b.split(20)
		spoil(&split)
		if _, err := b.router.Apply(t.Context(), b.ref, split); err == nil {
			t.Errorf("%s was applied, want an error", name)
		}
		b.wantQuiet()
	}
}

func keepsTheRest(t *testing.T, h Harness) {
	b := h.bench(t, nil, h.Given()...)
	given := b.rest()
	b.apply(0)
	after := b.rest()
	for name, before := range given {
		if before != after[name] {
			t.Errorf("%s changed:\n%s", name, cmp.Diff(before, after[name]))
		}
	}
	for _, obj := range b.managed() {
		b.edit(obj, adorn)
	}
	before := b.rest()
	for _, weight := range weightsOf(b.total()) {
		b.apply(weight)
	}
	if diff := cmp.Diff(before, b.rest()); diff != "" {
		t.Errorf("the rest changed (-before +after):\n%s", diff)
	}
}

func missingObject(t *testing.T, h Harness) {
	for i, gone := range h.Given() {
		b := h.bench(t, nil, slices.Delete(h.Given(), i, i+1)...)
		_, err := b.router.Observe(t.Context(), b.ref)
		wantFieldError(t, "observing without "+gone.GetName(), err)
		_, err = b.router.Apply(t.Context(), b.ref, b.split(20))
		wantFieldError(t, "applying without "+gone.GetName(), err)
		for _, write := range b.Writes() {
			if len(h.Given()) == 1 {
				t.Errorf("without %s: %s, want no write", gone.GetName(), write)
			}
		}
	}
}

func somebodyElses(t *testing.T, h Harness) {
	if h.Steal == nil {
		t.Skip("this router owns no object")
	}
	b := h.bench(t, nil, h.Given()...)
	b.apply(10)
	stolen := b.managed()[0]
	b.edit(stolen, h.Steal)
	b.Writes()
	if _, err := b.router.Observe(t.Context(), b.ref); err == nil {
		t.Error("observing succeeded, want an error")
	}
	if _, err := b.router.Apply(t.Context(), b.ref, b.split(20)); err == nil {
		t.Error("applying succeeded, want an error")
	}
	for _, write := range b.Writes() {
		if write == "patch "+stolen.GetName() || write == "update "+stolen.GetName() || write == "delete "+stolen.GetName() {
			t.Errorf("%s, want the object left alone", write)
		}
	}
}

func repairs(t *testing.T, h Harness) {
	for name, spoil := range h.Spoil {
		t.Run(name, func(t *testing.T) {
			b := h.bench(t, nil, h.Given()...)
			b.apply(20)
			whole := b.contents()
			b.edit(b.managed()[0], spoil)
			b.Writes()
			if seen := b.observe(); seen.InSync && seen.CanaryWeight == 20 {
				t.Errorf("observed %+v as if nothing had happened", seen)
			}
			b.wantQuiet()
			b.apply(20)
			b.wantSeen(trafficrouting.Observed{Exists: true, CanaryWeight: 20, InSync: true})
			if diff := cmp.Diff(whole, b.contents()); diff != "" {
				t.Errorf("after the repair (-before the edit +after):\n%s", diff)
			}
		})
	}
}

func unnamed(t *testing.T, h Harness) {
	for name, unname := range h.Unname {
		t.Run(name, func(t *testing.T) {
			b := h.bench(t, nil, h.Given()...)
			b.apply(50)
			home := b.split(0)
			unname(b.ref.Rollout)
			seen, err := b.router.Observe(t.Context(), b.ref)
			fieldErrorOnly(t, "observing", err)
			if !seen.Exists && seen.InSync || seen.CanaryWeight != 50 {
				t.Errorf("observed %+v, want the route of weight 50", seen)
			}
			for range 3 { // emptied, deleted, quiet
				b.Writes()
				_, err = b.router.Apply(t.Context(), b.ref, home)
				fieldErrorOnly(t, "applying", err)
			}
			b.wantQuiet()
			for _, obj := range b.left() {
				if weights := b.weights(obj); slices.Max(weights) != home.MaxWeight {
					t.Errorf("%s still shares traffic: %v", obj.GetName(), weights)
				}
			}
			if seen, err = b.router.Observe(t.Context(), b.ref); seen.CanaryWeight != 0 {
				t.Errorf("observed %+v (%v) afterwards, want no weight", seen, err)
			}
		})
	}
}

// staleWeight is what an instance does that lost its lease without noticing: its cache still shows
// the weight from before the abort.
func staleWeight(t *testing.T, h Harness) {
	for before, after := range map[int32]int32{20: 40, 60: 40} {
		b := h.bench(t, nil, h.Given()...)
		b.apply(before)
		old := b.stale()
		b.apply(0)
		if _, err := h.Router(old).Apply(t.Context(), b.ref, b.split(after)); !apierrors.IsConflict(err) {
			t.Errorf("applying %d over %d: error %v, want a conflict", after, before, err)
		}
		b.wantSeen(trafficrouting.Observed{Exists: true, InSync: true})
	}
}

func survives(t *testing.T, h Harness) {
	b := h.bench(t, nil, h.Given()...)
	b.apply(10)
	var name string
	b.Interfere = func(ctx context.Context, direct client.Client, stored client.Object) error {
		name = stored.GetName()
		adorn(stored)
		return direct.Update(ctx, stored)
	}
	_, err := b.router.Apply(t.Context(), b.ref, b.split(20))
	if apierrors.IsConflict(err) {
		b.apply(20)
	} else if err != nil {
		t.Fatalf("applying: %v", err)
	}
	b.wantSeen(trafficrouting.Observed{Exists: true, CanaryWeight: 20, InSync: true})
	got := b.named(name)
	if got.GetAnnotations()["example.com/note"] == "" || got.GetLabels()["team"] != "shop" {
		t.Errorf("annotations %v and labels %v, want those added meanwhile among them", got.GetAnnotations(), got.GetLabels())
	}
}

func replaced(t *testing.T, h Harness) {
	b := h.bench(t, nil, h.Given()...)
	b.apply(10)
	before, name := b.weights(b.managed()[0]), ""
	b.Interfere = func(ctx context.Context, direct client.Client, stored client.Object) error {
		name = stored.GetName()
		if err := direct.Delete(ctx, stored); err != nil {
			return fmt.Errorf("deleting the stored object: %w", err)
		}
		stored.SetUID("")
		stored.SetResourceVersion("")
		return direct.Create(ctx, stored)
	}
	if _, err := b.router.Apply(t.Context(), b.ref, b.split(20)); !apierrors.IsConflict(err) {
		t.Errorf("applying: error %v, want a conflict", err)
	}
	if diff := cmp.Diff(before, b.weights(b.named(name))); diff != "" {
		t.Errorf("the weights of the new object (-made with +got):\n%s", diff)
	}
}

func refusedWrite(t *testing.T, h Harness) {
	b := h.bench(t, nil, h.Given()...)
	refusal := errors.New("admission webhook says no")
	b.Fail = func(client.Object) error { return refusal }
	changes, err := b.router.Apply(t.Context(), b.ref, b.split(20))
	if !errors.Is(err, refusal) {
		t.Errorf("error %v, want one that wraps the refusal", err)
	}
	if len(changes) > 0 {
		t.Errorf("changes %v, want none", changes)
	}
}

func oddObjects(t *testing.T, h Harness) {
	for name, objects := range h.Odd() {
		t.Run(name, func(t *testing.T) {
			b := h.bench(t, nil, objects...)
			if _, err := b.router.Observe(t.Context(), b.ref); err != nil {
				t.Log(err)
			}
			if _, err := b.router.Apply(t.Context(), b.ref, b.split(20)); err != nil {
				t.Log(err)
			}
		})
	}
	b := h.bench(t, nil, h.Given()...)
	if _, err := b.router.Observe(t.Context(), trafficrouting.Ref{}); err == nil {
		t.Error("no Rollout was observed, want an error")
	}
	if _, err := b.router.Apply(t.Context(), trafficrouting.Ref{}, b.split(20)); err == nil {
		t.Error("no Rollout was routed, want an error")
	}
}

func namesAnother(t *testing.T, h Harness) {
	for _, strategy := range []v1alpha1.RolloutStrategy{{}, {Canary: &v1alpha1.CanaryStrategy{}}} {
		b := h.bench(t, nil, h.Given()...)
		split := b.split(20)
		b.ref.Rollout.Spec.Strategy = strategy
		b.wantSeen(trafficrouting.Observed{InSync: true})
		if _, err := b.router.Apply(t.Context(), b.ref, split); err != nil {
			t.Errorf("applying: %v", err)
		}
		b.wantQuiet()
	}
}

func managedRoutes(t *testing.T, h Harness) {
	if h.Routes == nil {
		t.Skip("this router makes no managed routes")
	}
	for name, routes := range h.Routes {
		t.Run(name, func(t *testing.T) {
			b := h.bench(t, nil, h.Given()...)
			for _, route := range routes {
				routing := b.ref.Rollout.Spec.Strategy.Canary.TrafficRouting
				routing.ManagedRoutes = append(routing.ManagedRoutes, v1alpha1.MangedRoutes{Name: route.Name})
			}
			b.apply(0)
			plain := b.managedWithoutMark()
			for _, weight := range []int32{0, 20, 20, b.total()} {
				split := b.split(weight)
				split.Routes = routes
				b.applySplit(split)
				b.wantSeen(trafficrouting.Observed{Exists: true, CanaryWeight: weight, InSync: true, Routes: routes})
				b.Writes()
				b.applySplit(split)
				b.wantQuiet()
			}
			b.apply(0)
			b.wantSeen(trafficrouting.Observed{Exists: true, InSync: true})
			if diff := cmp.Diff(plain, b.managedWithoutMark()); diff != "" {
				t.Errorf("after the routes went (-before +after):\n%s", diff)
			}
		})
	}
}

func additionalSides(t *testing.T, h Harness) {
	if !h.Additional {
		t.Skip("this router gives Experiments no weight")
	}
	b := h.bench(t, nil, h.Given()...)
	b.apply(0)
	plain := b.managedWithoutMark()
	split := b.split(20)
	split.Additional = []trafficrouting.Backend{{Service: "experiment-a", Hash: "cccc", Weight: 5}, {Service: "experiment-b", Hash: "dddd", Weight: 10}}
	split.Stable.Weight -= 15
	b.applySplit(split)
	want := trafficrouting.Observed{Exists: true, CanaryWeight: 20, InSync: true}
	for _, side := range split.Additional {
		want.Additional = append(want.Additional, trafficrouting.Backend{Service: side.Service, Weight: side.Weight})
	}
	got := b.observe()
	got.Verified, got.Unverified, got.Selects = nil, "", nil
	for i := range got.Additional {
		got.Additional[i].Hash = "" // Routers that only know Services cannot tell.
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("observed (-want +got):\n%s", diff)
	}
	b.wantSum()
	b.Writes()
	b.applySplit(split)
	b.wantQuiet()
	b.apply(0)
	b.wantSeen(trafficrouting.Observed{Exists: true, InSync: true})
	if diff := cmp.Diff(plain, b.managedWithoutMark()); diff != "" {
		t.Errorf("after the Experiment (-before +after):\n%s", diff)
	}
}

func selectsRevisions(t *testing.T, h Harness) {
	if !h.Selects {
		t.Skip("this router knows Services only")
	}
	b := h.bench(t, nil, h.Given()...)
	for _, want := range []trafficrouting.Selection{{Stable: "aaaa", Canary: "aaaa"}, {Stable: "aaaa", Canary: "bbbb"}, {Stable: "bbbb", Canary: "bbbb"}} {
		split := b.split(20)
		split.Stable.Hash, split.Canary.Hash = want.Stable, want.Canary
		b.applySplit(split)
		if seen := b.observe(); seen.Selects == nil || *seen.Selects != want || seen.CanaryWeight != 20 {
			t.Errorf("observed %+v, selecting %+v, want %+v", seen, seen.Selects, want)
		}
		b.Writes()
		b.applySplit(split)
		b.wantQuiet()
	}
}

// releasesOfTheGone ignores what a Rollout owned: the garbage collector deletes that.
func releasesOfTheGone(t *testing.T, h Harness) {
	b := h.bench(t, nil, h.Given()...)
	b.apply(50)
	gone := &v1alpha1.Rollout{}
	gone.Name, gone.Namespace = b.ref.Rollout.Name, b.ref.Rollout.Namespace
	b.ref.Rollout = gone
	for range 3 { // taken home, released, quiet
		b.Writes()
		b.applySplit(trafficrouting.Split{})
	}
	b.wantQuiet()
	for _, obj := range b.left() {
		if metav1.GetControllerOf(obj) != nil {
			continue
		}
		if weights := b.weights(obj); slices.Max(weights) != 100 {
			t.Errorf("%s still shares traffic: %v", obj.GetName(), weights)
		}
		if keys := trafficrouting.MarkKeys(obj); len(keys) > 0 {
			t.Errorf("%s still carries the marks of %v", obj.GetName(), keys)
		}
	}
}

func shares(t *testing.T, h Harness) {
	if h.Share == nil {
		t.Skip("an object of this router is for one Rollout")
	}
	second, given := h.Share()
	first := h.bench(t, nil, given...)
	other := first
	other.ref = trafficrouting.Ref{Rollout: second}
	plain := first.managedWithoutMark()
	for _, step := range []struct {
		of     bench
		weight int32
	}{{first, 20}, {other, 50}, {first, 40}, {other, 100}, {first, 0}, {first, 30}} {
		step.of.apply(step.weight)
		step.of.wantSeen(trafficrouting.Observed{Exists: true, CanaryWeight: step.weight, InSync: true})
	}
	first.wantSeen(trafficrouting.Observed{Exists: true, CanaryWeight: 30, InSync: true})
	other.wantSeen(trafficrouting.Observed{Exists: true, CanaryWeight: 100, InSync: true})
	if h.Routes != nil {
		shareRoutes(first, other)
	}
	gone := &v1alpha1.Rollout{}
	gone.Name, gone.Namespace = first.ref.Rollout.Name, first.ref.Rollout.Namespace
	first.ref.Rollout = gone
	first.applySplit(trafficrouting.Split{})
	other.wantSeen(trafficrouting.Observed{Exists: true, CanaryWeight: 100, InSync: true})
	gone = &v1alpha1.Rollout{}
	gone.Name, gone.Namespace = second.Name, second.Namespace
	other.ref.Rollout = gone
	other.applySplit(trafficrouting.Split{})
	for _, obj := range other.left() {
		if keys := trafficrouting.MarkKeys(obj); len(keys) > 0 {
			t.Errorf("%s still carries the marks of %v", obj.GetName(), keys)
		}
	}
	if diff := cmp.Diff(plain, other.managedWithoutMark()); diff != "" {
		t.Errorf("after both are gone (-before +after):\n%s", diff)
	}
}

// shareRoutes gives both Rollouts a header route in the same object, and takes that of the first away.
func shareRoutes(first, other bench) {
	first.t.Helper()
	splits := map[string]trafficrouting.Split{}
	settle := func(b bench) {
		b.t.Helper()
		split := splits[b.ref.Rollout.Name]
		b.applySplit(split)
		b.wantSeen(trafficrouting.Observed{Exists: true, CanaryWeight: split.Canary.Weight, InSync: true, Routes: split.Routes})
	}
	for b, weight := range map[*bench]int32{&first: 30, &other: 100} {
		name := b.ref.Rollout.Name
		routing := b.ref.Rollout.Spec.Strategy.Canary.TrafficRouting
		routing.ManagedRoutes = []v1alpha1.MangedRoutes{{Name: name + "-testers"}}
		split := b.split(weight)
		split.Routes = []trafficrouting.ManagedRoute{{Name: name + "-testers", Headers: []v1alpha1.HeaderRoutingMatch{
			{HeaderName: "X-User", HeaderValue: &v1alpha1.StringMatch{Exact: name}},
		}}}
		splits[name] = split
	}
	settle(first)
	settle(other)
	first.Writes()
	settle(first)
	settle(other)
	first.wantQuiet()
	without := splits[first.ref.Rollout.Name]
	without.Routes = nil
	splits[first.ref.Rollout.Name] = without
	settle(first)
	first.Writes()
	settle(other)
	other.wantQuiet()
	without = splits[other.ref.Rollout.Name]
	without.Routes = nil
	other.applySplit(without)
}

// unserved is a cluster without the definitions of a router, as it is before they are installed.
func unserved(t *testing.T, h Harness) {
	if len(h.Foreign) == 0 {
		t.Skip("this router's kinds are always there")
	}
	without := h
	without.Foreign = nil
	b := without.bench(t, nil)
	_, err := b.router.Observe(t.Context(), b.ref)
	wantFieldError(t, "observing", err)
	_, err = b.router.Apply(t.Context(), b.ref, b.split(20))
	wantFieldError(t, "applying", err)
	b.wantQuiet()
	b.ref.Rollout.Spec.Strategy = v1alpha1.RolloutStrategy{}
	if seen := b.observe(); !seen.InSync || seen.Exists {
		t.Errorf("a Rollout without the router observed %+v", seen)
	}
}
