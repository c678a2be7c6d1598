package nginx

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
)

const (
	// maxNameLength is the limit of a DNS subdomain, which the name of an Ingress must be.
	maxNameLength = 253
	canarySuffix  = "-canary"
)

// CanaryIngressName is the name of the canary Ingress that is made for a stable Ingress: both
// names joined and cut so that the result with its suffix is at most 253 characters long.
func CanaryIngressName(rollout, stableIngress string) string {
	prefix := rollout + "-" + stableIngress
	if limit := maxNameLength - len(canarySuffix); len(prefix) > limit {
		// A dot before the suffix would not be a DNS name.
		prefix = strings.TrimRight(prefix[:limit], ".")
	}
	return prefix + canarySuffix
}

// IngressNames lists every Ingress whose events concern the Rollout, the stable ones and the
// canary ones made for them, for an index. It is empty for a Rollout without NGINX routing.
func IngressNames(ro *v1alpha1.Rollout) []string {
	n := routingOf(ro)
	if n == nil {
		return nil
	}
	var names []string
	for _, stable := range n.Ingresses() {
		if stable != "" {
			names = append(names, stable, CanaryIngressName(ro.Name, stable))
		}
	}
	return names
}

func routingOf(ro *v1alpha1.Rollout) *v1alpha1.NginxTrafficRouting {
	if ro == nil || ro.Spec.Strategy.Canary == nil || ro.Spec.Strategy.Canary.TrafficRouting == nil {
		return nil
	}
	return ro.Spec.Strategy.Canary.TrafficRouting.Nginx
}

// target is one stable Ingress that the spec names, and the field that names it.
type target struct {
	name string
	path *field.Path
}

// intent is what the spec of one Rollout asks of NGINX.
type intent struct {
	rollout *v1alpha1.Rollout
	nginx   *v1alpha1.NginxTrafficRouting
	// usable is false for a spec that is wrong. It has no targets, and neither has one without NGINX.
	usable bool
	prefix string
	// explicitTotal says that the spec sets maxTrafficWeight, so that the total is written too.
	explicitTotal bool
	maxWeight     int32
	// setsRoutes says that steps set header routes.
	setsRoutes bool
	targets    []target
}

// intentOf reads the spec. The error of a wrong one wraps a *field.Error.
func intentOf(ro *v1alpha1.Rollout) (intent, error) {
	if ro == nil {
		return intent{}, errors.New("reading the spec: there is no Rollout")
	}
	in := intent{rollout: ro, prefix: v1alpha1.DefaultNginxAnnotationPrefix, maxWeight: v1alpha1.DefaultMaxTrafficWeight}
	if canary := ro.Spec.Strategy.Canary; canary != nil {
		in.maxWeight = canary.MaxTrafficWeight()
	}
	if in.nginx = routingOf(ro); in.nginx == nil {
		in.usable = true
		return in, nil
	}
	in.prefix, in.explicitTotal = in.nginx.Prefix(), ro.Spec.Strategy.Canary.TrafficRouting.MaxTrafficWeight != nil
	in.setsRoutes = slices.ContainsFunc(ro.Spec.Strategy.Canary.Steps, func(s v1alpha1.CanaryStep) bool {
		return s.SetHeaderRoute != nil && len(s.SetHeaderRoute.Match) > 0
	})
	canaryPath := field.NewPath("spec", "strategy", "canary")
	nginxPath := canaryPath.Child("trafficRouting", "nginx")
	targets, err := targetsOf(ro.Name, in.nginx, nginxPath)
	if err == nil {
		err = in.checkServices(canaryPath)
	}
	if err == nil {
		err = in.checkAnnotations(nginxPath)
	}
	if err == nil {
		err = in.checkRoutes(canaryPath.Child("steps"))
	}
	if err != nil {
		return in, fmt.Errorf("reading the spec: %w", err)
	}
	in.usable, in.targets = true, targets
	return in, nil
}

// targetsOf lists the stable Ingresses in the order of the spec. No two may share a canary
// Ingress, which after cutting long names they could: they would overwrite each other for ever.
func targetsOf(rollout string, n *v1alpha1.NginxTrafficRouting, path *field.Path) ([]target, *field.Error) {
	if errs := v1alpha1.ValidateNginx(n, path); len(errs) > 0 {
		return nil, errs[0]
	}
	var targets []target
	taken := map[string]bool{}
	for i, name := range n.Ingresses() {
		t := target{name, path.Child("stableIngresses").Index(i)}
		if n.StableIngress != "" {
			t.path = path.Child("stableIngress")
		}
		canary := CanaryIngressName(rollout, name)
		if taken[canary] {
			return nil, field.Invalid(t.path, name,
				fmt.Sprintf("another stable Ingress already has the canary Ingress `%s`: remove it or shorten the names", canary))
		}
		taken[canary] = true
		targets = append(targets, t)
	}
	return targets, nil
}

