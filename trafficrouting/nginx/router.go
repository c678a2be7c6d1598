// Package nginx makes Ingresses of the NGINX kind obey a Split: beside each stable Ingress it
// keeps a canary Ingress whose annotation carries the weight.
//
// It decides nothing and never writes a stable Ingress. The Rollout controller calls it; Traefik
// serves the same annotations, so it works for both.
package nginx

import (
	"context"
	"errors"
	"fmt"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/trafficrouting"
)

// The reasons of the changes that Apply returns.
const (
	// ReasonCreating is the reason of a canary Ingress that was made.
	ReasonCreating = "CreatingCanaryIngress"
	// ReasonPatching is the reason of a canary Ingress that was changed.
	ReasonPatching = "PatchingCanaryIngress"
	// ReasonDeleting is the reason of a canary Ingress that was deleted.
	ReasonDeleting = "DeletingCanaryIngress"
)

// Router routes by canary Ingresses.
type Router struct {
	client client.Client
}

var _ trafficrouting.Router = (*Router)(nil)

// New makes a Router. The client's reads of Ingresses should come from a cache, which has to have
// trafficrouting.OwnerIndex.
func New(c client.Client) *Router {
	return &Router{client: c}
}

// Type is the name of this router in metrics and events.
func (*Router) Type() string { return "Nginx" }

// Observe reports the largest weight of the canary Ingresses and their header routes, also of those
// that the spec no longer names, and whether all of them are as the spec asks, also when one of several
// is unusable. It fails as Apply would: with a *field.Error when the spec or a stable Ingress is
// unusable, and when a canary Ingress belongs to somebody else.
func (r *Router) Observe(ctx context.Context, ref trafficrouting.Ref) (trafficrouting.Observed, error) {
	in, invalid := intentOf(ref.Rollout)
	if in.rollout == nil {
		return trafficrouting.Observed{}, invalid
	}
	pairs, err := r.pairs(ctx, in)
	if err != nil {
		return trafficrouting.Observed{}, err
	}
	strays, err := r.strays(ctx, in)
	if err != nil {
		return trafficrouting.Observed{}, err
	}
	seen, failures := in.observed(pairs, strays), []error{invalid}
	for _, p := range pairs {
		todo, err := in.translate(p, in.splitAt(seen.CanaryWeight, seen.Routes...))
		if err != nil {
			failures = append(failures, fmt.Errorf("observing Ingress %s: %w", p.name, err))
		}
		seen.InSync = seen.InSync && todo.empty()
	}
	return seen, errors.Join(failures...)
}

// Apply makes every canary Ingress carry the split, and removes those that the spec no longer
// names. One that fails does not keep the weight from the others; the changes that were made are
// returned together with the errors. While the spec or a stable Ingress is unusable, a split that
// leaves the canary nothing still reaches what was made before.
func (r *Router) Apply(ctx context.Context, ref trafficrouting.Ref, split trafficrouting.Split) ([]trafficrouting.Change, error) {
	in, invalid := intentOf(ref.Rollout)
	if in.rollout == nil {
		return nil, invalid
	}
	if len(in.targets) > 0 {
		if err := in.checkSplit(split); err != nil {
			return nil, err
		}
	}
	var changes []trafficrouting.Change
	failures := []error{invalid}
	for _, t := range in.targets {
		change, err := r.route(ctx, in, t, split)
		if err != nil {
			failures = append(failures, fmt.Errorf("routing Ingress %s: %w", t.name, err))
		}
		changes = append(changes, change...)
	}
	strays, err := r.strays(ctx, in)
	failures = append(failures, err)
	for _, s := range strays {
		change, err := r.retire(ctx, in, s, split)
		failures, changes = append(failures, err), append(changes, change...)
	}
	return changes, errors.Join(failures...)
}

// strays finds what was made for an earlier spec. What a Rollout owned that is gone is deleted with it.
func (r *Router) strays(ctx context.Context, in intent) ([]stray, error) {
	var list networkingv1.IngressList
	mine := client.MatchingFields{trafficrouting.OwnerIndex: string(in.rollout.UID)}
	if err := r.client.List(ctx, &list, client.InNamespace(in.rollout.Namespace), mine, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing the Ingresses of the Rollout: %w", err)
	}
	return in.strays(list.Items), nil
}

// pairs reads the Ingresses of every target. One that does not exist is nil, and no error.
func (r *Router) pairs(ctx context.Context, in intent) ([]pair, error) {
	pairs := make([]pair, 0, len(in.targets))
	for _, t := range in.targets {
		p, err := r.pair(ctx, in, t)
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, p)
	}
	return pairs, nil
}

