// Package trafficrouting is the vocabulary between the planner, which decides
// how traffic is shared, and the routers, which make a mesh or ingress obey.
//
// It decides nothing and talks to nothing: each router is a folder below it,
// and the Rollout controller is their only caller.
package trafficrouting

import (
	"context"
	"fmt"

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
}

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
	// InSync reports that every managed object carries CanaryWeight and whatever else the spec
	// asks of it at that weight, so that applying a Split of that weight would write nothing.
	InSync bool
	// Unowned reports that some managed object was made for a Rollout that is gone, so that InSync is
	// false until applying a Split takes it over.
	Unowned bool
	// Verified is nil for a router that cannot tell; false when the data plane does not serve
	// the weight yet.
	Verified *bool
}

// Ref names the Rollout whose routes are meant. The Rollout is read only.
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
