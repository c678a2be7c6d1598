package alb

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
)

const (
	// DefaultAnnotationPrefix is the prefix of the annotations that the AWS Load Balancer Controller reads.
	DefaultAnnotationPrefix = "alb.ingress.kubernetes.io"

	// total is what weights are shares of.
	total = 100

	actions    = "actions"
	conditions = "conditions"
)

// Names lists every Ingress that the spec of a Rollout names, as namespace/name, for an index. It is
// empty for a Rollout without ALB routing. Those that only carry something of a Rollout answer to Keys.
func Names(ro *v1alpha1.Rollout) []string {
	a := routingOf(ro)
	if a == nil {
		return nil
	}
	var names []string
	for _, name := range ingressesOf(a) {
		if name != "" {
			names = append(names, ro.Namespace+"/"+name)
		}
	}
	return names
}

func routingOf(ro *v1alpha1.Rollout) *v1alpha1.ALBTrafficRouting {
	if ro == nil || ro.Spec.Strategy.Canary == nil || ro.Spec.Strategy.Canary.TrafficRouting == nil {
		return nil
	}
	return ro.Spec.Strategy.Canary.TrafficRouting.ALB
}

// ingressesOf are the names in the order of the spec.
func ingressesOf(a *v1alpha1.ALBTrafficRouting) []string {
	if a.Ingress != "" {
		return append([]string{a.Ingress}, a.Ingresses...)
	}
	return a.Ingresses
}

// target is one Ingress that the spec names, and the field that names it.
type target struct {
	name string
	path *field.Path
}

// intent is what the spec of one Rollout asks of its Ingresses.
type intent struct {
	rollout *v1alpha1.Rollout
	// alb is nil for a spec without ALB routing.
	alb *v1alpha1.ALBTrafficRouting
	// usable is false for a spec that is wrong. It has no targets, and neither has one without ALB.
	usable bool
	// stable and canary are the Services of the two roles.
	stable, canary string
	targets        []target
	// managed are the names of the managed routes, which nobody else may use in these Ingresses.
	managed []string
}

// intentOf reads the spec. The error of a wrong one wraps a *field.Error.
func intentOf(ro *v1alpha1.Rollout) (intent, error) {
	if ro == nil {
		return intent{}, errors.New("reading the spec: there is no Rollout")
	}
	in := intent{rollout: ro, alb: routingOf(ro)}
	in.stable, in.canary = ro.CanaryServices()
	if in.alb == nil {
		in.usable = true
		return in, nil
	}
	for _, route := range ro.Spec.Strategy.Canary.TrafficRouting.ManagedRoutes {
		in.managed = append(in.managed, route.Name)
	}
	for _, check := range []func(*field.Path) *field.Error{
		in.checkNames, in.checkNumbers, in.checkServices, in.checkKeys, in.checkRoutes, in.checkSteps,
	} {
		if err := check(field.NewPath("spec", "strategy", "canary")); err != nil {
			return in, fmt.Errorf("reading the spec: %w", err)
		}
	}
	in.usable, in.targets = true, targetsOf(in.alb)
	return in, nil
}

func albPath(canary *field.Path) *field.Path { return canary.Child("trafficRouting", "alb") }

func targetsOf(a *v1alpha1.ALBTrafficRouting) []target {
	at := albPath(field.NewPath("spec", "strategy", "canary"))
	if a.Ingress != "" {
		return []target{{a.Ingress, at.Child("ingress")}}
	}
	var targets []target
	for i, name := range a.Ingresses {
		targets = append(targets, target{name, at.Child("ingresses").Index(i)})
	}
	return targets
}

func (in intent) prefix() string {
	if in.alb.AnnotationPrefix != "" {
		return in.alb.AnnotationPrefix
	}
	return DefaultAnnotationPrefix
}

// root is the Service that the rules of an Ingress name.
func (in intent) root() string {
	if in.alb.RootService != "" {
		return in.alb.RootService
	}
	return in.stable
}

func (in intent) port() port { return port(strconv.Itoa(int(in.alb.ServicePort))) }

// key is the name of an annotation about a Service, or about an action that has a Service's place in a rule.
func (in intent) key(kind, name string) string { return in.prefix() + "/" + kind + "." + name }

// parts takes a name apart that key may have made, for whatever prefix.
func parts(key string) (kind, name string) {
	_, rest, _ := strings.Cut(key, "/")
	kind, name, _ = strings.Cut(rest, ".")
	if kind != actions && kind != conditions {
		return "", ""
	}
	return kind, name
}

// checkSplit refuses a split that cannot be meant for this spec: a mistake of the caller, not of the user.
func (in intent) checkSplit(s trafficrouting.Split) error {
	if err := s.Check(total); err != nil {
		return err
	}
	if s.Stable.Service != in.stable || s.Canary.Service != in.canary {
		return fmt.Errorf("checking the split: it is for the Services %q and %q, the Rollout names %q and %q",
			s.Stable.Service, s.Canary.Service, in.stable, in.canary)
	}
	for i, route := range s.Routes {
		sameName := func(other trafficrouting.ManagedRoute) bool { return other.Name == route.Name }
		if route.Mirrors() || !slices.Contains(in.managed, route.Name) || slices.ContainsFunc(s.Routes[:i], sameName) {
			return fmt.Errorf("checking the split: the route %q copies requests, is there twice, or is none of the managed routes", route.Name)
		}
	}
	return nil
}

// splitAt is the split that would ask for what was seen.
func (in intent) splitAt(seen trafficrouting.Observed) trafficrouting.Split {
	split := trafficrouting.Split{
		MaxWeight:  total,
		Canary:     trafficrouting.Backend{Service: in.canary, Weight: seen.CanaryWeight},
		Stable:     trafficrouting.Backend{Service: in.stable, Weight: total - seen.CanaryWeight},
		Additional: seen.Additional,
		Routes:     seen.Routes,
	}
	for _, side := range seen.Additional {
		split.Stable.Weight -= side.Weight
	}
	return split
}
