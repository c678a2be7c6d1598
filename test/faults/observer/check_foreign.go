package observer

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// narrow is S15: of what a Rollout names, nothing but the hash in a selector changes.
func (c *checker) narrow(was, is state) {
	switch {
	case c.at.Kind == Ingress && c.at.Name == is.canary().TrafficRouting.Nginx.StableIngress:
		before, now := was.ingresses[c.at.Name], is.ingresses[c.at.Name]
		if before == nil || now == nil || !c.byController() {
			return
		}
		if !equality.Semantic.DeepEqual(before.Spec, now.Spec) || !maps.Equal(before.Annotations, now.Annotations) {
			c.say("the stable Ingress was changed")
		}
	case c.at.Kind == Service && (c.at.Name == is.canary().StableService || c.at.Name == is.canary().CanaryService):
		before, now := was.services[c.at.Name], is.services[c.at.Name]
		if before == nil || now == nil {
			return
		}
		a, b := before.Spec.DeepCopy(), now.Spec.DeepCopy()
		delete(a.Selector, v1alpha1.PodTemplateHashLabel)
		delete(b.Selector, v1alpha1.PodTemplateHashLabel)
		if !equality.Semantic.DeepEqual(a, b) {
			c.say("more than the hash in the selector was changed")
		}
	}
}

// foreign is S16: the controller writes to what a Rollout names, or a Rollout or
// an Experiment owns, and to nothing else.
func (c *checker) foreign(was, is state) {
	if c.at.Kind == Rollout || c.at.Kind == Pod || owned(c.at.Object) || is.named(c.at) || was.named(c.at) {
		return
	}
	if managed := c.at.Object.GetManagedFields(); len(managed) > 0 && c.byController() {
		c.say("it belongs to no Rollout, and the controller wrote to it")
	}
}

func owned(object *unstructured.Unstructured) bool {
	owner := metav1.GetControllerOf(object)
	return owner != nil && (owner.Kind == v1alpha1.RolloutKind.Kind || owner.Kind == v1alpha1.ExperimentKind.Kind)
}

// named reports whether a Rollout of the namespace names the object.
func (s state) named(c Change) bool {
	for _, ro := range s.rollouts {
		canary := ro.Spec.Strategy.Canary
		if canary == nil {
			continue
		}
		switch {
		case c.Kind == Service && (c.Name == canary.StableService || c.Name == canary.CanaryService):
			return true
		case c.Kind == Ingress && canary.TrafficRouting != nil && canary.TrafficRouting.Nginx != nil:
			nginx := canary.TrafficRouting.Nginx
			if c.Name == nginx.StableIngress || slices.Contains(nginx.StableIngresses, c.Name) {
				return true
			}
		}
	}
	return false
}
