package alb

import (
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/patch"
)

const (
	// useAnnotation is the port of a backend that is no Service but the name of an action.
	useAnnotation = "use-annotation"
	anyPath       = "/*"
)

// routePath is the path of a header route. It stands before those whose requests it takes.
func routePath(name string) networkingv1.HTTPIngressPath {
	kind := networkingv1.PathTypeImplementationSpecific
	return networkingv1.HTTPIngressPath{
		Path:     anyPath,
		PathType: &kind,
		Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{
			Name: name, Port: networkingv1.ServiceBackendPort{Name: useAnnotation},
		}},
	}
}

// actionIn is the name of the action that a path leads to; empty for a path to a Service.
func actionIn(path networkingv1.HTTPIngressPath) string {
	if svc := path.Backend.Service; svc != nil && svc.Port.Name == useAnnotation {
		return svc.Name
	}
	return ""
}

// leadsTo reports whether a rule leads to the action of a Service.
func leadsTo(rules []networkingv1.IngressRule, service string) bool {
	return slices.ContainsFunc(rules, func(rule networkingv1.IngressRule) bool {
		return slices.ContainsFunc(pathsOf(rule), func(path networkingv1.HTTPIngressPath) bool { return actionIn(path) == service })
	})
}

func pathsOf(rule networkingv1.IngressRule) []networkingv1.HTTPIngressPath {
	if rule.HTTP == nil {
		return nil
	}
	return rule.HTTP.Paths
}

// movePaths makes the paths of the wanted routes the first ones of every rule that has paths, in
// their order, and takes those of the other routes away. Routes of other Rollouts may stand before
// them, or two that share an Ingress would never agree.
func movePaths(p *patch.Patch, h held, wanted []string) {
	for i, rule := range h.Spec.Rules {
		paths := pathsOf(rule)
		var found []int
		var rest []networkingv1.HTTPIngressPath
		for j := range paths {
			name := actionIn(paths[j])
			if name != "" && slices.Contains(h.routes, name) {
				found = append(found, j)
			}
			if !slices.Contains(h.foreign, name) {
				rest = append(rest, paths[j])
			}
		}
		switch {
		case len(paths) == 0 || startsWith(rest, wanted) && len(found) == len(wanted):
		case len(found) == len(paths) && len(wanted) == 0:
			// A rule with HTTP has a path: the last one cannot be taken away alone.
			p.Remove("spec", "rules", i, "http")
		default:
			replacePaths(p, i, found, wanted)
		}
	}
}

func startsWith(paths []networkingv1.HTTPIngressPath, wanted []string) bool {
	if len(paths) < len(wanted) {
		return false
	}
	for i, name := range wanted {
		if !equality.Semantic.DeepEqual(paths[i], routePath(name)) {
			return false
		}
	}
	return true
}

// replacePaths inserts first: at no time is a rule without a path.
func replacePaths(p *patch.Patch, rule int, found []int, wanted []string) {
	for i, name := range wanted {
		p.Insert(routePath(name), "spec", "rules", rule, "http", "paths", i)
	}
	for _, j := range slices.Backward(found) {
		p.Remove("spec", "rules", rule, "http", "paths", j+len(wanted))
	}
}

// routesIn are the managed routes of an Ingress in the order in which they match, and whether each is
// as this router writes it. Those in paths come first, in the order of the paths.
func (in intent) routesIn(h held) (routes []trafficrouting.ManagedRoute, asWritten bool) {
	asWritten = true
	for _, name := range h.routeOrder() {
		route := trafficrouting.ManagedRoute{Name: name, Headers: in.headersOf(h, name)}
		asWritten = asWritten && route.Headers != nil
		routes = append(routes, route)
	}
	return routes, asWritten
}

// routeOrder are the names of the managed routes that the paths or the annotations of an Ingress have.
func (h held) routeOrder() []string {
	var order []string
	add := func(name string) {
		if name != "" && slices.Contains(h.routes, name) && !slices.Contains(order, name) {
			order = append(order, name)
		}
	}
	for _, rule := range h.Spec.Rules {
		for _, path := range pathsOf(rule) {
			add(actionIn(path))
		}
	}
	for _, name := range h.routes {
		for key := range h.Annotations {
			if _, of := parts(key); of == name {
				add(name)
			}
		}
	}
	return order
}

// headersOf are the headers of a route, as the step says them that asks for the same conditions: what
// was merged cannot be told apart again. It is nil for a route that this router does not write so.
func (in intent) headersOf(h held, name string) []v1alpha1.HeaderRoutingMatch {
	if !same(h.Annotations[in.key(actions, name)], in.toCanary()) || !everyRule(h.Spec.Rules, name) {
		return nil
	}
	text := h.Annotations[in.key(conditions, name)]
	for _, step := range in.rollout.Spec.Strategy.Canary.Steps {
		route := step.SetHeaderRoute
		if route != nil && route.Name == name && len(route.Match) > 0 && same(text, conditionsOf(route.Match)) {
			return route.Match
		}
	}
	headers, _ := readConditions(text)
	return headers
}

// toCanary is the action of every header route.
func (in intent) toCanary() action {
	return forwardTo(in.alb.StickinessConfig, group(in.canary, in.port(), total))
}

// everyRule reports whether all rules that have paths have that of a header route.
func everyRule(rules []networkingv1.IngressRule, name string) bool {
	return !slices.ContainsFunc(rules, func(rule networkingv1.IngressRule) bool {
		paths := pathsOf(rule)
		return len(paths) > 0 && !slices.ContainsFunc(paths, func(path networkingv1.HTTPIngressPath) bool {
			return equality.Semantic.DeepEqual(path, routePath(name))
		})
	})
}