func (r *Router) pair(ctx context.Context, in intent, t target) (pair, error) {
	stable, err := r.find(ctx, in.rollout.Namespace, t.name)
	if err != nil {
		return pair{}, err
	}
	canary, err := r.find(ctx, in.rollout.Namespace, CanaryIngressName(in.rollout.Name, t.name))
	if err != nil {
		return pair{}, err
	}
	return pair{target: t, stable: stable, canary: canary}, nil
}

// find returns nil for an Ingress that does not exist.
func (r *Router) find(ctx context.Context, namespace, name string) (*networkingv1.Ingress, error) {
	var ingress networkingv1.Ingress
	err := r.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &ingress)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading Ingress %s/%s: %w", namespace, name, err)
	}
	return &ingress, nil
}

// route makes one canary Ingress obey and says what it did; nothing when it obeyed already.
func (r *Router) route(ctx context.Context, in intent, t target, split trafficrouting.Split) ([]trafficrouting.Change, error) {
	p, err := r.pair(ctx, in, t)
	if err != nil {
		return nil, err
	}
	todo, err := in.translate(p, split)
	switch {
	case err != nil && home(split) && p.canary != nil && metav1.IsControlledBy(p.canary, in.rollout):
		changes, failure := r.empty(ctx, in, p.canary)
		return changes, errors.Join(err, failure)
	case err != nil:
		return nil, err
	case todo.create != nil:
		return r.create(ctx, todo.create, split)
	case todo.patch != nil:
		return r.patch(ctx, p.canary, todo.patch, split)
	}
	return nil, nil
}

// retire brings a stray to its end.
func (r *Router) retire(ctx context.Context, in intent, s stray, split trafficrouting.Split) ([]trafficrouting.Change, error) {
	switch in.fateOf(s, split) {
	case emptied:
		return r.empty(ctx, in, s.Ingress)
	case deleted:
		return r.remove(ctx, s.Ingress)
	case left:
	}
	return nil, nil
}

func (r *Router) empty(ctx context.Context, in intent, canary *networkingv1.Ingress) ([]trafficrouting.Change, error) {
	patch, err := in.emptyPatch(canary)
	if patch == nil || err != nil {
		return nil, err
	}
	return r.patch(ctx, canary, patch, trafficrouting.Split{})
}

func (r *Router) remove(ctx context.Context, canary *networkingv1.Ingress) ([]trafficrouting.Change, error) {
	err := r.client.Delete(ctx, identity(canary), client.Preconditions{UID: &canary.UID, ResourceVersion: &canary.ResourceVersion})
	if apierrors.IsNotFound(err) {
		return nil, nil // The cache is behind.
	}
	if err != nil {
		return nil, fmt.Errorf("deleting canary Ingress %s: %w", canary.Name, err)
	}
	message := fmt.Sprintf("Deleting canary ingress `%s`, whose ingress the Rollout no longer names", canary.Name)
	return []trafficrouting.Change{{Reason: ReasonDeleting, Message: message}}, nil
}

func (r *Router) create(ctx context.Context, canary *networkingv1.Ingress, split trafficrouting.Split) ([]trafficrouting.Change, error) {
	if err := r.client.Create(ctx, canary); err != nil {
		return nil, fmt.Errorf("creating canary Ingress %s: %w", canary.Name, err)
	}
	message := fmt.Sprintf("Creating canary ingress `%s` with weight `%d`%s", canary.Name, split.Canary.Weight, withRoutes(split))
	return []trafficrouting.Change{{Reason: ReasonCreating, Message: message}}, nil
}

func (r *Router) patch(
	ctx context.Context, canary *networkingv1.Ingress, patch []byte, split trafficrouting.Split,
) ([]trafficrouting.Change, error) {
	if err := r.client.Patch(ctx, identity(canary), client.RawPatch(types.MergePatchType, patch)); err != nil {
		return nil, fmt.Errorf("patching canary Ingress %s: %w", canary.Name, err)
	}
	message := fmt.Sprintf("Updating Ingress `%s` to desiredWeight '%d'%s", canary.Name, split.Canary.Weight, withRoutes(split))
	return []trafficrouting.Change{{Reason: ReasonPatching, Message: message}}, nil
}

// withRoutes ends a message with the names of the header routes; nothing without any.
func withRoutes(split trafficrouting.Split) string {
	if len(split.Routes) == 0 {
		return ""
	}
	names := make([]string, 0, len(split.Routes))
	for _, route := range split.Routes {
		names = append(names, "`"+route.Name+"`")
	}
	return " and header routes " + strings.Join(names, ", ")
}

// identity is a fresh object, because a reply is written into it and the one that was read belongs to the cache.
func identity(ingress *networkingv1.Ingress) *networkingv1.Ingress {
	return &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: ingress.Namespace, Name: ingress.Name}}
}
