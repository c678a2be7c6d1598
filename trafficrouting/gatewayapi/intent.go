package gatewayapi

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
)

const (
	// The label of routes that share traffic, as the plugin has it: tools that sync manifests leave such routes alone.
	defaultLabelKey   = "rollouts.argoproj.io/gatewayapi-canary"
	defaultLabelValue = "in-progress"

	// maxWeight is the largest weight of a backend.
	maxWeight = 1_000_000
)

// target is what one field of the spec names: a route, or every route with some labels.
type target struct {
	kind kind
	name string
	// selector is nil for a route that is named.
	selector labels.Selector
	path     *field.Path
	// managed tells that the routes of steps are made here too.
	managed bool
}

// intent is what the spec of one Rollout asks of its routes.
type intent struct {
	rollout *v1alpha1.Rollout
	// usable is false for a spec that is wrong. It has no targets, and neither has one without Gateway API.
	usable         bool
	namespace      string
	stable, canary string
	// swaps tells that the two Services swap roles, so that a rule may have the canary's alone.
	swaps bool
	// total is what weights are shares of.
	total   int32
	targets []target
	// labelKey is empty when routes get no label.
	labelKey, labelValue string
	// managed are the names of the routes that steps may make.
	managed []string
	steps   []stepRoute
}

// gatewayOf is the Gateway API routing of a Rollout and the field that it stands in; nil without any.
func gatewayOf(ro *v1alpha1.Rollout) (*v1alpha1.GatewayAPITrafficRouting, *field.Path, error) {
	canary := ro.Spec.Strategy.Canary
	if canary == nil || canary.TrafficRouting == nil {
		return nil, nil, nil
	}
	path := field.NewPath("spec", "strategy", "canary", "trafficRouting")
	if canary.TrafficRouting.GatewayAPI != nil {
		return canary.TrafficRouting.GatewayAPI, path.Child("gatewayAPI"), nil
	}
	path = path.Child("plugins").Key(v1alpha1.GatewayAPIPlugin)
	gateway, err := canary.TrafficRouting.Gateway()
	if err != nil {
		settings := string(canary.TrafficRouting.Plugins[v1alpha1.GatewayAPIPlugin])
		return nil, path, field.Invalid(path, settings, fmt.Sprintf("the settings are those of trafficRouting.gatewayAPI: %v", err))
	}
	return gateway, path, nil
}

// intentOf reads the spec. The error of a wrong one wraps a *field.Error.
func intentOf(ro *v1alpha1.Rollout) (intent, error) {
	if ro == nil {
		return intent{}, errors.New("reading the spec: there is no Rollout")
	}
	in := intent{rollout: ro, total: v1alpha1.DefaultMaxTrafficWeight}
	canary := ro.Spec.Strategy.Canary
	if canary == nil {
		in.usable = true
		return in, nil
	}
	in.total, in.swaps = min(canary.MaxTrafficWeight(), maxWeight), canary.PingPong != nil
	in.stable, in.canary = ro.CanaryServices()
	gateway, path, err := gatewayOf(ro)
	if err != nil {
		return in, fmt.Errorf("reading the spec: %w", err)
	}
	if gateway == nil {
		in.usable = true
		return in, nil
	}
	if wrong := in.read(gateway, path); wrong != nil {
		in.targets = nil
		return in, fmt.Errorf("reading the spec: %w", wrong)
	}
	in.usable = true
	return in, nil
}

// read takes in the settings.
func (in *intent) read(gateway *v1alpha1.GatewayAPITrafficRouting, path *field.Path) *field.Error {
	in.namespace = gateway.Namespace
	if in.namespace == "" {
		in.namespace = in.rollout.Namespace
	}
	for _, route := range in.rollout.Spec.Strategy.Canary.TrafficRouting.ManagedRoutes {
		in.managed = append(in.managed, route.Name)
	}
	if err := in.checkServices(); err != nil {
		return err
	}
	if err := in.readLabel(gateway, path); err != nil {
		return err
	}
	targets, err := targetsOf(gateway, path)
	if err != nil {
		return err
	}
	in.targets = targets
	in.steps, err = in.readSteps()
	return err
}

func (in *intent) checkServices() *field.Error {
	path := field.NewPath("spec", "strategy", "canary")
	stableAt, canaryAt := path.Child("stableService"), path.Child("canaryService")
	if in.swaps {
		stableAt, canaryAt = path.Child("pingPong", "pingService"), path.Child("pingPong", "pongService")
	}
	given := int32(v1alpha1.DefaultMaxTrafficWeight)
	if total := in.rollout.Spec.Strategy.Canary.TrafficRouting.MaxTrafficWeight; total != nil {
		given = *total
	}
	switch {
	case in.stable == "":
		return field.Required(stableAt, "Gateway API routing needs the Service of the stable pods")
	case in.canary == "":
		return field.Required(canaryAt, "Gateway API routing needs the Service of the canary pods")
	case in.canary == in.stable:
		return field.Invalid(canaryAt, in.canary, "must differ from the other Service")
	case given < 1 || given > maxWeight:
		return field.Invalid(path.Child("trafficRouting", "maxTrafficWeight"), given,
			fmt.Sprintf("must be between 1 and %d, the largest weight of a backend", maxWeight))
	}
	return nil
}

