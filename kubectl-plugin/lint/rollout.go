package lint

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// rollout checks a Rollout, and against it the objects of the files that it names.
func (l *linter) rollout(o *object, ro *v1alpha1.Rollout) {
	l.invalid(o, v1alpha1.ValidateRollout(ro))
	l.workload(o, ro)
	l.services(o, ro)
	l.routes(o, ro)
	l.analyses(o, ro)
}

// neighbour is an object of the files that a Rollout names; nil when it is in none.
func neighbour[T any](l *linter, of *object, name string) *T {
	for _, o := range l.objects {
		if it, ok := o.typed.(*T); ok && o.Name == name && near(o.Namespace, of.Namespace) {
			return it
		}
	}
	return nil
}

// role is a Service of a Rollout: the path that names it, and the labels that
// pods have besides those of the template while they are behind it.
type role struct {
	path  *field.Path
	name  string
	extra *v1alpha1.PodTemplateMetadata
}

func rolesOf(ro *v1alpha1.Rollout) []role {
	var all []role
	if c := ro.Spec.Strategy.Canary; c != nil {
		at := field.NewPath("spec", "strategy", "canary")
		all = append(all, role{at.Child("canaryService"), c.CanaryService, c.CanaryMetadata}, role{at.Child("stableService"), c.StableService, c.StableMetadata})
		if p := c.PingPong; p != nil {
			all = append(all, role{at.Child("pingPong", "pingService"), p.PingService, nil}, role{at.Child("pingPong", "pongService"), p.PongService, nil})
		}
	}
	if b := ro.Spec.Strategy.BlueGreen; b != nil {
		at := field.NewPath("spec", "strategy", "blueGreen")
		all = append(all, role{at.Child("activeService"), b.ActiveService, b.ActiveMetadata}, role{at.Child("previewService"), b.PreviewService, b.PreviewMetadata})
	}
	return slices.DeleteFunc(all, func(r role) bool { return r.name == "" })
}

// podLabels are the labels of the pods; known is false when the template is in none of the files.
func (l *linter) podLabels(o *object, ro *v1alpha1.Rollout) (labels map[string]string, known bool) {
	ref := ro.Spec.WorkloadRef
	if ref == nil {
		return ro.Spec.Template.Labels, ro.Spec.Template.Malformed == ""
	}
	if deployment := neighbour[appsv1.Deployment](l, o, ref.Name); deployment != nil && ref.Kind == "Deployment" {
		return deployment.Spec.Template.Labels, true
	}
	return nil, false
}

// workload checks the template that a Rollout takes from a Deployment of the files.
func (l *linter) workload(o *object, ro *v1alpha1.Rollout) {
	ref := ro.Spec.WorkloadRef
	if ref == nil || ref.Kind != "Deployment" {
		return
	}
	deployment := neighbour[appsv1.Deployment](l, o, ref.Name)
	if deployment == nil {
		return
	}
	whole := ro.DeepCopy()
	whole.Spec.Template = v1alpha1.PodTemplate{PodTemplateSpec: deployment.Spec.Template}
	if whole.Spec.Selector == nil {
		whole.Spec.Selector = deployment.Spec.Selector
	}
	if err := v1alpha1.ValidateResolved(whole); err != nil {
		l.fail(o.at(err.Field), RuleReference, err.ErrorBody())
	}
}

// services checks that the Services of a Rollout select its pods and are not those of another.
func (l *linter) services(o *object, ro *v1alpha1.Rollout) {
	labels, known := l.podLabels(o, ro)
	for _, r := range rolesOf(ro) {
		service := neighbour[corev1.Service](l, o, r.name)
		if service == nil {
			continue
		}
		if owner, managed := service.Annotations[v1alpha1.ManagedByAnnotation]; managed && owner != ro.Name {
			l.fail(o.field(r.path), RuleReference, fmt.Sprintf("Service %q is managed by Rollout %q: use another Service", r.name, owner))
		}
		if !known {
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(service.Spec.Selector)) {
			want := service.Spec.Selector[key]
			if key == v1alpha1.PodTemplateHashLabel || labels[key] == want || r.extra != nil && r.extra.Labels[key] == want {
				continue
			}
			l.fail(o.field(r.path), RuleReference, fmt.Sprintf("Service %q selects pods by %s=%s, and those of the Rollout do not have that label: make them agree", r.name, key, want))
		}
	}
}

