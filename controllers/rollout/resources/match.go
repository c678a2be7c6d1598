package resources

import (
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// Template is the pod template of a ReplicaSet without what was put there for
// its role, and with what that replaced.
func Template(rs *appsv1.ReplicaSet) corev1.PodTemplateSpec {
	template := *rs.Spec.Template.DeepCopy()
	takeOut(&template, rs)
	withoutAvoid(&template)
	return template
}

// MayMatch reports whether a ReplicaSet's template holds everything the given
// template asks for. If not, they differ; if so, they may still differ in what
// the API server fills in, which only the API server can tell.
func MayMatch(template v1alpha1.PodTemplate, rs *appsv1.ReplicaSet) (bool, error) {
	want, err := asJSON(template)
	if err != nil {
		return false, err
	}
	has, err := asJSON(Template(rs))
	if err != nil {
		return false, err
	}
	return contains(has, want), nil
}

// SameTemplate compares two templates that the API server completed, apart from the revision's own label.
func SameTemplate(a, b corev1.PodTemplateSpec) bool {
	a, b = *a.DeepCopy(), *b.DeepCopy()
	delete(a.Labels, v1alpha1.PodTemplateHashLabel)
	delete(b.Labels, v1alpha1.PodTemplateHashLabel)
	dropEmptyAffinity(&a)
	dropEmptyAffinity(&b)
	return equality.Semantic.DeepEqual(a, b)
}

func asJSON(v any) (any, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encoding a pod template: %w", err)
	}
	var out any
	if err := json.Unmarshal(data, &out); err != nil {
		return nil, fmt.Errorf("decoding a pod template: %w", err)
	}
	return out, nil
}

// contains reports whether every value in want is in has. Lists are compared by position.
func contains(has, want any) bool {
	switch want := want.(type) {
	case nil:
		return true
	case map[string]any:
		has, ok := has.(map[string]any)
		for key, value := range want {
			if !ok || !contains(has[key], value) {
				return len(want) == 0
			}
		}
		return true
	case []any:
		has, ok := has.([]any)
		if !ok || len(has) != len(want) {
			return len(want) == 0
		}
		for i := range want {
			if !contains(has[i], want[i]) {
				return false
			}
		}
		return true
	default:
		return has == want
	}
}
