package plan

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// unserved is the first part of the spec that this version cannot follow. It is
// an error and never a silent omission: a header route that is not made, or a
// restart that does not happen, would be found at the worst moment.
func unserved(ro *v1alpha1.Rollout) *field.Error {
	spec := field.NewPath("spec")
	canary := ro.Spec.Strategy.Canary
	if canary == nil {
		if err := unservedSpec(ro, nil); err != nil {
			return err
		}
		return unservedBlueGreen(ro.Spec.Strategy.BlueGreen, spec.Child("strategy", "blueGreen"))
	}
	for _, check := range []func(*v1alpha1.Rollout, *v1alpha1.CanaryStrategy) *field.Error{unservedSpec, unservedCanary, unservedRouting, unservedStep} {
		if err := check(ro, canary); err != nil {
			return err
		}
	}
	return nil
}

func notYet(path *field.Path, instead string) *field.Error {
	return field.Forbidden(path, "this version of Headway does not serve it yet: "+instead)
}

func unservedSpec(ro *v1alpha1.Rollout, _ *v1alpha1.CanaryStrategy) *field.Error {
	spec := field.NewPath("spec")
	if restart := ro.Spec.RestartAt; restart != nil && (ro.Status.RestartedAt == nil || !ro.Status.RestartedAt.Equal(restart)) {
		return notYet(spec.Child("restartAt"), "remove the field and change an annotation of the pod template instead")
	}
	return nil
}

func unservedCanary(_ *v1alpha1.Rollout, c *v1alpha1.CanaryStrategy) *field.Error {
	path := field.NewPath("spec", "strategy", "canary")
	remove := "remove the field"
	for _, check := range []struct {
		used bool
		name string
	}{
		{c.AntiAffinity != nil, "antiAffinity"},
		{c.CanaryMetadata != nil, "canaryMetadata"},
		{c.StableMetadata != nil, "stableMetadata"},
	} {
		if check.used {
			return notYet(path.Child(check.name), remove)
		}
	}
	return nil
}

func unservedBlueGreen(b *v1alpha1.BlueGreenStrategy, path *field.Path) *field.Error {
	if b == nil {
		return nil // validation reports it
	}
	for _, check := range []struct {
		used bool
		name string
	}{
		{b.AntiAffinity != nil, "antiAffinity"},
		{b.PreviewMetadata != nil, "previewMetadata"},
		{b.ActiveMetadata != nil, "activeMetadata"},
	} {
		if check.used {
			return notYet(path.Child(check.name), "remove the field")
		}
	}
	return nil
}

func unservedRouting(_ *v1alpha1.Rollout, c *v1alpha1.CanaryStrategy) *field.Error {
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

func unservedStep(_ *v1alpha1.Rollout, c *v1alpha1.CanaryStrategy) *field.Error {
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