// routes checks the Ingresses and VirtualServices that a Rollout sets weights in.
func (l *linter) routes(o *object, ro *v1alpha1.Rollout) {
	canary := ro.Spec.Strategy.Canary
	if canary == nil || canary.TrafficRouting == nil {
		return
	}
	at := field.NewPath("spec", "strategy", "canary", "trafficRouting")
	routing := canary.TrafficRouting
	if n := routing.Nginx; n != nil {
		l.ingress(o, at.Child("nginx", "stableIngress"), n.StableIngress, canary.StableService)
		for i, name := range n.StableIngresses {
			l.ingress(o, at.Child("nginx", "stableIngresses").Index(i), name, canary.StableService)
		}
	}
	if a := routing.ALB; a != nil {
		service := a.RootService
		if service == "" {
			service = canary.StableService
		}
		l.ingress(o, at.Child("alb", "ingress"), a.Ingress, service)
		for i, name := range a.Ingresses {
			l.ingress(o, at.Child("alb", "ingresses").Index(i), name, service)
		}
	}
	if i := routing.Istio; i != nil {
		l.istio(o, canary, at.Child("istio"))
	}
}

// ingress checks that an Ingress leads to a Service.
func (l *linter) ingress(o *object, path *field.Path, name, service string) {
	if name == "" || service == "" {
		return
	}
	for _, other := range l.objects {
		found, ok := other.typed.(*unstructured.Unstructured)
		if !ok || other.Kind.Kind != "Ingress" || other.Name != name || !near(other.Namespace, o.Namespace) {
			continue
		}
		if !leadsTo(found, service) {
			l.fail(o.field(path), RuleReference, fmt.Sprintf("ingress `%s` has no rules using service %s backend: add a rule for it, or name the Ingress that has one", name, service))
		}
		return
	}
}

// ingressSpec is what is read of an Ingress of any version.
type ingressSpec struct {
	Spec struct {
		Rules []struct {
			HTTP struct {
				Paths []struct {
					Backend struct {
						ServiceName string `json:"serviceName"`
						Service     struct {
							Name string `json:"name"`
						} `json:"service"`
					} `json:"backend"`
				} `json:"paths"`
			} `json:"http"`
		} `json:"rules"`
	} `json:"spec"`
}

func leadsTo(ingress *unstructured.Unstructured, service string) bool {
	var in ingressSpec
	if !readInto(ingress, &in) {
		return true // Its own linter says what is wrong with it.
	}
	for _, rule := range in.Spec.Rules {
		for _, path := range rule.HTTP.Paths {
			if path.Backend.Service.Name == service || path.Backend.ServiceName == service {
				return true
			}
		}
	}
	return false
}

func readInto(object *unstructured.Unstructured, into any) bool {
	text, err := object.MarshalJSON()
	return err == nil && json.Unmarshal(text, into) == nil
}

// virtualSpec is what is read of a VirtualService.
type virtualSpec struct {
	Spec struct {
		HTTP []virtualRoute `json:"http"`
		TLS  []virtualRoute `json:"tls"`
		TCP  []virtualRoute `json:"tcp"`
	} `json:"spec"`
}

type virtualRoute struct {
	Name  string `json:"name"`
	Route []struct {
		Destination struct {
			Host   string `json:"host"`
			Subset string `json:"subset"`
		} `json:"destination"`
	} `json:"route"`
}

