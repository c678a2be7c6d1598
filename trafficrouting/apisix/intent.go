package apisix

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
)

// Names lists every ApisixRoute whose events concern the Rollout, as namespace/name, for an index: the
// one that the spec names and those that its steps may add. It is empty for a Rollout without APISIX.
func Names(ro *v1alpha1.Rollout) []string {
	spec := specOf(ro)
	if spec == nil || spec.Route == nil || spec.Route.Name == "" {
		return nil
	}
	names := []string{ro.Namespace + "/" + spec.Route.Name}
	for _, managed := range ro.Spec.Strategy.Canary.TrafficRouting.ManagedRoutes {
		if managed.Name != "" {
			names = append(names, ro.Namespace+"/"+managed.Name)
		}
	}
	return names
}

func specOf(ro *v1alpha1.Rollout) *v1alpha1.ApisixTrafficRouting {
	if ro == nil || ro.Spec.Strategy.Canary == nil || ro.Spec.Strategy.Canary.TrafficRouting == nil {
		return nil
	}
	return ro.Spec.Strategy.Canary.TrafficRouting.Apisix
}

// namedRule is one http rule that the spec names, and the field that names it.
type namedRule struct {
	name string
	path *field.Path
}

// intent is what the spec of one Rollout asks of APISIX.
type intent struct {
	rollout *v1alpha1.Rollout
	// usable is false for a spec that is wrong. It has no route, and neither has one without APISIX.
	usable bool
	// route is the name of the ApisixRoute, and path the field that names it.
	route string
	path  *field.Path
	rules []namedRule
	// stable and canary are the Services of the two sides.
	stable, canary string
	// managed are the names of managedRoutes, the first to match first.
	managed []string
}

// intentOf reads the spec. The error of a wrong one wraps a *field.Error.
func intentOf(ro *v1alpha1.Rollout) (intent, error) {
	if ro == nil {
		return intent{}, errors.New("reading the spec: there is no Rollout")
	}
	in := intent{rollout: ro}
	spec := specOf(ro)
	if spec == nil {
		in.usable = true
		return in, nil
	}
	path := field.NewPath("spec", "strategy", "canary")
	in.stable, in.canary = ro.CanaryServices()
	for _, managed := range ro.Spec.Strategy.Canary.TrafficRouting.ManagedRoutes {
		in.managed = append(in.managed, managed.Name)
	}
	route := path.Child("trafficRouting", "apisix", "route")
	rules, err := rulesOf(spec.Route, route)
	if err == nil {
		err = in.checkStrategy(path)
	}
	if err == nil {
		err = checkSteps(ro.Spec.Strategy.Canary, spec.Route.Name, path.Child("steps"))
	}
	if err != nil {
		return in, fmt.Errorf("reading the spec: %w", err)
	}
	in.usable, in.route, in.path, in.rules = true, spec.Route.Name, route.Child("name"), rules
	return in, nil
}

// rulesOf lists the http rules that are named; the one that is named like the route unless the spec says.
func rulesOf(route *v1alpha1.ApisixRoute, path *field.Path) ([]namedRule, *field.Error) {
	if route == nil || route.Name == "" {
		return nil, field.Required(path.Child("name"), "name the ApisixRoute that leads to both Services")
	}
	if len(route.Rules) == 0 {
		return []namedRule{{route.Name, path.Child("name")}}, nil
	}
	var rules []namedRule
	for i, name := range route.Rules {
		at := path.Child("rules").Index(i)
		switch {
		case name == "":
			return nil, field.Required(at, "name an http rule of the ApisixRoute")
		case slices.Contains(route.Rules[:i], name):
			return nil, field.Duplicate(at, name)
		}
		rules = append(rules, namedRule{name, at})
	}
	return rules, nil
}

