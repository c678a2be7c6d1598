package gatewayapi

import (
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/headway-rollouts/headway/trafficrouting"
)

// route is one object of the cluster, and why it is looked at.
type route struct {
	kind kind
	obj  *unstructured.Unstructured
	// path is the field that names it; nil for one that the spec does not name any more.
	path *field.Path
	// managed tells that it gets the routes of steps.
	managed bool
}

// key names an object among those of all kinds.
func (r route) key() string { return r.kind.name + "/" + r.obj.GetNamespace() + "/" + r.obj.GetName() }

// view is what an object holds for one Rollout. It is read only.
type view struct {
	route

	// mine tells that the object carries the mark of the Rollout; taken, by whom it is steered otherwise.
	mine   bool
	taken  string
	memory memory
	// sides are those of the spec, earlier those of the mark.
	sides, earlier sides
	rules          []rule
	// made tells which of the rules managed routes made.
	made []bool
	// beside tells which of them managed routes of other Rollouts made.
	beside []bool
	// weighted are those that share traffic between the sides of the spec.
	weighted []rule
	// left are those that do between the sides of the mark alone, because the spec names other Services by now.
	left []rule
}

// view reads an object for the Rollout.
func (in intent) view(r route) view {
	v := view{route: r, rules: rulesOf(r.obj, in.rollout.Namespace)}
	v.sides = sides{stable: in.stable, canary: in.canary, swaps: in.swaps}
	v.taken, _ = trafficrouting.Taken(r.obj, in.rollout, in.stable, in.canary)
	mark, marked := trafficrouting.MarkFor(r.obj, in.rollout)
	if v.mine = marked; v.mine {
		v.memory = remembered(mark)
		v.earlier = sides{stable: mark.Stable, canary: mark.Canary, additional: v.memory.sides}
		if mark.Canary != in.canary && mark.Canary != in.stable {
			v.sides.former = []string{mark.Canary}
		}
	}
	v.sides.additional = in.additional(v.memory)
	v.made = recognise(v.rules, v.memory, in.managed, v.sides)
	v.beside = make([]bool, len(v.rules))
	for _, other := range trafficrouting.MarksBeside(r.obj, in.rollout) {
		for i, theirs := range recognise(v.rules, remembered(other), nil, sides{stable: other.Stable, canary: other.Canary}) {
			v.beside[i] = v.beside[i] || theirs
		}
	}
	for i, rule := range v.rules {
		switch {
		case v.made[i]:
		case v.sides.owns(rule):
			v.weighted = append(v.weighted, rule)
		case v.earlier.owns(rule):
			v.left = append(v.left, rule)
		}
	}
	return v
}

// additional are the Services of Experiments that may have traffic: what the mark remembers, and what the
// status says, since a mark can be lost and the plugin made none.
func (in intent) additional(m memory) []string {
	services := slices.Clone(m.sides)
	if weights := in.rollout.Status.Canary.Weights; weights != nil {
		for _, side := range weights.Additional {
			services = append(services, side.ServiceName)
		}
	}
	slices.Sort(services)
	return slices.DeleteFunc(slices.Compact(services), func(s string) bool { return s == "" || s == in.stable || s == in.canary })
}

// maker makes the rules of managed routes beside what somebody else wrote.
func (v view) maker(weighted []rule) maker {
	m := maker{kind: v.kind, sides: v.sides, weighted: weighted, names: map[string]bool{}}
	for i, r := range v.rules {
		if name := text(r.raw, "name", ""); name != "" && !v.made[i] {
			m.names[name] = true
		}
	}
	return m
}

// others are the rules that no managed route made, as they stand.
func (v view) others() []map[string]any {
	var others []map[string]any
	for i, r := range v.rules {
		if !v.made[i] {
			others = append(others, r.raw)
		}
	}
	return others
}

// routes are the managed routes that the object has by its mark.
func (v view) routes() []trafficrouting.ManagedRoute {
	var routes []trafficrouting.ManagedRoute
	for _, r := range v.memory.routes {
		routes = append(routes, r.ManagedRoute)
	}
	return routes
}
