package smi

import (
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
)

// total is what the weights of all backends sum to.
const total = v1alpha1.DefaultMaxTrafficWeight

// Names lists the TrafficSplit whose events concern the Rollout, as namespace/name, for an index. It
// is empty for a Rollout without SMI.
func Names(ro *v1alpha1.Rollout) []string {
	routing := routingOf(ro)
	if routing == nil {
		return nil
	}
	return []string{ro.Namespace + "/" + nameOf(ro, routing.SMI)}
}

// routingOf is nil for a Rollout that does not name this router.
func routingOf(ro *v1alpha1.Rollout) *v1alpha1.RolloutTrafficRouting {
	canary := ro.Spec.Strategy.Canary
	if canary == nil || canary.TrafficRouting == nil || canary.TrafficRouting.SMI == nil {
		return nil
	}
	return canary.TrafficRouting
}

func nameOf(ro *v1alpha1.Rollout, smi *v1alpha1.SMITrafficRouting) string {
	if smi.TrafficSplitName != "" {
		return smi.TrafficSplitName
	}
	return ro.Name
}

// intent is what the spec of one Rollout asks of a mesh.
type intent struct {
	rollout *v1alpha1.Rollout
	// usable is false for a spec that is wrong: a corrected one may name again what was made.
	usable bool
	// name is that of the TrafficSplit; empty while the spec is wrong, or without SMI.
	name string
	// path is the field that names it.
	path *field.Path
	// root is the Service that clients call.
	root           string
	stable, canary string
}

// intentOf reads the spec. The error of a wrong one wraps a *field.Error.
func intentOf(ro *v1alpha1.Rollout) (intent, error) {
	if ro == nil {
		return intent{}, errors.New("reading the spec: there is no Rollout")
	}
	in := intent{rollout: ro}
	in.stable, in.canary = ro.CanaryServices()
	if routing := routingOf(ro); routing != nil {
		canaryPath := field.NewPath("spec", "strategy", "canary")
		if err := in.check(routing, canaryPath); err != nil {
			return in, fmt.Errorf("reading the spec: %w", err)
		}
		in.name, in.path = nameOf(ro, routing.SMI), canaryPath.Child("trafficRouting", "smi")
		if routing.SMI.TrafficSplitName != "" {
			in.path = in.path.Child("trafficSplitName")
		}
		if in.root = routing.SMI.RootService; in.root == "" {
			in.root = in.stable
		}
	}
	in.usable = true
	return in, nil
}

func (in intent) check(routing *v1alpha1.RolloutTrafficRouting, path *field.Path) *field.Error {
	most := routing.MaxTrafficWeight
	switch {
	case in.stable == "":
		return field.Required(path.Child("stableService"), "SMI needs the Service of the stable pods")
	case in.canary == "":
		return field.Required(path.Child("canaryService"), "SMI needs the Service of the canary pods")
	case in.canary == in.stable:
		return field.Invalid(path.Child("canaryService"), in.canary, "must differ from stableService")
	case in.rollout.Spec.Strategy.Canary.PingPong != nil && routing.SMI.RootService == "":
		return field.Required(path.Child("trafficRouting", "smi", "rootService"), "with pingPong clients need a Service that does not change")
	case most != nil && *most != total:
		return field.Invalid(path.Child("trafficRouting", "maxTrafficWeight"), *most, "the weights of a TrafficSplit sum to 100: remove it")
	}
	return checkSteps(in.rollout.Spec.Strategy.Canary.Steps, path.Child("steps"))
}

// checkSteps refuses routes that a TrafficSplit cannot hold. It may name groups of routes, but what
// they match is shared evenly with what does not match. A step that removes a route has nothing to do.
func checkSteps(steps []v1alpha1.CanaryStep, path *field.Path) *field.Error {
	for i, step := range steps {
		if header := step.SetHeaderRoute; header != nil && len(header.Match) > 0 {
			return field.Forbidden(path.Index(i).Child("setHeaderRoute"),
				"a TrafficSplit cannot match headers: remove the step, or use gatewayAPI, istio, alb or apisix")
		}
		if mirror := step.SetMirrorRoute; mirror != nil && len(mirror.Match) > 0 {
			return field.Forbidden(path.Index(i).Child("setMirrorRoute"),
				"a TrafficSplit cannot mirror requests: remove the step, or use gatewayAPI or istio")
		}
	}
	return nil
}

// checkSplit refuses a split that cannot be meant for this spec. It guards against a mistake of the
// caller, not of the user.
func (in intent) checkSplit(s trafficrouting.Split) error {
	if s.Stable.Service != in.stable || s.Canary.Service != in.canary {
		return fmt.Errorf("checking the split: it is for the Services %q and %q, the Rollout names %q and %q",
			s.Stable.Service, s.Canary.Service, in.stable, in.canary)
	}
	if len(s.Routes) > 0 {
		return fmt.Errorf("checking the split: a TrafficSplit cannot hold the routes of %s", s)
	}
	taken := map[string]bool{"": true, in.stable: true, in.canary: true}
	for _, side := range s.Additional {
		if taken[side.Service] {
			return fmt.Errorf("checking the split: %s has the Service %q twice, or one without a name", s, side.Service)
		}
		taken[side.Service] = true
	}
	return s.Check(total)
}

// splitWith is the whole split of weights that were observed.
func (in intent) splitWith(canary int32, additional []trafficrouting.Backend) trafficrouting.Split {
	left := total - canary
	for _, side := range additional {
		left -= side.Weight
	}
	return trafficrouting.Split{
		MaxWeight:  total,
		Stable:     trafficrouting.Backend{Service: in.stable, Weight: left},
		Canary:     trafficrouting.Backend{Service: in.canary, Weight: canary},
		Additional: additional,
	}
}
