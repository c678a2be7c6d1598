package istio

import (
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/headway-rollouts/headway/trafficrouting"
)

// world is what the cluster holds of one Rollout's routes.
type world struct {
	named []named
	// rule is nil unless the spec names a DestinationRule.
	rule *namedRule
	// strays and strayRules carry the mark of the Rollout, and its spec does not name them.
	strays     []stray
	strayRules []strayRule
	// failures are what could not be read, and what is wrong with what was.
	failures []error
}

// state says what can be done with an object that the spec names.
type state int

const (
	fit        state = iota
	missing          // or refused by the API server
	unreadable       // what it asks for cannot be told
	foreign          // another Rollout steers the same routes
	unfit            // it has not the routes that the spec asks for
)

// named is one VirtualService that the spec names.
type named struct {
	target
	state state
	vs    virtualService
	rec   record
	// weighted are the routes that carry the weights; none unless it is fit.
	weighted []route
}

// namedRule is the DestinationRule that the spec names.
type namedRule struct {
	usable bool
	rule   destinationRule
	rec    record
}

// stray is a VirtualService that the spec no longer names.
type stray struct {
	vs       virtualService
	rec      record
	readable bool
}

// strayRule is a DestinationRule that the spec no longer names.
type strayRule struct {
	rule     destinationRule
	rec      record
	readable bool
}

// judge says what a VirtualService that was read is good for.
func (in intent) judge(t target, obj *unstructured.Unstructured) (named, error) {
	n := named{target: t, vs: virtualService{obj: obj}, rec: recordOf(obj, in.rollout)}
	vs, err := readVirtualService(obj)
	if err != nil {
		n.state = unreadable
		return n, field.Invalid(t.path(), obj.GetName(), fmt.Sprintf("this VirtualService cannot be understood: correct it: %v", err))
	}
	n.vs = vs
	if n.weighted, err = in.weighted(t, vs, slices.Concat(in.ours(n.rec), n.rec.theirs())); err != nil {
		n.state = unfit
		return n, err
	}
	if by, taken := n.rec.claimed(n.weighted, in.managed); taken {
		n.state, n.weighted = foreign, nil
		return n, field.Invalid(t.path(), obj.GetName(), fmt.Sprintf(
			"the Rollout %s steers a route of this VirtualService that this Rollout names: give each routes of its own", by))
	}
	return n, nil
}

// judgeRule says whether the DestinationRule that was read can be used.
func (in intent) judgeRule(obj *unstructured.Unstructured) (namedRule, error) {
	n := namedRule{rule: destinationRule{obj: obj}, rec: recordOf(obj, in.rollout)}
	path := in.rulePath.Child("name")
	for _, other := range trafficrouting.MarksBeside(obj, in.rollout) {
		return n, field.Invalid(path, obj.GetName(), fmt.Sprintf(
			"the Rollout %s steers this DestinationRule: give each Rollout a DestinationRule of its own", other.Rollout))
	}
	rule, err := readDestinationRule(obj)
	if err != nil {
		return n, field.Invalid(path, obj.GetName(), fmt.Sprintf("this DestinationRule cannot be understood: correct it: %v", err))
	}
	n.rule = rule
	if err := in.checkSubsets(rule); err != nil {
		return n, err
	}
	n.usable = true
	return n, nil
}

// addStray adds a VirtualService that carries the mark, unless the spec names it.
func (w *world) addStray(in intent, obj *unstructured.Unstructured) {
	if slices.ContainsFunc(in.targets, func(t target) bool {
		return t.key.Namespace == obj.GetNamespace() && t.key.Name == obj.GetName()
	}) {
		return
	}
	vs, err := readVirtualService(obj)
	if err != nil {
		w.failures = append(w.failures, unreadableStray("VirtualService", obj, err))
	}
	w.strays = append(w.strays, stray{vs, recordOf(obj, in.rollout), err == nil})
}

// unreadableStray is about the spec, since all else of the Rollout has to go on: an abort must be possible.
func unreadableStray(kind string, obj *unstructured.Unstructured, err error) error {
	return field.Invalid(field.NewPath("spec", "strategy", "canary", "trafficRouting", "istio"), obj.GetNamespace()+"/"+obj.GetName(),
		fmt.Sprintf("this %s was routed by the Rollout and cannot be understood: correct it: %v", kind, err))
}

// addStrayRule adds a DestinationRule that carries the mark, unless the spec names it.
func (w *world) addStrayRule(in intent, obj *unstructured.Unstructured) {
	if in.rule != nil && in.rule.Name == obj.GetName() && in.rollout.Namespace == obj.GetNamespace() {
		return
	}
	rule, err := readDestinationRule(obj)
	if err != nil {
		w.failures = append(w.failures, unreadableStray("DestinationRule", obj, err))
	}
	w.strayRules = append(w.strayRules, strayRule{rule, recordOf(obj, in.rollout), err == nil})
}

// checkHTTP refuses steps that add routes where no VirtualService has an HTTP route: only those can
// match headers and mirror.
func (in intent) checkHTTP(w world) error {
	if in.routeStep == nil {
		return nil
	}
	for _, n := range w.named {
		if n.state != fit || slices.ContainsFunc(n.weighted, func(r route) bool { return r.section == http }) {
			return nil
		}
	}
	return field.Forbidden(in.routeStep, "no VirtualService of this Rollout has an HTTP route, and Istio matches and mirrors HTTP requests only: remove the step, or add such a route")
}

