package smi

import (
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/patch"
)

// backends is the place of the list in a TrafficSplit.
func backends(place ...any) []any { return append([]any{"spec", "backends"}, place...) }

// sync makes a TrafficSplit carry a split. What it holds beside the root Service and the backends, such
// as the routes that it matches, is not ours.
func (in intent) sync(todo *patch.Patch, obj *unstructured.Unstructured, split trafficrouting.Split) {
	spec, ok := obj.Object["spec"].(map[string]any)
	if !ok {
		todo.Set(map[string]any{"service": in.root, "backends": elements(split)}, "spec")
		return
	}
	if spec["service"] != in.root {
		todo.Set(in.root, "spec", "service")
	}
	list := listOf(obj)
	if list.absent {
		todo.Set(elements(split), backends()...)
		return
	}
	wanted := sides(split)
	if !todo.Empty() || !list.carries(wanted) {
		list.edit(todo, wanted)
	}
}

// carries reports whether a list shares traffic as it should, in whatever order and form of writing.
func (l listed) carries(wanted []trafficrouting.Backend) bool {
	return len(l.odd) == 0 && len(l.backends) == len(wanted) &&
		!slices.ContainsFunc(wanted, func(side trafficrouting.Backend) bool {
			return !slices.ContainsFunc(l.backends, func(b backend) bool { return b.service == side.Service && b.gives(side.Weight) })
		})
}

// gives reports whether a backend has a weight.
func (b backend) gives(weight int32) bool { return b.known && b.weight == int64(weight)*thousandths }

// edit makes a list carry the sides. The backends that are there keep their places and whatever else
// they hold. It writes texts as numbers: the API server refuses a text, whoever wrote it, in anything
// that is written through a later version than v1alpha1.
func (l listed) edit(todo *patch.Patch, wanted []trafficrouting.Backend) {
	unwanted := slices.Clone(l.odd)
	var there []string
	for _, b := range l.backends {
		at := slices.IndexFunc(wanted, func(side trafficrouting.Backend) bool { return side.Service == b.service })
		switch {
		case at < 0 || slices.Contains(there, b.service):
			unwanted = append(unwanted, b.at)
			continue
		case b.text || !b.gives(wanted[at].Weight):
			todo.Set(wanted[at].Weight, backends(b.at, "weight")...)
		}
		there = append(there, b.service)
	}
	slices.Sort(unwanted)
	for _, at := range slices.Backward(unwanted) {
		todo.Remove(backends(at)...)
	}
	insert(todo, there, wanted)
}

// insert adds the sides that are not there, each behind the one that is listed before it.
func insert(todo *patch.Patch, there []string, wanted []trafficrouting.Backend) {
	next := 0
	for _, side := range wanted {
		if at := slices.Index(there, side.Service); at >= 0 {
			next = at + 1
			continue
		}
		todo.Insert(element(side), backends(next)...)
		there = slices.Insert(there, next, side.Service)
		next++
	}
}

// empty gives one backend everything, and removes what is no backend.
func (in intent) empty(obj *unstructured.Unstructured) write {
	list, todo := listOf(obj), modify(obj, 0)
	for i, b := range list.backends {
		weight := int32(0)
		if i == list.home(in.stable) {
			weight = total
		}
		if b.text || !b.gives(weight) {
			todo.patch.Set(weight, backends(b.at, "weight")...)
		}
	}
	for _, at := range slices.Backward(list.odd) {
		todo.patch.Remove(backends(at)...)
	}
	return todo
}
