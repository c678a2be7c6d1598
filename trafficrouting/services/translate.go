// Package services points Kubernetes Services at one revision by the pod template hash in their
// selector, and marks them with the Rollout that does so.
//
// It decides nothing: the planner says which Service gets which hash. The Rollout controller is its
// only caller.
package services

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// Hash is the pod template hash that the Service selects, or "" when it selects none.
func Hash(svc *corev1.Service) string { return svc.Spec.Selector[v1alpha1.PodTemplateHashLabel] }

// ManagedBy names the Rollout that marked the Service, or is "" when none did.
func ManagedBy(svc *corev1.Service) string { return svc.Annotations[v1alpha1.ManagedByAnnotation] }

// NotFound is the error for a field of a Rollout that names a Service which does not exist.
func NotFound(path *field.Path, name string) *field.Error {
	return field.Invalid(path, name, fmt.Sprintf("service %q not found", name))
}

// Validate checks that the Service, which the field at path names, can be pointed at the pods of
// a Rollout: nobody else manages it, and it selects no label the pod template does not have. The
// hash is not compared, since setting it is the purpose.
func Validate(svc *corev1.Service, rolloutName string, templateLabels map[string]string, path *field.Path) *field.Error {
	if owner := ManagedBy(svc); owner != "" && owner != rolloutName {
		return field.Invalid(path, svc.Name, fmt.Sprintf(
			"Service %q is managed by another Rollout, %q: use another Service, or remove its annotation %s if that Rollout is gone",
			svc.Name, owner, v1alpha1.ManagedByAnnotation))
	}
	for _, key := range slices.Sorted(maps.Keys(svc.Spec.Selector)) {
		if key == v1alpha1.PodTemplateHashLabel {
			continue
		}
		want, selected := templateLabels[key], svc.Spec.Selector[key]
		if _, ok := templateLabels[key]; !ok {
			return field.Invalid(path, svc.Name, fmt.Sprintf(
				"Service %q selects pods by label %q, which the pod template does not have: the Service would select no pod",
				svc.Name, key))
		}
		if want != selected {
			return field.Invalid(path, svc.Name, fmt.Sprintf(
				"Service %q selects pods with label %q = %q, but the pod template has %q: the Service would select no pod",
				svc.Name, key, selected, want))
		}
	}
	return nil
}

// Patch is the JSON merge patch that points the Service at a hash and marks it, and nothing else;
// false when it is so already. It holds only what differs, and the UID and resourceVersion of the
// Service it was computed from, so that the API server refuses it for any other.
// An empty name or hash asks for nothing: a Service that selects the empty hash has no pods.
func Patch(svc *corev1.Service, rolloutName, hash string) ([]byte, bool) {
	if rolloutName == "" || hash == "" {
		return nil, false
	}
	annotations, selector := map[string]any{}, map[string]any{}
	if ManagedBy(svc) != rolloutName {
		annotations[v1alpha1.ManagedByAnnotation] = rolloutName
	}
	if Hash(svc) != hash {
		selector[v1alpha1.PodTemplateHashLabel] = hash
	}
	if len(annotations) == 0 && len(selector) == 0 {
		return nil, false
	}
	metadata := map[string]any{"uid": string(svc.UID), "resourceVersion": svc.ResourceVersion}
	body := map[string]any{"metadata": metadata}
	if len(annotations) > 0 {
		metadata["annotations"] = annotations
	}
	if len(selector) > 0 {
		body["spec"] = map[string]any{"selector": selector}
	}
	// Maps of strings cannot fail to encode.
	patch, err := json.Marshal(body)
	return patch, err == nil
}
