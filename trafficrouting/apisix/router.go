// Package apisix makes ApisixRoutes of Apache APISIX obey a Split: it writes the weights of the two
// Services into the http rules that the spec names, and for the header routes of steps it keeps
// ApisixRoutes of its own.
//
// It decides nothing, and everything else in a user's ApisixRoute stays as it is. The Rollout
// controller calls it.
package apisix

import (
	"context"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/trafficrouting"
)

// The reasons of the changes that Apply returns. The served API has Events only for writes that fail.
const (
	// ReasonUpdated is the reason of an ApisixRoute that was changed.
	ReasonUpdated = "UpdatedApisixRoute"
	// ReasonCreated is the reason of a header route that was made.
	ReasonCreated = "CreatedApisixRoute"
	// ReasonDeleted is the reason of a header route that was deleted.
	ReasonDeleted = "DeletedApisixRoute"
)

// kind is that of the objects that are read and written.
var kind = schema.GroupKind{Group: "apisix.apache.org", Kind: "ApisixRoute"}

// Served is the kind of the ApisixRoutes that the cluster serves. Its error is a meta.NoKindMatchError
// where it serves none.
func Served(mapper meta.RESTMapper) (schema.GroupVersionKind, error) {
	return trafficrouting.Served(mapper, kind, "v2")
}

// Router routes by ApisixRoutes.
type Router struct {
	client client.Client
}

var _ trafficrouting.Router = (*Router)(nil)

// New makes a Router. The client's reads of ApisixRoutes should come from a cache, which has to have
// trafficrouting.OwnerIndex and trafficrouting.MarkIndex.
func New(c client.Client) *Router {
	return &Router{client: c}
}

// Type is the name of this router in metrics and events.
func (*Router) Type() string { return "Apisix" }

// Observe reports the largest weight of the http rules, also of routes and rules that the spec no longer
// names, and the header routes. It fails as Apply would.
func (r *Router) Observe(ctx context.Context, ref trafficrouting.Ref) (trafficrouting.Observed, error) {
	in, invalid := intentOf(ref.Rollout)
	if in.rollout == nil {
		return trafficrouting.Observed{}, invalid
	}
	w, err := r.read(ctx, in)
	seen, failures := in.observed(w)
	return seen, errors.Join(append(failures, invalid, err)...)
}

// Apply makes every route carry the split. One that fails does not keep it from the others; the changes
// that were made are returned together with the errors.
func (r *Router) Apply(ctx context.Context, ref trafficrouting.Ref, split trafficrouting.Split) ([]trafficrouting.Change, error) {
	in, invalid := intentOf(ref.Rollout)
	if in.rollout == nil {
		return nil, invalid
	}
	if in.route != "" {
		if err := in.checkSplit(split); err != nil {
			return nil, err
		}
	}
	w, err := r.read(ctx, in)
	todo, failures := in.plan(w, split)
	failures = append(failures, invalid, err)
	var changes []trafficrouting.Change
	for _, one := range todo {
		change, err := r.do(ctx, one)
		changes, failures = append(changes, change...), append(failures, err)
	}
	return changes, errors.Join(failures...)
}

// read looks at everything that concerns a Rollout. What can be read is returned with the errors of the rest.
func (r *Router) read(ctx context.Context, in intent) (world, error) {
	served, err := Served(r.client.RESTMapper())
	if meta.IsNoMatchError(err) && in.route == "" {
		return world{}, nil // So there is nothing of an earlier spec.
	}
	if err != nil && in.route != "" {
		return world{}, trafficrouting.Unreadable(in.path, kind, in.route, err)
	}
	if err != nil {
		return world{}, err
	}
	var w world
	made, madeErr := r.made(ctx, in, served)
	strays, strayErr := r.strays(ctx, in, served)
	w.made, w.strays = made, strays
	failures := []error{madeErr, strayErr}
	if in.route == "" {
		return w, errors.Join(failures...)
	}
	base, err := r.get(ctx, in, served, in.route)
	if err != nil {
		failures = append(failures, trafficrouting.Unreadable(in.path, kind, in.route, err))
	} else {
		w.base = base
	}
	others, err := r.others(ctx, in, served, w.made)
	w.others = others
	return w, errors.Join(append(failures, err)...)
}

