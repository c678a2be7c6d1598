package ambassador

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
)

const (
	// maxBaseLength leaves room for the suffix in the 253 characters of a name.
	maxBaseLength = 246
	canarySuffix  = "-canary"
)

// CanaryMappingName is the name of the canary Mapping that is made for a Mapping.
func CanaryMappingName(mapping string) string {
	if len(mapping) > maxBaseLength {
		// A dot before the suffix would not be a DNS name.
		mapping = strings.TrimRight(mapping[:maxBaseLength], ".")
	}
	return mapping + canarySuffix
}

// Names lists every Mapping whose events concern the Rollout, as namespace/name, for an index: those that
// the spec names and the canary Mappings made for them. It is empty for a Rollout without Ambassador.
func Names(ro *v1alpha1.Rollout) []string {
	spec := specOf(ro)
	if spec == nil {
		return nil
	}
	var names []string
	for _, mapping := range spec.Mappings {
		if mapping != "" {
			names = append(names, ro.Namespace+"/"+mapping, ro.Namespace+"/"+CanaryMappingName(mapping))
		}
	}
	return names
}

func specOf(ro *v1alpha1.Rollout) *v1alpha1.AmbassadorTrafficRouting {
	if ro == nil || ro.Spec.Strategy.Canary == nil || ro.Spec.Strategy.Canary.TrafficRouting == nil {
		return nil
	}
	return ro.Spec.Strategy.Canary.TrafficRouting.Ambassador
}

// target is one Mapping that the spec names, and the field that names it.
type target struct {
	name string
	path *field.Path
}

// intent is what the spec of one Rollout asks of Ambassador.
type intent struct {
	rollout *v1alpha1.Rollout
	// usable is false for a spec that is wrong. It has no targets, and neither has one without Ambassador.
	usable  bool
	targets []target
	// stable and canary are the Services of the two sides.
	stable, canary string
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
	in.stable, in.canary = ro.CanaryServices()
	path := field.NewPath("spec", "strategy", "canary")
	targets, err := targetsOf(spec.Mappings, path.Child("trafficRouting", "ambassador", "mappings"))
	if err == nil {
		err = in.checkStrategy(path)
	}
	if err == nil {
		err = checkSteps(ro.Spec.Strategy.Canary, path.Child("steps"))
	}
	if err != nil {
		return in, fmt.Errorf("reading the spec: %w", err)
	}
	in.usable, in.targets = true, targets
	return in, nil
}

// targetsOf lists the Mappings. No two may share a canary Mapping, which after cutting long names they
// could, and none may be the canary Mapping of another: they would overwrite each other for ever.
func targetsOf(mappings []string, path *field.Path) ([]target, *field.Error) {
	if len(mappings) == 0 {
		return nil, field.Required(path, "name the Mappings that lead to the stable Service")
	}
	var targets []target
	taken := map[string]bool{}
	for i, name := range mappings {
		at := path.Index(i)
		switch {
		case name == "":
			return nil, field.Required(at, "name a Mapping")
		case taken[CanaryMappingName(name)]:
			return nil, field.Invalid(at, name, fmt.Sprintf("another Mapping already has the canary Mapping %q: remove it or shorten the names", CanaryMappingName(name)))
		}
		taken[CanaryMappingName(name)] = true
		targets = append(targets, target{name, at})
	}
	at := slices.IndexFunc(targets, func(t target) bool { return taken[t.name] })
	if at >= 0 {
		return nil, field.Invalid(targets[at].path, targets[at].name, "is the name of the canary Mapping of another Mapping of this list: remove it")
	}
	return targets, nil
}

func (in intent) checkStrategy(path *field.Path) *field.Error {
	total := in.rollout.Spec.Strategy.Canary.MaxTrafficWeight()
	switch {
	case in.stable == "":
		return field.Required(path.Child("stableService"), "Ambassador routing needs the Service of the stable pods")
	case in.canary == "":
		return field.Required(path.Child("canaryService"), "Ambassador routing needs the Service of the canary pods")
	case in.canary == in.stable:
		return field.Invalid(path.Child("canaryService"), in.canary, "must differ from stableService")
	case total != v1alpha1.DefaultMaxTrafficWeight:
		return field.Invalid(path.Child("trafficRouting", "maxTrafficWeight"), total, "Ambassador routing counts in 100: remove it")
	}
	return nil
}

// checkSteps finds what Ambassador cannot do in all steps, so that nobody learns of it in the middle of a rollout.
func checkSteps(canary *v1alpha1.CanaryStrategy, path *field.Path) *field.Error {
	for i := range canary.Steps {
		step, at := &canary.Steps[i], path.Index(i)
		switch {
		case step.SetHeaderRoute != nil && len(step.SetHeaderRoute.Match) > 0:
			return field.Forbidden(at.Child("setHeaderRoute"), "Ambassador routing knows no header routes: remove the step, or use a router that does, such as istio")
		case step.SetMirrorRoute != nil && len(step.SetMirrorRoute.Match) > 0:
			return field.Forbidden(at.Child("setMirrorRoute"), "Ambassador routing copies no requests: remove the step, or use a router that does, such as istio")
		case step.Experiment == nil:
			continue
		}
		for j := range step.Experiment.Templates {
			if step.Experiment.Templates[j].Weight != nil {
				return field.Forbidden(at.Child("experiment", "templates").Index(j).Child("weight"),
					"Ambassador routing gives Experiments no traffic: remove the weight, or use a router that does, such as istio")
			}
		}
	}
	return nil
}

// checkSplit refuses a split that cannot be meant for this spec: a mistake of the caller, not of the user.
func (in intent) checkSplit(s trafficrouting.Split) error {
	if err := s.Check(v1alpha1.DefaultMaxTrafficWeight); err != nil {
		return err
	}
	if s.Stable.Service != in.stable || s.Canary.Service != in.canary || len(s.Additional) > 0 || len(s.Routes) > 0 {
		return fmt.Errorf("checking the split: %s is for the Services %q and %q, the Rollout names %q and %q, and no other side or route",
			s, s.Stable.Service, s.Canary.Service, in.stable, in.canary)
	}
	return nil
}
