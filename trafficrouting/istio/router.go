// Package istio makes Istio obey a Split: VirtualServices carry the weights and the managed routes,
// and the subsets of a DestinationRule select the revisions.
//
// It decides nothing. Both kinds belong to users: it patches single fields by their place and leaves
// the rest as it stands, and remembers in a mark what it takes to leave the object as it was. The
// Rollout controller calls it, for a mesh whose objects are in another cluster with a client of that.
package istio

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/trafficrouting"
)

// The reasons of the changes that Apply returns.
const (
	// ReasonRoutes is the reason of a VirtualService that was changed. Users' alerts know it with the space.
	ReasonRoutes = "Updated VirtualService"
	// ReasonRule is the reason of a DestinationRule that was changed.
	ReasonRule = "UpdatedDestinationRule"
)

// Router routes by VirtualServices and DestinationRules.
type Router struct {
	client client.Client
}

var _ trafficrouting.Router = (*Router)(nil)

// New makes a Router. The client's reads of both kinds should come from a cache, which has to have
// trafficrouting.MarkIndex.
func New(c client.Client) *Router {
	return &Router{client: c}
}

// Type is the name of this router in metrics and events.
func (*Router) Type() string { return "Istio" }

// Observe reports the largest weight of all routes that are or were named, and what the subsets
// select. It fails as Apply would: with a *field.Error when the spec or an object is unusable.
func (r *Router) Observe(ctx context.Context, ref trafficrouting.Ref) (trafficrouting.Observed, error) {
	in, invalid := intentOf(ref.Rollout)
	if in.rollout == nil {
		return trafficrouting.Observed{}, invalid
	}
	w := r.look(ctx, in)
	return in.observed(w), errors.Join(invalid, w.err())
}

// Apply makes all routes carry the split, and releases what the spec no longer names. Every change
// that was made is returned, also with errors. While the spec or an object is unusable, a weight of 0
// still reaches what was routed before.
func (r *Router) Apply(ctx context.Context, ref trafficrouting.Ref, split trafficrouting.Split) ([]trafficrouting.Change, error) {
	in, invalid := intentOf(ref.Rollout)
	if in.rollout == nil {
		return nil, invalid
	}
	if err := in.checkSplit(split); err != nil {
		return nil, err
	}
	w := r.look(ctx, in)
	stages, err := in.plan(w, split)
	failures := []error{invalid, w.err(), err}
	var changes []trafficrouting.Change
	for _, s := range stages {
		done, err := r.carryOut(ctx, s)
		changes, failures = append(changes, done...), append(failures, err)
		if err != nil || s.blocked {
			break
		}
	}
	return changes, errors.Join(failures...)
}

func (r *Router) carryOut(ctx context.Context, s stage) ([]trafficrouting.Change, error) {
	var changes []trafficrouting.Change
	var failures []error
	for _, w := range s.writes {
		if err := r.write(ctx, w); err != nil {
			failures = append(failures, err)
			continue
		}
		changes = append(changes, w.change)
	}
	return changes, errors.Join(failures...)
}

// write sends a fresh object, because a reply is written into it and the one that was read belongs to the cache.
func (r *Router) write(ctx context.Context, w write) error {
	data, err := w.patch.For(w.obj)
	if err != nil {
		return err
	}
	fresh := &unstructured.Unstructured{}
	fresh.SetGroupVersionKind(w.obj.GroupVersionKind())
	fresh.SetNamespace(w.obj.GetNamespace())
	fresh.SetName(w.obj.GetName())
	if err := r.client.Patch(ctx, fresh, data); err != nil {
		return fmt.Errorf("patching %s %s/%s: %w", w.obj.GetKind(), w.obj.GetNamespace(), w.obj.GetName(), err)
	}
	return nil
}

// look reads all objects of a Rollout.
func (r *Router) look(ctx context.Context, in intent) world {
	var w world
	for _, t := range in.targets {
		n, err := r.named(ctx, in, t)
		if err != nil {
			w.failures = append(w.failures, err)
		}
		w.named = append(w.named, n)
	}
	if in.rule != nil {
		rule, err := r.rule(ctx, in)
		if err != nil {
			w.failures = append(w.failures, err)
		}
		w.rule = &rule
	}
	if err := in.checkHTTP(w); err != nil {
		w.failures = append(w.failures, err)
	}
	r.strays(ctx, in, &w)
	return w
}

func (r *Router) named(ctx context.Context, in intent, t target) (named, error) {
	obj, err := r.get(ctx, VirtualServiceKind, t.key, t.path())
	if err != nil {
		return named{target: t, state: missing}, err
	}
	return in.judge(t, obj)
}

func (r *Router) rule(ctx context.Context, in intent) (namedRule, error) {
	key := types.NamespacedName{Namespace: in.rollout.Namespace, Name: in.rule.Name}
	obj, err := r.get(ctx, DestinationRuleKind, key, in.rulePath.Child("name"))
	if err != nil {
		return namedRule{}, err
	}
	return in.judgeRule(obj)
}

func (r *Router) get(ctx context.Context, kind schema.GroupKind, key types.NamespacedName, path *field.Path) (*unstructured.Unstructured, error) {
	served, err := trafficrouting.Served(r.client.RESTMapper(), kind, Versions()...)
	if err != nil {
		return nil, trafficrouting.Unreadable(path, kind, key.String(), err)
	}
	obj := &unstructured.Unstructured{}
	obj.SetGroupVersionKind(served)
	if err := r.client.Get(ctx, key, obj); err != nil {
		return nil, trafficrouting.Unreadable(path, kind, key.String(), err)
	}
	return obj, nil
}

// strays finds what carries the mark of the Rollout and is not named.
func (r *Router) strays(ctx context.Context, in intent, w *world) {
	services, err := r.marked(ctx, in, VirtualServiceKind)
	rules, errRules := r.marked(ctx, in, DestinationRuleKind)
	if err := errors.Join(err, errRules); err != nil {
		w.failures = append(w.failures, err)
	}
	for i := range services {
		w.addStray(in, &services[i])
	}
	for i := range rules {
		w.addStrayRule(in, &rules[i])
	}
}

// marked lists the objects of a kind in all namespaces; none of one that the cluster does not serve.
func (r *Router) marked(ctx context.Context, in intent, kind schema.GroupKind) ([]unstructured.Unstructured, error) {
	served, err := trafficrouting.Served(r.client.RESTMapper(), kind, Versions()...)
	switch {
	case meta.IsNoMatchError(err):
		return nil, nil
	case err != nil:
		return nil, err
	}
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(served.GroupVersion().WithKind(kind.Kind + "List"))
	mine := client.MatchingFields{trafficrouting.MarkIndex: trafficrouting.Key(in.rollout)}
	if err := r.client.List(ctx, list, mine, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing the %ss that were routed by the Rollout: %w", kind.Kind, err)
	}
	return list.Items, nil
}
