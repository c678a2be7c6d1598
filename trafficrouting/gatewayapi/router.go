// Package gatewayapi makes the routes of the Gateway API obey a Split: HTTPRoutes, GRPCRoutes,
// TCPRoutes and TLSRoutes, named or selected by label. It sets the weights of the backends that lead
// to the stable and the canary Service, and adds the rules of managed routes before all others.
//
// It decides nothing, makes no object, and leaves other rules, backends and fields byte for byte. The
// Rollout controller calls it, for trafficRouting.gatewayAPI and for the settings of the plugin
// argoproj-labs/gatewayAPI, which mean the same.
//
// Where a rule leads to our two Services alone, their weights sum to the total of the Rollout. Where it
// leads to others too, those keep their weights, and the sum of ours stays what it is: stable 100 and
// another 100 become 80, 20 and 100 at 20 percent. A Service that stands in a rule twice gets its share
// at the first place. While a route shares traffic it carries a mark and a label; at home it has neither.
package gatewayapi

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/patch"
)

// Router routes by the rules of Gateway API routes.
type Router struct {
	client client.Client
}

var _ trafficrouting.Router = (*Router)(nil)

// New makes a Router. The client's reads of routes, which are unstructured, should come from a cache,
// which has to have trafficrouting.MarkIndex for every kind of them.
func New(c client.Client) *Router {
	return &Router{client: c}
}

// Type is the name of this router in metrics and events: that of the plugin.
func (*Router) Type() string { return "GatewayAPI" }

// Observe reports what the routes ask for, also those that the spec no longer names. It fails as Apply
// would, with a *field.Error when the spec or a route is unusable, and still reports the rest.
func (r *Router) Observe(ctx context.Context, ref trafficrouting.Ref) (trafficrouting.Observed, error) {
	w, invalid := r.world(ctx, ref)
	if w.in.rollout == nil || w.unknown {
		return trafficrouting.Observed{}, invalid
	}
	in, failures := w.in, []error{invalid}
	seen, whole := in.observed(append(w.named, w.strays...))
	seen.Exists = seen.Exists && !w.missing
	split, possible := in.splitAt(seen)
	split.Routes = slices.DeleteFunc(slices.Clone(split.Routes), namedOnly)
	seen.InSync = whole && possible
	for _, v := range w.named {
		todo, err := in.todo(v, split)
		if err != nil {
			failures = append(failures, fmt.Errorf("observing %s %s: %w", v.kind.name, v.obj.GetName(), err))
		}
		seen.InSync = seen.InSync && todo.Empty()
		accepted, why := Accepted(v.obj)
		seen.Verified = both(seen.Verified, accepted)
		if seen.Unverified == "" {
			seen.Unverified = why
		}
	}
	seen.InSync = seen.InSync && (len(w.strays) == 0 || !in.releases(seen.CanaryWeight))
	return seen, errors.Join(failures...)
}

// Apply makes every route carry the split, and brings those home that the spec no longer names. One that
// fails does not keep the split from the others. While the spec or a route is unusable, a weight of 0
// still reaches what was given traffic before.
func (r *Router) Apply(ctx context.Context, ref trafficrouting.Ref, split trafficrouting.Split) ([]trafficrouting.Change, error) {
	w, invalid := r.world(ctx, ref)
	if w.in.rollout == nil || w.unknown {
		return nil, invalid
	}
	if len(w.in.targets) > 0 {
		if err := w.in.checkSplit(split); err != nil {
			return nil, err
		}
	}
	var changes []trafficrouting.Change
	failures := []error{invalid}
	obey := func(v view, split trafficrouting.Split, todo patch.Patch, err error) {
		change, failure := r.send(ctx, v, split, todo)
		changes = append(changes, change...)
		if err = errors.Join(err, failure); err != nil {
			failures = append(failures, fmt.Errorf("routing %s %s: %w", v.kind.name, v.obj.GetName(), err))
		}
	}
	for _, v := range w.named {
		todo, err := w.in.todo(v, split)
		obey(v, split, todo, err)
	}
	for _, v := range w.strays {
		if w.in.releases(split.Canary.Weight) {
			todo, err := w.in.translate(v, w.in.homeSplit())
			obey(v, w.in.homeSplit(), todo, err)
		}
	}
	return changes, errors.Join(failures...)
}

// both is nil while neither can tell, and otherwise false unless all that can tell say true.
func both(a, b *bool) *bool {
	if a == nil || b != nil && !*b {
		return b
	}
	return a
}

// send writes a patch, and says what it did; nothing when there is nothing to do.
func (r *Router) send(ctx context.Context, v view, split trafficrouting.Split, todo patch.Patch) ([]trafficrouting.Change, error) {
	if todo.Empty() {
		return nil, nil
	}
	body, err := todo.For(v.obj)
	if err != nil {
		return nil, err
	}
	// A fresh object, because the reply is written into it and the one that was read belongs to the cache.
	reply := empty(v.obj.GroupVersionKind())
	reply.SetNamespace(v.obj.GetNamespace())
	reply.SetName(v.obj.GetName())
	if err := r.client.Patch(ctx, reply, body); err != nil {
		return nil, fmt.Errorf("patching it: %w", err)
	}
	return []trafficrouting.Change{{Reason: Reason(v.kind.name), Message: messageOf(v, split)}}, nil
}

func empty(kind schema.GroupVersionKind) *unstructured.Unstructured {
	obj := &unstructured.Unstructured{}
	obj.SetGroupVersionKind(kind)
	return obj
}

// messageOf is the text of an Event.
func messageOf(v view, split trafficrouting.Split) string {
	text := fmt.Sprintf("Updating %s `%s` to desiredWeight '%d'", v.kind.name, v.obj.GetName(), split.Canary.Weight)
	if v.path == nil {
		return text + ", which the Rollout no longer names"
	}
	var names []string
	for _, route := range split.Routes {
		names = append(names, route.Name)
	}
	if v.managed && len(names) > 0 {
		text += " with the managed routes " + strings.Join(names, ", ")
	}
	return text
}
