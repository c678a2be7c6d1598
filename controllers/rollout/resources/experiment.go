package resources

import (
	"fmt"
	"maps"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/rollout/plan"
)

// Experiment builds the Experiment of a step. Its pods are those of the stable
// and the current revision, whose ReplicaSets are given by hash. The error says
// which of the two is not there, or which argument cannot be resolved.
func Experiment(s plan.Snapshot, start plan.StartExperiment, replicaSets map[string]*appsv1.ReplicaSet) (*v1alpha1.Experiment, error) {
	ro := s.Rollout
	step := ro.Spec.Strategy.Canary.Steps[start.Step].Experiment
	e := &v1alpha1.Experiment{ObjectMeta: ofUpdate(s, start.Name)}
	maps.Copy(e.Labels, ro.Labels)
	e.Labels[v1alpha1.PodTemplateHashLabel] = s.Current
	e.Spec = v1alpha1.ExperimentSpec{
		Duration:                step.Duration,
		ProgressDeadlineSeconds: ro.Spec.ProgressDeadlineSeconds,
		DryRun:                  step.DryRun,
		AnalysisRunMetadata:     step.AnalysisRunMetadata,
		ScaleDownDelaySeconds:   step.ScaleDownDelaySeconds,
	}
	for i := range step.Templates {
		hash := s.Current
		if step.Templates[i].SpecRef == v1alpha1.StableSpecRef {
			hash = ro.Status.StableRS
		}
		rs := replicaSets[hash]
		if rs == nil {
			return nil, fmt.Errorf("template %q: the %s revision has no ReplicaSet", step.Templates[i].Name, step.Templates[i].SpecRef)
		}
		e.Spec.Templates = append(e.Spec.Templates, experimentTemplate(ro, step.Templates[i], rs))
	}
	for _, ref := range step.Analyses {
		args, err := Arguments(ro, ref.Args, ro.Status.StableRS, s.Current)
		if err != nil {
			return nil, fmt.Errorf("analysis %q: %w", ref.Name, err)
		}
		e.Spec.Analyses = append(e.Spec.Analyses, v1alpha1.ExperimentAnalysisTemplateRef{
			Name: ref.Name, TemplateName: ref.TemplateName, ClusterScope: ref.ClusterScope, Args: args,
			RequiredForCompletion: ref.RequiredForCompletion,
		})
	}
	return e, nil
}

// ofUpdate are the metadata of an object that belongs to the update under way.
func ofUpdate(s plan.Snapshot, name string) metav1.ObjectMeta {
	ro := s.Rollout
	labels := map[string]string{}
	if id := ro.Labels[v1alpha1.InstanceIDLabel]; id != "" {
		labels[v1alpha1.InstanceIDLabel] = id
	}
	return metav1.ObjectMeta{
		Name: name, Namespace: ro.Namespace, Labels: labels,
		Annotations: map[string]string{
			v1alpha1.RevisionAnnotation: strconv.FormatInt(s.Revisions[s.Current].Number, 10),
			v1alpha1.StepHashAnnotation: s.StepHash,
		},
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(ro, v1alpha1.RolloutKind)},
	}
}

// experimentTemplate is one set of pods: those of a revision, with labels of
// their own, so that no Service of the Rollout selects them by the revision's hash.
func experimentTemplate(ro *v1alpha1.Rollout, t v1alpha1.RolloutExperimentTemplate, rs *appsv1.ReplicaSet) v1alpha1.TemplateSpec {
	pods := *rs.Spec.Template.DeepCopy()
	delete(pods.Labels, v1alpha1.PodTemplateHashLabel)
	selector := ro.Spec.Selector.DeepCopy()
	if t.Selector != nil {
		selector = t.Selector.DeepCopy()
	}
	pods.Labels = merged(pods.Labels, t.Metadata.Labels)
	pods.Annotations = merged(pods.Annotations, t.Metadata.Annotations)
	selector.MatchLabels = merged(selector.MatchLabels, t.Metadata.Labels)
	out := v1alpha1.TemplateSpec{
		Name: t.Name, Replicas: t.Replicas, MinReadySeconds: ro.Spec.MinReadySeconds,
		Selector: selector, Template: v1alpha1.PodTemplate{PodTemplateSpec: pods}, Service: t.Service,
	}
	if t.Weight != nil && out.Service == nil {
		out.Service = &v1alpha1.TemplateService{} // routes need one
	}
	return out
}

// ExperimentVerdict reads what matters from an Experiment of a Rollout. Its
// step is told by its name, as other controllers of the API do.
func ExperimentVerdict(rollout string, e *v1alpha1.Experiment) plan.Analysis {
	a := plan.Analysis{
		Name:     e.Name,
		Kind:     plan.KindExperiment,
		Hash:     e.Labels[v1alpha1.PodTemplateHashLabel],
		Created:  e.CreationTimestamp.Time,
		Phase:    e.Status.Phase,
		Message:  e.Status.Message,
		StepHash: e.Annotations[v1alpha1.StepHashAnnotation],
		Stopping: e.Spec.Terminate,

		Dismissed: e.Annotations[v1alpha1.DismissedAnnotation] != "",

		Sides: map[string]plan.Side{},
	}
	// What cannot be parsed was not made by a controller: the Experiment then gates nothing.
	a.Revision, _ = strconv.ParseInt(e.Annotations[v1alpha1.RevisionAnnotation], 10, 64)
	rest, _ := strings.CutPrefix(e.Name, fmt.Sprintf("%s-%s-%d-", rollout, a.Hash, a.Revision))
	number, _, _ := strings.Cut(rest, "-")
	step, err := strconv.ParseInt(number, 10, 32)
	if err != nil {
		a.Revision, step = 0, -1
	}
	a.Step = int32(step)
	for _, t := range e.Status.TemplateStatuses {
		if t.ServiceName != "" {
			a.Sides[t.Name] = plan.Side{Service: t.ServiceName, Hash: t.PodTemplateHash}
		}
	}
	return a
}
