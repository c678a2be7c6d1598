package plan

import (
	"fmt"
	"slices"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
)

// This file is about the managed routes of steps: requests that go to the
// canary by their headers, whatever the weight, and copies of requests.

// stepRoutes are the managed routes in force at the current step: each as the
// last step at or before it left it, in the order of managedRoutes. They hold
// until the stable side has taken over.
func (w world) stepRoutes() []trafficrouting.ManagedRoute {
	if !w.routed() {
		return nil
	}
	inForce := map[string]trafficrouting.ManagedRoute{}
	for i := range min(w.step+1, int32(len(w.canary.Steps))) {
		switch step := w.canary.Steps[i]; {
		case step.SetHeaderRoute != nil:
			set(inForce, trafficrouting.ManagedRoute{Name: step.SetHeaderRoute.Name, Headers: step.SetHeaderRoute.Match})
		case step.SetMirrorRoute != nil:
			mirror := step.SetMirrorRoute
			set(inForce, trafficrouting.ManagedRoute{Name: mirror.Name, Mirror: mirror.Match, Percentage: mirror.Percent()})
		}
	}
	var routes []trafficrouting.ManagedRoute
	for _, listed := range w.canary.TrafficRouting.ManagedRoutes {
		if route, ok := inForce[listed.Name]; ok {
			routes = append(routes, route)
		}
	}
	return routes
}

// set puts a route into force, or takes it out when it matches nothing.
func set(inForce map[string]trafficrouting.ManagedRoute, route trafficrouting.ManagedRoute) {
	delete(inForce, route.Name)
	if len(route.Headers) > 0 || len(route.Mirror) > 0 {
		inForce[route.Name] = route
	}
}

// chosen reports whether any of the routes sends requests to the canary by their headers.
func chosen(routes []trafficrouting.ManagedRoute) bool {
	return slices.ContainsFunc(routes, func(r trafficrouting.ManagedRoute) bool { return !r.Mirrors() })
}

// canaryServes reports whether the canary Service may be getting requests, by weight or by their headers.
func (w world) canaryServes() bool { return w.Traffic.CanaryWeight > 0 || chosen(w.Traffic.Routes) }

// leads reports whether any route is there to be brought home: all of those that the spec names, or one
// that is left of them.
func (w world) leads() bool {
	return w.Traffic.Exists || w.canaryServes() || len(w.Traffic.Additional) > 0 || len(w.Traffic.Routes) > 0
}

// asked reports whether the canary needs a pod: a step gives it weight, or requests or copies of them by a route.
func (w world) asked(weight int32) bool { return weight > 0 || len(w.stepRoutes()) > 0 }

// routesReached reports whether the managed routes are seen to be those of the step.
func (w world) routesReached() bool {
	return w.replicas == 0 || trafficrouting.EqualRoutes(w.Traffic.Routes, w.stepRoutes()) && w.routeAgrees() && w.scaled()
}

// safeRoutes are the managed routes to ask for now. They lead to the canary
// Service: to none but the revision they are meant for, and to no side without
// a pod. A new one waits until the canary is as large as its step asks, since
// nobody knows how many requests it matches; those that are there stay while a
// pod of the canary answers.
func safeRoutes(w world, want target) []trafficrouting.ManagedRoute {
	behind := w.Services.Canary.Hash
	switch {
	case w.Services.Canary.Missing || w.Services.Stable.Missing:
		return w.Traffic.Routes
	case behind != want.canary || w.replicas > 0 && w.capacity(behind) == 0:
		return nil
	case w.replicas == 0 || w.enough(w.canarySize(w.stepWeight())):
		return want.routes
	}
	var safe []trafficrouting.ManagedRoute
	for _, route := range want.routes {
		if slices.ContainsFunc(w.Traffic.Routes, func(has trafficrouting.ManagedRoute) bool { return same(has, route) }) {
			safe = append(safe, route)
		}
	}
	return safe
}

func same(a, b trafficrouting.ManagedRoute) bool {
	return trafficrouting.EqualRoutes([]trafficrouting.ManagedRoute{a}, []trafficrouting.ManagedRoute{b})
}

// whyRoutes says why the managed routes change.
func (w world) whyRoutes() string {
	switch {
	case w.abort.Decided:
		return "aborted"
	case !w.rolling() || w.stepsDone():
		return "no step adds routes any more"
	case w.Services.Canary.Hash != w.Current:
		return "a newer revision is being tried"
	case w.replicas > 0 && w.capacity(w.Current) == 0:
		return "no pod of the canary is available"
	}
	return w.whyRouted()
}

// whyRouted says which step says last what managed routes there are.
func (w world) whyRouted() string {
	for i := w.step; i >= 0; i-- {
		if what := routeText(w.canary.Steps[i]); what != "" {
			return w.stepName(i) + " " + what
		}
	}
	return "no step adds routes"
}

// routeText says what a step does to the managed routes; empty when it does nothing to them.
func routeText(step v1alpha1.CanaryStep) string {
	switch header, mirror := step.SetHeaderRoute, step.SetMirrorRoute; {
	case header != nil && len(header.Match) == 0:
		return "removes route " + header.Name
	case header != nil:
		return "sends requests by their headers, route " + header.Name
	case mirror != nil && len(mirror.Match) == 0:
		return "removes route " + mirror.Name
	case mirror != nil:
		return fmt.Sprintf("mirrors %d percent, route %s", mirror.Percent(), mirror.Name)
	}
	return ""
}
