package resources

import (
	"fmt"
	"maps"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/experiment/plan"
	"github.com/headway-rollouts/headway/controllers/internal/podhash"
)

// Sets names the pods of each template of a spec, in its order. Templates that
// are the same get different hashes, so that neither a Service nor a metric
// takes the pods of one for those of another.
func Sets(e *v1alpha1.Experiment) ([]plan.Set, error) {
	sets := make([]plan.Set, 0, len(e.Spec.Templates))
	taken := map[string]bool{}
	for i := range e.Spec.Templates {
		t := &e.Spec.Templates[i]
		set := plan.Set{Template: t.Name, Name: SetName(e.Name, t.Name)}
		template := *t.Template.DeepCopy()
		delete(template.Labels, v1alpha1.PodTemplateHashLabel)
		for {
			hash, err := podhash.Of(template, set.Collisions)
			if err != nil {
				return nil, fmt.Errorf("hashing template %s: %w", t.Name, err)
			}
			if set.Hash = hash; !taken[hash] {
				break
			}
			set.Collisions = ptr.To(ptr.Deref(set.Collisions, 0) + 1)
		}
		taken[set.Hash] = true
		sets = append(sets, set)
	}
	return sets, nil
}

// SetName is the name of the ReplicaSet of a template.
func SetName(experiment, template string) string { return experiment + "-" + template }

// ReplicaSet builds the ReplicaSet of a template.
func ReplicaSet(e *v1alpha1.Experiment, t *v1alpha1.TemplateSpec, set plan.Set, replicas int32) *appsv1.ReplicaSet {
	template := t.Template.DeepCopy().PodTemplateSpec
	template.Labels = withHash(template.Labels, set.Hash)
	return &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Name: set.Name, Namespace: e.Namespace,
			Labels:          maps.Clone(template.Labels),
			Annotations:     partOf(e.Name, t.Name),
			OwnerReferences: owned(e),
		},
		Spec: appsv1.ReplicaSetSpec{
			Replicas:        ptr.To(replicas),
			MinReadySeconds: t.MinReadySeconds,
			Selector:        selector(t, set.Hash),
			Template:        template,
		},
	}
}

func selector(t *v1alpha1.TemplateSpec, hash string) *metav1.LabelSelector {
	out := t.Selector.DeepCopy()
	out.MatchLabels = withHash(out.MatchLabels, hash)
	return out
}

func withHash(labels map[string]string, hash string) map[string]string {
	labels = maps.Clone(labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[v1alpha1.PodTemplateHashLabel] = hash
	return labels
}

// partOf are the annotations by which an object tells its Experiment and template.
func partOf(experiment, template string) map[string]string {
	return map[string]string{v1alpha1.ExperimentNameAnnotation: experiment, v1alpha1.ExperimentTemplateAnnotation: template}
}

func owned(e *v1alpha1.Experiment) []metav1.OwnerReference {
	return []metav1.OwnerReference{*metav1.NewControllerRef(e, v1alpha1.ExperimentKind)}
}

// Fill reads into a set what matters from its ReplicaSet. The template is that
// of the spec, or nil when the spec has it no more.
func Fill(set plan.Set, t *v1alpha1.TemplateSpec, rs *appsv1.ReplicaSet) plan.Set {
	hash := rs.Labels[v1alpha1.PodTemplateHashLabel]
	if t != nil {
		set.Outdated = hash != set.Hash || rs.Spec.MinReadySeconds != t.MinReadySeconds ||
			!equality.Semantic.DeepEqual(rs.Spec.Selector, selector(t, hash))
	}
	set.Name, set.Hash, set.Exists = rs.Name, hash, true
	if template := rs.Annotations[v1alpha1.ExperimentTemplateAnnotation]; set.Template == "" {
		set.Template = template
	}
	set.Replicas = ptr.Deref(rs.Spec.Replicas, 1)
	set.Pods, set.Ready, set.Available = rs.Status.Replicas, rs.Status.ReadyReplicas, rs.Status.AvailableReplicas
	set.Settled = rs.Status.ObservedGeneration >= rs.Generation
	// What cannot be parsed was not written by a controller: it counts as absent.
	if at, err := time.Parse(time.RFC3339, rs.Annotations[v1alpha1.ScaleDownDeadlineAnnotation]); err == nil {
		set.Deadline = at
	}
	for _, c := range rs.Status.Conditions {
		if c.Type == appsv1.ReplicaSetReplicaFailure && c.Status == corev1.ConditionTrue {
			set.Failure = c.Message
		}
	}
	return set
}
