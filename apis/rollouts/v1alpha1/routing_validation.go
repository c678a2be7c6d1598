package v1alpha1

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Routers are the names of the routers that are set, in the order of the API;
// plugins count as one.
func (t *RolloutTrafficRouting) Routers() []string {
	var names []string
	add := func(set bool, name string) {
		if set {
			names = append(names, name)
		}
	}
	add(t.Istio != nil, "istio")
	add(t.Nginx != nil, "nginx")
	add(t.ALB != nil, "alb")
	add(t.SMI != nil, "smi")
	add(t.Ambassador != nil, "ambassador")
	add(t.AppMesh != nil, "appMesh")
	add(t.Traefik != nil, "traefik")
	add(t.Apisix != nil, "apisix")
	add(t.GatewayAPI != nil, "gatewayAPI")
	add(len(t.Plugins) > 0, "plugins")
	return names
}

func validateTrafficRouting(c *CanaryStrategy, at *field.Path) field.ErrorList {
	t := c.TrafficRouting
	if len(t.Routers()) == 0 {
		return field.ErrorList{field.Required(at, "name a router, such as nginx or istio, or remove trafficRouting")}
	}
	errs := validateRoutedServices(c, at)
	errs = append(errs, validateMaxTrafficWeight(t, at.Child("maxTrafficWeight"))...)
	if t.Nginx != nil {
		errs = append(errs, ValidateNginx(t.Nginx, at.Child("nginx"))...)
	}
	if t.ALB != nil {
		errs = append(errs, validateALB(t.ALB, at.Child("alb"))...)
	}
	if t.Istio != nil {
		errs = append(errs, validateIstio(t.Istio, at.Child("istio"))...)
	}
	return append(errs, validateManagedRoutes(t.ManagedRoutes, at.Child("managedRoutes"))...)
}

// validateRoutedServices asks for the two Services where the router splits traffic between Services.
func validateRoutedServices(c *CanaryStrategy, at *field.Path) field.ErrorList {
	var needing []string
	for _, router := range c.TrafficRouting.Routers() {
		subsets := router == "istio" && c.TrafficRouting.Istio.DestinationRule != nil
		if router != "plugins" && !subsets {
			needing = append(needing, router)
		}
	}
	if len(needing) == 0 || c.PingPong != nil {
		return nil
	}
	var errs field.ErrorList
	canary := at.Root().Child("strategy", "canary")
	why := fmt.Sprintf("trafficRouting.%s splits traffic between two Services: name this one", needing[0])
	if c.CanaryService == "" {
		errs = append(errs, field.Required(canary.Child("canaryService"), why))
	}
	if c.StableService == "" {
		errs = append(errs, field.Required(canary.Child("stableService"), why))
	}
	return errs
}

func validateMaxTrafficWeight(t *RolloutTrafficRouting, at *field.Path) field.ErrorList {
	total := t.MaxTrafficWeight
	switch {
	case total == nil:
		return nil
	case t.Nginx == nil && t.GatewayAPI == nil && len(t.Plugins) == 0:
		return field.ErrorList{field.Forbidden(at, fmt.Sprintf(
			"only nginx, gatewayAPI and plugins count in other totals than 100, not %s: remove it", strings.Join(t.Routers(), ", ")))}
	case *total < 1 || *total > MaxTrafficWeightLimit:
		return field.ErrorList{field.Invalid(at, *total, fmt.Sprintf("must be between 1 and %d", MaxTrafficWeightLimit))}
	}
	return nil
}

// ValidateNginx lists what is wrong with the names of the stable Ingresses.
func ValidateNginx(n *NginxTrafficRouting, at *field.Path) field.ErrorList {
	return validateOneOrSeveral(n.StableIngress, n.StableIngresses, at.Child("stableIngress"), at.Child("stableIngresses"))
}

func validateALB(a *ALBTrafficRouting, at *field.Path) field.ErrorList {
	errs := validateOneOrSeveral(a.Ingress, a.Ingresses, at.Child("ingress"), at.Child("ingresses"))
	if a.ServicePort < 1 || a.ServicePort > 65535 {
		errs = append(errs, field.Invalid(at.Child("servicePort"), a.ServicePort, "must be between 1 and 65535"))
	}
	sticky := a.StickinessConfig
	if sticky != nil && sticky.Enabled && (sticky.DurationSeconds < 1 || sticky.DurationSeconds > 604800) {
		errs = append(errs, field.Invalid(at.Child("stickinessConfig", "durationSeconds"), sticky.DurationSeconds,
			"must be between 1 and 604800 (a week)"))
	}
	return errs
}

// validateOneOrSeveral checks a pair of fields of which one holds a name and the other several.
func validateOneOrSeveral(one string, several []string, oneAt, severalAt *field.Path) field.ErrorList {
	switch {
	case one == "" && len(several) == 0:
		return field.ErrorList{field.Required(oneAt, "name the Ingress of the stable Service")}
	case one != "" && len(several) > 0:
		return field.ErrorList{field.Invalid(severalAt, strings.Join(several, ", "),
			"only one of the singular and the plural field can be used: remove one of them")}
	}
	var errs field.ErrorList
	for i, name := range several {
		switch {
		case name == "":
			errs = append(errs, field.Required(severalAt.Index(i), "name an Ingress"))
		case slices.Contains(several[:i], name):
			errs = append(errs, field.Duplicate(severalAt.Index(i), name))
		}
	}
	return errs
}

func validateIstio(i *IstioTrafficRouting, at *field.Path) field.ErrorList {
	switch {
	case i.VirtualService == nil && len(i.VirtualServices) == 0:
		return field.ErrorList{field.Required(at.Child("virtualService"), "name the VirtualService whose weights are set")}
	case i.VirtualService != nil && len(i.VirtualServices) > 0:
		return field.ErrorList{field.Forbidden(at.Child("virtualServices"),
			"only one of virtualService and virtualServices can be used: remove one of them")}
	}
	return nil
}

func validateManagedRoutes(routes []MangedRoutes, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := map[string]bool{}
	for i := range routes {
		name := routes[i].Name
		switch {
		case name == "":
			errs = append(errs, field.Required(at.Index(i).Child("name"), "name the route"))
		case seen[name]:
			errs = append(errs, field.Duplicate(at.Index(i).Child("name"), name))
		}
		seen[name] = true
	}
	return errs
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
