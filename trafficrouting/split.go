// Package trafficrouting is the vocabulary between the planner, which decides
// how traffic is shared, and the routers, which make a mesh or ingress obey.
//
// It decides nothing and talks to nothing: each router is a folder below it,
// and the Rollout controller is their only caller.
package trafficrouting

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// Split is the whole routing a Rollout wants. It is a value: two equal splits
// mean the same routes. The weights of all backends sum to MaxWeight.
type Split struct {
	// MaxWeight is the total that the weights are shares of; 100 unless the Rollout sets maxTrafficWeight.
	MaxWeight int32
	Stable    Backend
	Canary    Backend
	// Additional are the sides of an Experiment that runs as a step, by their Services' names. Only
	// some routers have them; validation refuses them for the others.
	Additional []Backend
	// Routes are the managed routes of the steps so far, the first to match first. Those that are not
	// here are removed.
	Routes []ManagedRoute
}

// Check refuses weights that are no shares of the total that the Rollout counts in. It guards against
// a mistake of the caller, not of the user: such a split must not reach a data plane, which clamps silently.
func (s Split) Check(total int32) error {
	if s.MaxWeight != total {
		return fmt.Errorf("checking the split: its total is %d, the Rollout's is %d", s.MaxWeight, total)
	}
	sum := int64(0) // In 64 bits, so that no sum overflows.
	for _, side := range append([]Backend{s.Stable, s.Canary}, s.Additional...) {
		if side.Weight < 0 {
			return fmt.Errorf("checking the split: %s has a weight below zero", s)
		}
		sum += int64(side.Weight)
	}
	if sum != int64(s.MaxWeight) {
		return fmt.Errorf("checking the split: the weights of %s must sum to %d", s, s.MaxWeight)
	}
	return nil
}

// ManagedRoute is a route that a step adds, before the weighted ones. Exactly one of Headers and
// Mirror is filled.
type ManagedRoute struct {
	// Name is the one that the step and managedRoutes give it.
	Name string
	// Headers send a request to the canary, whatever the weights, when any one of them matches.
	Headers []v1alpha1.HeaderRoutingMatch
	// Mirror sends a copy of a request to the canary when any one of them matches; its answer goes
	// nowhere. The request itself follows the weights.
	Mirror []v1alpha1.RouteMatch
	// Percentage of the matching requests that are copied, 0 to 100; only with Mirror.
	Percentage int32
}

// Mirrors reports whether the route copies requests instead of sending them elsewhere.
func (r ManagedRoute) Mirrors() bool { return len(r.Mirror) > 0 }

// EqualRoutes reports whether two lists mean the same routes in the same order.
func EqualRoutes(a, b []ManagedRoute) bool { return equality.Semantic.DeepEqual(a, b) }

// Backend is one side of a Split.
type Backend struct {
	// Service names the Kubernetes Service of this side.
	Service string
	// Hash is the pod template hash of the revision behind the Service; routers that select
	// pods by label use it, routers that only know Services ignore it.
	Hash string
	// Weight is this side's share of MaxWeight.
	Weight int32
}

// String renders the split for logs, events and transcripts.
func (s Split) String() string {
	text := fmt.Sprintf("stable=%d canary=%d", s.Stable.Weight, s.Canary.Weight)
	for _, side := range s.Additional {
		text += fmt.Sprintf(" %s=%d", side.Service, side.Weight)
	}
	for _, route := range s.Routes {
		verb := "headers"
		if route.Mirrors() {
			verb = "mirror"
		}
		text += fmt.Sprintf(" %s:%s", verb, route.Name)
	}
	return text
}

// Observed is the routing that the router's objects ask for now.
type Observed struct {
	// Exists is false while no managed route was ever made, for example before the first canary Ingress.
	Exists bool
	// CanaryWeight is the share of MaxWeight that goes to the canary Service. Where several
	// objects carry the weight and disagree, it is the largest: the planner must assume the worst.
	CanaryWeight int32
	// Additional are the sides beside stable and canary, by their Services' names.
	Additional []Backend
	// Routes are the managed routes that are there, the first to match first. One that carries the
	// name of a managed route, but not as this router writes it, makes InSync false; it counts as a
	// route with that name and no match.
	Routes []ManagedRoute
	// Selects are the revisions that the routes select by the hashes of pods; nil for routes that
	// only know Services.
	Selects *Selection
	// InSync reports that every managed object carries CanaryWeight and whatever else the spec
	// asks of it at that weight, so that applying a Split of that weight would write nothing.
	InSync bool
	// Unowned reports that some managed object was made for a Rollout that is gone, so that InSync is
	// false until applying a Split takes it over.
	Unowned bool
	// Verified is nil for a router that cannot tell; false when the data plane does not serve
	// the weight yet.
	Verified *bool
	// Unverified says for people why Verified is false; empty when there is no more to say than that.
	Unverified string
}

// Selection are the hashes of the revisions that routes select by themselves; empty for a side that
// selects by no hash yet.
type Selection struct {
	Stable, Canary string
}

// Ref names the Rollout whose routes are meant. The Rollout is read only. One that is gone has a
// namespace and a name and nothing else: whatever carries its mark is released.
type Ref struct {
	Rollout *v1alpha1.Rollout
}

// Change is one write a router made, for the Event and the log line.
type Change struct {
	// Reason is the Event reason of the served API, for example PatchingCanaryIngress.
	Reason string
	// Message says what was written.
	Message string
}

// A Router makes one kind of mesh or ingress obey a Split. It decides nothing.
//
// An error that wraps a *field.Error says that the spec names something that is
// missing or unusable, and carries the path: the caller reports it as InvalidSpec.
type Router interface {
	// Type names the router as the metrics and events of the served API do, for example "Nginx".
	Type() string
	// Observe reports the split asked for now. It must change nothing and may read only caches.
	// Routes that were made for an earlier spec count, also when the spec names another router by
	// now. With a *field.Error it still reports what the routes ask for, so that an abort can bring
	// their traffic home.
	Observe(context.Context, Ref) (Observed, error)
	// Apply makes the routes equal to the split. Applying the same split twice writes nothing the
	// second time. It removes managed routes that the spec no longer names: it takes their traffic
	// first, and the rest when it is called for what was observed then.
	Apply(context.Context, Ref, Split) ([]Change, error)
}