// istio checks the VirtualServices of a Rollout that are in the files.
func (l *linter) istio(o *object, canary *v1alpha1.CanaryStrategy, at *field.Path) {
	routing := canary.TrafficRouting.Istio
	check := func(vs *v1alpha1.IstioVirtualService, path *field.Path) {
		name, namespace, _ := strings.Cut(vs.Name, ".")
		for _, other := range l.objects {
			found, ok := other.typed.(*unstructured.Unstructured)
			if !ok || other.Kind.Kind != "VirtualService" || other.Name != name || !near(other.Namespace, namespace) || namespace == "" && !near(other.Namespace, o.Namespace) {
				continue
			}
			var spec virtualSpec
			if readInto(found, &spec) {
				l.virtualService(virtual{object: o, canary: canary, named: vs, path: path}, spec)
			}
			return
		}
	}
	if routing.VirtualService != nil {
		check(routing.VirtualService, at.Child("virtualService"))
	}
	for i := range routing.VirtualServices {
		check(&routing.VirtualServices[i], at.Child("virtualServices").Index(i))
	}
}

// virtual is a VirtualService as a Rollout names it.
type virtual struct {
	object *object
	canary *v1alpha1.CanaryStrategy
	named  *v1alpha1.IstioVirtualService
	path   *field.Path
}

func (l *linter) virtualService(v virtual, found virtualSpec) {
	at := v.object.field(v.path.Child("name"))
	spec := found.Spec
	if len(spec.HTTP)+len(spec.TLS)+len(spec.TCP) == 0 {
		l.fail(at, RuleReference, fmt.Sprintf("VirtualService %s has no http, tls or tcp routes: add one to both Services", v.named.Name))
		return
	}
	if len(v.named.Routes) == 0 {
		if len(v.named.TLSRoutes)+len(v.named.TCPRoutes) > 0 {
			return
		}
		if len(spec.HTTP) > 1 {
			l.fail(at, RuleReference, fmt.Sprintf("VirtualService %s has %d http routes: name those that are meant in routes", v.named.Name, len(spec.HTTP)))
			return
		}
		for i := range spec.HTTP {
			l.destinations(v, at, &spec.HTTP[i])
		}
		return
	}
	for i, name := range v.named.Routes {
		path := v.object.field(v.path.Child("routes").Index(i))
		index := slices.IndexFunc(spec.HTTP, func(r virtualRoute) bool { return r.Name == name })
		if index < 0 {
			l.fail(path, RuleReference, fmt.Sprintf("VirtualService %s has no http route named %q: correct the name, or add the route", v.named.Name, name))
			continue
		}
		l.destinations(v, path, &spec.HTTP[index])
	}
}

// destinations checks that a route leads to both revisions: by Service, or by subset.
func (l *linter) destinations(v virtual, at about, route *virtualRoute) {
	type side struct{ host, subset string }
	sides := map[string]side{"canary": {host: v.canary.CanaryService}, "stable": {host: v.canary.StableService}}
	if p := v.canary.PingPong; p != nil {
		sides = map[string]side{"ping": {host: p.PingService}, "pong": {host: p.PongService}}
	}
	if rule := v.canary.TrafficRouting.Istio.DestinationRule; rule != nil {
		sides = map[string]side{"canary": {subset: rule.CanarySubsetName}, "stable": {subset: rule.StableSubsetName}}
	}
	for _, name := range slices.Sorted(maps.Keys(sides)) {
		s, there := sides[name], false
		for _, r := range route.Route {
			host, _, _ := strings.Cut(r.Destination.Host, ".")
			there = there || s.host != "" && host == s.host || s.subset != "" && r.Destination.Subset == s.subset
		}
		if !there && s != (side{}) {
			what := "Service " + s.host
			if s.subset != "" {
				what = "subset " + s.subset
			}
			l.fail(at, RuleReference, fmt.Sprintf("a route of VirtualService %s has no destination %s, which is the %s: add it", v.named.Name, what, name))
		}
	}
}
