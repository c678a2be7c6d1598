package resources

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// This file keeps the pods of the current revision away from the nodes of
// another, by one term in the anti-affinity of its template.

// avoid adds the term of the strategy to a template; an empty hash adds none.
func avoid(template *corev1.PodTemplateSpec, ro *v1alpha1.Rollout, hash string) {
	strategy := antiAffinity(ro)
	if hash == "" || strategy == nil {
		return
	}
	if template.Spec.Affinity == nil {
		template.Spec.Affinity = &corev1.Affinity{}
	}
	if template.Spec.Affinity.PodAntiAffinity == nil {
		template.Spec.Affinity.PodAntiAffinity = &corev1.PodAntiAffinity{}
	}
	to := template.Spec.Affinity.PodAntiAffinity
	term := avoidTerm(ro.Namespace, hash)
	if preferred := strategy.PreferredDuringSchedulingIgnoredDuringExecution; preferred != nil {
		to.PreferredDuringSchedulingIgnoredDuringExecution = append(to.PreferredDuringSchedulingIgnoredDuringExecution,
			corev1.WeightedPodAffinityTerm{Weight: preferred.Weight, PodAffinityTerm: term})
		return
	}
	to.RequiredDuringSchedulingIgnoredDuringExecution = append(to.RequiredDuringSchedulingIgnoredDuringExecution, term)
}

func antiAffinity(ro *v1alpha1.Rollout) *v1alpha1.AntiAffinity {
	switch strategy := ro.Spec.Strategy; {
	case strategy.Canary != nil:
		return strategy.Canary.AntiAffinity
	case strategy.BlueGreen != nil:
		return strategy.BlueGreen.AntiAffinity
	default:
		return nil
	}
}

func avoidTerm(namespace, hash string) corev1.PodAffinityTerm {
	return corev1.PodAffinityTerm{
		LabelSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
			{Key: v1alpha1.PodTemplateHashLabel, Operator: metav1.LabelSelectorOpIn, Values: []string{hash}},
		}},
		Namespaces:  []string{namespace},
		TopologyKey: corev1.LabelHostname,
	}
}

// avoidedBy is the revision that a term keeps away from; empty for a term of somebody else.
func avoidedBy(term corev1.PodAffinityTerm) string {
	s := term.LabelSelector
	if s == nil || len(s.MatchLabels) > 0 || len(s.MatchExpressions) != 1 || term.TopologyKey != corev1.LabelHostname {
		return ""
	}
	e := s.MatchExpressions[0]
	if e.Key != v1alpha1.PodTemplateHashLabel || e.Operator != metav1.LabelSelectorOpIn || len(e.Values) != 1 {
		return ""
	}
	return e.Values[0]
}

// avoided is the revision whose nodes the pods of a template avoid; empty when there is none.
func avoided(template corev1.PodTemplateSpec) string {
	if template.Spec.Affinity == nil || template.Spec.Affinity.PodAntiAffinity == nil {
		return ""
	}
	terms := slices.Clone(template.Spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution)
	for _, weighted := range template.Spec.Affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution {
		terms = append(terms, weighted.PodAffinityTerm)
	}
	for _, term := range terms {
		if hash := avoidedBy(term); hash != "" {
			return hash
		}
	}
	return ""
}

// withoutAvoid takes the term out of a template.
func withoutAvoid(template *corev1.PodTemplateSpec) {
	if template.Spec.Affinity == nil || template.Spec.Affinity.PodAntiAffinity == nil {
		return
	}
	from := template.Spec.Affinity.PodAntiAffinity
	from.RequiredDuringSchedulingIgnoredDuringExecution = slices.DeleteFunc(from.RequiredDuringSchedulingIgnoredDuringExecution,
		func(term corev1.PodAffinityTerm) bool { return avoidedBy(term) != "" })
	from.PreferredDuringSchedulingIgnoredDuringExecution = slices.DeleteFunc(from.PreferredDuringSchedulingIgnoredDuringExecution,
		func(term corev1.WeightedPodAffinityTerm) bool { return avoidedBy(term.PodAffinityTerm) != "" })
	dropEmptyAffinity(template)
}

// dropEmptyAffinity removes what says nothing: it is there or not by who wrote it.
func dropEmptyAffinity(template *corev1.PodTemplateSpec) {
	affinity := template.Spec.Affinity
	if affinity == nil {
		return
	}
	if a := affinity.PodAntiAffinity; a != nil && len(a.RequiredDuringSchedulingIgnoredDuringExecution) == 0 && len(a.PreferredDuringSchedulingIgnoredDuringExecution) == 0 {
		affinity.PodAntiAffinity = nil
	}
	if *affinity == (corev1.Affinity{}) {
		template.Spec.Affinity = nil
	}
}

// Avoid is the patch that makes the new pods of a ReplicaSet avoid the nodes of
// another revision, and of no other; of none with an empty hash.
func Avoid(ro *v1alpha1.Rollout, rs *appsv1.ReplicaSet, hash string) map[string]any {
	template := *rs.Spec.Template.DeepCopy()
	withoutAvoid(&template)
	avoid(&template, ro, hash)
	terms := map[string]any{"requiredDuringSchedulingIgnoredDuringExecution": nil, "preferredDuringSchedulingIgnoredDuringExecution": nil}
	if affinity := template.Spec.Affinity; affinity != nil && affinity.PodAntiAffinity != nil {
		if required := affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution; len(required) > 0 {
			terms["requiredDuringSchedulingIgnoredDuringExecution"] = required
		}
		if preferred := affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution; len(preferred) > 0 {
			terms["preferredDuringSchedulingIgnoredDuringExecution"] = preferred
		}
	}
	return map[string]any{
		"metadata": map[string]any{"uid": rs.UID, "resourceVersion": rs.ResourceVersion},
		"spec":     map[string]any{"template": map[string]any{"spec": map[string]any{"affinity": map[string]any{"podAntiAffinity": terms}}}},
	}
}
