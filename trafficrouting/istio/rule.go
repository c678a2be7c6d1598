package istio

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/patch"
)

const hashLabel = v1alpha1.PodTemplateHashLabel

// edits are what must change in a DestinationRule, by when that is safe. A subset must not be
// re-pointed or removed while it has weight, and must not have weight before it is there: routes
// to a subset without pods answer 503.
type edits struct {
	// before the routes: subsets that get weight with them.
	before []edit
	// after the routes: subsets that lose their weight with them.
	after []edit
	// whenever: the rest.
	whenever []edit
}

// edit is one change of a subset. Removals are applied last, the hindmost first.
type edit struct {
	index  int // below zero for a new subset
	name   string
	hash   string
	remove bool
}

// shift is how the weights of the two sides move.
type shift struct {
	stableFrom, stableTo, canaryFrom, canaryTo int32
}

// falls reports whether the canary gets less traffic.
func (s shift) falls() bool { return s.canaryTo < s.canaryFrom }

// edits compares the subsets with the split. An empty hash leaves a subset as it is.
func (in intent) edits(n namedRule, split trafficrouting.Split, s shift) (edits, error) {
	rule, rec := n.rule, n.rec
	var e edits
	for i, sub := range rule.subsets {
		switch sub.name {
		case in.sides.stableSubset:
			e.point(edit{index: i, name: sub.name, hash: split.Stable.Hash}, sub.hash, s.stableFrom, s.stableTo)
		case in.sides.canarySubset:
			e.point(edit{index: i, name: sub.name, hash: split.Canary.Hash}, sub.hash, s.canaryFrom, s.canaryTo)
		}
	}
	for _, side := range in.wishOf(split).additional {
		at := slices.IndexFunc(rule.subsets, func(sub subset) bool { return sub.name == side.Service })
		switch {
		case at >= 0:
			e.point(edit{index: at, name: side.Service, hash: side.Hash}, rule.subsets[at].hash, 0, side.Weight)
		case side.Hash == "":
			return edits{}, fmt.Errorf("the side %q of the Experiment has no hash: a subset without one would select all pods", side.Service)
		default:
			e.before = append(e.before, edit{index: -1, name: side.Service, hash: side.Hash})
		}
	}
	for i, sub := range rule.subsets {
		if slices.Contains(rec.subsets, sub.name) && !isAdditional(split, sub.name) {
			e.after = append(e.after, edit{index: i, name: sub.name, remove: true})
		}
	}
	return e, nil
}

func isAdditional(split trafficrouting.Split, name string) bool {
	return slices.ContainsFunc(split.Additional, func(b trafficrouting.Backend) bool { return b.Service == name })
}

// point re-points a subset whose weight goes from one number to another. For one that has weight
// before and after no time is better than another; the planner does not ask for it.
func (e *edits) point(next edit, has string, from, to int32) {
	switch {
	case next.hash == "" || next.hash == has:
	case from == 0 && to > 0:
		e.before = append(e.before, next)
	case from > 0 && to == 0:
		e.after = append(e.after, next)
	default:
		e.whenever = append(e.whenever, next)
	}
}

// order is what to write now, and whether after the routes rather than before them. One object is
// written once: where some edits must come before and some after, the later ones wait for what is
// seen next. Traffic that leaves the canary waits for nothing that it does not need.
func (e edits) order(s shift) (now []edit, after bool) {
	if len(e.before) > 0 {
		return slices.Concat(e.before, e.whenever), false
	}
	return slices.Concat(e.whenever, e.after), len(e.after) > 0 || s.falls()
}

// edited is the patch that makes edits, with the mark; empty when there is nothing to write.
func (in intent) edited(n namedRule, todo []edit) patch.Patch {
	var p patch.Patch
	rule, rec := n.rule, n.rec
	added := slices.Clone(rec.subsets)
	var removed []int
	size := len(rule.subsets)
	for _, next := range todo {
		switch {
		case next.remove:
			removed = append(removed, next.index)
			added = slices.DeleteFunc(added, func(name string) bool { return name == next.name })
		case next.index < 0:
			p.Insert(map[string]any{"name": next.name, "labels": map[string]string{hashLabel: next.hash}}, "spec", "subsets", size)
			size++
			added = append(added, next.name)
		case rule.subsets[next.index].labels == 0:
			p.Set(map[string]string{hashLabel: next.hash}, "spec", "subsets", next.index, "labels")
		default:
			p.Set(next.hash, "spec", "subsets", next.index, "labels", hashLabel)
		}
	}
	slices.Sort(removed)
	for _, i := range slices.Backward(removed) {
		p.Remove("spec", "subsets", i)
	}
	if !rec.marked && p.Empty() {
		return p
	}
	var entries []string
	for _, name := range added {
		entries = append(entries, subsetPrefix+name)
	}
	annotate(&p, rule.obj, map[string]string{
		v1alpha1.RoutedByAnnotation:  in.mark(rule.obj, entries),
		v1alpha1.ManagedByAnnotation: in.rollout.Name,
	})
	return p
}

// release is the patch that takes the hashes and the added subsets from a DestinationRule, and the
// mark with them.
func (d destinationRule) release(rec record, ro *v1alpha1.Rollout) patch.Patch {
	var p patch.Patch
	for i, sub := range d.subsets {
		sided := sub.name == rec.sides.stableSubset || sub.name == rec.sides.canarySubset
		switch {
		case !sided || sub.hash == "":
		case sub.labels == 1:
			p.Remove("spec", "subsets", i, "labels")
		default:
			p.Remove("spec", "subsets", i, "labels", hashLabel)
		}
	}
	for i, sub := range slices.Backward(d.subsets) {
		if slices.Contains(rec.subsets, sub.name) {
			p.Remove("spec", "subsets", i)
		}
	}
	annotations := map[string]string{v1alpha1.RoutedByAnnotation: trafficrouting.Without(d.obj, ro)}
	if d.obj.GetAnnotations()[v1alpha1.ManagedByAnnotation] == ro.Name {
		annotations[v1alpha1.ManagedByAnnotation] = ""
	}
	annotate(&p, d.obj, annotations)
	return p
}

// checkSubsets asks for the subsets of both sides: a hash cannot be given to one that is not there.
func (in intent) checkSubsets(rule destinationRule) error {
	for _, wanted := range []struct{ field, name string }{
		{"canarySubsetName", in.rule.CanarySubsetName}, {"stableSubsetName", in.rule.StableSubsetName},
	} {
		if _, ok := rule.hash(wanted.name); !ok {
			return field.Invalid(in.rulePath.Child(wanted.field), wanted.name,
				fmt.Sprintf("DestinationRule %q has no subset of this name: add it", in.rule.Name))
		}
	}
	return nil
}
