package gatewayapi

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/trafficrouting"
)

// world is what the cluster holds of the routes of one Rollout.
type world struct {
	in    intent
	named []view
	// strays carry the mark of the Rollout, and its spec does not name them.
	strays []view
	// missing tells that a route that the spec names could not be read.
	missing bool
	// unknown tells that the routes could not be listed, so that nothing is known of the rest.
	unknown bool
}

// world reads it. Its error is about the spec, and about routes that cannot be read.
func (r *Router) world(ctx context.Context, ref trafficrouting.Ref) (world, error) {
	in, invalid := intentOf(ref.Rollout)
	w := world{in: in}
	if in.rollout == nil {
		return w, invalid
	}
	named := map[string]bool{} // Also those that cannot be read: they are not strays.
	position := map[string]int{}
	failures := []error{invalid}
	for _, t := range in.targets {
		routes, err := r.find(ctx, in, t, named)
		if err != nil {
			failures, w.missing = append(failures, err), true
			w.unknown = w.unknown || t.selector != nil && !isAboutSpec(err)
		}
		for _, found := range routes {
			key := found.key()
			if at, twice := position[key]; twice {
				w.named[at].managed = w.named[at].managed || found.managed
				continue
			}
			position[key] = len(w.named)
			w.named = append(w.named, in.view(found))
		}
	}
	strays, err := r.strays(ctx, in, named)
	if err != nil {
		failures, w.unknown = append(failures, err), true
	}
	w.strays = strays
	return w, errors.Join(failures...)
}

func isAboutSpec(err error) bool {
	var invalid *field.Error
	return errors.As(err, &invalid)
}

// find reads the routes of one target, and notes which they are.
func (r *Router) find(ctx context.Context, in intent, t target, named map[string]bool) ([]route, error) {
	named[t.kind.name+"/"+in.namespace+"/"+t.name] = true
	served, err := trafficrouting.Served(r.client.RESTMapper(), t.kind.groupKind(), t.kind.versions...)
	if err != nil {
		return nil, trafficrouting.Unreadable(t.path, t.kind.groupKind(), t.name, err)
	}
	if t.selector == nil {
		obj := empty(served)
		if err := r.client.Get(ctx, client.ObjectKey{Namespace: in.namespace, Name: t.name}, obj); err != nil {
			return nil, trafficrouting.Unreadable(t.path, t.kind.groupKind(), t.name, err)
		}
		return []route{{t.kind, obj, t.path, t.managed}}, nil
	}
	objects, err := r.list(ctx, served, client.InNamespace(in.namespace), client.MatchingLabelsSelector{Selector: t.selector})
	if err != nil {
		return nil, trafficrouting.Unreadable(t.path, t.kind.groupKind(), t.selector.String(), err)
	}
	if len(objects) == 0 {
		return nil, field.Invalid(t.path, t.selector.String(), fmt.Sprintf(
			"no %s in namespace %s has these labels: add them to one, or select others", t.kind.name, in.namespace))
	}
	routes := make([]route, len(objects))
	for i, obj := range objects {
		routes[i] = route{t.kind, obj, t.path, t.managed}
		named[routes[i].key()] = true
	}
	return routes, nil
}

// strays finds what carries the mark of the Rollout and is not named by its spec, in all namespaces. A
// kind that the cluster does not serve has none.
func (r *Router) strays(ctx context.Context, in intent, named map[string]bool) ([]view, error) {
	var strays []view
	for _, k := range kinds {
		served, err := trafficrouting.Served(r.client.RESTMapper(), k.groupKind(), k.versions...)
		if meta.IsNoMatchError(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		objects, err := r.list(ctx, served, client.MatchingFields{trafficrouting.MarkIndex: trafficrouting.Key(in.rollout)})
		if err != nil {
			return nil, fmt.Errorf("listing the %ss that the Rollout steers: %w", k.name, err)
		}
		for _, obj := range objects {
			if stray := (route{kind: k, obj: obj}); !named[stray.key()] {
				strays = append(strays, in.view(stray))
			}
		}
	}
	return strays, nil
}

func (r *Router) list(ctx context.Context, kind schema.GroupVersionKind, opts ...client.ListOption) ([]*unstructured.Unstructured, error) {
	var found unstructured.UnstructuredList
	found.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
	if err := r.client.List(ctx, &found, append(opts, client.UnsafeDisableDeepCopy)...); err != nil {
		return nil, err //nolint:wrapcheck // The callers say what was listed.
	}
	objects := make([]*unstructured.Unstructured, len(found.Items))
	for i := range found.Items {
		objects[i] = &found.Items[i]
	}
	return objects, nil
}
