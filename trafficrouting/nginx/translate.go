package nginx

import (
	"encoding/json"
	"fmt"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
)

// pair is what the cluster holds for one target. Either Ingress is nil when it does not exist.
type pair struct {
	target
	stable, canary *networkingv1.Ingress
}

// stray is a canary Ingress that was made for this Rollout and that its spec does not ask for now.
type stray struct {
	*networkingv1.Ingress
	weight int32
	routes []trafficrouting.ManagedRoute
}

// carries reports whether it gets any request, by weight or by header.
func (s stray) carries() bool { return s.weight > 0 || len(s.routes) > 0 }

// gone reports whether nothing is left to be done: it gets no traffic, and deleting it has begun.
func (s stray) gone() bool { return !s.carries() && !s.DeletionTimestamp.IsZero() }

// write makes one canary Ingress obey. At most one field is set; neither when it obeys already.
type write struct {
	create *networkingv1.Ingress
	// patch is a JSON merge patch with nothing in it but what differs, and its preconditions.
	patch []byte
}

func (w write) empty() bool { return w.create == nil && w.patch == nil }

// strays are those of the Ingresses that the Rollout controls which are canaries by weight and which
// no target names. Somebody's own Ingress, which the Rollout may control too, is not marked so.
func (in intent) strays(owned []networkingv1.Ingress) []stray {
	named := map[string]bool{}
	for _, t := range in.targets {
		named[CanaryIngressName(in.rollout.Name, t.name)] = true
	}
	var strays []stray
	for i := range owned {
		made, marked := in.under(&owned[i])
		if !marked || named[owned[i].Name] {
			continue
		}
		routes, _ := made.observedRoutes(&owned[i])
		if s := (stray{&owned[i], made.observedWeight(&owned[i]), routes}); !s.gone() {
			strays = append(strays, s)
		}
	}
	return strays
}

// fate is what becomes of a stray.
type fate int

const (
	left fate = iota
	emptied
	deleted
)

// fateOf says what becomes of a stray when a split is applied. It is emptied, and deleted once it is
// seen without traffic: a host can have one canary, and another Rollout may be waiting to make its
// own. The traffic goes first because a deletion can be refused, or wait for a finalizer. Where no
// router is named, strays have all of the traffic there is to move, so they wait until it may go
// home. A wrong spec may name them again when it is corrected: they are not deleted, and emptied
// only with everything else.
func (in intent) fateOf(s stray, split trafficrouting.Split) fate {
	switch {
	case !in.usable && !home(split), !trafficrouting.Releases(in.rollout, split.Canary.Weight):
		return left
	case s.carries():
		return emptied
	case in.usable:
		return deleted
	}
	return left
}

// home reports whether a split leaves the canary no request.
func home(s trafficrouting.Split) bool { return s.Canary.Weight == 0 && len(s.Routes) == 0 }

// observed is what the canary Ingresses ask for together, before the targets are compared with it.
func (in intent) observed(pairs []pair, strays []stray) trafficrouting.Observed {
	seen := trafficrouting.Observed{Exists: len(pairs)+len(strays) > 0, InSync: true}
	for _, p := range pairs {
		if p.canary == nil {
			seen.Exists = false
			continue
		}
		routes, asWritten := in.observedRoutes(p.canary)
		seen.CanaryWeight, seen.Routes = max(seen.CanaryWeight, in.observedWeight(p.canary)), longer(seen.Routes, routes)
		seen.InSync = seen.InSync && asWritten
		seen.Unowned = seen.Unowned || in.unowned(p.canary)
	}
	for _, s := range strays {
		seen.CanaryWeight, seen.Routes = max(seen.CanaryWeight, s.weight), longer(seen.Routes, s.routes)
	}
	same := trafficrouting.Split{Canary: trafficrouting.Backend{Weight: seen.CanaryWeight}, Routes: seen.Routes}
	for _, s := range strays {
		seen.InSync = seen.InSync && in.fateOf(s, same) == left
	}
	return seen
}

// longer is the list with more routes: canary Ingresses that disagree are not in sync.
func longer(a, b []trafficrouting.ManagedRoute) []trafficrouting.ManagedRoute {
	if len(b) > len(a) {
		return b
	}
	return a
}

// translate says which write makes the canary Ingress of one pair equal to the split.
func (in intent) translate(p pair, split trafficrouting.Split) (write, error) {
	if p.stable == nil {
		return write{}, field.Invalid(p.path, p.name, fmt.Sprintf("ingress.networking.k8s.io %q not found", p.name))
	}
	if p.canary != nil && !metav1.IsControlledBy(p.canary, in.rollout) && !in.unowned(p.canary) {
		return write{}, field.Invalid(p.path, p.name, fmt.Sprintf("the canary Ingress %q is controlled by %s, not by this Rollout: delete it, or rename the Rollout",
			p.canary.Name, controllerOf(p.canary)))
	}
	rules := canaryRules(p.stable.Spec.Rules, split)
	if len(rules) == 0 {
		return write{}, field.Invalid(p.path, p.name, fmt.Sprintf(
			"ingress `%s` has no rules using service %s backend: add a rule for it, or name the Ingress that has one",
			p.name, split.Stable.Service))
	}
	wanted := in.canaryIngress(p.stable, rules, split)
	if p.canary == nil {
		return write{create: wanted}, nil
	}
	patch, err := in.patch(p.canary, wanted)
	if err != nil {
		return write{}, err
	}
	return write{patch: patch}, nil
}

