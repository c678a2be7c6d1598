package main

import (
	"fmt"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// What NGINX reads on a canary Ingress.
const (
	canaryAnnotation = "nginx.ingress.kubernetes.io/canary"
	weightAnnotation = "nginx.ingress.kubernetes.io/canary-weight"
)

// objects are what decides where a request goes.
type objects struct {
	Ingresses   []networkingv1.Ingress
	Services    []corev1.Service
	ReplicaSets []appsv1.ReplicaSet
}

// share is the part of the traffic that one revision gets.
type share struct {
	Revision revision
	Percent  int
	// Ready is false when no pod of the revision can answer.
	Ready bool
}

// revision is a pod template hash and the tag of its image.
type revision struct{ Hash, Tag string }

// shares reads the split as NGINX and the endpoints of the Services would: the
// canary Ingress carries a weight, the stable one gets the rest, and each Service
// leads to the pods of the hash in its selector.
func (o objects) shares() ([]share, error) {
	weight := 0
	var out []share
	for i := range o.Ingresses {
		ing := &o.Ingresses[i]
		if ing.Annotations[canaryAnnotation] != "true" {
			continue
		}
		var err error
		if weight, err = strconv.Atoi(ing.Annotations[weightAnnotation]); err != nil || weight < 0 || weight > 100 {
			return nil, fmt.Errorf("the canary Ingress %s has the weight %q, not a number from 0 to 100", ing.Name, ing.Annotations[weightAnnotation])
		}
		to, err := o.behind(ing)
		if err != nil {
			return nil, err
		}
		to.Percent = weight
		out = append(out, to)
	}
	for i := range o.Ingresses {
		ing := &o.Ingresses[i]
		if ing.Annotations[canaryAnnotation] == "true" {
			continue
		}
		to, err := o.behind(ing)
		if err != nil {
			return nil, err
		}
		to.Percent = 100 - weight
		out = append(out, to)
	}
	return out, nil
}

// behind follows an Ingress to its Service and that one's selector to a revision. A
// revision that does not exist has no pods to answer.
func (o objects) behind(ing *networkingv1.Ingress) (share, error) {
	if len(ing.Spec.Rules) != 1 || ing.Spec.Rules[0].HTTP == nil || len(ing.Spec.Rules[0].HTTP.Paths) != 1 ||
		ing.Spec.Rules[0].HTTP.Paths[0].Backend.Service == nil {
		return share{}, fmt.Errorf("the Ingress %s does not have one rule with one path to a Service", ing.Name)
	}
	service := ing.Spec.Rules[0].HTTP.Paths[0].Backend.Service.Name
	for i := range o.Services {
		if o.Services[i].Name == service {
			return o.selected(o.Services[i].Spec.Selector[v1alpha1.PodTemplateHashLabel]), nil
		}
	}
	return share{}, fmt.Errorf("the Ingress %s leads to Service %s, which does not exist", ing.Name, service)
}

func (o objects) selected(hash string) share {
	to := share{Revision: revision{Hash: hash}}
	for i := range o.ReplicaSets {
		rs := &o.ReplicaSets[i]
		if hash != "" && rs.Labels[v1alpha1.PodTemplateHashLabel] == hash {
			to.Revision.Tag = tagOf(rs.Spec.Template.Spec.Containers)
			to.Ready = rs.Status.ReadyReplicas > 0
		}
	}
	return to
}

// tagOf is the tag of the first container's image.
func tagOf(containers []corev1.Container) string {
	if len(containers) == 0 {
		return ""
	}
	_, tag, _ := strings.Cut(containers[0].Image, ":")
	return tag
}
