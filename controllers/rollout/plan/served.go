package plan

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// unserved is the first part of the spec that this version cannot follow. It is
// an error and never a silent omission: a header route that is not made would be
// found at the worst moment.
func unserved(ro *v1alpha1.Rollout) *field.Error {
	canary := ro.Spec.Strategy.Canary
	if canary == nil {
		return nil // all of a blue-green strategy is served
	}
	if err := unservedRouting(canary); err != nil {
		return err
	}
	return unservedStep(canary)
}

func notYet(path *field.Path, instead string) *field.Error {
	return field.Forbidden(path, "this version of Headway does not serve it yet: "+instead)
}

func unservedRouting(c *v1alpha1.CanaryStrategy) *field.Error {
	path := field.NewPath("spec", "strategy", "canary", "trafficRouting")
	r := c.TrafficRouting
	if r == nil {
		return nil // pods alone
	}
	switch {
	case r.AppMesh != nil:
		return field.Forbidden(path.Child("appMesh"),
			"Headway does not serve it: AWS App Mesh has reached its end of life; use another router, such as gatewayAPI or istio")
	case otherPlugins(r):
		return notYet(path.Child("plugins"), "only "+v1alpha1.GatewayAPIPlugin+" is built in; use one of the other routers, such as gatewayAPI")
	}
	return nil
}

// otherPlugins reports whether a plugin is named that is not built in.
func otherPlugins(r *v1alpha1.RolloutTrafficRouting) bool {
	for name := range r.Plugins {
		if name != v1alpha1.GatewayAPIPlugin {
			return true
		}
	}
	return false
}

func unservedStep(c *v1alpha1.CanaryStrategy) *field.Error {
	path := field.NewPath("spec", "strategy", "canary", "steps")
	for i, s := range c.Steps {
		if s.Plugin != nil {
			return notYet(path.Index(i).Child("plugin"), fmt.Sprintf("remove step %d; all other steps are served", i))
		}
	}
	return nil
}
