package resources

import (
	"maps"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/rollout/plan"
)

// AnalysisRun builds the run that gates a step or accompanies the steps.
func AnalysisRun(s plan.Snapshot, start plan.StartAnalysis, spec v1alpha1.AnalysisRunSpec, meta v1alpha1.AnalysisRunMetadata) *v1alpha1.AnalysisRun {
	ro := s.Rollout
	labels := maps.Clone(meta.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	if ro.Spec.Selector != nil {
		maps.Copy(labels, ro.Spec.Selector.MatchLabels)
	}
	labels[v1alpha1.PodTemplateHashLabel] = s.Current
	labels[v1alpha1.RolloutTypeLabel] = start.Kind
	if start.Kind == v1alpha1.RolloutTypeStep {
		labels[v1alpha1.StepIndexLabel] = strconv.Itoa(int(start.Step))
	}
	if id := ro.Labels[v1alpha1.InstanceIDLabel]; id != "" {
		labels[v1alpha1.InstanceIDLabel] = id
	}
	annotations := maps.Clone(meta.Annotations)
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[v1alpha1.RevisionAnnotation] = strconv.FormatInt(s.Revisions[s.Current].Number, 10)
	annotations[v1alpha1.StepHashAnnotation] = s.StepHash
	return &v1alpha1.AnalysisRun{
		ObjectMeta: metav1.ObjectMeta{
			Name:            start.Name,
			Namespace:       ro.Namespace,
			Labels:          labels,
			Annotations:     annotations,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(ro, v1alpha1.RolloutKind)},
		},
		Spec: spec,
	}
}

// Analysis reads what matters from an AnalysisRun.
func Analysis(run *v1alpha1.AnalysisRun) plan.Analysis {
	a := plan.Analysis{
		Name:     run.Name,
		Kind:     run.Labels[v1alpha1.RolloutTypeLabel],
		Hash:     run.Labels[v1alpha1.PodTemplateHashLabel],
		Created:  run.CreationTimestamp.Time,
		Phase:    run.Status.Phase,
		Message:  run.Status.Message,
		StepHash: run.Annotations[v1alpha1.StepHashAnnotation],
		Stopping: run.Spec.Terminate,

		Dismissed: run.Annotations[v1alpha1.DismissedAnnotation] != "",
	}
	// What cannot be parsed was not written by a controller: the run then gates nothing.
	a.Revision, _ = strconv.ParseInt(run.Annotations[v1alpha1.RevisionAnnotation], 10, 64)
	if step, err := strconv.ParseInt(run.Labels[v1alpha1.StepIndexLabel], 10, 32); err == nil {
		a.Step = int32(step)
	}
	return a
}
