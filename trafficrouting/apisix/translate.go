package apisix

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/patch"
)

const markKey = v1alpha1.RoutedByAnnotation

// world is what the cluster holds for one Rollout.
type world struct {
	// base is the ApisixRoute that the spec names; nil when there is none, or it cannot be read.
	base *unstructured.Unstructured
	// made are the header routes that the Rollout owns.
	made []*unstructured.Unstructured
	// others are ApisixRoutes that are not the Rollout's and have the name of a managed route.
	others map[string]*unstructured.Unstructured
	// strays carry the Rollout's mark, and the spec does not name them.
	strays []*unstructured.Unstructured
}

// write is one write. One of create, remove and change is filled.
type write struct {
	create, remove, change *unstructured.Unstructured
	// patch is what to change.
	patch patch.Patch
	// message says what is written.
	message string
}

// plan lists the writes that make the routes equal to a split, and what keeps it from more.
func (in intent) plan(w world, split trafficrouting.Split) ([]write, []error) {
	var writes []write
	var failures []error
	if w.base != nil {
		todo, err := in.weigh(w.base, split)
		writes, failures = append(writes, todo...), append(failures, err)
		if err == nil {
			todo, errs := in.lead(w, split.Routes)
			writes, failures = append(writes, todo...), append(failures, errs...)
		}
	}
	for _, route := range w.made {
		if in.retires(route, split) {
			writes = append(writes, write{remove: route, message: fmt.Sprintf("Deleting ApisixRoute `%s`, which no step asks for", route.GetName())})
		}
	}
	for _, stray := range w.strays {
		if p := in.release(stray, split.Canary.Weight); !p.Empty() {
			message := fmt.Sprintf("Updating ApisixRoute `%s`, which the Rollout does not name, to desiredWeight '0'", stray.GetName())
			writes = append(writes, write{change: stray, patch: p, message: message})
		}
	}
	return writes, failures
}

// weigh gives the ApisixRoute of the spec its weights. One that cannot be used still loses what the Rollout
// gave the canary in it when nothing is to go there.
func (in intent) weigh(base *unstructured.Unstructured, split trafficrouting.Split) ([]write, error) {
	if by, taken := trafficrouting.Taken(base, in.rollout, in.stable, in.canary); taken {
		return nil, field.Invalid(in.path, base.GetName(), fmt.Sprintf(
			"this ApisixRoute carries traffic of Rollout %s to the same Service: name another one, or take it out of the spec of that Rollout", by))
	}
	p, err := in.translate(base, split)
	if mark, marked := trafficrouting.MarkFor(base, in.rollout); err != nil && marked && split.Canary.Weight == 0 {
		unread := in
		unread.route = "" // What the mark remembers is all that is known.
		unread.home(&p, base, mark)
	}
	if p.Empty() {
		return nil, err
	}
	message := fmt.Sprintf("Updating ApisixRoute `%s` to desiredWeight '%d'", base.GetName(), split.Canary.Weight)
	return []write{{change: base, patch: p, message: message}}, err
}

// lead makes the header routes that are asked for.
func (in intent) lead(w world, routes []trafficrouting.ManagedRoute) ([]write, []error) {
	var writes []write
	var failures []error
	for _, route := range routes {
		wanted, err := in.headerRoute(w.base, route)
		if err == nil {
			err = in.collides(w, route.Name)
		}
		if err != nil {
			failures = append(failures, err)
			continue
		}
		existing := named(w.made, route.Name)
		if existing == nil {
			writes = append(writes, write{create: wanted, message: fmt.Sprintf("Creating ApisixRoute `%s`", route.Name)})
			continue
		}
		if p := differences(existing, wanted); !p.Empty() {
			writes = append(writes, write{change: existing, patch: p, message: fmt.Sprintf("Updating ApisixRoute `%s`", route.Name)})
		}
	}
	return writes, failures
}

