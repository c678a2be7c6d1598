package alb

import (
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/headway-rollouts/headway/trafficrouting"
)

// held is an Ingress, and what it carries of one Rollout.
type held struct {
	*networkingv1.Ingress

	managed managed
	// keys are the annotations of the Rollout, as the managed annotation lists them.
	keys []string
	// mark is that of this Rollout; marked is false without it.
	mark   trafficrouting.Mark
	marked bool
	// beside are the marks of other Rollouts.
	beside []trafficrouting.Mark
	// actions are the annotations that share requests between Services, sorted.
	actions []string
	// routes are the names of managed routes, sorted; foreign are those of other Rollouts.
	routes, foreign []string
}

// holding reads an Ingress. One that the spec does not name has no managed route but those that
// were made in it.
func (in intent) holding(ingress *networkingv1.Ingress, named bool) held {
	h := held{Ingress: ingress, managed: managedOf(ingress)}
	h.keys = h.managed.of(in.rollout.Name)
	h.mark, h.marked = trafficrouting.MarkFor(ingress, in.rollout)
	h.beside = trafficrouting.MarksBeside(ingress, in.rollout)
	for _, key := range h.keys {
		if kind, name := parts(key); kind == conditions {
			h.routes = append(h.routes, name)
		}
	}
	if named {
		h.routes = append(h.routes, in.managed...)
	}
	h.routes = distinct(h.routes)
	for _, key := range h.managed.besides(in.rollout.Name) {
		if kind, name := parts(key); kind == conditions && !slices.Contains(h.routes, name) {
			h.foreign = append(h.foreign, name)
		}
	}
	h.actions = in.actionsOf(h, named)
	return h
}

// actionsOf are the shared actions of a Rollout: those that the managed annotation lists and that are
// no header routes. When somebody took the list away, they are those that share requests between the
// two Services of the mark.
func (in intent) actionsOf(h held, named bool) []string {
	var keys []string
	for _, key := range h.keys {
		if kind, name := parts(key); kind == actions && !slices.Contains(h.routes, name) {
			keys = append(keys, key)
		}
	}
	if named {
		keys = append(keys, in.key(actions, in.root()))
	}
	if len(keys) == 0 && h.marked {
		for key := range h.Annotations {
			if kind, _ := parts(key); kind == actions && h.splits(key) {
				keys = append(keys, key)
			}
		}
	}
	return distinct(keys)
}

// splits reports whether an action shares requests between the two Services of the mark.
func (h held) splits(key string) bool {
	a, ok := readAction(h.Annotations[key])
	_, stable := a.portOf(h.mark.Stable)
	_, canary := a.portOf(h.mark.Canary)
	return ok && stable && canary
}

// taken is another Rollout that steers an action which the spec names too. An Ingress may be shared by
// Rollouts; an action may not.
func (in intent) taken(h held) (by string, taken bool) {
	keys := []string{in.key(actions, in.root())}
	for _, name := range in.managed {
		keys = append(keys, in.key(actions, name))
	}
	for _, other := range h.beside {
		_, name, _ := strings.Cut(other.Rollout, "/")
		_, lists := h.managed.entries[name]
		shared := func(key string) bool { return slices.Contains(keys, key) }
		// One that lists nothing of its own may have any of them.
		if !lists || slices.ContainsFunc(h.managed.of(name), shared) {
			return other.Rollout, true
		}
	}
	return "", false
}

// home is the stable Service of an action, and its port, to bring its traffic home to: that of the
// mark, that of the spec, the one that the action is named after, and otherwise the last, which is
// where the stable side stands. It is false when neither the action nor the spec says a port.
func (in intent) home(h held, key string) (service string, at port, ok bool) {
	a, readable := readAction(h.Annotations[key])
	if !readable {
		return in.stable, in.portOr(""), in.stable != "" && in.portOr("") != ""
	}
	_, named := parts(key)
	groups := a.ForwardConfig.TargetGroups
	for _, candidate := range []string{h.mark.Stable, in.stable, named, groups[len(groups)-1].ServiceName} {
		if at, ok := a.portOf(candidate); ok && candidate != "" {
			return candidate, at, true
		}
	}
	return "", "", false // cannot be: the last candidate is there
}

// portOr is the port of the spec, or another one without ALB routing.
func (in intent) portOr(other port) port {
	if in.alb == nil || in.alb.ServicePort < 1 {
		return other
	}
	return in.port()
}

// away is the share that an action keeps from the stable Service: all of it when that cannot be told.
func (in intent) away(h held, key string) int32 {
	text, there := h.Annotations[key]
	if !there {
		return 0
	}
	a, readable := readAction(text)
	service, _, ok := in.home(h, key)
	if !readable || !ok {
		return total
	}
	return a.shareOf(func(other string) bool { return other != service })
}

func distinct(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}