// unowned reports whether a canary Ingress was made for a Rollout of this name
// that was deleted and left it behind: it is a canary by weight, and nobody controls it.
func (in intent) unowned(canary *networkingv1.Ingress) bool {
	_, marked := in.under(canary)
	return marked && metav1.GetControllerOf(canary) == nil
}

// canaryRules copies the rules that serve the stable Service, with all of their paths, and points
// those paths at the canary Service. NGINX matches a canary by host and path, so a path to another
// Service stays as it is. A rule without paths, and a backend that is no Service, serve neither.
func canaryRules(stable []networkingv1.IngressRule, split trafficrouting.Split) []networkingv1.IngressRule {
	var rules []networkingv1.IngressRule
	for i := range stable {
		rule := stable[i].DeepCopy()
		if repoint(rule.HTTP, split.Stable.Service, split.Canary.Service) {
			rules = append(rules, *rule)
		}
	}
	return rules
}

// repoint changes every backend that is one Service into another, and tells whether there was any.
func repoint(http *networkingv1.HTTPIngressRuleValue, from, to string) bool {
	if http == nil {
		return false
	}
	found := false
	for i := range http.Paths {
		if svc := http.Paths[i].Backend.Service; svc != nil && svc.Name == from {
			svc.Name = to
			found = true
		}
	}
	return found
}

// canaryIngress is the whole Ingress to make where there is none.
func (in intent) canaryIngress(
	stable *networkingv1.Ingress, rules []networkingv1.IngressRule, split trafficrouting.Split,
) *networkingv1.Ingress {
	from := stable.Spec.DeepCopy()
	return &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{
			Name:            CanaryIngressName(in.rollout.Name, stable.Name),
			Namespace:       in.rollout.Namespace,
			Annotations:     in.annotations(stable, split),
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(in.rollout, v1alpha1.RolloutKind)},
		},
		Spec: networkingv1.IngressSpec{IngressClassName: from.IngressClassName, TLS: from.TLS, Rules: rules},
	}
}

// patch is the narrowest merge patch between two canary Ingresses, or nil when nothing of ours
// differs. It names the UID, so that the API server refuses it for an object that took the place
// of the one it was computed from. It also names the resourceVersion, so that it cannot undo what
// it has not seen: lists are replaced as a whole, and another instance may have aborted meanwhile.
// Taking all traffic away does without, since an abort should not lose a race against somebody's label.
func (in intent) patch(existing, wanted *networkingv1.Ingress) ([]byte, error) {
	annotations := in.annotationChanges(existing.Annotations, wanted.Annotations)
	spec, adopts := specChanges(existing.Spec, wanted.Spec), in.unowned(existing)
	if len(annotations) == 0 && len(spec) == 0 && !adopts {
		return nil, nil
	}
	metadata, body := map[string]any{"uid": existing.UID}, map[string]any{}
	body["metadata"] = metadata
	if len(annotations) > 0 {
		metadata["annotations"] = annotations
	}
	if len(spec) > 0 {
		body["spec"] = spec
	}
	if adopts {
		metadata["ownerReferences"] = append(slices.Clone(existing.OwnerReferences), wanted.OwnerReferences...)
	}
	_, routes := wanted.Annotations[routesAnnotation]
	if adopts || len(spec) > 0 || routes || in.observedWeight(wanted) > 0 {
		metadata["resourceVersion"] = existing.ResourceVersion
	}
	return encode(existing, body)
}

// emptyPatch takes the traffic from a canary Ingress and changes nothing else; nil when it gets none.
func (in intent) emptyPatch(existing *networkingv1.Ingress) ([]byte, error) {
	made, _ := in.under(existing)
	if routes, _ := made.observedRoutes(existing); made.observedWeight(existing) == 0 && len(routes) == 0 {
		return nil, nil
	}
	annotations := map[string]any{made.key(canaryMark): "true", made.key(weight): "0", made.key(weightTotal): nil}
	for _, key := range made.madeOf(existing.Annotations) {
		if _, has := existing.Annotations[key]; has {
			annotations[key] = nil
		}
	}
	return encode(existing, map[string]any{"metadata": map[string]any{"uid": existing.UID, "annotations": annotations}})
}

func encode(existing *networkingv1.Ingress, body map[string]any) ([]byte, error) {
	patch, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encoding the patch of Ingress %q: %w", existing.Name, err)
	}
	return patch, nil
}

// specChanges compares the three fields that are copied; a default backend is not ours.
func specChanges(existing, wanted networkingv1.IngressSpec) map[string]any {
	changes := map[string]any{}
	if !equality.Semantic.DeepEqual(existing.IngressClassName, wanted.IngressClassName) {
		changes["ingressClassName"] = wanted.IngressClassName
	}
	if !equality.Semantic.DeepEqual(existing.TLS, wanted.TLS) {
		changes["tls"] = wanted.TLS
	}
	if !equality.Semantic.DeepEqual(existing.Rules, wanted.Rules) {
		changes["rules"] = wanted.Rules
	}
	return changes
}

// controllerOf names the owner of an object for a message.
func controllerOf(obj metav1.Object) string {
	owner := metav1.GetControllerOf(obj)
	if owner == nil {
		return "nobody"
	}
	return fmt.Sprintf("%s %q (uid %s)", owner.Kind, owner.Name, owner.UID)
}
