package istio

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
)

// The kinds that this router reads and patches.
var (
	// VirtualServiceKind carries the weights and the managed routes.
	VirtualServiceKind = schema.GroupKind{Group: "networking.istio.io", Kind: "VirtualService"}
	// DestinationRuleKind carries the hashes of the revisions in its subsets.
	DestinationRuleKind = schema.GroupKind{Group: "networking.istio.io", Kind: "DestinationRule"}
)

// Versions are those in which both kinds can be read, the best one first. They have the same fields.
func Versions() []string { return []string{"v1", "v1beta1", "v1alpha3"} }

const (
	// total is what the weights of Istio are shares of; maxTrafficWeight is of other routers.
	total = 100
	// maxRegex is the longest regular expression that a step may match by. Envoy refuses large ones.
	maxRegex = 4096
)

// Names lists the objects whose events concern the Rollout, as namespace/name by kind, for an index.
// Both lists are empty for a Rollout without Istio routing.
func Names(ro *v1alpha1.Rollout) (virtualServices, destinationRules []string) {
	istio := routingOf(ro)
	if istio == nil {
		return nil, nil
	}
	for _, s := range selectionsOf(istio, field.NewPath("istio")) {
		if s.spec.Name != "" {
			virtualServices = append(virtualServices, keyOf(ro, s.spec.Name).String())
		}
	}
	if rule := istio.DestinationRule; rule != nil && rule.Name != "" {
		destinationRules = append(destinationRules, ro.Namespace+"/"+rule.Name)
	}
	return virtualServices, destinationRules
}

func routingOf(ro *v1alpha1.Rollout) *v1alpha1.IstioTrafficRouting {
	if ro == nil || ro.Spec.Strategy.Canary == nil || ro.Spec.Strategy.Canary.TrafficRouting == nil {
		return nil
	}
	return ro.Spec.Strategy.Canary.TrafficRouting.Istio
}

// selection is one entry of the spec: a VirtualService and which of its routes carry weights.
type selection struct {
	path *field.Path
	spec v1alpha1.IstioVirtualService
}

// target is one VirtualService that the spec names, with all entries that name it.
type target struct {
	key        types.NamespacedName
	selections []selection
}

func (t target) path() *field.Path { return t.selections[0].path.Child("name") }

// intent is what the spec of one Rollout asks of Istio.
type intent struct {
	rollout *v1alpha1.Rollout
	// usable is false for a spec that is wrong. It has no targets, and neither has one without Istio.
	usable  bool
	sides   sides
	targets []target
	// rule names the DestinationRule, or is nil; its path is that of the field.
	rule     *v1alpha1.IstioDestinationRule
	rulePath *field.Path
	// managed are the names of the routes that steps may add.
	managed []string
	// routeStep is the first step that adds a route; nil without any.
	routeStep *field.Path
}

// intentOf reads the spec. The error of a wrong one wraps a *field.Error.
func intentOf(ro *v1alpha1.Rollout) (intent, error) {
	if ro == nil {
		return intent{}, errors.New("reading the spec: there is no Rollout")
	}
	in := intent{rollout: ro}
	istio := routingOf(ro)
	if istio == nil {
		in.usable = true
		return in, nil
	}
	canary := field.NewPath("spec", "strategy", "canary")
	path := canary.Child("trafficRouting", "istio")
	targets, err := targetsOf(ro, istio, path)
	if err == nil {
		err = in.readSides(istio, canary)
	}
	if err == nil {
		err = in.readManaged(targets, canary)
	}
	if err == nil {
		err = in.readSteps(canary.Child("steps"))
	}
	if err != nil {
		return intent{rollout: ro}, fmt.Errorf("reading the spec: %w", err)
	}
	in.usable, in.targets = true, targets
	return in, nil
}

func selectionsOf(istio *v1alpha1.IstioTrafficRouting, path *field.Path) []selection {
	var all []selection
	if istio.VirtualService != nil {
		all = append(all, selection{path.Child("virtualService"), *istio.VirtualService})
	}
	for i, spec := range istio.VirtualServices {
		all = append(all, selection{path.Child("virtualServices").Index(i), spec})
	}
	return all
}

