// Package ambassador makes Mappings of Ambassador (Emissary-ingress) obey a Split: beside each Mapping that
// the spec names it keeps, while the canary has a weight, a canary Mapping that carries it.
//
// It decides nothing, never writes a Mapping of a user, and does not wait for Ambassador. The Rollout
// controller calls it.
package ambassador

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

// The reasons of the changes that Apply returns.
const (
	// ReasonWeight is the reason of a canary Mapping that got another weight, also with its making.
	ReasonWeight = "CanaryMappingWeightUpdate"
	// ReasonUpdated is the reason of a canary Mapping that changed and kept its weight.
	ReasonUpdated = "CanaryMappingUpdated"
	// ReasonDeleted is the reason of a canary Mapping that was deleted.
	ReasonDeleted = "CanaryMappingDeleted"
)

// mapping is the kind that is read and written; preview is how it was called before Emissary-ingress 2.0.
var (
	mapping = schema.GroupKind{Group: "getambassador.io", Kind: "Mapping"}
	preview = schema.GroupKind{Group: "x.getambassador.io", Kind: "AmbassadorMapping"}
)

// Served is the kind of the Mappings that the cluster serves. Its error is one of meta.IsNoMatchError where
// it serves none.
func Served(mapper meta.RESTMapper) (schema.GroupVersionKind, error) {
	served, missing := trafficrouting.Served(mapper, mapping, "v3alpha1", "v2")
	if !meta.IsNoMatchError(missing) {
		return served, missing
	}
	served, err := trafficrouting.Served(mapper, preview, "v3alpha1")
	if meta.IsNoMatchError(err) {
		return served, missing // It names what users know.
	}
	return served, err
}

// Router routes by canary Mappings.
type Router struct {
	client client.Client
}

var _ trafficrouting.Router = (*Router)(nil)

// New makes a Router. The client's reads of Mappings should come from a cache, which has to have
// trafficrouting.OwnerIndex.
func New(c client.Client) *Router {
	return &Router{client: c}
}

// Type is the name of this router in metrics and events.
func (*Router) Type() string { return "Ambassador" }

// Observe reports the largest weight of the canary Mappings, also of those that the spec no longer asks
// for. It fails as Apply would.
func (r *Router) Observe(ctx context.Context, ref trafficrouting.Ref) (trafficrouting.Observed, error) {
	in, invalid := intentOf(ref.Rollout)
	if in.rollout == nil {
		return trafficrouting.Observed{}, invalid
	}
	w, err := r.read(ctx, in)
	seen, failures := in.observed(w)
	return seen, errors.Join(append(failures, invalid, err)...)
}

// Apply brings every canary Mapping one write nearer to the split: a weight of 0 takes two, the second of
// which deletes it. One that fails does not keep the weight from the others.
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
	w, err := r.read(ctx, in)
	todo, failures := in.plan(w, split.Canary.Weight)
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
	if meta.IsNoMatchError(err) && len(in.targets) == 0 {
		return world{}, nil // So there is nothing of an earlier spec.
	}
	if err != nil && len(in.targets) > 0 {
		return world{}, trafficrouting.Unreadable(in.targets[0].path, mapping, in.targets[0].name, err)
	}
	if err != nil {
		return world{}, err
	}
	strays, err := r.strays(ctx, in, served)
	w, failures := world{strays: strays}, []error{err}
	for _, t := range in.targets {
		p, err := r.pair(ctx, in, served, t)
		w.pairs, failures = append(w.pairs, p), append(failures, err)
	}
	return w, errors.Join(failures...)
}

