package v1alpha1

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// stepVerbs are the fields of a step, of which exactly one is set.
const stepVerbs = "setWeight, pause, experiment, analysis, setCanaryScale, setHeaderRoute, setMirrorRoute or plugin"

// Verbs are the names of the fields of the step that are set; a valid step has one.
func (s *CanaryStep) Verbs() []string {
	var names []string
	add := func(set bool, name string) {
		if set {
			names = append(names, name)
		}
	}
	add(s.SetWeight != nil, "setWeight")
	add(s.Pause != nil, "pause")
	add(s.Experiment != nil, "experiment")
	add(s.Analysis != nil, "analysis")
	add(s.SetCanaryScale != nil, "setCanaryScale")
	add(s.SetHeaderRoute != nil, "setHeaderRoute")
	add(s.SetMirrorRoute != nil, "setMirrorRoute")
	add(s.Plugin != nil, "plugin")
	return names
}

func validateSteps(c *CanaryStrategy, at *field.Path) field.ErrorList {
	if len(c.Steps) > MaxSteps {
		return field.ErrorList{field.TooMany(at, len(c.Steps), MaxSteps)}
	}
	var errs field.ErrorList
	for i := range c.Steps {
		errs = append(errs, validateStep(c, &c.Steps[i], at.Index(i))...)
	}
	return errs
}

func validateStep(c *CanaryStrategy, step *CanaryStep, at *field.Path) field.ErrorList {
	verbs := step.Verbs()
	switch len(verbs) {
	case 0:
		return field.ErrorList{field.Required(at, "a step does one thing: set one of "+stepVerbs)}
	case 1:
		return validateVerb(c, step, at.Child(verbs[0]))
	}
	return field.ErrorList{field.Invalid(at, strings.Join(verbs, ", "), "a step does one thing: make a step of each")}
}

func validateVerb(c *CanaryStrategy, step *CanaryStep, at *field.Path) field.ErrorList {
	switch {
	case step.SetWeight != nil:
		return validateWeight(*step.SetWeight, c, at)
	case step.Pause != nil:
		return validatePause(step.Pause, at)
	case step.Experiment != nil:
		return validateExperimentStep(c, step.Experiment, at)
	case step.Analysis != nil:
		return validateRolloutAnalysis(step.Analysis, at)
	case step.SetCanaryScale != nil:
		return validateCanaryScale(c, step.SetCanaryScale, at)
	case step.SetHeaderRoute != nil:
		return validateHeaderRoute(c, step.SetHeaderRoute, at)
	case step.SetMirrorRoute != nil:
		return validateMirrorRoute(c, step.SetMirrorRoute, at)
	case step.Plugin != nil && step.Plugin.Name == "":
		return field.ErrorList{field.Required(at.Child("name"), "name the step plugin")}
	}
	return nil
}

func validateWeight(weight int32, c *CanaryStrategy, at *field.Path) field.ErrorList {
	if weight >= 0 && weight <= c.MaxTrafficWeight() {
		return nil
	}
	return field.ErrorList{field.Invalid(at, weight, fmt.Sprintf("must be between 0 and %d, the total of all weights", c.MaxTrafficWeight()))}
}

func validatePause(pause *RolloutPause, at *field.Path) field.ErrorList {
	if _, _, err := pause.Length(); err != nil {
		return field.ErrorList{field.Invalid(at.Child("duration"), pause.Duration.String(), err.Error())}
	}
	return nil
}

func validateCanaryScale(c *CanaryStrategy, scale *SetCanaryScale, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if c.TrafficRouting == nil {
		errs = append(errs, field.Forbidden(at, "without trafficRouting the pods are the traffic: use setWeight, or add a router"))
	}
	if scale.Weight == nil && scale.Replicas == nil && !scale.MatchTrafficWeight {
		errs = append(errs, field.Required(at, "set weight, replicas or matchTrafficWeight"))
	}
	if w := scale.Weight; w != nil && (*w < 0 || *w > 100) {
		errs = append(errs, field.Invalid(at.Child("weight"), *w, "must be between 0 and 100 percent of the replicas"))
	}
	errs = append(errs, nonNegative(scale.Replicas, at.Child("replicas"))...)
	if r := scale.Replicas; r != nil && *r > MaxReplicas {
		errs = append(errs, tooLarge(at.Child("replicas"), *r))
	}
	return errs
}

func validateHeaderRoute(c *CanaryStrategy, route *SetHeaderRoute, at *field.Path) field.ErrorList {
	errs := validateRouteName(c, route.Name, at)
	for i := range route.Match {
		match, path := &route.Match[i], at.Child("match").Index(i)
		if match.HeaderName == "" {
			errs = append(errs, field.Required(path.Child("headerName"), "name the header"))
		}
		if match.HeaderValue == nil {
			errs = append(errs, field.Required(path.Child("headerValue"), "say which values of the header match"))
			continue
		}
		errs = append(errs, validateStringMatch(*match.HeaderValue, path.Child("headerValue"))...)
	}
	return errs
}

