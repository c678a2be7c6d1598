package alb

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/trafficrouting"
)

// maxNamed is how many addresses a message names.
const maxNamed = 3

// ServiceRegistered reports whether every ready endpoint of a Service is registered in the target
// groups that its TargetGroupBindings name, and if not, why, in a sentence for people. It is true
// where there is nothing to verify: without a Verifier, a definition of TargetGroupBindings or a
// binding, and for targets that are nodes. An error is one of reading the cluster; AWS that does not
// answer is false with a sentence.
func (v *Verifier) ServiceRegistered(ctx context.Context, namespace, service string) (verified bool, why string, err error) {
	if v == nil {
		return true, "", nil
	}
	bindings, err := v.bindingsOf(ctx, namespace, service)
	if err != nil || len(bindings) == 0 {
		return err == nil, "", err
	}
	var svc corev1.Service
	if err := v.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: service}, &svc); err != nil {
		if apierrors.IsNotFound(err) {
			return true, "", nil // Its own check says so.
		}
		return false, "", fmt.Errorf("reading Service %s/%s: %w", namespace, service, err)
	}
	var list discoveryv1.EndpointSliceList
	mine := client.MatchingLabels{discoveryv1.LabelServiceName: service}
	if err := v.client.List(ctx, &list, client.InNamespace(namespace), mine, client.UnsafeDisableDeepCopy); err != nil {
		return false, "", fmt.Errorf("listing the EndpointSlices of Service %s/%s: %w", namespace, service, err)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, b := range bindings {
		if why := v.missing(ctx, b, endpointsOf(list.Items, b.portName(svc.Spec.Ports))); why != "" {
			return false, fmt.Sprintf("Service %s (TargetGroup %s) not verified: %s", service, b.targetGroup, why), nil
		}
	}
	return true, "", nil
}

// missing says which endpoints are not registered in the target group of a binding; empty when all are.
func (v *Verifier) missing(ctx context.Context, b binding, wanted []Target) string {
	targets, err := v.targets.get(ctx, b.targetGroup, time.Time{}, func(ctx context.Context) ([]Target, error) {
		return guarded(v, func() ([]Target, error) { return v.aws.Targets(ctx, b.targetGroup) })
	})
	if err != nil {
		return short(err)
	}
	var without []string
	for _, target := range wanted {
		if !slices.ContainsFunc(targets, func(t Target) bool { return plain(t.ID) == target.ID && t.Port == target.Port }) {
			without = append(without, fmt.Sprintf("%s:%d", target.ID, target.Port))
		}
	}
	if len(without) == 0 {
		return ""
	}
	text := fmt.Sprintf("%d/%d endpoints registered, without ", len(wanted)-len(without), len(wanted))
	if len(without) > maxNamed {
		return text + strings.Join(without[:maxNamed], ", ") + " and others"
	}
	return text + strings.Join(without, ", ")
}

// binding is a TargetGroupBinding of a Service whose targets are pods.
type binding struct {
	targetGroup string // its ARN
	// port is the number of the Service's port, or 0 for one that is named.
	port int64
	name string
}

// bindingsOf lists the bindings of a Service, of all kinds that the cluster serves.
func (v *Verifier) bindingsOf(ctx context.Context, namespace, service string) ([]binding, error) {
	var bindings []binding
	for _, kind := range v.bindings {
		if _, err := trafficrouting.Served(v.client.RESTMapper(), kind.GroupKind(), kind.Version); err != nil {
			if meta.IsNoMatchError(err) {
				continue
			}
			return nil, err
		}
		found, err := v.bindingsIn(ctx, kind, namespace, service)
		if err != nil {
			return nil, err
		}
		bindings = append(bindings, found...)
	}
	return bindings, nil
}

func (v *Verifier) bindingsIn(ctx context.Context, kind schema.GroupVersionKind, namespace, service string) ([]binding, error) {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
	if err := v.client.List(ctx, list, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing the %ss in %s: %w", kind.Kind, namespace, err)
	}
	var bindings []binding
	for i := range list.Items {
		if b, ok := bindingFor(service, list.Items[i].Object); ok {
			bindings = append(bindings, b)
		}
	}
	slices.SortFunc(bindings, func(a, b binding) int { return strings.Compare(a.targetGroup, b.targetGroup) })
	return bindings, nil
}

// bindingFor reads a TargetGroupBinding; false for one of another Service, or whose targets are nodes.
func bindingFor(service string, object map[string]any) (binding, bool) {
	text := func(place ...string) string {
		value, _, _ := unstructured.NestedFieldNoCopy(object, append([]string{"spec"}, place...)...)
		found, _ := value.(string)
		return found
	}
	b := binding{targetGroup: text("targetGroupARN"), name: text("serviceRef", "port")}
	number, _, _ := unstructured.NestedFieldNoCopy(object, "spec", "serviceRef", "port")
	b.port, _ = number.(int64)
	return b, text("serviceRef", "name") == service && text("targetType") == "ip" && b.targetGroup != ""
}

// portName is the name of the Service's port that a binding means, which its EndpointSlices use too.
// It is nil when the Service has no such port: then there is nothing to register.
func (b binding) portName(ports []corev1.ServicePort) *string {
	for i := range ports {
		if b.port > 0 && int64(ports[i].Port) == b.port || b.name != "" && ports[i].Name == b.name {
			return &ports[i].Name
		}
	}
	return nil
}

// endpointsOf are the addresses of the ready endpoints, with the port of that name. A port may have
// another number in every slice.
func endpointsOf(slicesOf []discoveryv1.EndpointSlice, port *string) []Target {
	var endpoints []Target
	for _, slice := range slicesOf {
		for _, p := range slice.Ports {
			if port == nil || p.Port == nil || nameOrEmpty(p.Name) != *port {
				continue
			}
			endpoints = append(endpoints, ready(slice.Endpoints, *p.Port)...)
		}
	}
	slices.SortFunc(endpoints, func(a, b Target) int { return strings.Compare(a.ID, b.ID) })
	return slices.Compact(endpoints)
}

func nameOrEmpty(name *string) string {
	if name == nil {
		return ""
	}
	return *name
}

// ready leaves out what is not ready, and what ends: neither is to be registered.
func ready(endpoints []discoveryv1.Endpoint, port int32) []Target {
	var targets []Target
	for _, e := range endpoints {
		if (e.Conditions.Ready == nil || *e.Conditions.Ready) && len(e.Addresses) > 0 {
			targets = append(targets, Target{ID: plain(e.Addresses[0]), Port: port})
		}
	}
	return targets
}

// plain is an address in the one form that it has here, whatever zeros somebody writes into it.
func plain(text string) string {
	if address, err := netip.ParseAddr(text); err == nil {
		return address.String()
	}
	return text
}