func (in intent) checkServices(path *field.Path) *field.Error {
	canary := in.rollout.Spec.Strategy.Canary
	switch {
	case canary.StableService == "":
		return field.Required(path.Child("stableService"), "NGINX routing needs the Service of the stable pods")
	case canary.CanaryService == "":
		return field.Required(path.Child("canaryService"), "NGINX routing needs the Service of the canary pods")
	case canary.CanaryService == canary.StableService:
		return field.Invalid(path.Child("canaryService"), canary.CanaryService, "must differ from stableService")
	case in.explicitTotal && *canary.TrafficRouting.MaxTrafficWeight < 1:
		return field.Invalid(path.Child("trafficRouting", "maxTrafficWeight"), *canary.TrafficRouting.MaxTrafficWeight, "must be at least 1")
	}
	return nil
}

// checkAnnotations refuses what is not the user's to annotate. A snippet is NGINX configuration of
// its own: it is written only where the user asked for it verbatim.
func (in intent) checkAnnotations(path *field.Path) *field.Error {
	if problems := validation.IsQualifiedName(in.key(byHeaderPattern)); len(problems) > 0 {
		return field.Invalid(path.Child("annotationPrefix"), in.prefix, "makes no keys of annotations: "+strings.Join(problems, "; "))
	}
	additional, verbatim := path.Child("additionalIngressAnnotations"), path.Child("canaryIngressAnnotations")
	for _, key := range slices.Sorted(maps.Keys(in.nginx.AdditionalIngressAnnotations)) {
		value := in.nginx.AdditionalIngressAnnotations[key]
		if strings.HasSuffix(key, "-snippet") {
			return field.Invalid(additional.Key(key), value,
				"a snippet is configuration that NGINX runs as written: to add one, put the full annotation in canaryIngressAnnotations")
		}
		if err := in.checkKey(additional.Key(key), in.prefixed(key), value); err != nil {
			return err
		}
	}
	for _, key := range slices.Sorted(maps.Keys(in.nginx.CanaryIngressAnnotations)) {
		if err := in.checkKey(verbatim.Key(key), key, in.nginx.CanaryIngressAnnotations[key]); err != nil {
			return err
		}
	}
	return nil
}

// checkKey refuses annotations of the user's own. A total would make every weight mean another share
// than the one the Rollout reports; there is one header and one cookie, for the user or for steps. With
// a key that is none, the API server would refuse every write, an abort's too.
func (in intent) checkKey(path *field.Path, key, value string) *field.Error {
	problems := validation.IsQualifiedName(strings.ToLower(key))
	switch {
	case len(problems) > 0:
		return field.Invalid(path, key, "is no key of an annotation (for one with another prefix use canaryIngressAnnotations): "+
			strings.Join(problems, "; "))
	case key == in.key(weightTotal) && !in.explicitTotal:
		return field.Invalid(path, value, "the total of the weights is set by spec.strategy.canary.trafficRouting.maxTrafficWeight")
	case key == routesAnnotation:
		return field.Invalid(path, value, "Headway writes it for the header routes of steps: remove it")
	case in.setsRoutes && strings.HasPrefix(key, in.key(byAnything)):
		return field.Invalid(path, value, "steps set header routes, which are written as annotations of this kind: remove it, or the setHeaderRoute steps")
	}
	return nil
}

// checkSplit refuses a split that cannot be meant for this spec. It guards against a mistake of
// the caller, not of the user: such a split must not reach NGINX, which clamps silently.
func (in intent) checkSplit(s trafficrouting.Split) error {
	if err := s.Check(in.maxWeight); err != nil {
		return err
	}
	canary := in.rollout.Spec.Strategy.Canary
	if s.Stable.Service != canary.StableService || s.Canary.Service != canary.CanaryService {
		return fmt.Errorf("checking the split: it is for the Services %q and %q, the Rollout names %q and %q",
			s.Stable.Service, s.Canary.Service, canary.StableService, canary.CanaryService)
	}
	if s.Stable.Weight+s.Canary.Weight != s.MaxWeight { // No overflow: each is a share of the total.
		return fmt.Errorf("checking the split: NGINX gives no weight to other sides than stable and canary, as in %s", s)
	}
	return checkManaged(s.Routes)
}

// splitAt is the whole split that gives the canary Service a weight, and managed routes.
func (in intent) splitAt(weight int32, routes ...trafficrouting.ManagedRoute) trafficrouting.Split {
	canary := in.rollout.Spec.Strategy.Canary
	return trafficrouting.Split{
		MaxWeight: in.maxWeight,
		Stable:    trafficrouting.Backend{Service: canary.StableService, Weight: in.maxWeight - weight},
		Canary:    trafficrouting.Backend{Service: canary.CanaryService, Weight: weight},
		Routes:    routes,
	}
}