// collides is an error for the name of a managed route that an ApisixRoute of somebody else has.
func (in intent) collides(w world, name string) error {
	if w.others[name] == nil {
		return nil
	}
	at := field.NewPath("spec", "strategy", "canary", "trafficRouting", "managedRoutes").Index(slices.Index(in.managed, name)).Child("name")
	return field.Invalid(at, name, "an ApisixRoute of this name is there, and the Rollout does not own it: delete it, or name the managed route otherwise")
}

// retires reports whether a header route goes. Routes that a wrong spec may ask for again when it is
// corrected stay, unless everything is to go home.
func (in intent) retires(route *unstructured.Unstructured, split trafficrouting.Split) bool {
	wanted := slices.ContainsFunc(split.Routes, func(r trafficrouting.ManagedRoute) bool { return r.Name == route.GetName() })
	return !wanted && route.GetDeletionTimestamp() == nil && (in.usable || split.Canary.Weight == 0)
}

// release brings a stray home and takes its mark away; one that a wrong spec may name again when it is
// corrected keeps the mark.
func (in intent) release(stray *unstructured.Unstructured, weight int32) patch.Patch {
	var p patch.Patch
	mark, _ := trafficrouting.MarkFor(stray, in.rollout)
	switch {
	case in.usable && trafficrouting.Releases(in.rollout, weight):
		in.home(&p, stray, mark)
		p.Annotate(stray, markKey, trafficrouting.Without(stray, in.rollout))
	case !in.usable && weight == 0:
		in.home(&p, stray, mark)
	}
	return p
}

// observed is what the routes ask for. They are in sync when the same split would write nothing.
func (in intent) observed(w world) (trafficrouting.Observed, []error) {
	seen := trafficrouting.Observed{Exists: w.base != nil || len(w.made)+len(w.strays) > 0}
	if w.base != nil {
		if _, taken := trafficrouting.Taken(w.base, in.rollout, in.stable, in.canary); !taken {
			seen.CanaryWeight = in.asks(w.base)
		}
	}
	for _, stray := range w.strays {
		seen.CanaryWeight = max(seen.CanaryWeight, in.asks(stray))
	}
	var readable []trafficrouting.ManagedRoute
	for _, made := range in.inOrder(w.made) {
		route := in.read(made, w.base)
		seen.Routes = append(seen.Routes, route)
		if len(route.Headers) > 0 {
			readable = append(readable, route)
		}
	}
	todo, failures := in.plan(w, in.splitAt(seen.CanaryWeight, readable))
	for _, managed := range in.managed {
		failures = append(failures, in.collidesWithStep(w, managed))
	}
	seen.InSync = len(todo) == 0 && len(readable) == len(seen.Routes)
	return seen, failures
}

// collidesWithStep finds the name of a managed route taken before the step that makes the route.
func (in intent) collidesWithStep(w world, name string) error {
	for _, step := range in.rollout.Spec.Strategy.Canary.Steps {
		if step.SetHeaderRoute != nil && step.SetHeaderRoute.Name == name && len(step.SetHeaderRoute.Match) > 0 {
			return in.collides(w, name)
		}
	}
	return nil
}

// mark is what the ApisixRoute of the spec carries once it gave the canary anything. Its routes are the
// names of the http rules.
func (in intent) mark() trafficrouting.Mark {
	mark := trafficrouting.Mark{Rollout: trafficrouting.Key(in.rollout), Stable: in.stable, Canary: in.canary}
	for _, named := range in.rules {
		mark.Routes = append(mark.Routes, named.name)
	}
	return mark
}

// holds reports whether a mark remembers an http rule.
func holds(mark trafficrouting.Mark, rule string) bool {
	return slices.Contains(mark.Routes, rule)
}

// named is the route of that name; nil when there is none.
func named(routes []*unstructured.Unstructured, name string) *unstructured.Unstructured {
	for _, route := range routes {
		if route.GetName() == name {
			return route
		}
	}
	return nil
}
