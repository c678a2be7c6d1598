package nginx

import (
	"encoding/json"
	"fmt"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
)

const (
	// routesAnnotation holds, while there are any, the managed routes that a canary Ingress makes: its
	// other annotations say neither a route's name nor whether a pattern was meant as a prefix.
	routesAnnotation = "rollout.argoproj.io/managed-routes"
	// maxRoute is the length of a route in it. NGINX reads no longer header, and two routes at most are in force.
	maxRoute  = 8 << 10
	maxRoutes = 3 * maxRoute
)

// checkRoutes plays through the steps of the spec and refuses what the annotations cannot say after
// each of them: a route that is not made would be noticed when a step is reached, or never.
func (in intent) checkRoutes(path *field.Path) *field.Error {
	var inForce []trafficrouting.ManagedRoute
	for i, step := range in.rollout.Spec.Strategy.Canary.Steps {
		if step.SetMirrorRoute != nil {
			return field.Forbidden(path.Index(i).Child("setMirrorRoute"),
				"a canary Ingress of NGINX cannot copy requests: remove the step, or use a router that can")
		}
		route, at := step.SetHeaderRoute, path.Index(i).Child("setHeaderRoute")
		if route == nil {
			continue
		}
		inForce = slices.DeleteFunc(inForce, func(r trafficrouting.ManagedRoute) bool { return r.Name == route.Name })
		if len(route.Match) == 0 {
			continue
		}
		// The last one, so that an error is about a match of this step: those before it were good together.
		inForce = append(inForce, trafficrouting.ManagedRoute{Name: route.Name, Headers: route.Match})
		if _, err := say(inForce); err != nil {
			err.Field = at.String() + "." + err.Field
			return err
		}
		if len(remember(inForce[len(inForce)-1:])) > maxRoute {
			return field.TooLong(at, route.Name, maxRoute)
		}
	}
	return nil
}

// checkManaged refuses routes of a split that checkRoutes would have refused as steps.
func checkManaged(routes []trafficrouting.ManagedRoute) error {
	if _, err := say(routes); err != nil {
		return fmt.Errorf("checking the split: its routes: %s", err.Error()) // The path is not one of the spec.
	}
	return nil
}

// remember is the value of routesAnnotation: the steps that would set the routes.
func remember(routes []trafficrouting.ManagedRoute) string {
	steps := make([]v1alpha1.SetHeaderRoute, 0, len(routes))
	for _, route := range routes {
		steps = append(steps, v1alpha1.SetHeaderRoute{Name: route.Name, Match: route.Headers})
	}
	text, err := json.Marshal(steps)
	if err != nil {
		panic(fmt.Sprintf("encoding routes of strings: %v", err)) // cannot be
	}
	return string(text)
}

// recall reads what was remembered; false for what nobody wrote so.
func recall(text string) ([]trafficrouting.ManagedRoute, bool) {
	var steps []v1alpha1.SetHeaderRoute
	if len(text) > maxRoutes || json.Unmarshal([]byte(text), &steps) != nil || len(steps) == 0 {
		return nil, false
	}
	routes := make([]trafficrouting.ManagedRoute, 0, len(steps))
	for _, step := range steps {
		routes = append(routes, trafficrouting.ManagedRoute{Name: step.Name, Headers: step.Match})
	}
	return routes, true
}

// observedRoutes are the managed routes that a canary Ingress makes, and whether they are as this router
// writes them. Otherwise they have their names and no match, and no name if it is not known.
func (in intent) observedRoutes(canary *networkingv1.Ingress) (routes []trafficrouting.ManagedRoute, asWritten bool) {
	text, remembers := canary.Annotations[routesAnnotation]
	if !remembers && !in.saysAny(canary) {
		return nil, true
	}
	routes, ok := recall(text)
	if !ok {
		return []trafficrouting.ManagedRoute{{}}, false
	}
	if said, err := say(routes); err == nil && in.saysAll(canary, said) {
		return routes, true
	}
	for i := range routes {
		routes[i].Headers = nil
	}
	return routes, false
}

// ownsSays reports whether the annotations that send requests to the canary by header or cookie are this
// router's, on an Ingress with these annotations. Otherwise they are the user's, and stay.
func (in intent) ownsSays(annotations map[string]string) bool {
	_, remembers := annotations[routesAnnotation]
	return remembers || in.setsRoutes
}

func (in intent) saysAny(canary *networkingv1.Ingress) bool {
	return in.ownsSays(canary.Annotations) && slices.ContainsFunc(says, func(name string) bool {
		_, is := canary.Annotations[in.key(name)]
		return is
	})
}

func (in intent) saysAll(canary *networkingv1.Ingress, said map[string]string) bool {
	return !slices.ContainsFunc(says, func(name string) bool {
		return canary.Annotations[in.key(name)] != said[name]
	})
}