// targetsOf lists the VirtualServices in the order of the spec. Entries that name the same one are
// one target, because it is written once.
func targetsOf(ro *v1alpha1.Rollout, istio *v1alpha1.IstioTrafficRouting, path *field.Path) ([]target, *field.Error) {
	selections := selectionsOf(istio, path)
	switch {
	case len(selections) == 0:
		return nil, field.Required(path.Child("virtualService"), "name the VirtualService whose weights are set")
	case istio.VirtualService != nil && len(istio.VirtualServices) > 0:
		return nil, field.Forbidden(path.Child("virtualServices"),
			"only one of virtualService and virtualServices can be used: remove one of them")
	}
	var targets []target
	for _, s := range selections {
		if s.spec.Name == "" {
			return nil, field.Required(s.path.Child("name"), "name the VirtualService whose weights are set")
		}
		key := keyOf(ro, s.spec.Name)
		if i := slices.IndexFunc(targets, func(t target) bool { return t.key == key }); i >= 0 {
			targets[i].selections = append(targets[i].selections, s)
			continue
		}
		targets = append(targets, target{key, []selection{s}})
	}
	return targets, nil
}

// keyOf reads name, name.namespace and name.namespace.svc.cluster.local. Without a namespace it is
// the Rollout's.
func keyOf(ro *v1alpha1.Rollout, name string) types.NamespacedName {
	short := strings.TrimSuffix(name, ".cluster.local")
	if strings.Count(short, ".") > 1 {
		short = strings.TrimSuffix(short, ".svc")
	}
	dot := strings.LastIndex(short, ".")
	if dot <= 0 {
		return types.NamespacedName{Namespace: ro.Namespace, Name: short}
	}
	return types.NamespacedName{Namespace: short[dot+1:], Name: short[:dot]}
}

// readSides reads how the two sides are known: by subsets if the spec names a DestinationRule, else
// by their Services.
func (in *intent) readSides(istio *v1alpha1.IstioTrafficRouting, canary *field.Path) *field.Error {
	in.sides.stable, in.sides.canary = in.rollout.CanaryServices()
	rule := istio.DestinationRule
	if rule == nil {
		return in.checkServices(canary)
	}
	path := canary.Child("trafficRouting", "istio", "destinationRule")
	switch {
	case rule.Name == "":
		return field.Required(path.Child("name"), "name the DestinationRule whose subsets select the revisions")
	case rule.StableSubsetName == "":
		return field.Required(path.Child("stableSubsetName"), "name the subset of the stable pods")
	case rule.CanarySubsetName == "":
		return field.Required(path.Child("canarySubsetName"), "name the subset of the canary pods")
	case rule.CanarySubsetName == rule.StableSubsetName:
		return field.Invalid(path.Child("canarySubsetName"), rule.CanarySubsetName, "must differ from stableSubsetName")
	}
	for i, name := range rule.AdditionalSubsetNames {
		if name == rule.StableSubsetName || name == rule.CanarySubsetName {
			return field.Invalid(path.Child("additionalSubsetNames").Index(i), name,
				"this subset carries a side of the Rollout, whose weight changes: remove it here")
		}
	}
	in.rule, in.rulePath = rule, path
	in.sides.bySubset, in.sides.stableSubset, in.sides.canarySubset = true, rule.StableSubsetName, rule.CanarySubsetName
	return nil
}

func (in *intent) checkServices(path *field.Path) *field.Error {
	switch {
	case in.sides.stable == "":
		return field.Required(path.Child("stableService"), "Istio routing without a destinationRule needs the Service of the stable pods")
	case in.sides.canary == "":
		return field.Required(path.Child("canaryService"), "Istio routing without a destinationRule needs the Service of the canary pods")
	case in.sides.canary == in.sides.stable:
		return field.Invalid(path.Child("canaryService"), in.sides.canary, "must differ from stableService")
	}
	return nil
}

// readManaged reads the names of managed routes. One that also carries weights would be removed
// when no step asks for it.
func (in *intent) readManaged(targets []target, canary *field.Path) *field.Error {
	path := canary.Child("trafficRouting", "managedRoutes")
	for i, route := range in.rollout.Spec.Strategy.Canary.TrafficRouting.ManagedRoutes {
		if route.Name == "" {
			return field.Required(path.Index(i).Child("name"), "name the route")
		}
		for _, t := range targets {
			for _, s := range t.selections {
				if slices.Contains(s.spec.Routes, route.Name) {
					return field.Invalid(path.Index(i).Child("name"), route.Name,
						"this route carries the weights, and a managed route is removed at the end: give it another name")
				}
			}
		}
		in.managed = append(in.managed, route.Name)
	}
	return nil
}

