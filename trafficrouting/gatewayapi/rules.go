package gatewayapi

import (
	"maps"
	"math"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// rule is one of the rules of a route. All four kinds have backendRefs of the same shape; the rest
// of a rule is kept as it is.
type rule struct {
	// place is its position in the route.
	place int
	// raw is nil for an element of the list that is no rule.
	raw      map[string]any
	backends []backend
}

// backend is one of the backendRefs of a rule, at the same position.
type backend struct {
	raw map[string]any
	// service is empty for what is no Service in the namespace of the Rollout.
	service string
	weight  int64
	// odd tells that the weight is none that could be stored.
	odd bool
}

// rulesOf takes a route apart. Objects in which nothing is as it should be have no rules.
func rulesOf(route *unstructured.Unstructured, namespace string) []rule {
	spec, _ := route.Object["spec"].(map[string]any)
	elements := list(spec, "rules")
	rules := make([]rule, len(elements))
	for i, element := range elements {
		raw, _ := element.(map[string]any)
		rules[i] = rule{place: i, raw: raw, backends: backendsOf(raw, route.GetNamespace(), namespace)}
	}
	return rules
}

// backendsOf lists the backendRefs of a rule in a route of one namespace, for a Rollout of another.
func backendsOf(rule map[string]any, routeNamespace, rolloutNamespace string) []backend {
	elements := list(rule, "backendRefs")
	backends := make([]backend, len(elements))
	for i, element := range elements {
		raw, ok := element.(map[string]any)
		if !ok {
			continue
		}
		b := backend{raw: raw}
		b.weight, ok = weightOf(raw)
		b.odd = !ok
		if isService(raw) && text(raw, "namespace", routeNamespace) == rolloutNamespace {
			b.service = text(raw, "name", "")
		}
		backends[i] = b
	}
	return backends
}

func isService(ref map[string]any) bool {
	return text(ref, "group", "") == "" && text(ref, "kind", "Service") == "Service"
}

// weightOf is the weight of a backendRef. Default 1, as the API says.
func weightOf(ref map[string]any) (int64, bool) {
	weight := int64(1)
	switch given := ref["weight"].(type) {
	case nil:
	case int64:
		weight = given
	case float64:
		if given != math.Trunc(given) || math.Abs(given) > maxWeight {
			return 0, false
		}
		weight = int64(given)
	default:
		return 0, false
	}
	if weight < 0 || weight > maxWeight {
		return 0, false
	}
	return weight, true
}

// sides are the Services whose shares are the Rollout's.
type sides struct {
	stable, canary string
	// swaps tells that either of the two alone makes a rule ours.
	swaps bool
	// former are Services that an earlier spec gave traffic as its canary.
	former []string
	// additional are the sides of Experiments, those that are there and those that are wanted.
	additional []string
}

// owns reports whether the rule shares its traffic between our sides: it leads to the stable Service.
// One that leads to the canary Service alone is somebody's own way to the canary, and stays as it is.
func (s sides) owns(r rule) bool {
	return slices.ContainsFunc(r.backends, func(b backend) bool {
		return b.service != "" && (b.service == s.stable || s.swaps && b.service == s.canary)
	})
}

// isCanary reports whether traffic of the Service counts as the canary's.
func (s sides) isCanary(service string) bool {
	return service == s.canary || slices.Contains(s.former, service)
}

// has reports whether the Service is one of the sides.
func (s sides) has(service string) bool {
	return service != "" && (service == s.stable || s.isCanary(service) || slices.Contains(s.additional, service))
}

// tally is what the backends of one rule get together.
type tally struct {
	stable, canary int64
	additional     map[string]int64
	// foreign is what backends get that are not ours.
	foreign int64
	// odd tells that a weight of ours cannot be understood.
	odd bool
}

// ours is what all of our sides get. Backends are at most 16 and weights at most a million: no sum overflows.
func (t tally) ours() int64 {
	sum := t.stable + t.canary
	for _, weight := range t.additional {
		sum += weight
	}
	return sum
}

// count adds up the weights of a rule. A Service that stands there twice counts together.
func (s sides) count(r rule) tally {
	t := tally{additional: map[string]int64{}}
	for _, b := range r.backends {
		switch {
		case !s.has(b.service):
			t.foreign += b.weight
			continue
		case b.service == s.stable:
			t.stable += b.weight
		case s.isCanary(b.service):
			t.canary += b.weight
		default:
			t.additional[b.service] += b.weight
		}
		t.odd = t.odd || b.odd
	}
	return t
}

// scaled is a part of a whole as a share of the total, rounded up; the whole total where nothing is
// left to compare it with. Parts are at most a few million and totals at most a million.
func scaled(part, whole, total int64) int32 {
	switch {
	case part <= 0:
		return 0
	case part >= whole:
		return int32(total)
	}
	return int32((part*total + whole - 1) / whole)
}

func list(object map[string]any, key string) []any {
	elements, _ := object[key].([]any)
	return elements
}

func child(object map[string]any, key string) map[string]any {
	value, _ := object[key].(map[string]any)
	return value
}

func text(object map[string]any, key, otherwise string) string {
	if value, ok := object[key].(string); ok {
		return value
	}
	return otherwise
}

// with is a copy of an object with some members changed.
func with(object, changes map[string]any) map[string]any {
	copied := runtime.DeepCopyJSON(object)
	maps.Copy(copied, changes)
	return copied
}
