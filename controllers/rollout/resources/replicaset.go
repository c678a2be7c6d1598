package resources

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/rollout/plan"
)

// notCopied are annotations of a Rollout that are about the Rollout itself.
var notCopied = []string{
	corev1.LastAppliedConfigAnnotation,
	v1alpha1.RevisionAnnotation,
	v1alpha1.RevisionHistoryAnnotation,
	v1alpha1.DesiredReplicasAnnotation,
	v1alpha1.WorkloadGenerationAnnotation,
	"notified.notifications.argoproj.io",
}

// ReplicaSet builds the ReplicaSet of the current template.
func ReplicaSet(ro *v1alpha1.Rollout, create plan.CreateRevision) *appsv1.ReplicaSet {
	template := ro.Spec.Template.DeepCopy().PodTemplateSpec
	template.Labels = withHash(template.Labels, create.Hash)
	selector := ro.Spec.Selector.DeepCopy()
	selector.MatchLabels = withHash(selector.MatchLabels, create.Hash)
	annotations := CopiedAnnotations(ro)
	annotations[v1alpha1.RevisionAnnotation] = strconv.FormatInt(create.Number, 10)
	annotations[v1alpha1.DesiredReplicasAnnotation] = strconv.Itoa(int(ro.DesiredReplicas()))
	labels := maps.Clone(template.Labels)
	inject(&template, annotations, create.Metadata)
	avoid(&template, ro, create.Avoids)
	return &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Name:            ReplicaSetName(ro.Name, create.Hash),
			Namespace:       ro.Namespace,
			Labels:          labels,
			Annotations:     annotations,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(ro, v1alpha1.RolloutKind)},
		},
		Spec: appsv1.ReplicaSetSpec{
			Replicas:        ptr.To(create.Replicas),
			MinReadySeconds: ro.Spec.MinReadySeconds,
			Selector:        selector,
			Template:        template,
		},
	}
}

// ReplicaSetName is the name of the ReplicaSet of a revision.
func ReplicaSetName(rollout, hash string) string { return rollout + "-" + hash }

func withHash(labels map[string]string, hash string) map[string]string {
	labels = maps.Clone(labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[v1alpha1.PodTemplateHashLabel] = hash
	return labels
}

// CopiedAnnotations are the annotations of a Rollout that its ReplicaSets carry.
func CopiedAnnotations(ro *v1alpha1.Rollout) map[string]string {
	annotations := map[string]string{}
	for key, value := range ro.Annotations {
		if !slices.Contains(notCopied, key) {
			annotations[key] = value
		}
	}
	return annotations
}

// Revision reads what matters from a ReplicaSet.
func Revision(ro *v1alpha1.Rollout, rs *appsv1.ReplicaSet) plan.Revision {
	r := plan.Revision{
		Hash:      rs.Labels[v1alpha1.PodTemplateHashLabel],
		Name:      rs.Name,
		Created:   rs.CreationTimestamp.Time,
		Replicas:  ptr.Deref(rs.Spec.Replicas, 1),
		Pods:      rs.Status.Replicas,
		Ready:     rs.Status.ReadyReplicas,
		Available: rs.Status.AvailableReplicas,
		Drift:     drifts(ro, rs),
		Metadata:  injected(rs),
		Labelling: rs.Annotations[v1alpha1.PendingMetadataAnnotation] != "",
		Observed:  rs.Status.ObservedGeneration >= rs.Generation,
		Avoids:    avoided(rs.Spec.Template),
	}
	_, r.Extra = rs.Annotations[v1alpha1.RestartSpareAnnotation]
	// What cannot be parsed was not written by a controller: it counts as absent.
	r.Number, _ = strconv.ParseInt(rs.Annotations[v1alpha1.RevisionAnnotation], 10, 64)
	if at, err := time.Parse(time.RFC3339, rs.Annotations[v1alpha1.ScaleDownDeadlineAnnotation]); err == nil {
		r.Deadline = at
	}
	for _, c := range rs.Status.Conditions {
		if c.Type == appsv1.ReplicaSetReplicaFailure && c.Status == corev1.ConditionTrue {
			r.Failure = c.Message
		}
	}
	return r
}

func drifts(ro *v1alpha1.Rollout, rs *appsv1.ReplicaSet) bool {
	for key, value := range CopiedAnnotations(ro) {
		if rs.Annotations[key] != value {
			return true
		}
	}
	return rs.Spec.MinReadySeconds != ro.Spec.MinReadySeconds
}

// History is the revision-history annotation after a revision came back under another number.
func History(rs *appsv1.ReplicaSet, number int64) string {
	was := rs.Annotations[v1alpha1.RevisionHistoryAnnotation]
	if number == 0 {
		return was
	}
	entry := strconv.FormatInt(number, 10)
	if was == "" {
		return entry
	}
	return strings.Join(append(strings.Split(was, ","), entry), ",")
}
