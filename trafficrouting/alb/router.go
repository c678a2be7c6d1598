// Package alb makes Ingresses of the AWS Load Balancer Controller obey a Split: an annotation of the
// Ingress holds a forward action with the weight of each Service, and header routes are paths with
// annotations of their own. A Verifier asks AWS whether the load balancer serves what they say.
//
// It decides nothing and makes no object. The Rollout controller calls it.
package alb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/patch"
)

// ReasonPatching is the reason of an Ingress that was changed.
const ReasonPatching = "PatchingALBIngress"

var ingressKind = schema.GroupKind{Group: networkingv1.GroupName, Kind: "Ingress"}

// Router routes by annotations of Ingresses.
type Router struct {
	client   client.Client
	verifier *Verifier
}

var _ trafficrouting.Router = (*Router)(nil)

// New makes a Router. The client's reads of Ingresses should come from a cache, which has to have
// trafficrouting.MarkIndex with Keys as its function. Without a verifier it cannot tell what a load
// balancer serves.
func New(c client.Client, v *Verifier) *Router {
	return &Router{client: c, verifier: v}
}

// Type is the name of this router in metrics and events.
func (*Router) Type() string { return "ALB" }

// Observe reports the largest weight of the Ingresses, also of those that the spec no longer names,
// and whether all of them are as the spec asks. It fails as Apply would, and still reports what the
// other Ingresses ask for.
func (r *Router) Observe(ctx context.Context, ref trafficrouting.Ref) (trafficrouting.Observed, error) {
	in, invalid := intentOf(ref.Rollout)
	if in.rollout == nil {
		return trafficrouting.Observed{}, invalid
	}
	failures := []error{invalid}
	named := make([]held, 0, len(in.targets))
	for _, t := range in.targets {
		h, err := r.read(ctx, in, t)
		failures, named = append(failures, err), append(named, h)
	}
	strays, err := r.strays(ctx, in)
	if err != nil {
		return trafficrouting.Observed{}, err
	}
	seen, err := in.together(named, strays)
	err = errors.Join(append(failures, err)...)
	r.verifier.observe(ctx, in, named, &seen)
	return seen, err
}

// Apply makes every Ingress carry the split, and releases those that the spec no longer names. One
// that fails does not keep the weight from the others; the changes that were made are returned
// together with the errors. While the spec or an Ingress is unusable, a weight of 0 still reaches it.
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
	var done []trafficrouting.Change
	failures := []error{invalid}
	for _, t := range in.targets {
		change, err := r.route(ctx, in, t, split)
		failures, done = append(failures, err), append(done, change...)
	}
	strays, err := r.strays(ctx, in)
	failures = append(failures, err)
	for _, h := range strays {
		change, err := r.giveBack(ctx, in, h, in.fateOf(h, split.Canary.Weight))
		failures, done = append(failures, err), append(done, change...)
	}
	return done, errors.Join(failures...)
}

// read returns what an Ingress that the spec names carries; it has no Ingress when that cannot be read.
func (r *Router) read(ctx context.Context, in intent, t target) (held, error) {
	var ingress networkingv1.Ingress
	if err := r.client.Get(ctx, client.ObjectKey{Namespace: in.rollout.Namespace, Name: t.name}, &ingress); err != nil {
		return held{}, trafficrouting.Unreadable(t.path, ingressKind, t.name, err)
	}
	return in.holding(&ingress, true), nil
}

// strays finds the Ingresses that carry something of the Rollout and that no target names.
func (r *Router) strays(ctx context.Context, in intent) ([]held, error) {
	var list networkingv1.IngressList
	mine := client.MatchingFields{trafficrouting.MarkIndex: trafficrouting.Key(in.rollout)}
	if err := r.client.List(ctx, &list, client.InNamespace(in.rollout.Namespace), mine, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing the Ingresses of the Rollout: %w", err)
	}
	var strays []held
	for i := range list.Items {
		named := func(t target) bool { return t.name == list.Items[i].Name }
		if !slices.ContainsFunc(in.targets, named) {
			strays = append(strays, in.holding(&list.Items[i], false))
		}
	}
	return strays, nil
}

// route makes one Ingress obey and says what it did; nothing when it obeyed already.
func (r *Router) route(ctx context.Context, in intent, t target, split trafficrouting.Split) ([]trafficrouting.Change, error) {
	h, err := r.read(ctx, in, t)
	if err != nil {
		return nil, err
	}
	todo, err := in.translate(t, h, split)
	if err != nil {
		err = fmt.Errorf("routing Ingress %s: %w", t.name, err)
		if _, taken := in.taken(h); taken {
			if h = in.own(h); len(split.Routes) > 0 {
				return nil, err
			}
		}
		if split.Canary.Weight > 0 || !in.shares(h) {
			return nil, err
		}
		done, failure := r.giveBack(ctx, in, h, emptied)
		return done, errors.Join(err, failure)
	}
	message := fmt.Sprintf("Updating Ingress `%s` to desiredWeight '%d'", t.name, split.Canary.Weight)
	if len(split.Routes) > 0 {
		names := make([]string, 0, len(split.Routes))
		for _, route := range split.Routes {
			names = append(names, route.Name)
		}
		message += fmt.Sprintf(" with the header routes '%s'", strings.Join(names, ", "))
	}
	return r.patch(ctx, h.Ingress, todo, message)
}

// giveBack brings the traffic of an Ingress home, as its fate says.
func (r *Router) giveBack(ctx context.Context, in intent, h held, fate fate) ([]trafficrouting.Change, error) {
	if fate == left {
		return nil, nil
	}
	todo, err := in.giveBack(h, fate)
	if err != nil {
		return nil, err
	}
	return r.patch(ctx, h.Ingress, todo, fmt.Sprintf("Updating Ingress `%s` to desiredWeight '0', all of its traffic goes to the stable service", h.Name))
}

func (r *Router) patch(ctx context.Context, read *networkingv1.Ingress, todo patch.Patch, message string) ([]trafficrouting.Change, error) {
	if todo.Empty() {
		return nil, nil
	}
	data, err := todo.For(read)
	if err != nil {
		return nil, err
	}
	if err := r.client.Patch(ctx, identity(read), data); err != nil {
		return nil, fmt.Errorf("patching Ingress %s: %w", read.Name, err)
	}
	return []trafficrouting.Change{{Reason: ReasonPatching, Message: message}}, nil
}

// identity is a fresh object, because a reply is written into it and the one that was read belongs to the cache.
func identity(ingress *networkingv1.Ingress) *networkingv1.Ingress {
	return &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: ingress.Namespace, Name: ingress.Name}}
}