func (in intent) checkStrategy(path *field.Path) *field.Error {
	total := in.rollout.Spec.Strategy.Canary.MaxTrafficWeight()
	switch {
	case in.stable == "":
		return field.Required(path.Child("stableService"), "APISIX routing needs the Service of the stable pods")
	case in.canary == "":
		return field.Required(path.Child("canaryService"), "APISIX routing needs the Service of the canary pods")
	case in.canary == in.stable:
		return field.Invalid(path.Child("canaryService"), in.canary, "must differ from stableService")
	case total != v1alpha1.DefaultMaxTrafficWeight:
		return field.Invalid(path.Child("trafficRouting", "maxTrafficWeight"), total, "APISIX routing counts in 100: remove it")
	}
	return nil
}

// checkSteps finds what APISIX cannot do in all steps, so that nobody learns of it in the middle of a rollout.
func checkSteps(canary *v1alpha1.CanaryStrategy, route string, path *field.Path) *field.Error {
	for i := range canary.Steps {
		step, at := &canary.Steps[i], path.Index(i)
		var err *field.Error
		switch {
		case step.SetMirrorRoute != nil && len(step.SetMirrorRoute.Match) > 0:
			err = field.Forbidden(at.Child("setMirrorRoute"), "APISIX routing copies no requests: remove the step, or use a router that does, such as istio")
		case step.SetHeaderRoute != nil && len(step.SetHeaderRoute.Match) > 0:
			err = checkHeaderRoute(step.SetHeaderRoute, route, at.Child("setHeaderRoute"))
		case step.Experiment != nil:
			err = checkExperiment(step.Experiment, at.Child("experiment"))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func checkHeaderRoute(step *v1alpha1.SetHeaderRoute, route string, at *field.Path) *field.Error {
	if step.Name == route {
		return field.Invalid(at.Child("name"), step.Name, "is the name of the ApisixRoute that the spec names: the route of a step is one of its own, so name it otherwise")
	}
	if problems := validation.IsDNS1123Subdomain(step.Name); len(problems) > 0 {
		return field.Invalid(at.Child("name"), step.Name, "must be the name of an ApisixRoute: "+strings.Join(problems, ", "))
	}
	for i, match := range step.Match {
		if _, err := expression(match); err != nil {
			return field.Invalid(at.Child("match").Index(i), match.HeaderName, err.Error())
		}
	}
	return nil
}

func checkExperiment(experiment *v1alpha1.RolloutExperimentStep, at *field.Path) *field.Error {
	for i := range experiment.Templates {
		if weight := experiment.Templates[i].Weight; weight != nil {
			return field.Forbidden(at.Child("templates").Index(i).Child("weight"),
				"APISIX routing gives Experiments no traffic: remove the weight, or use a router that does, such as istio")
		}
	}
	return nil
}

// checkSplit refuses a split that cannot be meant for this spec: a mistake of the caller, not of the user.
func (in intent) checkSplit(s trafficrouting.Split) error {
	if err := s.Check(v1alpha1.DefaultMaxTrafficWeight); err != nil {
		return err
	}
	if s.Stable.Service != in.stable || s.Canary.Service != in.canary || len(s.Additional) > 0 {
		return fmt.Errorf("checking the split: %s is for the Services %q and %q, the Rollout names %q and %q and no other side",
			s, s.Stable.Service, s.Canary.Service, in.stable, in.canary)
	}
	last := -1
	for _, route := range s.Routes {
		at := slices.Index(in.managed, route.Name)
		if at <= last || route.Mirrors() {
			return fmt.Errorf("checking the split: route %q must send requests by their headers, and be listed once in managedRoutes, in that order", route.Name)
		}
		last = at
	}
	return nil
}

// splitAt is the whole split that gives the canary Service a weight and keeps the routes.
func (in intent) splitAt(weight int32, routes []trafficrouting.ManagedRoute) trafficrouting.Split {
	return trafficrouting.Split{
		MaxWeight: v1alpha1.DefaultMaxTrafficWeight,
		Stable:    trafficrouting.Backend{Service: in.stable, Weight: v1alpha1.DefaultMaxTrafficWeight - weight},
		Canary:    trafficrouting.Backend{Service: in.canary, Weight: weight},
		Routes:    routes,
	}
}
