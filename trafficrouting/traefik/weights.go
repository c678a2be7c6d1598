package traefik

import (
	"fmt"
	"math"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headway-rollouts/headway/trafficrouting/patch"
)

// unweighted is the weight that Traefik gives an entry without one.
const unweighted = 1

// services is the place of the list in a TraefikService.
func services(place ...any) []any { return append([]any{"spec", "weighted", "services"}, place...) }

// entry is an element of the list of a TraefikService.
type entry struct {
	at int
	// weight is what it asks for; known is false when that cannot be understood.
	weight int64
	known  bool
}

// parts are the entries that are a Rollout's to write. All others are the user's and keep their
// weights: their requests are taken off first, and the weights of these parts are shares of the rest.
// With entries of weight 20, 80 and, not ours, 100, the canary gets 20 percent of what is left for the
// Rollout, which is 10 percent of all requests.
type parts struct {
	stable, canary []entry
	// former named a side when the canary was last given something. They are to get nothing.
	former []entry
}

// partsOf finds the entries of the two sides, and of those that were sides before. It fails when
// there is no list to find them in.
func partsOf(obj *unstructured.Unstructured, now, before sides) (parts, error) {
	listed, found, err := unstructured.NestedFieldNoCopy(obj.Object, "spec", "weighted", "services")
	list, ok := listed.([]any)
	switch {
	case err != nil:
		return parts{}, fmt.Errorf("reading spec.weighted.services: %w", err)
	case found && !ok:
		return parts{}, fmt.Errorf("reading spec.weighted.services: it is %T, and no list", listed)
	}
	var p parts
	for i, element := range list {
		switch name := serviceOf(element, obj.GetNamespace()); name {
		case "":
		case now.stable:
			p.stable = append(p.stable, entryOf(i, element))
		case now.canary:
			p.canary = append(p.canary, entryOf(i, element))
		case before.stable, before.canary:
			p.former = append(p.former, entryOf(i, element))
		}
	}
	return p, nil
}

// serviceOf is the name of the Kubernetes Service that an entry leads to; empty when it leads to
// something else, such as another TraefikService, or into another namespace.
func serviceOf(element any, namespace string) string {
	fields, ok := element.(map[string]any)
	if !ok {
		return ""
	}
	for key, meanings := range map[string][2]string{"kind": {"", "Service"}, "namespace": {"", namespace}} {
		if value, set := fields[key]; set && value != meanings[0] && value != meanings[1] {
			return ""
		}
	}
	name, _ := fields["name"].(string)
	return name
}

func entryOf(at int, element any) entry {
	fields, _ := element.(map[string]any)
	value, set := fields["weight"]
	if !set || value == nil {
		return entry{at: at, weight: unweighted, known: true}
	}
	weight, ok := value.(int64)
	return entry{at: at, weight: weight, known: ok && weight >= 0 && weight <= math.MaxInt32}
}

// onCanary is the share of the canary in what the parts get together, rounded up. Parts that cannot be
// understood count as all of the traffic, and so does what leads to a Service that was a side before:
// the planner must assume the worst. Where no part has a weight, the canary gets nothing.
func (p parts) onCanary() int32 {
	var onCanary, all int64
	for i, side := range [][]entry{p.canary, p.former, p.stable} {
		for _, e := range side {
			if !e.known {
				return total
			}
			all += e.weight
			if i < 2 {
				onCanary += e.weight
			}
		}
	}
	if onCanary == 0 {
		return 0
	}
	// Each weight has 31 bits and an object far fewer than 2^25 entries, so nothing overflows.
	return int32((onCanary*int64(total) + all - 1) / all)
}

// set makes the parts carry a split.
func (p parts) set(todo *patch.Patch, stable, canary int32) {
	distribute(todo, p.stable, stable)
	distribute(todo, p.canary, canary)
	distribute(todo, p.former, 0)
}

// distribute shares one weight among the entries of one Service, which may be listed several times
// with different ports: giving each of them all of it would change the share of the Service.
func distribute(todo *patch.Patch, entries []entry, weight int32) {
	left := int64(weight)
	for i, e := range entries {
		others := int64(len(entries) - i - 1)
		portion := (left + others) / (others + 1) // Rounded up: the first get what cannot be divided.
		left -= portion
		if !e.known || e.weight != portion {
			todo.Set(portion, services(e.at, "weight")...)
		}
	}
}
