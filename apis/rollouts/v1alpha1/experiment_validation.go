package v1alpha1

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ValidateExperiment lists what is wrong with an Experiment as far as the
// object alone can tell, in the order of the spec.
func ValidateExperiment(e *Experiment) field.ErrorList {
	spec, at := &e.Spec, field.NewPath("spec")
	var errs field.ErrorList
	if len(spec.Templates) == 0 {
		errs = append(errs, field.Required(at.Child("templates"), "an Experiment needs pods to run"))
	}
	seen := map[string]bool{}
	for i := range spec.Templates {
		path := at.Child("templates").Index(i)
		errs = append(errs, validateUniqueLabel(spec.Templates[i].Name, seen, path.Child("name"))...)
		errs = append(errs, validateExperimentTemplate(e, &spec.Templates[i], path)...)
	}
	errs = append(errs, validateTemplateServices(spec.Templates, at.Child("templates"))...)
	errs = append(errs, validateLength(spec.Duration, at.Child("duration"))...)
	errs = append(errs, nonNegative(spec.ProgressDeadlineSeconds, at.Child("progressDeadlineSeconds"))...)
	errs = append(errs, nonNegative(spec.ScaleDownDelaySeconds, at.Child("scaleDownDelaySeconds"))...)
	return append(errs, validateExperimentAnalyses(spec.Analyses, at.Child("analyses"))...)
}

func validateExperimentTemplate(e *Experiment, t *TemplateSpec, at *field.Path) field.ErrorList {
	errs := nonNegative(t.Replicas, at.Child("replicas"))
	if t.DesiredReplicas() > MaxReplicas {
		errs = append(errs, tooLarge(at.Child("replicas"), t.DesiredReplicas()))
	}
	errs = append(errs, nonNegative(&t.MinReadySeconds, at.Child("minReadySeconds"))...)
	if deadline := e.ProgressDeadline(); t.MinReadySeconds >= 0 && seconds(t.MinReadySeconds) >= deadline {
		errs = append(errs, field.Invalid(at.Child("minReadySeconds"), t.MinReadySeconds, fmt.Sprintf(
			"must be less than progressDeadlineSeconds (%d), or no pod becomes available in time", int64(deadline.Seconds()))))
	}
	errs = append(errs, validateSelector(t.Selector, at.Child("selector"))...)
	errs = append(errs, validatePodTemplate(&t.Template, at.Child("template"))...)
	return append(errs, validateSelected(t.Selector, &t.Template, at)...)
}

// validateTemplateServices finds Services that could not be made: one without a
// port, and two of one name.
func validateTemplateServices(templates []TemplateSpec, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := map[string]bool{}
	for i := range templates {
		t := &templates[i]
		if t.Service == nil {
			continue
		}
		path := at.Index(i).Child("service")
		if t.Template.Malformed == "" && !hasPort(t.Template.Spec.Containers) {
			errs = append(errs, field.Invalid(path, t.Service.Name, "a Service needs a port: add a containerPort to the template"))
		}
		if name := t.Service.Name; name != "" && seen[name] {
			errs = append(errs, field.Duplicate(path.Child("name"), name))
		}
		seen[t.Service.Name] = true
	}
	return errs
}

func hasPort(containers []corev1.Container) bool {
	for i := range containers {
		if len(containers[i].Ports) > 0 {
			return true
		}
	}
	return false
}

func validateExperimentAnalyses(analyses []ExperimentAnalysisTemplateRef, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := map[string]bool{}
	for i := range analyses {
		errs = append(errs, validateAnalysisRef(analyses[i].Name, analyses[i].TemplateName, seen, at.Index(i))...)
	}
	return errs
}

// validateAnalysisRef checks the names of one analysis of an Experiment or a step.
func validateAnalysisRef(name, template string, seen map[string]bool, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch {
	case name == "":
		errs = append(errs, field.Required(at.Child("name"), "name the analysis"))
	case seen[name]:
		errs = append(errs, field.Duplicate(at.Child("name"), name))
	}
	seen[name] = true
	if template == "" {
		errs = append(errs, field.Required(at.Child("templateName"), "name the analysis template to run"))
	}
	return errs
}

// validateExperimentStep checks a step that runs an Experiment.
func validateExperimentStep(c *CanaryStrategy, e *RolloutExperimentStep, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(e.Templates) == 0 {
		errs = append(errs, field.Required(at.Child("templates"), "an Experiment needs pods to run"))
	}
	seen := map[string]bool{}
	for i := range e.Templates {
		path := at.Child("templates").Index(i)
		errs = append(errs, validateUniqueLabel(e.Templates[i].Name, seen, path.Child("name"))...)
		errs = append(errs, validateStepTemplate(c, &e.Templates[i], path)...)
	}
	errs = append(errs, validateLength(e.Duration, at.Child("duration"))...)
	errs = append(errs, nonNegative(e.ScaleDownDelaySeconds, at.Child("scaleDownDelaySeconds"))...)
	named := map[string]bool{}
	for i := range e.Analyses {
		path := at.Child("analyses").Index(i)
		errs = append(errs, validateAnalysisRef(e.Analyses[i].Name, e.Analyses[i].TemplateName, named, path)...)
		errs = append(errs, validateArguments(e.Analyses[i].Args, path.Child("args"))...)
	}
	return errs
}

func validateStepTemplate(c *CanaryStrategy, t *RolloutExperimentTemplate, at *field.Path) field.ErrorList {
	errs := nonNegative(t.Replicas, at.Child("replicas"))
	switch t.SpecRef {
	case CanarySpecRef, StableSpecRef:
	default:
		errs = append(errs, field.NotSupported(at.Child("specRef"), t.SpecRef, []ReplicaSetSpecRef{CanarySpecRef, StableSpecRef}))
	}
	if t.Selector != nil {
		errs = append(errs, validateSelector(t.Selector, at.Child("selector"))...)
	}
	if t.Weight == nil {
		return errs
	}
	if c.TrafficRouting == nil {
		errs = append(errs, field.Forbidden(at.Child("weight"), "needs trafficRouting: add a router, or remove it"))
	}
	return append(errs, validateWeight(*t.Weight, c, at.Child("weight"))...)
}

// validateLength checks how long an Experiment runs. Unlike the text of a
// metric it holds no arguments to fill in.
func validateLength(value DurationString, at *field.Path) field.ErrorList {
	if value == "" {
		return nil
	}
	length, err := value.Duration()
	switch {
	case err != nil:
		return field.ErrorList{field.Invalid(at, string(value), "must be a duration such as 90s, 5m or 1h30m")}
	case length < 0:
		return field.ErrorList{field.Invalid(at, string(value), "must not be negative")}
	}
	return nil
}
