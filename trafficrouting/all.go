package trafficrouting

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// All makes several routers one, for a Rollout whose spec names more than one. They are called in
// the order given, and all of them are called: the failure of one does not keep a split from another.
func All(routers ...Router) Router {
	return all(routers)
}

type all []Router

// Type joins the names with commas.
func (a all) Type() string {
	names := make([]string, len(a))
	for i, r := range a {
		names[i] = r.Type()
	}
	return strings.Join(names, ",")
}

// Observe reports the worst of what the routers see, also of those that fail, as far as they see it.
func (a all) Observe(ctx context.Context, ref Ref) (Observed, error) {
	seen := make([]Observed, 0, len(a))
	var failures []error
	for _, r := range a {
		one, err := r.Observe(ctx, ref)
		if err != nil {
			failures = append(failures, fmt.Errorf("observing %s: %w", r.Type(), err))
		}
		if err != nil || !one.nothing() {
			seen = append(seen, one)
		}
	}
	return merge(seen), errors.Join(failures...)
}

// Apply returns the changes of all routers, also when some of them failed.
func (a all) Apply(ctx context.Context, ref Ref, split Split) ([]Change, error) {
	var changes []Change
	var failures []error
	for _, r := range a {
		done, err := r.Apply(ctx, ref, split)
		changes = append(changes, done...)
		if err != nil {
			failures = append(failures, fmt.Errorf("routing by %s: %w", r.Type(), err))
		}
	}
	return changes, errors.Join(failures...)
}

// nothing reports that a router has nothing to do with a Rollout: its spec does not name it, and it
// holds nothing of an earlier spec.
func (o Observed) nothing() bool {
	return !o.Exists && o.InSync && o.CanaryWeight == 0 && !o.Unowned && len(o.Additional) == 0 && len(o.Routes) == 0
}

// merge is what holds for every router at once. Routers that are each in sync at different weights
// are not in sync together: applying the larger weight would write. No router at all has no route.
func merge(seen []Observed) Observed {
	whole := Observed{Exists: len(seen) > 0, InSync: true}
	for _, one := range seen {
		whole.Exists = whole.Exists && one.Exists
		whole.InSync = whole.InSync && one.InSync && one.CanaryWeight == seen[0].CanaryWeight &&
			slices.Equal(one.Additional, seen[0].Additional) && EqualRoutes(one.Routes, seen[0].Routes)
		whole.CanaryWeight = max(whole.CanaryWeight, one.CanaryWeight)
		whole.Additional = longer(whole.Additional, one.Additional)
		whole.Routes = longer(whole.Routes, one.Routes)
		if one.Selects != nil {
			whole.Selects = one.Selects // Istio alone selects.
		}
		whole.Unowned = whole.Unowned || one.Unowned
		whole.Verified = both(whole.Verified, one.Verified)
		whole.Unverified = cmp.Or(whole.Unverified, one.Unverified)
	}
	return whole
}

// longer is the list with more elements: routers that disagree are not in sync.
func longer[T any](a, b []T) []T {
	if len(b) > len(a) {
		return b
	}
	return a
}

// both is nil while neither can tell, and otherwise false unless all that can tell say true.
func both(a, b *bool) *bool {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	verified := *a && *b
	return &verified
}
