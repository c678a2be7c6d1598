package alb

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/patch"
)

// wish is an annotation that an Ingress must have.
type wish struct {
	key, text string
	// granted reports whether another text means the same.
	granted func(text string) bool
}

func wishFor[T any](key string, value T) wish {
	return wish{key, encode(value), func(text string) bool { return same(text, value) }}
}

// wishes are the annotations for a split: the shared action, and two for each header route.
func (in intent) wishes(split trafficrouting.Split) []wish {
	sides := []targetGroup{group(in.canary, in.port(), split.Canary.Weight)}
	for _, side := range sorted(split.Additional) {
		sides = append(sides, group(side.Service, in.port(), side.Weight))
	}
	sides = append(sides, group(in.stable, in.port(), split.Stable.Weight))
	wishes := []wish{wishFor(in.key(actions, in.root()), forwardTo(in.alb.StickinessConfig, sides...))}
	for _, route := range split.Routes {
		wishes = append(wishes,
			wishFor(in.key(actions, route.Name), in.toCanary()), wishFor(in.key(conditions, route.Name), conditionsOf(route.Headers)))
	}
	return wishes
}

func sorted(sides []trafficrouting.Backend) []trafficrouting.Backend {
	return slices.SortedFunc(slices.Values(sides), func(a, b trafficrouting.Backend) int { return cmp.Compare(a.Service, b.Service) })
}

// together is what the Ingresses ask for, and what is wrong with them. One that could not be read has no Ingress.
func (in intent) together(named, strays []held) (trafficrouting.Observed, error) {
	seen := trafficrouting.Observed{Exists: len(named)+len(strays) > 0, InSync: true}
	for _, h := range named {
		one := trafficrouting.Observed{}
		if h.Ingress != nil {
			one = in.observed(h)
		}
		seen.Exists, seen.InSync = seen.Exists && one.Exists, seen.InSync && one.InSync
		seen.CanaryWeight = max(seen.CanaryWeight, one.CanaryWeight)
		seen.Additional = longer(seen.Additional, one.Additional)
		seen.Routes = longer(seen.Routes, one.Routes)
	}
	for _, h := range strays {
		seen.CanaryWeight = max(seen.CanaryWeight, in.awayFrom(h))
	}
	split := in.splitAt(seen)
	var failures []error
	for i, h := range named {
		if h.Ingress == nil {
			continue
		}
		todo, err := in.translate(in.targets[i], h, split)
		failures = append(failures, err)
		seen.InSync = seen.InSync && err == nil && todo.Empty()
	}
	for _, h := range strays {
		if fate := in.fateOf(h, seen.CanaryWeight); fate != left {
			_, err := in.giveBack(h, fate)
			failures, seen.InSync = append(failures, err), false
		}
	}
	return seen, errors.Join(failures...)
}

// longer is the list with more elements: Ingresses that disagree are not in sync.
func longer[T any](a, b []T) []T {
	if len(b) > len(a) {
		return b
	}
	return a
}

// observed is what an Ingress that the spec names asks for.
func (in intent) observed(h held) trafficrouting.Observed {
	shared := in.key(actions, in.root())
	text, exists := h.Annotations[shared]
	seen := trafficrouting.Observed{Exists: exists}
	if a, ok := readAction(text); ok {
		seen.CanaryWeight, seen.Additional = in.sidesOf(h, a)
	} else if exists {
		seen.CanaryWeight = total
	}
	for _, key := range h.actions {
		if key != shared {
			seen.CanaryWeight = max(seen.CanaryWeight, in.away(h, key)) // It was made for an earlier spec.
		}
	}
	seen.Routes, seen.InSync = in.routesIn(h)
	return seen
}

// sidesOf are the weights of an action. The two Services of an earlier spec are the sides that they were.
func (in intent) sidesOf(h held, a action) (canary int32, additional []trafficrouting.Backend) {
	isCanary := func(service string) bool {
		return service == in.canary || service == h.mark.Canary && h.marked && service != in.stable
	}
	isStable := func(service string) bool {
		return service == in.stable || service == h.mark.Stable && h.marked && service != in.canary
	}
	for _, g := range a.ForwardConfig.TargetGroups {
		named := func(other trafficrouting.Backend) bool { return other.Service == g.ServiceName }
		if isCanary(g.ServiceName) || isStable(g.ServiceName) || slices.ContainsFunc(additional, named) {
			continue
		}
		share := a.shareOf(func(service string) bool { return service == g.ServiceName })
		additional = append(additional, trafficrouting.Backend{Service: g.ServiceName, Weight: share})
	}
	return a.shareOf(isCanary), sorted(additional)
}

// changes are the annotations of an Ingress that change; an empty value takes one away.
type changes map[string]string

// set makes an annotation what is wanted, when it is not.
func (c changes) set(h held, key, text string) {
	if has, there := h.Annotations[key]; there != (text != "") || has != text {
		c[key] = text
	}
}

// to adds the changes to a patch.
func (c changes) to(p *patch.Patch, h held) {
	if len(h.Annotations) == 0 && len(c) > 0 {
		p.Set(c, "metadata", "annotations") // Nothing is taken away where there is nothing.
		return
	}
	for _, key := range slices.Sorted(maps.Keys(c)) {
		p.Annotate(h.Ingress, key, c[key])
	}
}

