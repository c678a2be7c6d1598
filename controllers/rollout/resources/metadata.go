package resources

import (
	"encoding/json"
	"fmt"
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// This file puts labels and annotations onto a pod template for the role of its
// revision, and takes them off again. Annotations of the ReplicaSet remember
// what was put there and what it replaced.

// injected is what was put onto the template; nil for nothing. What nobody can
// read was not written by a controller.
func injected(rs *appsv1.ReplicaSet) *v1alpha1.PodTemplateMetadata {
	return decode(rs.Annotations[v1alpha1.EphemeralMetadataAnnotation])
}

func decode(text string) *v1alpha1.PodTemplateMetadata {
	var m v1alpha1.PodTemplateMetadata
	if text == "" || json.Unmarshal([]byte(text), &m) != nil || isEmpty(&m) {
		return nil
	}
	return &m
}

func encodeMetadata(m *v1alpha1.PodTemplateMetadata) (string, error) {
	data, err := json.Marshal(m)
	if err != nil {
		return "", fmt.Errorf("encoding metadata: %w", err)
	}
	return string(data), nil
}

func isEmpty(m *v1alpha1.PodTemplateMetadata) bool {
	return m == nil || len(m.Labels) == 0 && len(m.Annotations) == 0
}

// values are metadata that may be nil.
func values(m *v1alpha1.PodTemplateMetadata) v1alpha1.PodTemplateMetadata {
	if m == nil {
		return v1alpha1.PodTemplateMetadata{}
	}
	return *m
}

// inject puts metadata onto a template that has none yet, and notes it in the annotations of its ReplicaSet.
func inject(template *corev1.PodTemplateSpec, annotations map[string]string, m *v1alpha1.PodTemplateMetadata) {
	if isEmpty(m) {
		return
	}
	old := v1alpha1.PodTemplateMetadata{Labels: common(template.Labels, m.Labels), Annotations: common(template.Annotations, m.Annotations)}
	template.Labels, template.Annotations = merged(template.Labels, m.Labels), merged(template.Annotations, m.Annotations)
	note := func(key string, m *v1alpha1.PodTemplateMetadata) {
		if text, err := encodeMetadata(m); err == nil && !isEmpty(m) { // Maps of strings are always encoded.
			annotations[key] = text
		}
	}
	note(v1alpha1.EphemeralMetadataAnnotation, m)
	note(v1alpha1.ReplacedMetadataAnnotation, &old)
}

// common are the values in has for the keys of other.
func common(has, other map[string]string) map[string]string {
	out := map[string]string{}
	for key := range other {
		if value, ok := has[key]; ok {
			out[key] = value
		}
	}
	return out
}

// merged is a map with another on top.
func merged(a, b map[string]string) map[string]string {
	if len(b) == 0 {
		return a
	}
	out := maps.Clone(a)
	if out == nil {
		out = map[string]string{}
	}
	maps.Copy(out, b)
	return out
}

// takeOut makes a template what it was before anything was put onto it.
func takeOut(template *corev1.PodTemplateSpec, rs *appsv1.ReplicaSet) {
	put, old := values(injected(rs)), values(decode(rs.Annotations[v1alpha1.ReplacedMetadataAnnotation]))
	for key := range put.Labels {
		delete(template.Labels, key)
	}
	for key := range put.Annotations {
		delete(template.Annotations, key)
	}
	template.Labels, template.Annotations = merged(template.Labels, common(old.Labels, put.Labels)), merged(template.Annotations, common(old.Annotations, put.Annotations))
}

// Relabel is the patch that puts other metadata in the place of what is on the
// template of a ReplicaSet, and marks its pods as not done. Keys that nobody
// put there are left alone.
func Relabel(rs *appsv1.ReplicaSet, want *v1alpha1.PodTemplateMetadata) (map[string]any, error) {
	plain := Template(rs)
	old := v1alpha1.PodTemplateMetadata{Labels: common(plain.Labels, values(want).Labels), Annotations: common(plain.Annotations, values(want).Annotations)}
	keys := v1alpha1.PodTemplateMetadata{}
	for _, m := range []*v1alpha1.PodTemplateMetadata{injected(rs), want, pendingKeys(rs)} {
		keys.Labels, keys.Annotations = merged(keys.Labels, values(m).Labels), merged(keys.Annotations, values(m).Annotations)
	}
	annotations := map[string]any{}
	for key, m := range map[string]*v1alpha1.PodTemplateMetadata{
		v1alpha1.EphemeralMetadataAnnotation: want, v1alpha1.ReplacedMetadataAnnotation: &old, v1alpha1.PendingMetadataAnnotation: withoutValues(keys),
	} {
		annotations[key] = nil
		if isEmpty(m) {
			continue
		}
		text, err := encodeMetadata(m)
		if err != nil {
			return nil, err
		}
		annotations[key] = text
	}
	return map[string]any{
		"metadata": map[string]any{"uid": rs.UID, "resourceVersion": rs.ResourceVersion, "annotations": annotations},
		"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{
			"labels":      changes(rs.Spec.Template.Labels, merged(plain.Labels, values(want).Labels), keys.Labels),
			"annotations": changes(rs.Spec.Template.Annotations, merged(plain.Annotations, values(want).Annotations), keys.Annotations),
		}}},
	}, nil
}

// pendingKeys are the keys, without values, that pods may not have as their template has them.
func pendingKeys(rs *appsv1.ReplicaSet) *v1alpha1.PodTemplateMetadata {
	return decode(rs.Annotations[v1alpha1.PendingMetadataAnnotation])
}

func withoutValues(m v1alpha1.PodTemplateMetadata) *v1alpha1.PodTemplateMetadata {
	blank := func(values map[string]string) map[string]string {
		out := map[string]string{}
		for key := range values {
			out[key] = ""
		}
		return out
	}
	return &v1alpha1.PodTemplateMetadata{Labels: blank(m.Labels), Annotations: blank(m.Annotations)}
}

// changes are the entries of a merge patch that make some keys as wanted.
func changes(has, want, keys map[string]string) map[string]any {
	out := map[string]any{}
	for key := range keys {
		is, there := has[key]
		switch should, wanted := want[key]; {
		case wanted && (!there || is != should):
			out[key] = should
		case !wanted && there:
			out[key] = nil
		}
	}
	return out
}

// PodChanges is the patch that gives a pod the metadata of its ReplicaSet's
// template; nil when it has it. Only keys that were put there for a role are touched.
func PodChanges(pod *corev1.Pod, rs *appsv1.ReplicaSet) map[string]any {
	keys := values(pendingKeys(rs))
	labels := changes(pod.Labels, rs.Spec.Template.Labels, keys.Labels)
	annotations := changes(pod.Annotations, rs.Spec.Template.Annotations, keys.Annotations)
	if len(labels) == 0 && len(annotations) == 0 {
		return nil
	}
	return map[string]any{"metadata": map[string]any{"uid": pod.UID, "labels": labels, "annotations": annotations}}
}
