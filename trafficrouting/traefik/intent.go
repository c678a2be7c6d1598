package traefik

import (
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
)

// total is what the weights of the two sides sum to.
const total = v1alpha1.DefaultMaxTrafficWeight

// Names lists the TraefikService whose events concern the Rollout, as namespace/name, for an index. It
// is empty for a Rollout without Traefik.
func Names(ro *v1alpha1.Rollout) []string {
	routing := routingOf(ro)
	if routing == nil || routing.Traefik.WeightedTraefikServiceName == "" {
		return nil
	}
	return []string{ro.Namespace + "/" + routing.Traefik.WeightedTraefikServiceName}
}

// routingOf is nil for a Rollout that does not name this router.
func routingOf(ro *v1alpha1.Rollout) *v1alpha1.RolloutTrafficRouting {
	canary := ro.Spec.Strategy.Canary
	if canary == nil || canary.TrafficRouting == nil || canary.TrafficRouting.Traefik == nil {
		return nil
	}
	return canary.TrafficRouting
}

// sides are the names of the Services that traffic is split between.
type sides struct{ stable, canary string }

// intent is what the spec of one Rollout asks of Traefik.
type intent struct {
	rollout *v1alpha1.Rollout
	// usable is false for a spec that is wrong: a corrected one may name again what is marked.
	usable bool
	// name is that of the TraefikService; empty while the spec is wrong, or without Traefik.
	name string
	// path is the field that names it.
	path  *field.Path
	sides sides
}

// intentOf reads the spec. The error of a wrong one wraps a *field.Error.
func intentOf(ro *v1alpha1.Rollout) (intent, error) {
	if ro == nil {
		return intent{}, errors.New("reading the spec: there is no Rollout")
	}
	canaryPath := field.NewPath("spec", "strategy", "canary")
	in := intent{rollout: ro, path: canaryPath.Child("trafficRouting", "traefik", "weightedTraefikServiceName")}
	in.sides.stable, in.sides.canary = ro.CanaryServices()
	if routing := routingOf(ro); routing != nil {
		if err := in.check(routing, canaryPath); err != nil {
			return in, fmt.Errorf("reading the spec: %w", err)
		}
		in.name = routing.Traefik.WeightedTraefikServiceName
	}
	in.usable = true
	return in, nil
}

func (in intent) check(routing *v1alpha1.RolloutTrafficRouting, path *field.Path) *field.Error {
	most := routing.MaxTrafficWeight
	switch {
	case routing.Traefik.WeightedTraefikServiceName == "":
		return field.Required(in.path, "name the TraefikService that lists stableService and canaryService")
	case in.sides.stable == "":
		return field.Required(path.Child("stableService"), "Traefik needs the Service of the stable pods")
	case in.sides.canary == "":
		return field.Required(path.Child("canaryService"), "Traefik needs the Service of the canary pods")
	case in.sides.canary == in.sides.stable:
		return field.Invalid(path.Child("canaryService"), in.sides.canary, "must differ from stableService")
	case most != nil && *most != total:
		return field.Invalid(path.Child("trafficRouting", "maxTrafficWeight"), *most, "the weights of a TraefikService sum to 100: remove it")
	}
	return checkSteps(in.rollout.Spec.Strategy.Canary.Steps, path.Child("steps"))
}

// checkSteps refuses what a TraefikService cannot hold: it has weights, and no matches, and the list of
// its Services is the user's, so that the Services of an Experiment are not in it. A step that removes a
// route has nothing to do.
func checkSteps(steps []v1alpha1.CanaryStep, path *field.Path) *field.Error {
	for i, step := range steps {
		if header := step.SetHeaderRoute; header != nil && len(header.Match) > 0 {
			return field.Forbidden(path.Index(i).Child("setHeaderRoute"),
				"a TraefikService cannot match headers: remove the step, or use gatewayAPI, istio, alb or apisix")
		}
		if mirror := step.SetMirrorRoute; mirror != nil && len(mirror.Match) > 0 {
			return field.Forbidden(path.Index(i).Child("setMirrorRoute"),
				"a TraefikService that has weights cannot mirror requests: remove the step, or use gatewayAPI or istio")
		}
		if err := checkExperiment(step.Experiment, path.Index(i).Child("experiment", "templates")); err != nil {
			return err
		}
	}
	return nil
}

func checkExperiment(experiment *v1alpha1.RolloutExperimentStep, path *field.Path) *field.Error {
	if experiment == nil {
		return nil
	}
	for i, template := range experiment.Templates {
		if template.Weight != nil && *template.Weight > 0 {
			return field.Forbidden(path.Index(i).Child("weight"),
				"Traefik gives the pods of an Experiment no traffic: remove the weight, or use istio, alb or smi")
		}
	}
	return nil
}

// checkSplit refuses a split that cannot be meant for this spec. It guards against a mistake of the
// caller, not of the user.
func (in intent) checkSplit(s trafficrouting.Split) error {
	switch {
	case s.Stable.Service != in.sides.stable || s.Canary.Service != in.sides.canary:
		return fmt.Errorf("checking the split: it is for the Services %q and %q, the Rollout names %q and %q",
			s.Stable.Service, s.Canary.Service, in.sides.stable, in.sides.canary)
	case len(s.Additional) > 0 || len(s.Routes) > 0:
		return fmt.Errorf("checking the split: %s has more than two sides", s)
	}
	return s.Check(total)
}

// splitAt is the whole split that gives the canary Service a weight.
func (in intent) splitAt(weight int32) trafficrouting.Split {
	return trafficrouting.Split{
		MaxWeight: total,
		Stable:    trafficrouting.Backend{Service: in.sides.stable, Weight: total - weight},
		Canary:    trafficrouting.Backend{Service: in.sides.canary, Weight: weight},
	}
}
