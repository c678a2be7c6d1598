package alb

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// The limits of a load balancer: seconds of stickiness, and characters of a header's name and value.
const (
	maxSticky      = 604800
	maxHeaderName  = 40
	maxHeaderValue = 128
)

// checkNames asks for one Ingress, or several that differ.
func (in intent) checkNames(canary *field.Path) *field.Error {
	one, several := albPath(canary).Child("ingress"), albPath(canary).Child("ingresses")
	switch {
	case in.alb.Ingress == "" && len(in.alb.Ingresses) == 0:
		return field.Required(one, "name the Ingress whose rules lead to the Service")
	case in.alb.Ingress != "" && len(in.alb.Ingresses) > 0:
		return field.Invalid(several, strings.Join(in.alb.Ingresses, ", "),
			"only one of the singular and the plural field can be used: remove one of them")
	}
	for i, name := range in.alb.Ingresses {
		switch {
		case name == "":
			return field.Required(several.Index(i), "name an Ingress")
		case slices.Contains(in.alb.Ingresses[:i], name):
			return field.Duplicate(several.Index(i), name)
		}
	}
	return nil
}

func (in intent) checkNumbers(canary *field.Path) *field.Error {
	at := albPath(canary)
	if port := in.alb.ServicePort; port < 1 || port > 65535 {
		return field.Invalid(at.Child("servicePort"), port, "must be between 1 and 65535")
	}
	sticky := in.alb.StickinessConfig
	if sticky != nil && sticky.Enabled && (sticky.DurationSeconds < 1 || sticky.DurationSeconds > maxSticky) {
		return field.Invalid(at.Child("stickinessConfig", "durationSeconds"), sticky.DurationSeconds, "must be between 1 and 604800 (a week)")
	}
	if weight := in.rollout.Spec.Strategy.Canary.MaxTrafficWeight(); weight != total {
		return field.Invalid(canary.Child("trafficRouting", "maxTrafficWeight"), weight,
			"the weights of target groups are shares of 100: remove it, or the alb router")
	}
	return nil
}

func (in intent) checkServices(canary *field.Path) *field.Error {
	spec := in.rollout.Spec.Strategy.Canary
	stableAt, canaryAt := canary.Child("stableService"), canary.Child("canaryService")
	if spec.PingPong != nil {
		stableAt, canaryAt = canary.Child("pingPong", "pingService"), canary.Child("pingPong", "pongService")
	}
	switch {
	case in.stable == "" || in.canary == "":
		if in.stable == "" {
			return field.Required(stableAt, "ALB routing needs the Services of both revisions")
		}
		return field.Required(canaryAt, "ALB routing needs the Services of both revisions")
	case in.stable == in.canary:
		return field.Invalid(canaryAt, in.canary, "must differ from the Service of the stable revision")
	case spec.PingPong != nil && in.alb.RootService == "":
		return field.Required(albPath(canary).Child("rootService"), "with pingPong the Ingress needs a Service that does not change")
	}
	return nil
}

// checkKeys refuses names that make no annotation.
func (in intent) checkKeys(canary *field.Path) *field.Error {
	key := in.key(actions, in.root())
	problems := validation.IsQualifiedName(key)
	if len(problems) == 0 {
		return nil
	}
	at, value := albPath(canary).Child("rootService"), in.root()
	if len(validation.IsDNS1123Subdomain(in.prefix())) > 0 {
		at, value = albPath(canary).Child("annotationPrefix"), in.prefix()
	}
	return field.Invalid(at, value, fmt.Sprintf("%s is no name of an annotation: %s", key, strings.Join(problems, "; ")))
}

// checkRoutes refuses managed routes with the name of a Service of the Rollout: its annotation and
// its paths have another meaning.
func (in intent) checkRoutes(canary *field.Path) *field.Error {
	for i, name := range in.managed {
		if name == in.root() || name == in.stable || name == in.canary {
			return field.Invalid(canary.Child("trafficRouting", "managedRoutes").Index(i).Child("name"), name,
				"a Service of this Rollout has the same name, and both would be the same action of the Ingress: rename the route")
		}
	}
	return nil
}

// checkSteps refuses what a load balancer cannot do, before the step is reached.
func (in intent) checkSteps(canary *field.Path) *field.Error {
	for i, step := range in.rollout.Spec.Strategy.Canary.Steps {
		at := canary.Child("steps").Index(i)
		switch {
		case step.SetMirrorRoute != nil && len(step.SetMirrorRoute.Match) > 0:
			return field.Forbidden(at.Child("setMirrorRoute"), "a load balancer of AWS copies no requests: remove the step, or use another router")
		case step.SetHeaderRoute != nil && len(step.SetHeaderRoute.Match) > 0:
			if err := in.checkHeaderRoute(step.SetHeaderRoute, at.Child("setHeaderRoute")); err != nil {
				return err
			}
		}
	}
	return nil
}

func (in intent) checkHeaderRoute(route *v1alpha1.SetHeaderRoute, at *field.Path) *field.Error {
	problems := append(validation.IsDNS1035Label(route.Name), validation.IsQualifiedName(in.key(conditions, route.Name))...)
	if len(problems) > 0 {
		return field.Invalid(at.Child("name"), route.Name,
			fmt.Sprintf("the route has the place of a Service in the Ingress, and its name is part of an annotation: %s", strings.Join(problems, "; ")))
	}
	for i, match := range route.Match {
		if err := checkHeader(match, at.Child("match").Index(i)); err != nil {
			return err
		}
	}
	return nil
}

func checkHeader(match v1alpha1.HeaderRoutingMatch, at *field.Path) *field.Error {
	value, valueAt := match.HeaderValue, at.Child("headerValue")
	switch {
	case match.HeaderName == "":
		return field.Required(at.Child("headerName"), "name the header")
	case len(match.HeaderName) > maxHeaderName:
		return field.TooLong(at.Child("headerName"), match.HeaderName, maxHeaderName)
	case value != nil && value.Prefix != "":
		return field.Invalid(valueAt.Child("prefix"), value.Prefix, "a load balancer of AWS compares whole values: use exact")
	case value != nil && value.Regex != "":
		return field.Invalid(valueAt.Child("regex"), value.Regex, "a load balancer of AWS knows no regular expressions: use exact")
	case value == nil || value.Exact == "":
		return field.Required(valueAt.Child("exact"), "say which value of the header goes to the canary")
	case len(value.Exact) > maxHeaderValue:
		return field.TooLong(valueAt.Child("exact"), value.Exact, maxHeaderValue)
	}
	return nil
}