func (in *intent) readLabel(gateway *v1alpha1.GatewayAPITrafficRouting, path *field.Path) *field.Error {
	if gateway.DisableInProgressLabel {
		return nil
	}
	in.labelKey, in.labelValue = gateway.InProgressLabelKey, gateway.InProgressLabelValue
	if in.labelKey == "" {
		in.labelKey = defaultLabelKey
	}
	if in.labelValue == "" {
		in.labelValue = defaultLabelValue
	}
	if wrong := validation.IsQualifiedName(in.labelKey); len(wrong) > 0 {
		return field.Invalid(path.Child("inProgressLabelKey"), in.labelKey, strings.Join(wrong, "; "))
	}
	if wrong := validation.IsValidLabelValue(in.labelValue); len(wrong) > 0 {
		return field.Invalid(path.Child("inProgressLabelValue"), in.labelValue, strings.Join(wrong, "; "))
	}
	return nil
}

// fields are the three fields that name the routes of one kind.
type fields struct {
	kind     kind
	name     string // of the three fields, as far as it is the same
	one      string
	several  []v1alpha1.GatewayAPIRoute
	selector *metav1.LabelSelector
}

func fieldsOf(g *v1alpha1.GatewayAPITrafficRouting) []fields {
	return []fields{
		{httpRoutes, "httpRoute", g.HTTPRoute, g.HTTPRoutes, g.HTTPRouteSelector},
		{grpcRoutes, "grpcRoute", g.GRPCRoute, g.GRPCRoutes, g.GRPCRouteSelector},
		{tcpRoutes, "tcpRoute", g.TCPRoute, g.TCPRoutes, g.TCPRouteSelector},
		{tlsRoutes, "tlsRoute", g.TLSRoute, g.TLSRoutes, g.TLSRouteSelector},
	}
}

func targetsOf(gateway *v1alpha1.GatewayAPITrafficRouting, path *field.Path) ([]target, *field.Error) {
	var targets []target
	for _, f := range fieldsOf(gateway) {
		some, err := f.targets(path)
		if err != nil {
			return nil, err
		}
		targets = append(targets, some...)
	}
	if len(targets) == 0 {
		return nil, field.Required(path, "name a route in httpRoute, grpcRoute, tcpRoute or tlsRoute, or select routes by label")
	}
	return targets, nil
}

// targets are the routes of one kind. One that is named alone gets the routes of steps; one of several
// gets them if it says so; one that is found by label does not, as with the plugin.
func (f fields) targets(path *field.Path) ([]target, *field.Error) {
	var targets []target
	if f.one != "" {
		targets = append(targets, target{kind: f.kind, name: f.one, path: path.Child(f.name), managed: f.kind.matches})
	}
	for i, route := range f.several {
		at := path.Child(f.name + "s").Index(i).Child("name")
		if route.Name == "" {
			return nil, field.Required(at, "name a "+f.kind.name)
		}
		targets = append(targets, target{kind: f.kind, name: route.Name, path: at, managed: f.kind.matches && route.UseHeaderRoutes})
	}
	if f.selector != nil {
		at := path.Child(f.name + "Selector")
		selector, err := metav1.LabelSelectorAsSelector(f.selector)
		if err != nil {
			return nil, field.Invalid(at, metav1.FormatLabelSelector(f.selector), err.Error())
		}
		targets = append(targets, target{kind: f.kind, selector: selector, path: at})
	}
	return targets, nil
}

// checkSplit refuses a split that cannot be meant for this spec.
func (in intent) checkSplit(split trafficrouting.Split) error {
	if split.Stable.Service != in.stable || split.Canary.Service != in.canary {
		return fmt.Errorf("checking the split: it is for the Services %q and %q, the Rollout names %q and %q",
			split.Stable.Service, split.Canary.Service, in.stable, in.canary)
	}
	return split.Check(in.total)
}

// homeSplit leaves everything with the stable side.
func (in intent) homeSplit() trafficrouting.Split {
	return trafficrouting.Split{
		MaxWeight: in.total,
		Stable:    trafficrouting.Backend{Service: in.stable, Weight: in.total},
		Canary:    trafficrouting.Backend{Service: in.canary},
	}
}

// splitAt is the whole split that was seen; false when its parts exceed the whole, as those of
// routes that disagree can.
func (in intent) splitAt(seen trafficrouting.Observed) (trafficrouting.Split, bool) {
	split := trafficrouting.Split{
		MaxWeight:  in.total,
		Canary:     trafficrouting.Backend{Service: in.canary, Weight: seen.CanaryWeight},
		Additional: seen.Additional,
		Routes:     seen.Routes,
	}
	left := int64(in.total) - int64(seen.CanaryWeight)
	for _, side := range seen.Additional {
		left -= int64(side.Weight)
	}
	split.Stable = trafficrouting.Backend{Service: in.stable, Weight: int32(max(left, 0))}
	return split, left >= 0
}

// Names lists the routes whose events concern a Rollout, for an index: kind/namespace/name, and
// kind/namespace/* where the Rollout selects by label. What Keys says of a route is looked up there.
// It is empty for a Rollout without Gateway API routing, and for one whose settings cannot be read.
func Names(ro *v1alpha1.Rollout) []string {
	in, _ := intentOf(ro) // The error of a wrong spec is told when the Rollout is observed.
	names := make([]string, 0, len(in.targets))
	for _, t := range in.targets {
		name := t.name
		if t.selector != nil {
			name = anyName
		}
		names = append(names, t.kind.name+"/"+in.namespace+"/"+name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// anyName stands for every name where routes are selected. It is not the name of any object.
const anyName = "*"

// Keys lists what Names says of a Rollout that names or selects a route of a kind.
func Keys(kind string, route metav1.Object) []string {
	prefix := kind + "/" + route.GetNamespace() + "/"
	return []string{prefix + route.GetName(), prefix + anyName}
}
