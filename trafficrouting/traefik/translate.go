package traefik

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/patch"
)

// found are the TraefikServices that concern one Rollout.
type found struct {
	// named is the one of the spec; nil when the spec names none, or it cannot be read.
	named *unstructured.Unstructured
	// strays carry the mark of the Rollout, and the spec does not name them.
	strays []*unstructured.Unstructured
}

// write is what makes one TraefikService obey.
type write struct {
	obj    *unstructured.Unstructured
	patch  patch.Patch
	change trafficrouting.Change
}

// writes are those that make everything that was found equal to a split, also when the TraefikService
// of the spec cannot carry it, which is the error.
func (in intent) writes(f found, split trafficrouting.Split) ([]write, error) {
	var all []write
	var unusable error
	if f.named != nil {
		var todo write
		if todo, unusable = in.route(f.named, split); unusable != nil {
			todo = in.abandon(f.named, split.Canary.Weight)
		}
		all = append(all, todo)
	}
	for _, obj := range f.strays {
		all = append(all, in.retire(obj, split.Canary.Weight))
	}
	var needed []write
	for _, todo := range all {
		if !todo.patch.Empty() {
			needed = append(needed, todo)
		}
	}
	return needed, unusable
}

// observed is what the TraefikServices ask for together. Its error says why that of the spec cannot
// carry any split.
func (in intent) observed(f found) (trafficrouting.Observed, error) {
	seen := trafficrouting.Observed{Exists: f.named != nil || in.name == "" && len(f.strays) > 0}
	if f.named != nil {
		seen.CanaryWeight = observedWeight(f.named, in.sides, in.marked(f.named))
	}
	for _, obj := range f.strays {
		seen.CanaryWeight = max(seen.CanaryWeight, observedWeight(obj, in.marked(obj), sides{}))
	}
	needed, unusable := in.writes(f, in.splitAt(seen.CanaryWeight))
	seen.InSync = len(needed) == 0 && unusable == nil && (in.name == "" || f.named != nil)
	return seen, unusable
}

// observedWeight is all of the traffic for a TraefikService that cannot be understood.
func observedWeight(obj *unstructured.Unstructured, now, before sides) int32 {
	p, err := partsOf(obj, now, before)
	if err != nil {
		return total
	}
	return p.onCanary()
}

// marked are the sides that the mark of the Rollout names; none for an object without it.
func (in intent) marked(obj *unstructured.Unstructured) sides {
	mark, ok := trafficrouting.MarkFor(obj, in.rollout)
	if !ok {
		return sides{}
	}
	return sides{stable: mark.Stable, canary: mark.Canary}
}

// route makes the TraefikService of the spec carry a split.
func (in intent) route(obj *unstructured.Unstructured, split trafficrouting.Split) (write, error) {
	if by, taken := trafficrouting.Taken(obj, in.rollout, in.sides.stable, in.sides.canary); taken {
		return write{}, field.Invalid(in.path, in.name, fmt.Sprintf(
			"Rollout %s routes to the same Service by the TraefikService %q: name another one, or remove it from the other Rollout", by, in.name))
	}
	before := in.marked(obj)
	p, err := partsOf(obj, in.sides, before)
	if err == nil {
		err = in.complete(p)
	}
	if err != nil {
		return write{}, field.Invalid(in.path, in.name, fmt.Sprintf("the TraefikService %q cannot share traffic: %v", in.name, err))
	}
	todo := write{obj: obj, change: trafficrouting.Change{
		Reason:  ReasonUpdated,
		Message: fmt.Sprintf("TraefikService `%s` gives %d of %d to the canary", obj.GetName(), split.Canary.Weight, split.MaxWeight),
	}}
	p.set(&todo.patch, split.Stable.Weight, split.Canary.Weight)
	if split.Canary.Weight > 0 || !todo.patch.Empty() && (before != sides{}) {
		mark := trafficrouting.Mark{Rollout: trafficrouting.Key(in.rollout), Stable: in.sides.stable, Canary: in.sides.canary}
		todo.patch.Annotate(obj, v1alpha1.RoutedByAnnotation, mark.Beside(obj))
	}
	return todo, nil
}

// complete asks for an entry of each side.
func (in intent) complete(p parts) error {
	for _, side := range []struct {
		entries []entry
		service string
	}{{p.stable, in.sides.stable}, {p.canary, in.sides.canary}} {
		if len(side.entries) == 0 {
			return fmt.Errorf("spec.weighted.services has no entry for Service %q: add one", side.service)
		}
	}
	return nil
}

// abandon is for a TraefikService that cannot carry a split, and that may be able to again: nothing is
// to reach the canary when that is what the split says. One without the mark has no sides to tell apart.
func (in intent) abandon(obj *unstructured.Unstructured, weight int32) write {
	if weight > 0 {
		return write{}
	}
	return in.home(obj)
}

// retire is for a TraefikService that the spec does not name. It is given back; only a wrong spec may
// name it again when it is corrected.
func (in intent) retire(obj *unstructured.Unstructured, weight int32) write {
	switch {
	case !in.usable:
		return in.abandon(obj, weight)
	case !trafficrouting.Releases(in.rollout, weight):
		return write{}
	}
	todo := in.home(obj)
	todo.patch.Annotate(obj, v1alpha1.RoutedByAnnotation, trafficrouting.Without(obj, in.rollout))
	todo.change = trafficrouting.Change{
		Reason:  ReasonReleased,
		Message: fmt.Sprintf("TraefikService `%s` gives everything to the stable side, and is no longer routed by the Rollout", obj.GetName()),
	}
	return todo
}

// home gives the stable side of the mark everything. Where the list has no stable side, there is
// nothing that could serve instead of the canary, and the weights stay.
func (in intent) home(obj *unstructured.Unstructured) write {
	todo := write{obj: obj, change: trafficrouting.Change{
		Reason:  ReasonUpdated,
		Message: fmt.Sprintf("TraefikService `%s` gives everything to the stable side", obj.GetName()),
	}}
	if p, err := partsOf(obj, in.marked(obj), sides{}); err == nil && len(p.stable) > 0 {
		p.set(&todo.patch, total, 0)
	}
	return todo
}