func validateMirrorRoute(c *CanaryStrategy, route *SetMirrorRoute, at *field.Path) field.ErrorList {
	errs := validateRouteName(c, route.Name, at)
	if p := route.Percent(); p < 0 || p > 100 {
		errs = append(errs, field.Invalid(at.Child("percentage"), p, "must be between 0 and 100"))
	}
	for i := range route.Match {
		match, path := &route.Match[i], at.Child("match").Index(i)
		if match.Method == nil && match.Path == nil && len(match.Headers) == 0 {
			errs = append(errs, field.Required(path, "set method, path or headers"))
		}
		if match.Method != nil {
			errs = append(errs, validateStringMatch(*match.Method, path.Child("method"))...)
		}
		if match.Path != nil {
			errs = append(errs, validateStringMatch(*match.Path, path.Child("path"))...)
		}
		for _, name := range sortedKeys(match.Headers) {
			errs = append(errs, validateStringMatch(match.Headers[name], path.Child("headers").Key(name))...)
		}
	}
	return errs
}

// validateRouteName checks that a step may create its route: only listed
// routes are removed again.
func validateRouteName(c *CanaryStrategy, name string, at *field.Path) field.ErrorList {
	if c.TrafficRouting == nil {
		return field.ErrorList{field.Forbidden(at, "needs trafficRouting: add a router, or remove the step")}
	}
	if name == "" {
		return field.ErrorList{field.Required(at.Child("name"), "name a route of managedRoutes")}
	}
	listed := slices.ContainsFunc(c.TrafficRouting.ManagedRoutes, func(r MangedRoutes) bool { return r.Name == name })
	if !listed {
		return field.ErrorList{field.Invalid(at.Child("name"), name, "is not in trafficRouting.managedRoutes: add it there")}
	}
	return nil
}

func validateStringMatch(m StringMatch, at *field.Path) field.ErrorList {
	var set []string
	for _, way := range []struct{ name, value string }{{"exact", m.Exact}, {"prefix", m.Prefix}, {"regex", m.Regex}} {
		if way.value != "" {
			set = append(set, way.name)
		}
	}
	switch len(set) {
	case 0:
		return field.ErrorList{field.Required(at, "set exact, prefix or regex")}
	case 1:
		return nil
	}
	return field.ErrorList{field.Invalid(at, strings.Join(set, ", "), "only one way to match can be used: keep one of them")}
}

// validateRolloutAnalysis checks what a Rollout says about an analysis; nil is valid.
func validateRolloutAnalysis(a *RolloutAnalysis, at *field.Path) field.ErrorList {
	if a == nil {
		return nil
	}
	var errs field.ErrorList
	if len(a.Templates) == 0 {
		errs = append(errs, field.Required(at.Child("templates"), "name the analysis template to run"))
	}
	for i := range a.Templates {
		if a.Templates[i].TemplateName == "" {
			errs = append(errs, field.Required(at.Child("templates").Index(i).Child("templateName"), "name the analysis template to run"))
		}
	}
	return append(errs, validateArguments(a.Args, at.Child("args"))...)
}

func validateArguments(args []AnalysisRunArgument, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := map[string]bool{}
	for i := range args {
		arg, path := &args[i], at.Index(i)
		switch {
		case arg.Name == "":
			errs = append(errs, field.Required(path.Child("name"), "name the argument"))
		case seen[arg.Name]:
			errs = append(errs, field.Duplicate(path.Child("name"), arg.Name))
		}
		seen[arg.Name] = true
		errs = append(errs, validateArgumentSource(arg, path)...)
	}
	return errs
}

func validateArgumentSource(arg *AnalysisRunArgument, at *field.Path) field.ErrorList {
	from := arg.ValueFrom
	if from == nil {
		return nil
	}
	path := at.Child("valueFrom")
	switch {
	case arg.Value != "":
		return field.ErrorList{field.Invalid(path, "value, valueFrom", "an argument has one value: remove value or valueFrom")}
	case (from.FieldRef == nil) == (from.PodTemplateHashValue == nil):
		return field.ErrorList{field.Required(path, "set exactly one of fieldRef and podTemplateHashValue")}
	case from.FieldRef != nil && from.FieldRef.FieldPath == "":
		return field.ErrorList{field.Required(path.Child("fieldRef", "fieldPath"), "say which field of the Rollout, for example metadata.name")}
	case from.PodTemplateHashValue == nil:
		return nil
	}
	switch hash := *from.PodTemplateHashValue; hash {
	case PodTemplateHashLatest, PodTemplateHashStable:
		return nil
	default:
		return field.ErrorList{field.NotSupported(path.Child("podTemplateHashValue"), hash,
			[]ValueFromPodTemplateHash{PodTemplateHashLatest, PodTemplateHashStable})}
	}
}
