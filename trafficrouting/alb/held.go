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
	// kept are listed and stay so until the Ingress is released: another Rollout steers them too.
	kept []string
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
			if kind, _ := parts(key); kind == actions && h.splits(key, h.mark) {
				keys = append(keys, key)
			}
		}
	}
	return distinct(keys)
}

// splits reports whether an action shares requests between the two Services of a mark.
func (h held) splits(key string, mark trafficrouting.Mark) bool {
	return h.names(key, mark.Stable) && h.names(key, mark.Canary)
}

// names reports whether an action sends requests to a Service.
func (h held) names(key, service string) bool {
	a, ok := readAction(h.Annotations[key])
	_, there := a.portOf(service)
	return ok && there
}

// taken is another Rollout that steers an action which the spec names too. An Ingress may be shared by
// Rollouts; an action may not.
func (in intent) taken(h held) (by string, taken bool) {
	keys := []string{in.key(actions, in.root())}
	for _, name := range in.managed {
		keys = append(keys, in.key(actions, name))
	}
	for _, other := range h.beside {
		shared := func(key string) bool { return h.steers(other, key) }
		if slices.ContainsFunc(keys, shared) || len(h.listed(other)) == 0 && in.meets(other) {
			return other.Rollout, true
		}
	}
	return "", false
}

// meets reports whether the mark of another Rollout is for a Service of this one.
func (in intent) meets(other trafficrouting.Mark) bool {
	return slices.ContainsFunc([]string{in.stable, in.canary}, func(side string) bool {
		return side != "" && (side == other.Stable || side == other.Canary)
	})
}

// listed are the annotations of another Rollout, as the managed annotation lists them.
func (h held) listed(other trafficrouting.Mark) []string {
	_, name, _ := strings.Cut(other.Rollout, "/")
	return h.managed.of(name)
}

// steers reports whether an annotation is that of another Rollout. When somebody took its list away, its
// mark says which actions it has: otherwise two that lost their lists would wait for each other for ever.
func (h held) steers(other trafficrouting.Mark, key string) bool {
	if listed := h.listed(other); len(listed) > 0 {
		return slices.Contains(listed, key)
	}
	return h.splits(key, other)
}

// own is a taken Ingress with nothing but what certainly is of this Rollout and of no other one: what it lists,
// and without a list what its mark says.
func (in intent) own(h held) held {
	contested := func(key string) bool {
		return slices.ContainsFunc(h.beside, func(other trafficrouting.Mark) bool { return h.steers(other, key) })
	}
	var routes []string
	for _, name := range h.routes {
		keys := []string{in.key(actions, name), in.key(conditions, name)}
		mine := len(h.keys) == 0 && h.marked && h.names(keys[0], h.mark.Canary)
		for _, key := range h.keys {
			if _, of := parts(key); of == name {
				mine, keys = true, append(keys, key)
			}
		}
		if mine && !slices.ContainsFunc(keys, contested) {
			routes = append(routes, name)
		}
	}
	shared := in.actionsOf(h, false)
	h.kept = slices.DeleteFunc(slices.Clone(h.keys), func(key string) bool { return !contested(key) })
	h.keys = slices.DeleteFunc(slices.Clone(h.keys), contested)
	h.actions, h.routes = slices.DeleteFunc(shared, contested), routes
	return h
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