// readSteps looks for what Istio cannot do before any step is reached.
func (in *intent) readSteps(path *field.Path) *field.Error {
	for i, step := range in.rollout.Spec.Strategy.Canary.Steps {
		var err *field.Error
		switch at := path.Index(i); {
		case step.SetHeaderRoute != nil:
			err = in.readHeaderStep(step.SetHeaderRoute, at.Child("setHeaderRoute"))
		case step.SetMirrorRoute != nil:
			err = in.readMirrorStep(step.SetMirrorRoute, at.Child("setMirrorRoute"))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (in *intent) addsRoute(path *field.Path) {
	if in.routeStep == nil {
		in.routeStep = path
	}
}

func (in *intent) readHeaderStep(step *v1alpha1.SetHeaderRoute, path *field.Path) *field.Error {
	for i, match := range step.Match {
		in.addsRoute(path)
		if err := checkMatch(match.HeaderValue, path.Child("match").Index(i).Child("headerValue")); err != nil {
			return err
		}
	}
	return nil
}

func (in *intent) readMirrorStep(step *v1alpha1.SetMirrorRoute, path *field.Path) *field.Error {
	for i, match := range step.Match {
		in.addsRoute(path)
		at := path.Child("match").Index(i)
		if err := checkMatch(match.Method, at.Child("method")); err != nil {
			return err
		}
		if err := checkMatch(match.Path, at.Child("path")); err != nil {
			return err
		}
		for _, name := range sortedKeys(match.Headers) {
			value := match.Headers[name]
			if err := checkMatch(&value, at.Child("headers").Key(name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkMatch compiles a regular expression as Istio does before it accepts the route.
func checkMatch(match *v1alpha1.StringMatch, path *field.Path) *field.Error {
	if match == nil {
		return nil
	}
	if len(match.Regex) > maxRegex {
		return field.TooLong(path.Child("regex"), "", maxRegex)
	}
	if _, err := regexp.Compile(match.Regex); err != nil {
		return field.Invalid(path.Child("regex"), match.Regex, fmt.Sprintf("Istio matches by RE2 expressions: %v", err))
	}
	return nil
}

// checkSplit refuses a split that cannot be meant for this spec.
func (in intent) checkSplit(s trafficrouting.Split) error {
	if len(in.targets) == 0 {
		return nil
	}
	if err := s.Check(total); err != nil {
		return err
	}
	if s.Stable.Service != in.sides.stable || s.Canary.Service != in.sides.canary {
		return fmt.Errorf("checking the split: it is for the Services %q and %q, the Rollout names %q and %q",
			s.Stable.Service, s.Canary.Service, in.sides.stable, in.sides.canary)
	}
	taken := map[string]bool{"": true, in.sides.stable: true, in.sides.canary: true, in.sides.stableSubset: true, in.sides.canarySubset: true}
	for _, side := range s.Additional {
		if taken[side.Service] {
			return fmt.Errorf("checking the split: the side %q of the Experiment has no Service of its own", side.Service)
		}
		taken[side.Service] = true
	}
	return in.checkRoutes(s.Routes)
}

func (in intent) checkRoutes(routes []trafficrouting.ManagedRoute) error {
	seen := map[string]bool{}
	for _, route := range routes {
		switch {
		case !slices.Contains(in.managed, route.Name):
			return fmt.Errorf("checking the split: the route %q is not in managedRoutes, so nobody would remove it", route.Name)
		case seen[route.Name]:
			return fmt.Errorf("checking the split: it has the route %q twice", route.Name)
		case matchless(route):
			return fmt.Errorf("checking the split: the route %q matches nothing, which Istio takes for everything", route.Name)
		}
		seen[route.Name] = true
	}
	return nil
}

// matchless reports whether a route says of no request that it matches, as one does that is not as
// this router writes it.
func matchless(route trafficrouting.ManagedRoute) bool {
	return len(route.Headers) == 0 && len(route.Mirror) == 0
}
