package v1alpha1

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func validateCanary(c *CanaryStrategy, selector *metav1.LabelSelector, at *field.Path) field.ErrorList {
	errs := validateCanaryServices(c, at)
	if c.TrafficRouting != nil {
		errs = append(errs, validateTrafficRouting(c, at.Child("trafficRouting"))...)
	} else {
		errs = append(errs, validateWithoutRouting(c, at)...)
	}
	errs = append(errs, validateCanaryPods(c, at)...)
	errs = append(errs, validateCanaryDelays(c, at)...)
	errs = append(errs, validateSteps(c, at.Child("steps"))...)
	errs = append(errs, validateBackground(c, at.Child("analysis"))...)
	errs = append(errs, validateAntiAffinity(c.AntiAffinity, at.Child("antiAffinity"))...)
	errs = append(errs, validateRoleMetadata(c.CanaryMetadata, selector, at.Child("canaryMetadata"))...)
	return append(errs, validateRoleMetadata(c.StableMetadata, selector, at.Child("stableMetadata"))...)
}

func validateCanaryServices(c *CanaryStrategy, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if c.CanaryService != "" && c.CanaryService == c.StableService {
		errs = append(errs, field.Invalid(at.Child("stableService"), c.StableService,
			"this Service is the canaryService too: each revision needs a Service of its own"))
	}
	if c.PingPong != nil {
		errs = append(errs, validatePingPong(c, at.Child("pingPong"))...)
	}
	return errs
}

func validatePingPong(c *CanaryStrategy, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	ping, pong := c.PingPong.PingService, c.PingPong.PongService
	switch {
	case ping == "":
		errs = append(errs, field.Required(at.Child("pingService"), "name one of the two Services"))
	case pong == "":
		errs = append(errs, field.Required(at.Child("pongService"), "name the other of the two Services"))
	case ping == pong:
		errs = append(errs, field.Invalid(at.Child("pongService"), pong, "this Service is the pingService too: name another one"))
	}
	routing := c.TrafficRouting
	if routing == nil || (routing.ALB == nil && routing.Istio == nil && len(routing.Plugins) == 0) {
		return append(errs, field.Forbidden(at, "only the alb, istio and plugin routers swap two Services: "+
			"use canaryService and stableService"))
	}
	if routing.ALB != nil && routing.ALB.RootService == "" {
		errs = append(errs, field.Required(at.Root().Child("strategy", "canary", "trafficRouting", "alb", "rootService"),
			"with pingPong the Ingress needs a Service that does not change"))
	}
	return errs
}

// validateWithoutRouting refuses what has no meaning while pods are the traffic.
func validateWithoutRouting(c *CanaryStrategy, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	refuse := func(set bool, name string) {
		if set {
			errs = append(errs, field.Forbidden(at.Child(name), "needs trafficRouting: add a router, or remove it"))
		}
	}
	refuse(c.ScaleDownDelaySeconds != nil, "scaleDownDelaySeconds")
	refuse(c.DynamicStableScale, "dynamicStableScale")
	refuse(c.MinPodsPerReplicaSet != nil, "minPodsPerReplicaSet")
	return errs
}

// validateCanaryPods checks the fields that count pods.
func validateCanaryPods(c *CanaryStrategy, at *field.Path) field.ErrorList {
	errs := validateShare(c.MaxSurge, at.Child("maxSurge"))
	errs = append(errs, validateShare(c.MaxUnavailable, at.Child("maxUnavailable"))...)
	if isZero(c.MaxSurge) && isZero(c.MaxUnavailable) {
		errs = append(errs, field.Invalid(at.Child("maxUnavailable"), c.MaxUnavailable.String(),
			"maxSurge is 0 too, so no pod can ever be replaced: raise one of them"))
	}
	errs = append(errs, nonNegative(c.MinPodsPerReplicaSet, at.Child("minPodsPerReplicaSet"))...)
	return append(errs, validateThreshold(c.ReplicaProgressThreshold, at.Child("replicaProgressThreshold"))...)
}

func isZero(value *intstr.IntOrString) bool {
	if value == nil {
		return false
	}
	number, err := shareNumber(*value)
	return err == nil && number == 0
}

func validateThreshold(t *ReplicaProgressThreshold, at *field.Path) field.ErrorList {
	if t == nil {
		return nil
	}
	value := at.Child("value")
	switch t.Type {
	case ProgressTypePods:
		return nonNegative(&t.Value, value)
	case ProgressTypePercentage:
		if t.Value < 0 || t.Value > 100 {
			return field.ErrorList{field.Invalid(value, t.Value, "a percentage must be between 0 and 100")}
		}
		return nil
	}
	return field.ErrorList{field.NotSupported(at.Child("type"), t.Type, []ProgressType{ProgressTypePercentage, ProgressTypePods})}
}

func validateCanaryDelays(c *CanaryStrategy, at *field.Path) field.ErrorList {
	errs := nonNegative(c.ScaleDownDelaySeconds, at.Child("scaleDownDelaySeconds"))
	errs = append(errs, nonNegative(c.ScaleDownDelayRevisionLimit, at.Child("scaleDownDelayRevisionLimit"))...)
	errs = append(errs, nonNegative(c.AbortScaleDownDelaySeconds, at.Child("abortScaleDownDelaySeconds"))...)
	if c.DynamicStableScale && c.ScaleDownDelaySeconds != nil {
		errs = append(errs, field.Forbidden(at.Child("scaleDownDelaySeconds"),
			"dynamicStableScale shrinks the stable revision during the update, so nothing is left to delay: remove one of them"))
	}
	return errs
}

func validateBackground(c *CanaryStrategy, at *field.Path) field.ErrorList {
	if c.Analysis == nil {
		return nil
	}
	errs := validateRolloutAnalysis(&c.Analysis.RolloutAnalysis, at)
	start := c.Analysis.FirstStep()
	switch {
	case start < 0:
		errs = append(errs, nonNegative(&start, at.Child("startingStep"))...)
	case start > 0 && int(start) >= len(c.Steps):
		errs = append(errs, field.Invalid(at.Child("startingStep"), start, fmt.Sprintf(
			"there are %d steps, counted from 0, so the analysis would never run", len(c.Steps))))
	}
	return errs
}