// made finds the header routes that the Rollout owns.
func (r *Router) made(ctx context.Context, in intent, served schema.GroupVersionKind) ([]*unstructured.Unstructured, error) {
	if in.rollout.UID == "" {
		return nil, nil // It is gone, and what it owned goes with it.
	}
	owned, err := r.list(ctx, in, served, client.MatchingFields{trafficrouting.OwnerIndex: string(in.rollout.UID)})
	return slices.DeleteFunc(owned, func(route *unstructured.Unstructured) bool {
		name := route.GetName()
		return name == in.route || !slices.Contains(in.managed, name) && !leads(route)
	}), err
}

// strays finds the routes that carry the mark of the Rollout and that its spec does not name.
func (r *Router) strays(ctx context.Context, in intent, served schema.GroupVersionKind) ([]*unstructured.Unstructured, error) {
	marked, err := r.list(ctx, in, served, client.MatchingFields{trafficrouting.MarkIndex: trafficrouting.Key(in.rollout)})
	return slices.DeleteFunc(marked, func(route *unstructured.Unstructured) bool { return route.GetName() == in.route }), err
}

// others finds ApisixRoutes of somebody else with the name of a managed route.
func (r *Router) others(
	ctx context.Context, in intent, served schema.GroupVersionKind, made []*unstructured.Unstructured,
) (map[string]*unstructured.Unstructured, error) {
	others := map[string]*unstructured.Unstructured{}
	for _, name := range in.managed {
		if name == "" || name == in.route || named(made, name) != nil {
			continue
		}
		other, err := r.get(ctx, in, served, name)
		switch {
		case err == nil:
			others[name] = other
		case !apierrors.IsNotFound(err):
			return nil, trafficrouting.Unreadable(in.path, kind, name, err)
		}
	}
	return others, nil
}

func (r *Router) list(
	ctx context.Context, in intent, served schema.GroupVersionKind, which client.MatchingFields,
) ([]*unstructured.Unstructured, error) {
	var list unstructured.UnstructuredList
	list.SetGroupVersionKind(served.GroupVersion().WithKind(served.Kind + "List"))
	if err := r.client.List(ctx, &list, client.InNamespace(in.rollout.Namespace), which, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing the ApisixRoutes of the Rollout: %w", err)
	}
	var routes []*unstructured.Unstructured
	for i := range list.Items {
		routes = append(routes, &list.Items[i])
	}
	return routes, nil
}

func (r *Router) get(ctx context.Context, in intent, served schema.GroupVersionKind, name string) (*unstructured.Unstructured, error) {
	route := &unstructured.Unstructured{}
	route.SetGroupVersionKind(served)
	if err := r.client.Get(ctx, client.ObjectKey{Namespace: in.rollout.Namespace, Name: name}, route); err != nil {
		return nil, err //nolint:wrapcheck // The caller says which field names it.
	}
	return route, nil
}

// do makes one write. It says nothing of one that turns out to be made already.
func (r *Router) do(ctx context.Context, todo write) ([]trafficrouting.Change, error) {
	switch {
	case todo.create != nil:
		if err := r.client.Create(ctx, todo.create); err != nil {
			return nil, fmt.Errorf("creating ApisixRoute %s: %w", todo.create.GetName(), err)
		}
		return []trafficrouting.Change{{Reason: ReasonCreated, Message: todo.message}}, nil
	case todo.remove != nil:
		uid, version := todo.remove.GetUID(), todo.remove.GetResourceVersion()
		err := r.client.Delete(ctx, identity(todo.remove), client.Preconditions{UID: &uid, ResourceVersion: &version})
		if apierrors.IsNotFound(err) {
			return nil, nil // The cache is behind.
		}
		if err != nil {
			return nil, fmt.Errorf("deleting ApisixRoute %s: %w", todo.remove.GetName(), err)
		}
		return []trafficrouting.Change{{Reason: ReasonDeleted, Message: todo.message}}, nil
	}
	data, err := todo.patch.For(todo.change)
	if err != nil {
		return nil, err
	}
	if err := r.client.Patch(ctx, identity(todo.change), data); err != nil {
		return nil, fmt.Errorf("patching ApisixRoute %s: %w", todo.change.GetName(), err)
	}
	return []trafficrouting.Change{{Reason: ReasonUpdated, Message: todo.message}}, nil
}

// identity is a fresh object, because a reply is written into it and the one that was read belongs to the cache.
func identity(route *unstructured.Unstructured) *unstructured.Unstructured {
	fresh := &unstructured.Unstructured{}
	fresh.SetGroupVersionKind(route.GroupVersionKind())
	fresh.SetNamespace(route.GetNamespace())
	fresh.SetName(route.GetName())
	return fresh
}