// observed is what all objects ask for together, as far as it is understood.
func (in intent) observed(w world) trafficrouting.Observed {
	seen := trafficrouting.Observed{Exists: len(w.named)+len(w.strays)+len(w.strayRules) > 0, InSync: true}
	added := map[string]int32{}
	for _, n := range w.named {
		seen.Exists = seen.Exists && n.state != missing
		seen.InSync = seen.InSync && n.state == fit
		seen.CanaryWeight = max(seen.CanaryWeight, in.canaryShare(n))
		if routes := in.routes(n); len(seen.Routes) == 0 {
			seen.Routes = routes
		}
		in.addSides(n, added)
	}
	for _, s := range w.strays {
		seen.CanaryWeight = max(seen.CanaryWeight, s.canaryShare())
		if routes := s.routes(); len(seen.Routes) == 0 {
			seen.Routes = routes
		}
	}
	for _, service := range sortedKeys(added) {
		seen.Additional = append(seen.Additional, trafficrouting.Backend{Service: service, Hash: w.hash(service), Weight: added[service]})
	}
	seen.InSync = seen.InSync && (w.rule == nil || w.rule.usable)
	if w.rule != nil && w.rule.usable {
		seen.Selects = &trafficrouting.Selection{Stable: w.hash(in.sides.stableSubset), Canary: w.hash(in.sides.canarySubset)}
	}
	seen.InSync = seen.InSync && in.quiet(w, seen)
	return seen
}

// hash is that of a subset, empty where none is selected.
func (w world) hash(subset string) string {
	if w.rule == nil || !w.rule.usable {
		return ""
	}
	hash, _ := w.rule.rule.hash(subset)
	return hash
}

// quiet reports whether applying what was observed would write nothing.
func (in intent) quiet(w world, seen trafficrouting.Observed) bool {
	rest := int32(total) - seen.CanaryWeight
	for _, side := range seen.Additional {
		rest = max(0, rest-side.Weight)
	}
	split := trafficrouting.Split{
		MaxWeight: total, Additional: seen.Additional, Routes: seen.Routes,
		Stable: trafficrouting.Backend{Weight: rest}, Canary: trafficrouting.Backend{Weight: seen.CanaryWeight},
	}
	if seen.Selects != nil {
		split.Stable.Hash, split.Canary.Hash = seen.Selects.Stable, seen.Selects.Canary
	}
	stages, err := in.plan(w, split)
	if err != nil || len(w.named) > 0 && slices.ContainsFunc(seen.Routes, matchless) {
		return false
	}
	return !slices.ContainsFunc(stages, func(s stage) bool { return len(s.writes) > 0 || s.blocked })
}

// canaryShare is the largest share that the canary gets in a VirtualService, also in the copies of
// the weights that mirror routes have. What cannot be understood counts as all of the traffic.
func (in intent) canaryShare(n named) int32 {
	switch n.state {
	case unreadable:
		return total
	case unfit, foreign:
		if n.state == foreign && !n.rec.marked {
			return 0
		}
		if n.rec.marked {
			return n.rec.sides.share(n.rec.routes(n.vs.routes), canarySide)
		}
		both := slices.DeleteFunc(slices.Clone(n.vs.routes), func(r route) bool { return !in.sides.has(r, stableSide) })
		return in.sides.share(both, canarySide)
	case fit:
		mirrors := slices.DeleteFunc(n.vs.section(http), func(r route) bool {
			return n.vs.http[r.index].GetMirror() == nil || !slices.Contains(in.ours(n.rec), r.name)
		})
		return max(in.sides.share(append(mirrors, n.weighted...), canarySide), n.rec.sides.share(n.dropped(), canarySide))
	case missing:
	}
	return 0
}

func (s stray) canaryShare() int32 {
	if !s.readable {
		return total
	}
	return s.rec.sides.share(s.rec.routes(s.vs.routes), canarySide)
}

// routes are the managed routes of a VirtualService, in its order.
func (in intent) routes(n named) []trafficrouting.ManagedRoute {
	if n.state != fit {
		return nil
	}
	var f frame
	if i := slices.IndexFunc(n.weighted, func(r route) bool { return r.section == http }); i >= 0 {
		shared, _ := raw(n.vs.obj, "spec", http, n.weighted[i].index, "route").([]any)
		f = frameOf(in.sides, n.weighted[i], shared)
	}
	var all []trafficrouting.ManagedRoute
	for i, r := range n.vs.http {
		if slices.Contains(in.ours(n.rec), r.GetName()) {
			all = append(all, f.read(r, raw(n.vs.obj, "spec", http, i)))
		}
	}
	return all
}

func (s stray) routes() []trafficrouting.ManagedRoute {
	var all []trafficrouting.ManagedRoute
	for _, r := range s.vs.http {
		if slices.Contains(s.rec.managed, r.GetName()) {
			all = append(all, trafficrouting.ManagedRoute{Name: r.GetName()})
		}
	}
	return all
}

// addSides adds the sides of an Experiment that were added to a VirtualService, with their largest shares.
func (in intent) addSides(n named, to map[string]int32) {
	for _, service := range n.rec.added {
		added := func(d destination) bool { return in.sides.of(d) == nobodys && d.isSide(service) }
		for _, r := range n.weighted {
			if slices.ContainsFunc(r.to, added) {
				to[service] = max(to[service], r.share(added))
			}
		}
	}
}

// err joins all that is wrong.
func (w world) err() error { return errors.Join(w.failures...) }
