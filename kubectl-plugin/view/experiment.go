package view

import (
	"cmp"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

const (
	// ExperimentKind is the kind of an ExperimentView.
	ExperimentKind = "ExperimentView"
	// ExperimentListKind is the kind of an ExperimentViewList.
	ExperimentListKind = "ExperimentViewList"
)

// ExperimentView is an Experiment as people and scripts see it.
type ExperimentView struct {
	// APIVersion is the constant APIVersion.
	APIVersion string `json:"apiVersion"`
	// Kind is the constant ExperimentKind.
	Kind string `json:"kind"`
	// Name of the Experiment.
	Name string `json:"name"`
	// Namespace of the Experiment.
	Namespace string `json:"namespace"`
	// CreatedAt is when the Experiment was created.
	CreatedAt time.Time `json:"createdAt,omitzero"`
	// ObservedAt is when the view was made; ages count up to it.
	ObservedAt time.Time `json:"observedAt"`
	// Rollout is the Rollout that the Experiment is a step of; empty for one that stands alone.
	Rollout string `json:"rollout,omitempty"`
	// Phase in one word.
	Phase v1alpha1.AnalysisPhase `json:"phase"`
	// Message says why the phase is what it is.
	Message string `json:"message,omitempty"`
	// Terminating is true when it was told to end.
	Terminating bool `json:"terminating,omitempty"`
	// Duration is how long it runs once its pods are available; absent when only its analyses or a person end it.
	Duration string `json:"duration,omitempty"`
	// AvailableAt is when all of its pods were first available.
	AvailableAt *time.Time `json:"availableAt,omitempty"`
	// EndsAt is when its duration is over; absent before its pods are available and without a duration.
	EndsAt *time.Time `json:"endsAt,omitempty"`
	// Images in use and the templates that use them.
	Images []ImageView `json:"images,omitempty"`
	// Why is the one reason the Experiment has not ended well; absent when it has.
	Why *WhyView `json:"why,omitempty"`
	// Templates in the order of the spec.
	Templates []TemplateView `json:"templates,omitempty"`
	// AnalysisRuns that were started, in the order of the spec.
	AnalysisRuns []AnalysisRunView `json:"analysisRuns,omitempty"`
	// Notes say what the view could not include.
	Notes []string `json:"notes,omitempty"`
}

// TemplateView is one set of pods of an Experiment.
type TemplateView struct {
	// Name of the template.
	Name string `json:"name"`
	// Status in one word; empty before the controller looked at it.
	Status v1alpha1.TemplateStatusCode `json:"status,omitempty"`
	// Message says why.
	Message string `json:"message,omitempty"`
	// Since is when the status or a number of pods last changed.
	Since *time.Time `json:"since,omitempty"`
	// Desired is the number of pods asked for.
	Desired int32 `json:"desired"`
	// Ready is the number of ready pods.
	Ready int32 `json:"ready"`
	// Available is the number of available pods.
	Available int32 `json:"available"`
	// Service that selects its pods; empty when there is none.
	Service string `json:"service,omitempty"`
	// ReplicaSets of the template; normally one.
	ReplicaSets []ReplicaSetView `json:"replicaSets,omitempty"`
}

// ExperimentViewList is several experiments.
type ExperimentViewList struct {
	// APIVersion is the constant APIVersion.
	APIVersion string `json:"apiVersion"`
	// Kind is the constant ExperimentListKind.
	Kind string `json:"kind"`
	// Items in the order of namespace and name.
	Items []ExperimentView `json:"items"`
}

// OfExperiment is the view of an Experiment and what it owns at one moment. It
// accepts any object, also one without a status or with an invalid spec.
func OfExperiment(e *v1alpha1.Experiment, owned Owned, now time.Time) ExperimentView {
	v := ExperimentView{
		APIVersion:  APIVersion,
		Kind:        ExperimentKind,
		Name:        clean(e.Name),
		Namespace:   clean(e.Namespace),
		CreatedAt:   e.CreationTimestamp.UTC(),
		ObservedAt:  now.UTC().Truncate(time.Second),
		Rollout:     rolloutOf(e),
		Phase:       cmp.Or(e.Status.Phase, v1alpha1.AnalysisPhasePending),
		Message:     clean(e.Status.Message),
		Terminating: e.Spec.Terminate && !e.Status.Phase.Completed(),
		Duration:    clean(string(e.Spec.Duration)),
		AvailableAt: timeOf(e.Status.AvailableAt),
		Templates:   templatesOf(e, owned),
		Notes:       cleanAll(owned.Notes),
	}
	if length, timed := e.Length(); timed && v.AvailableAt != nil {
		end := v.AvailableAt.Add(length)
		v.EndsAt = &end
	}
	v.AnalysisRuns = runsOf(e, owned)
	v.Images = templateImages(v.Templates)
	v.Why = whyOfExperiment(e, v)
	return v
}

// rolloutOf is the Rollout that controls an object; empty when none does.
func rolloutOf(object metav1.Object) string {
	if owner := metav1.GetControllerOf(object); owner != nil && owner.Kind == v1alpha1.RolloutKind.Kind {
		return clean(owner.Name)
	}
	return ""
}

func templatesOf(e *v1alpha1.Experiment, owned Owned) []TemplateView {
	all := make([]TemplateView, 0, len(e.Spec.Templates))
	for i := range e.Spec.Templates {
		t := &e.Spec.Templates[i]
		v := TemplateView{Name: clean(t.Name), Desired: t.DesiredReplicas()}
		for j := range e.Status.TemplateStatuses {
			if st := &e.Status.TemplateStatuses[j]; st.Name == t.Name {
				v.Status, v.Message, v.Since = st.Status, clean(st.Message), timeOf(st.LastTransitionTime)
				v.Ready, v.Available, v.Service = st.ReadyReplicas, st.AvailableReplicas, clean(st.ServiceName)
			}
		}
		for j := range owned.ReplicaSets {
			rs := &owned.ReplicaSets[j]
			if metav1.IsControlledBy(rs, e) && templateName(e, rs) == t.Name {
				v.ReplicaSets = append(v.ReplicaSets, templateReplicaSet(rs, v.Name, owned.Pods))
			}
		}
		all = append(all, v)
	}
	return all
}

// templateName is the template that a ReplicaSet was made of: its annotation says
// so, and so does the end of its name.
func templateName(e *v1alpha1.Experiment, rs *appsv1.ReplicaSet) string {
	if name, ok := rs.Annotations[v1alpha1.ExperimentTemplateAnnotation]; ok {
		return name
	}
	for i := range e.Spec.Templates {
		if name := e.Spec.Templates[i].Name; rs.Name == e.Name+"-"+name {
			return name
		}
	}
	return ""
}

func templateReplicaSet(rs *appsv1.ReplicaSet, template string, pods []corev1.Pod) ReplicaSetView {
	v := replicaSetOf(rs, pods)
	v.Template = template
	return v
}

// runsOf are the AnalysisRuns that the status names. One that is gone or may not
// be read is shown as the status tells of it.
func runsOf(e *v1alpha1.Experiment, owned Owned) []AnalysisRunView {
	all := make([]AnalysisRunView, 0, len(e.Status.AnalysisRuns))
	for _, st := range e.Status.AnalysisRuns {
		v := AnalysisRunView{Name: clean(cmp.Or(st.AnalysisRun, st.Name)), Phase: st.Phase, Message: clean(st.Message)}
		for i := range owned.AnalysisRuns {
			if run := &owned.AnalysisRuns[i]; run.Name == st.AnalysisRun && metav1.IsControlledBy(run, e) {
				v = analysisRunOf(run)
			}
		}
		v.Analysis = clean(st.Name)
		v.Required = slices.ContainsFunc(e.Spec.Analyses, func(a v1alpha1.ExperimentAnalysisTemplateRef) bool {
			return a.Name == st.Name && a.RequiredForCompletion
		})
		all = append(all, v)
	}
	return all
}

// templateImages lists the images of templates that have pods, in the order of the templates.
func templateImages(templates []TemplateView) []ImageView {
	var out []ImageView
	for _, t := range templates {
		for _, rs := range t.ReplicaSets {
			if rs.Desired == 0 {
				continue
			}
			for _, image := range rs.Images {
				out = addTemplateImage(out, image, t.Name)
			}
		}
	}
	return out
}

func addTemplateImage(images []ImageView, image, template string) []ImageView {
	at := slices.IndexFunc(images, func(i ImageView) bool { return i.Image == image })
	if at < 0 {
		return append(images, ImageView{Image: image, Templates: []string{template}})
	}
	if !slices.Contains(images[at].Templates, template) {
		images[at].Templates = append(images[at].Templates, template)
	}
	return images
}

// command is a command line about the experiment that a person can paste.
func (v ExperimentView) command(verb string) string { return commandLine(verb, v.Name, v.Namespace) }