// strays finds what was made for an earlier spec.
func (r *Router) strays(ctx context.Context, in intent, served schema.GroupVersionKind) ([]*unstructured.Unstructured, error) {
	if in.rollout.UID == "" {
		return nil, nil // It is gone, and what it owned goes with it.
	}
	var list unstructured.UnstructuredList
	list.SetGroupVersionKind(served.GroupVersion().WithKind(served.Kind + "List"))
	mine := client.MatchingFields{trafficrouting.OwnerIndex: string(in.rollout.UID)}
	if err := r.client.List(ctx, &list, client.InNamespace(in.rollout.Namespace), mine, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing the Mappings of the Rollout: %w", err)
	}
	var strays []*unstructured.Unstructured
	for i := range list.Items {
		name := list.Items[i].GetName()
		if marked(&list.Items[i]) && !slices.ContainsFunc(in.targets, func(t target) bool { return CanaryMappingName(t.name) == name || t.name == name }) {
			strays = append(strays, &list.Items[i])
		}
	}
	return strays, nil
}

// pair reads both Mappings of a target. A canary Mapping that does not exist is nil, and no error.
func (r *Router) pair(ctx context.Context, in intent, served schema.GroupVersionKind, t target) (pair, error) {
	p := pair{target: t}
	base, err := r.get(ctx, in, served, t.name)
	if err != nil {
		err = trafficrouting.Unreadable(t.path, served.GroupKind(), t.name, err)
	} else {
		p.base = base
	}
	canary, canaryErr := r.get(ctx, in, served, CanaryMappingName(t.name))
	switch {
	case canaryErr == nil:
		p.canary = canary
	case apierrors.IsNotFound(canaryErr):
		canaryErr = nil
	default:
		canaryErr = trafficrouting.Unreadable(t.path, served.GroupKind(), CanaryMappingName(t.name), canaryErr)
	}
	return p, errors.Join(err, canaryErr)
}

func (r *Router) get(ctx context.Context, in intent, served schema.GroupVersionKind, name string) (*unstructured.Unstructured, error) {
	found := &unstructured.Unstructured{}
	found.SetGroupVersionKind(served)
	if err := r.client.Get(ctx, client.ObjectKey{Namespace: in.rollout.Namespace, Name: name}, found); err != nil {
		return nil, err //nolint:wrapcheck // The caller says which field names it.
	}
	return found, nil
}

// do makes one write. It says nothing of one that turns out to be made already.
func (r *Router) do(ctx context.Context, todo write) ([]trafficrouting.Change, error) {
	change := []trafficrouting.Change{{Reason: todo.reason, Message: todo.message}}
	switch {
	case todo.create != nil:
		if err := r.client.Create(ctx, todo.create); err != nil {
			return nil, fmt.Errorf("creating canary Mapping %s: %w", todo.create.GetName(), err)
		}
		return change, nil
	case todo.remove != nil:
		uid, version := todo.remove.GetUID(), todo.remove.GetResourceVersion()
		err := r.client.Delete(ctx, identity(todo.remove), client.Preconditions{UID: &uid, ResourceVersion: &version})
		if apierrors.IsNotFound(err) {
			return nil, nil // The cache is behind.
		}
		if err != nil {
			return nil, fmt.Errorf("deleting canary Mapping %s: %w", todo.remove.GetName(), err)
		}
		return change, nil
	}
	data, err := todo.patch.For(todo.change)
	if err != nil {
		return nil, err
	}
	err = r.client.Patch(ctx, identity(todo.change), data)
	if apierrors.IsNotFound(err) { // Deleted since it was read, which is another version of it, too.
		err = apierrors.NewConflict(schema.GroupResource{Group: mapping.Group, Resource: "mappings"}, todo.change.GetName(), err)
	}
	if err != nil {
		return nil, fmt.Errorf("patching canary Mapping %s: %w", todo.change.GetName(), err)
	}
	return change, nil
}

// identity is a fresh object, because a reply is written into it and the one that was read belongs to the cache.
func identity(mapping *unstructured.Unstructured) *unstructured.Unstructured {
	fresh := &unstructured.Unstructured{}
	fresh.SetGroupVersionKind(mapping.GroupVersionKind())
	fresh.SetNamespace(mapping.GetNamespace())
	fresh.SetName(mapping.GetName())
	return fresh
}
