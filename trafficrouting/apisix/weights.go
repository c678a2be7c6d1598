package apisix

import (
	"fmt"
	"math"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/patch"
)

const (
	// total is what the weights of the two sides sum to.
	total = 100
	// implicitWeight is what APISIX takes for a backend that has no weight.
	implicitWeight = 100
)

// httpOf are the http rules of an ApisixRoute; false when it has something else in their place.
func httpOf(route *unstructured.Unstructured) ([]any, bool) {
	spec, ok := member(route.Object, "spec").(map[string]any)
	if !ok {
		return nil, route.Object["spec"] == nil
	}
	http, ok := spec["http"].([]any)
	return http, ok || spec["http"] == nil
}

// member is a member of what may be an object; nil otherwise.
func member(object any, name string) any {
	members, _ := object.(map[string]any)
	return members[name]
}

// find is the position of an http rule in a route.
func (r namedRule) find(route *unstructured.Unstructured) (int, *field.Error) {
	http, _ := httpOf(route)
	at, names := -1, []string{}
	for i, rule := range http {
		name, _ := member(rule, "name").(string)
		names = append(names, fmt.Sprintf("%q", name))
		if name == r.name && at >= 0 {
			return -1, field.Invalid(r.path, r.name, fmt.Sprintf("ApisixRoute %q has several http rules of this name: name them apart", route.GetName()))
		}
		if name == r.name {
			at = i
		}
	}
	if at < 0 {
		return -1, field.Invalid(r.path, r.name, fmt.Sprintf("ApisixRoute %q has no http rule of this name: add it, or name one that is there (%s)",
			route.GetName(), strings.Join(names, ", ")))
	}
	return at, nil
}

// sides are the positions of the two backends of a rule.
type sides struct {
	stable, canary int
}

// sidesOf finds the two Services among the backends of a rule. Each must be there once.
func sidesOf(rule any, stable, canary string) (sides, error) {
	found := sides{-1, -1}
	backends, _ := member(rule, "backends").([]any)
	for i, backend := range backends {
		for _, side := range []struct {
			service string
			at      *int
		}{{stable, &found.stable}, {canary, &found.canary}} {
			switch {
			case member(backend, "serviceName") != side.service:
			case *side.at >= 0:
				return found, fmt.Errorf("it has several backends with serviceName %q: keep one", side.service)
			default:
				*side.at = i
			}
		}
	}
	for _, side := range []struct {
		service string
		at      int
	}{{stable, found.stable}, {canary, found.canary}} {
		if side.at < 0 {
			return found, fmt.Errorf("it has no backend with serviceName %q: add one", side.service)
		}
	}
	return found, nil
}

// share gives both sides of one rule their weights, where they differ.
func (s sides) share(p *patch.Patch, rule any, at int, canary int32) {
	backends, _ := member(rule, "backends").([]any)
	for _, side := range []struct {
		at     int
		weight int64
	}{{s.stable, int64(total - canary)}, {s.canary, int64(canary)}} {
		if member(backends[side.at], "weight") != side.weight {
			p.Set(side.weight, "spec", "http", at, "backends", side.at, "weight")
		}
	}
}

// translate is the patch that makes the ApisixRoute of the spec carry the weights of a split. With the first
// that gives the canary anything goes the mark. Rules that the spec no longer names are brought home with it.
func (in intent) translate(route *unstructured.Unstructured, split trafficrouting.Split) (patch.Patch, error) {
	var p patch.Patch
	http, _ := httpOf(route)
	for _, named := range in.rules {
		at, missing := named.find(route)
		if missing != nil {
			return patch.Patch{}, missing
		}
		found, err := sidesOf(http[at], in.stable, in.canary)
		if err != nil {
			return patch.Patch{}, field.Invalid(named.path, named.name, fmt.Sprintf("this http rule of ApisixRoute %q cannot be used: %v", route.GetName(), err))
		}
		found.share(&p, http[at], at, split.Canary.Weight)
	}
	mark, marked := trafficrouting.MarkFor(route, in.rollout)
	if marked {
		in.home(&p, route, mark)
	}
	if split.Canary.Weight > 0 || !p.Empty() && marked {
		p.Annotate(route, markKey, in.mark().Beside(route))
	}
	return p, nil
}

// home gives all of the traffic of what a mark remembers to the stable side, but for the rules of the spec.
func (in intent) home(p *patch.Patch, route *unstructured.Unstructured, mark trafficrouting.Mark) {
	http, _ := httpOf(route)
	for i, rule := range http {
		name, _ := member(rule, "name").(string)
		if !holds(mark, name) || in.names(route, name) {
			continue
		}
		if found, err := sidesOf(rule, mark.Stable, mark.Canary); err == nil {
			found.share(p, rule, i, 0)
		}
	}
}

// names reports whether the spec names a rule of a route.
func (in intent) names(route *unstructured.Unstructured, rule string) bool {
	if in.route != route.GetName() {
		return false
	}
	for _, named := range in.rules {
		if named.name == rule {
			return true
		}
	}
	return false
}

// asks is the share of the traffic that a route asks for the canary: the largest of the rules that the spec
// names, or that its mark remembers.
func (in intent) asks(route *unstructured.Unstructured) int32 {
	http, ok := httpOf(route)
	if !ok {
		return total
	}
	mark, marked := trafficrouting.MarkFor(route, in.rollout)
	largest := int32(0)
	for _, rule := range http {
		name, _ := member(rule, "name").(string)
		switch {
		case in.names(route, name):
			largest = max(largest, shareOf(rule, in.stable, in.canary))
		case marked && holds(mark, name):
			largest = max(largest, shareOf(rule, mark.Stable, mark.Canary))
		}
	}
	return largest
}

// shareOf is the share that a rule asks for the canary, rounded up; all of it when it does not say so
// clearly, since the planner must assume the worst. Backends that are neither side are not counted.
func shareOf(rule any, stable, canary string) int32 {
	backends, ok := member(rule, "backends").([]any)
	if !ok && member(rule, "backends") != nil {
		return total
	}
	weights := map[string]int64{}
	for _, backend := range backends {
		name, _ := member(backend, "serviceName").(string)
		weight, readable := weightOf(backend)
		switch {
		case name != stable && name != canary:
		case !readable:
			return total
		default:
			weights[name] += weight // At most a few of 32 bits.
		}
	}
	if weights[canary] == 0 {
		return 0
	}
	all := weights[stable] + weights[canary]
	return int32((weights[canary]*total + all - 1) / all) //nolint:gosec // At most the total.
}

// weightOf is the weight of a backend; false for one that is none.
func weightOf(backend any) (int64, bool) {
	value := member(backend, "weight")
	if value == nil {
		return implicitWeight, true
	}
	weight, ok := value.(int64)
	return weight, ok && weight >= 0 && weight <= math.MaxInt32
}
