// Package smi makes a mesh that reads TrafficSplits of the Service Mesh Interface obey a Split: it keeps
// one TrafficSplit for a Rollout, which splits the requests to a root Service.
//
// It decides nothing, and touches no TrafficSplit that users made. The Rollout controller calls it.
package smi

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/trafficrouting"
)

// The reasons of the changes that Apply returns.
const (
	// ReasonCreated is the reason of a TrafficSplit that was made.
	ReasonCreated = "TrafficSplitCreated"
	// ReasonModified is the reason of a TrafficSplit that was changed.
	ReasonModified = "TrafficSplitModified"
	// ReasonDeleted is the reason of a TrafficSplit that was deleted.
	ReasonDeleted = "TrafficSplitDeleted"
)

// kind is the one that this router reads and writes.
var kind = schema.GroupKind{Group: "split.smi-spec.io", Kind: "TrafficSplit"}

// versions of kind mean the same here; no cluster converts one into another, so any may be used for what
// was written through any.
var versions = []string{"v1alpha4", "v1alpha3", "v1alpha2", "v1alpha1"}

// Kinds are the kinds of TrafficSplit, the newest first. The first that the cluster serves is used, and
// no other is read.
func Kinds() []schema.GroupVersionKind {
	var all []schema.GroupVersionKind
	for _, version := range versions {
		all = append(all, kind.WithVersion(version))
	}
	return all
}

// Router routes by TrafficSplits.
type Router struct {
	client client.Client
}

var _ trafficrouting.Router = (*Router)(nil)

// New makes a Router. The client's reads of TrafficSplits should come from a cache, which has to have
// trafficrouting.OwnerIndex.
func New(c client.Client) *Router {
	return &Router{client: c}
}

// Type is the name of this router in metrics and events.
func (*Router) Type() string { return "SMI" }

// Observe reports what the TrafficSplit of the Rollout asks for, or one that its spec no longer names,
// and whether it is as the spec asks. It fails as Apply would.
func (r *Router) Observe(ctx context.Context, ref trafficrouting.Ref) (trafficrouting.Observed, error) {
	in, invalid := intentOf(ref.Rollout)
	if in.rollout == nil {
		return trafficrouting.Observed{}, invalid
	}
	f, unread := r.find(ctx, in)
	seen, foreign := in.observed(f)
	return seen, errors.Join(invalid, unread, foreign)
}

// Apply makes the TrafficSplit carry the split, and removes those that the spec no longer names. One that
// fails does not keep the split from the others. While the spec is wrong, a weight of 0 still reaches
// what was made before.
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
	f, unread := r.find(ctx, in)
	if unread != nil {
		return nil, errors.Join(invalid, unread) // What was not seen might be there.
	}
	needed, foreign := in.writes(f, split)
	var changes []trafficrouting.Change
	failures := []error{invalid, foreign}
	for _, todo := range needed {
		done, err := r.write(ctx, todo)
		changes, failures = append(changes, done...), append(failures, err)
	}
	return changes, errors.Join(failures...)
}

// find reads what concerns a Rollout.
func (r *Router) find(ctx context.Context, in intent) (found, error) {
	served, err := trafficrouting.Served(r.client.RESTMapper(), kind, versions...)
	switch {
	case err != nil && in.name != "":
		return found{}, trafficrouting.Unreadable(in.path, kind, in.name, err)
	case meta.IsNoMatchError(err):
		return found{}, nil // Nothing was made of what is not served.
	case err != nil:
		return found{}, err
	}
	f := found{kind: served}
	if f.named, err = r.named(ctx, in, served); err != nil {
		return found{}, err
	}
	f.strays, err = r.strays(ctx, in, served)
	return f, err
}

// named is nil for a TrafficSplit that does not exist.
func (r *Router) named(ctx context.Context, in intent, served schema.GroupVersionKind) (*unstructured.Unstructured, error) {
	if in.name == "" {
		return nil, nil
	}
	obj := identity(served, types.NamespacedName{Namespace: in.rollout.Namespace, Name: in.name})
	err := r.client.Get(ctx, client.ObjectKeyFromObject(obj), obj)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, trafficrouting.Unreadable(in.path, kind, in.name, err)
	}
	return obj, nil
}

// strays are those that the Rollout controls and the spec does not name.
func (r *Router) strays(ctx context.Context, in intent, served schema.GroupVersionKind) ([]*unstructured.Unstructured, error) {
	var list unstructured.UnstructuredList
	list.SetGroupVersionKind(served.GroupVersion().WithKind(served.Kind + "List"))
	mine := client.MatchingFields{trafficrouting.OwnerIndex: string(in.rollout.UID)}
	if err := r.client.List(ctx, &list, client.InNamespace(in.rollout.Namespace), mine, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing the TrafficSplits of the Rollout: %w", err)
	}
	var strays []*unstructured.Unstructured
	for i := range list.Items {
		if obj := &list.Items[i]; obj.GetName() != in.name && !in.gone(obj) {
			strays = append(strays, obj)
		}
	}
	return strays, nil
}

// write does what is to be done and says so; nothing when it was done already.
func (r *Router) write(ctx context.Context, todo write) ([]trafficrouting.Change, error) {
	done, name := []trafficrouting.Change{todo.change}, todo.obj.GetName()
	switch {
	case todo.create:
		if err := r.client.Create(ctx, todo.obj); err != nil {
			return nil, fmt.Errorf("creating TrafficSplit %s: %w", name, err)
		}
		return done, nil
	case todo.delete:
		uid, version := todo.obj.GetUID(), todo.obj.GetResourceVersion()
		err := r.client.Delete(ctx, fresh(todo.obj), client.Preconditions{UID: &uid, ResourceVersion: &version})
		if apierrors.IsNotFound(err) {
			return nil, nil // The cache is behind.
		}
		if err != nil {
			return nil, fmt.Errorf("deleting TrafficSplit %s: %w", name, err)
		}
		return done, nil
	}
	narrow, err := todo.patch.For(todo.obj)
	if err != nil {
		return nil, err
	}
	if err := r.client.Patch(ctx, fresh(todo.obj), narrow); err != nil {
		return nil, fmt.Errorf("patching TrafficSplit %s: %w", name, err)
	}
	return done, nil
}

// fresh is an object to write a reply into, because the one that was read belongs to the cache.
func fresh(obj *unstructured.Unstructured) *unstructured.Unstructured {
	return identity(obj.GroupVersionKind(), types.NamespacedName{Namespace: obj.GetNamespace(), Name: obj.GetName()})
}

func identity(of schema.GroupVersionKind, name types.NamespacedName) *unstructured.Unstructured {
	obj := &unstructured.Unstructured{}
	obj.SetGroupVersionKind(of)
	obj.SetNamespace(name.Namespace)
	obj.SetName(name.Name)
	return obj
}
