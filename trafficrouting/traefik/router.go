// Package traefik makes a weighted TraefikService obey a Split: it sets the weights of the entries of
// the stable and the canary Service, and nothing else.
//
// It decides nothing, makes no object, and does not serve Ingresses, which Traefik reads as NGINX does:
// package nginx serves those. The Rollout controller calls it.
package traefik

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/trafficrouting"
)

// The reasons of the changes that Apply returns.
const (
	// ReasonUpdated is the reason of a TraefikService whose weights were changed.
	ReasonUpdated = "UpdatedTraefikService"
	// ReasonReleased is the reason of a TraefikService that was given back.
	ReasonReleased = "ReleasedTraefikService"
)

// Router routes by TraefikServices.
type Router struct {
	client client.Client
}

var _ trafficrouting.Router = (*Router)(nil)

// New makes a Router. The client's reads of TraefikServices should come from a cache, which has to
// have trafficrouting.MarkIndex for each of Kinds that the cluster serves.
func New(c client.Client) *Router {
	return &Router{client: c}
}

// Kinds are the kinds of TraefikService, the one of today first. A cluster may serve both: the
// definitions of the old group outlive the upgrade to Traefik 3, and the objects with them.
func Kinds() []schema.GroupVersionKind {
	return []schema.GroupVersionKind{
		{Group: "traefik.io", Version: "v1alpha1", Kind: "TraefikService"},
		{Group: "traefik.containo.us", Version: "v1alpha1", Kind: "TraefikService"},
	}
}

// Type is the name of this router in metrics and events.
func (*Router) Type() string { return "Traefik" }

// Observe reports the largest weight of the TraefikServices that are routed, also of those that the
// spec no longer names, and whether all of them are as the spec asks. It fails as Apply would.
func (r *Router) Observe(ctx context.Context, ref trafficrouting.Ref) (trafficrouting.Observed, error) {
	in, invalid := intentOf(ref.Rollout)
	if in.rollout == nil {
		return trafficrouting.Observed{}, invalid
	}
	f, missing := r.find(ctx, in)
	seen, unusable := in.observed(f)
	return seen, errors.Join(invalid, missing, unusable)
}

// Apply makes the TraefikService of the spec carry the split, and gives back those that the spec no
// longer names. One that fails does not keep the split from the others. While the spec or its
// TraefikService is unusable, a weight of 0 still reaches what was routed before.
func (r *Router) Apply(ctx context.Context, ref trafficrouting.Ref, split trafficrouting.Split) ([]trafficrouting.Change, error) {
	in, invalid := intentOf(ref.Rollout)
	if in.rollout == nil {
		return nil, invalid
	}
	if in.name != "" {
		if err := in.checkSplit(split); err != nil {
			return nil, err
		}
	}
	f, missing := r.find(ctx, in)
	needed, unusable := in.writes(f, split)
	var changes []trafficrouting.Change
	failures := []error{invalid, missing, unusable}
	for _, todo := range needed {
		if err := r.patch(ctx, todo); err != nil {
			failures = append(failures, err)
			continue
		}
		changes = append(changes, todo.change)
	}
	return changes, errors.Join(failures...)
}

// find reads what concerns a Rollout, as far as it can be read.
func (r *Router) find(ctx context.Context, in intent) (found, error) {
	var f found
	named, missing := r.named(ctx, in)
	f.named = named
	marked, err := r.marked(ctx, in)
	for _, obj := range marked {
		if named == nil || obj.GetUID() != named.GetUID() {
			f.strays = append(f.strays, obj)
		}
	}
	return f, errors.Join(missing, err)
}

// named is the TraefikService of the spec, in the first of the kinds that has one of that name.
func (r *Router) named(ctx context.Context, in intent) (*unstructured.Unstructured, error) {
	if in.name == "" {
		return nil, nil
	}
	var missing error
	var of schema.GroupVersionKind // The first that is served, since that is where it should be.
	for _, kind := range Kinds() {
		obj, err := r.get(ctx, kind, client.ObjectKey{Namespace: in.rollout.Namespace, Name: in.name})
		switch {
		case err == nil:
			return obj, nil
		case !apierrors.IsNotFound(err) && !meta.IsNoMatchError(err):
			return nil, trafficrouting.Unreadable(in.path, kind.GroupKind(), in.name, err)
		case missing == nil || meta.IsNoMatchError(missing) && !meta.IsNoMatchError(err):
			missing, of = err, kind
		}
	}
	return nil, trafficrouting.Unreadable(in.path, of.GroupKind(), in.name, missing)
}

func (r *Router) get(ctx context.Context, kind schema.GroupVersionKind, key client.ObjectKey) (*unstructured.Unstructured, error) {
	if _, err := trafficrouting.Served(r.client.RESTMapper(), kind.GroupKind(), kind.Version); err != nil {
		return nil, err
	}
	obj := &unstructured.Unstructured{}
	obj.SetGroupVersionKind(kind)
	err := r.client.Get(ctx, key, obj)
	return obj, err //nolint:wrapcheck // Unreadable asks what kind of error it is, and says what was read.
}

// marked are the TraefikServices that carry the mark of the Rollout.
func (r *Router) marked(ctx context.Context, in intent) ([]*unstructured.Unstructured, error) {
	var marked []*unstructured.Unstructured
	mine := client.MatchingFields{trafficrouting.MarkIndex: trafficrouting.Key(in.rollout)}
	for _, kind := range Kinds() {
		_, err := trafficrouting.Served(r.client.RESTMapper(), kind.GroupKind(), kind.Version)
		var list unstructured.UnstructuredList
		list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
		if err == nil {
			err = r.client.List(ctx, &list, client.InNamespace(in.rollout.Namespace), mine, client.UnsafeDisableDeepCopy)
		}
		if err != nil && !meta.IsNoMatchError(err) {
			return marked, fmt.Errorf("listing the TraefikServices of group %s that the Rollout routes: %w", kind.Group, err)
		}
		for i := range list.Items {
			marked = append(marked, &list.Items[i])
		}
	}
	return marked, nil
}

func (r *Router) patch(ctx context.Context, todo write) error {
	narrow, err := todo.patch.For(todo.obj)
	if err != nil {
		return err
	}
	if err := r.client.Patch(ctx, identity(todo.obj), narrow); err != nil {
		return fmt.Errorf("patching TraefikService %s: %w", todo.obj.GetName(), err)
	}
	return nil
}

// identity is a fresh object, because a reply is written into it and the one that was read belongs to the cache.
func identity(obj *unstructured.Unstructured) *unstructured.Unstructured {
	fresh := &unstructured.Unstructured{}
	fresh.SetGroupVersionKind(obj.GroupVersionKind())
	fresh.SetNamespace(obj.GetNamespace())
	fresh.SetName(obj.GetName())
	return fresh
}
