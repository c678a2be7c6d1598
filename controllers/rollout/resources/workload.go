package resources

import (
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/rollout/plan"
)

// Workload is what is read from the object that spec.workloadRef names: a
// Deployment, a ReplicaSet or a PodTemplate.
type Workload struct {
	metav1.ObjectMeta

	Kind     string
	Template corev1.PodTemplateSpec
	// Selector is nil for a PodTemplate, which has none.
	Selector *metav1.LabelSelector
	// Replicas is the size asked for, Available the pods that answer and stay; of a Deployment alone.
	Replicas, Available int32
}

// OfDeployment reads a Deployment.
func OfDeployment(d *appsv1.Deployment) *Workload {
	return &Workload{
		Kind: "Deployment", ObjectMeta: d.ObjectMeta, Template: d.Spec.Template, Selector: d.Spec.Selector,
		Replicas: ptr.Deref(d.Spec.Replicas, 1), Available: staying(d),
	}
}

// staying is how many available pods a Deployment keeps at least: those that
// are still to go may be available ones, and an old status says nothing.
func staying(d *appsv1.Deployment) int32 {
	if d.Status.ObservedGeneration < d.Generation {
		return 0
	}
	leaving := max(0, d.Status.Replicas-ptr.Deref(d.Spec.Replicas, 1))
	return max(0, d.Status.AvailableReplicas-leaving)
}

// OfReplicaSet reads a ReplicaSet.
func OfReplicaSet(rs *appsv1.ReplicaSet) *Workload {
	return &Workload{Kind: "ReplicaSet", ObjectMeta: rs.ObjectMeta, Template: rs.Spec.Template, Selector: rs.Spec.Selector}
}

// OfPodTemplate reads a PodTemplate.
func OfPodTemplate(t *corev1.PodTemplate) *Workload {
	return &Workload{Kind: "PodTemplate", ObjectMeta: t.ObjectMeta, Template: t.Template}
}

// Resolved is the Rollout as if it had the template of the workload itself, and
// its selector unless it has one. The Rollout that was given stays as it is.
func Resolved(ro *v1alpha1.Rollout, w *Workload) *v1alpha1.Rollout {
	out := *ro
	out.Spec.Template = v1alpha1.PodTemplate{PodTemplateSpec: w.Template}
	if out.Spec.Selector == nil {
		out.Spec.Selector = w.Selector
	}
	return &out
}

// Fact is what the planner knows of the workload.
func (w *Workload) Fact(ro *v1alpha1.Rollout) *plan.Workload {
	fact := &plan.Workload{Name: w.Name, Generation: w.Generation, Replicas: w.Replicas, Available: w.Available}
	migrating, migrated := w.Annotations[v1alpha1.MigratingToAnnotation], w.Annotations[v1alpha1.MigratedToAnnotation]
	former, _, _ := strings.Cut(migrated, "/")
	fact.Kept = migrating != "" && migrating != ro.Name || migrated != "" && (former != ro.Name || migrated == mark(ro))
	if migrating == ro.Name {
		// What cannot be parsed was not written by a controller: the migration begins with the present size.
		had, _ := strconv.ParseInt(w.Annotations[v1alpha1.ScaledDownFromAnnotation], 10, 32)
		fact.Had = int32(had)
	}
	return fact
}

// Scaled are the annotations of a Deployment that a Rollout scales: whose it is
// while it shrinks, and that it is done once it reached zero.
func (w *Workload) Scaled(ro *v1alpha1.Rollout, to int32) map[string]any {
	had := w.Fact(ro).Had
	marks := map[string]any{v1alpha1.ScaledDownFromAnnotation: strconv.Itoa(int(max(had, w.Replicas)))}
	if to > 0 {
		marks[v1alpha1.MigratingToAnnotation] = ro.Name
		return marks
	}
	marks[v1alpha1.MigratingToAnnotation] = nil
	marks[v1alpha1.MigratedToAnnotation] = mark(ro)
	return marks
}

// mark names one Rollout and no other of the same name.
func mark(ro *v1alpha1.Rollout) string { return ro.Name + "/" + string(ro.UID) }
