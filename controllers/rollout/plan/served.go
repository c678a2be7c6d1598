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
	for _, check := range []struct {
		used bool
		name string
	}{
		{r.Istio != nil, "istio"},
		{r.ALB != nil, "alb"},
		{r.SMI != nil, "smi"},
		{r.Ambassador != nil, "ambassador"},
		{r.AppMesh != nil, "appMesh"},
		{r.Traefik != nil, "traefik"},
		{r.Apisix != nil, "apisix"},
		{len(r.Plugins) > 0, "plugins"},
		{len(r.ManagedRoutes) > 0, "managedRoutes"},
		{r.Nginx == nil, "nginx"},
	} {
		if check.used {
			return notYet(path.Child(check.name), "use trafficRouting.nginx")
		}
	}
	return nil
}

func unservedStep(c *v1alpha1.CanaryStrategy) *field.Error {
	path := field.NewPath("spec", "strategy", "canary", "steps")
	for i, s := range c.Steps {
		verb := ""
		switch {
		case s.SetHeaderRoute != nil:
			verb = "setHeaderRoute"
		case s.SetMirrorRoute != nil:
			verb = "setMirrorRoute"
		case s.Plugin != nil:
			verb = "plugin"
		}
		if verb != "" {
			return notYet(path.Index(i).Child(verb), fmt.Sprintf("remove step %d; setWeight, setCanaryScale, pause, analysis and experiment are served", i))
		}
	}
	return nil
}
