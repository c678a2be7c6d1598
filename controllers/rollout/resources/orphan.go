package resources

import (
	"cmp"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// Adoptable reports whether a ReplicaSet that nobody controls is to become one
// of the Rollout. Its labels must be those of the Rollout, and then the name
// decides: what has another is that of another Rollout, and what is taken by
// mistake loses its pods. A Rollout that begins, under a new name, takes over
// what nobody else has a claim to.
func Adoptable(ro *v1alpha1.Rollout, rs *appsv1.ReplicaSet, others []v1alpha1.Rollout) bool {
	if ro.Spec.Selector == nil || !Claims(ro, rs.Labels) || rs.Annotations[v1alpha1.ExperimentAnnotation] != "" {
		return false
	}
	if named(ro, rs) {
		return true
	}
	st, hash := &ro.Status, rs.Labels[v1alpha1.PodTemplateHashLabel]
	if begun := st.CurrentPodHash != ""; begun && hash != st.CurrentPodHash && hash != st.StableRS {
		return false
	}
	return !slices.ContainsFunc(others, func(other v1alpha1.Rollout) bool { return named(&other, rs) || Claims(&other, rs.Labels) })
}

// Claims reports whether a Rollout selects these labels. One whose selector is
// not known, since its workload has it, may.
func Claims(ro *v1alpha1.Rollout, of map[string]string) bool {
	if ro.Spec.Selector == nil {
		return ro.Spec.WorkloadRef != nil
	}
	selector, err := metav1.LabelSelectorAsSelector(ro.Spec.Selector)
	return err == nil && !selector.Empty() && selector.Matches(labels.Set(of))
}

// CompareOrphans orders ReplicaSets by who comes first where two have one hash: the one with the Rollout's name.
func CompareOrphans(ro *v1alpha1.Rollout, a, b *appsv1.ReplicaSet) int {
	first := func(rs *appsv1.ReplicaSet) int {
		if named(ro, rs) {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(first(a), first(b)), cmp.Compare(a.Name, b.Name))
}

// named reports whether a ReplicaSet has the name that the Rollout gives to its own.
func named(ro *v1alpha1.Rollout, rs *appsv1.ReplicaSet) bool {
	return rs.Name == ReplicaSetName(ro.Name, rs.Labels[v1alpha1.PodTemplateHashLabel])
}
