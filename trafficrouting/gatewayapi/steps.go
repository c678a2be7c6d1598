package gatewayapi

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
)

// stepRoute is what one step says of a managed route: what it becomes, or that it goes.
type stepRoute struct {
	path  *field.Path
	route trafficrouting.ManagedRoute
}

// removes reports whether the step takes the route away.
func (s stepRoute) removes() bool { return len(s.route.Headers) == 0 && len(s.route.Mirror) == 0 }

// methods are the HTTP methods that an HTTPRoute can match.
var methods = []string{"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"}

// readSteps lists what the steps say of managed routes. They are read before they are reached, so
// that a route that cannot be made is known before a release begins.
func (in *intent) readSteps() ([]stepRoute, *field.Error) {
	var steps []stepRoute
	path := field.NewPath("spec", "strategy", "canary", "steps")
	for i, step := range in.rollout.Spec.Strategy.Canary.Steps {
		var next stepRoute
		switch {
		case step.SetHeaderRoute != nil:
			next.path = path.Index(i).Child("setHeaderRoute")
			next.route = trafficrouting.ManagedRoute{Name: step.SetHeaderRoute.Name, Headers: step.SetHeaderRoute.Match}
		case step.SetMirrorRoute != nil:
			next.path = path.Index(i).Child("setMirrorRoute")
			next.route = trafficrouting.ManagedRoute{
				Name: step.SetMirrorRoute.Name, Mirror: step.SetMirrorRoute.Match, Percentage: step.SetMirrorRoute.Percent(),
			}
		default:
			continue
		}
		if err := in.checkStep(next); err != nil {
			return nil, err
		}
		steps = append(steps, next)
	}
	return steps, nil
}

// checkStep refuses what no route of the spec can express, whatever its rules are.
func (in *intent) checkStep(step stepRoute) *field.Error {
	if step.removes() {
		return nil
	}
	if !slices.ContainsFunc(in.targets, func(t target) bool { return t.managed }) {
		return field.Forbidden(step.path, "no route of the spec takes it: name one HTTPRoute or GRPCRoute in httpRoute or grpcRoute, "+
			"or set useHeaderRoutes for one of several; routes that are selected by label, TCPRoutes and TLSRoutes take none")
	}
	for i, match := range step.route.Headers {
		if match.HeaderValue == nil || *match.HeaderValue == (v1alpha1.StringMatch{}) {
			return field.Required(step.path.Child("match").Index(i).Child("headerValue"), "say which values of the header match")
		}
	}
	for i, match := range step.route.Mirror {
		if err := in.checkMirror(match, step.path.Child("match").Index(i)); err != nil {
			return err
		}
	}
	return nil
}

func (in *intent) checkMirror(match v1alpha1.RouteMatch, path *field.Path) *field.Error {
	if m := match.Method; m != nil && !slices.Contains(methods, m.Exact) {
		return field.Invalid(path.Child("method"), m.Exact+m.Prefix+m.Regex,
			"the Gateway API matches whole methods: set exact to one of "+strings.Join(methods, ", "))
	}
	if p := match.Path; p != nil && p.Regex == "" && !strings.HasPrefix(p.Exact+p.Prefix, "/") {
		return field.Invalid(path.Child("path"), p.Exact+p.Prefix, "begin it with a slash")
	}
	if match.Path == nil && match.Method == nil {
		return nil
	}
	for _, t := range in.targets {
		if t.managed && !t.kind.paths {
			return field.Forbidden(path, fmt.Sprintf(
				"the %s %s (%s) knows no HTTP paths and methods: match by headers, or do not give it the routes of steps", t.kind.name, t.name, t.path))
		}
	}
	return nil
}