// translate says which patch makes an Ingress equal to the split.
func (in intent) translate(t target, h held, split trafficrouting.Split) (patch.Patch, error) {
	var p patch.Patch
	if by, taken := in.taken(h); taken {
		return p, field.Invalid(t.path, t.name, fmt.Sprintf("the Ingress %q already shares requests for the Rollout %s by the same action: "+
			"use another rootService, or another name of the managed route, in one of the two, or release it there", h.Name, by))
	}
	if err := in.unusable(t, h.Ingress); err != nil {
		return p, err
	}
	wishes, edits := in.wishes(split), changes{}
	var keys []string
	for _, w := range wishes {
		keys = append(keys, w.key)
		if has, there := h.Annotations[w.key]; !there || !w.granted(has) {
			edits[w.key] = w.text
		}
	}
	in.bringHome(edits, h, keys)
	if !h.managed.says(in.rollout.Name, keys) {
		edits[ManagedAnnotation] = h.managed.with(in.rollout.Name, keys)
	}
	var names []string
	for _, route := range split.Routes {
		names = append(names, route.Name)
	}
	movePaths(&p, h, names)
	in.markWith(edits, h, split, !p.Empty())
	edits.to(&p, h)
	return p, nil
}

// unusable says what is wrong with an Ingress that the spec names.
func (in intent) unusable(t target, ingress *networkingv1.Ingress) error {
	if leadsTo(ingress.Spec.Rules, in.root()) {
		return nil
	}
	return field.Invalid(t.path, t.name, fmt.Sprintf("ingress `%s` has no rules using service %s backend with the port name %s: "+
		"add one, since the load balancer reads weights for no other", t.name, in.root(), useAnnotation))
}

// markWith adds the mark where it is missing or another one. While all requests go to the stable side
// it is never a write of its own: there is nothing to bring home without the spec.
func (in intent) markWith(edits changes, h held, split trafficrouting.Split, changed bool) {
	mark := trafficrouting.Mark{Rollout: trafficrouting.Key(in.rollout), Stable: in.stable, Canary: in.canary}
	away := split.Canary.Weight > 0 || len(split.Additional) > 0 || len(split.Routes) > 0
	if (away || changed || len(edits) > 0) && (!h.marked || h.mark.String() != mark.String()) {
		edits[v1alpha1.RoutedByAnnotation] = mark.Beside(h)
	}
}

// bringHome takes away the header routes that are not among the wanted annotations, and gives all
// requests of the other unwanted actions to the stable side.
func (in intent) bringHome(edits changes, h held, wanted []string) (failed []string) {
	for _, key := range in.routeKeys(h) {
		if _, there := h.Annotations[key]; there && !slices.Contains(wanted, key) {
			edits[key] = ""
		}
	}
	for _, key := range h.actions {
		text, there := h.Annotations[key]
		if !there || slices.Contains(wanted, key) {
			continue
		}
		service, at, ok := in.home(h, key)
		home := forwardTo(nil, group(service, at, total))
		switch {
		case !ok:
			failed = append(failed, key)
		case !same(text, home):
			edits[key] = encode(home)
		}
	}
	return failed
}

// routeKeys are all annotations that the header routes may have: those that are listed, and those
// that the names make.
func (in intent) routeKeys(h held) []string {
	var keys []string
	for _, key := range h.keys {
		if kind, name := parts(key); kind != "" && slices.Contains(h.routes, name) {
			keys = append(keys, key)
		}
	}
	for _, name := range h.routes {
		if in.alb != nil {
			keys = append(keys, in.key(actions, name), in.key(conditions, name))
		}
	}
	return distinct(keys)
}

// fate is what becomes of an Ingress that carries something of a Rollout and that its spec does not
// name, or that is unusable.
type fate int

const (
	left fate = iota
	emptied
	released
)

// fateOf says what becomes of an Ingress that the spec does not name, when the canary is to get a
// weight. A wrong spec may name it again when it is corrected: it only gives its traffic back.
func (in intent) fateOf(h held, weight int32) fate {
	switch {
	case in.usable && trafficrouting.Releases(in.rollout, weight):
		return released
	case !in.usable && weight == 0 && in.shares(h):
		return emptied
	}
	return left
}

// shares reports whether an Ingress sends any request to another side than the stable one.
func (in intent) shares(h held) bool {
	return in.awayFrom(h) > 0 || len(h.routeOrder()) > 0
}

// awayFrom is the largest share that an action keeps from its stable side.
func (in intent) awayFrom(h held) int32 {
	away := int32(0)
	for _, key := range h.actions {
		away = max(away, in.away(h, key))
	}
	return away
}

// giveBack is the patch that brings all traffic of an Ingress home; released, it carries nothing of
// the Rollout any more.
func (in intent) giveBack(h held, fate fate) (patch.Patch, error) {
	var p patch.Patch
	edits := changes{}
	keep := slices.Concat(h.actions, h.kept)
	failed := in.bringHome(edits, h, nil)
	if len(failed) > 0 {
		at := albPath(field.NewPath("spec", "strategy", "canary"))
		return p, field.Invalid(at, h.Name, fmt.Sprintf("the annotation %s of Ingress %s/%s cannot be read, "+
			"so that no port of the stable Service is known: write it again, or remove it", failed[0], h.Namespace, h.Name))
	}
	if fate == released {
		keep = nil
		edits.set(h, legacyAnnotation, "")
		if h.marked {
			edits[v1alpha1.RoutedByAnnotation] = trafficrouting.Without(h, in.rollout)
		}
	}
	edits.set(h, ManagedAnnotation, h.managed.with(in.rollout.Name, keep))
	movePaths(&p, h, nil)
	edits.to(&p, h)
	return p, nil
}
