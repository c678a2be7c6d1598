package v1alpha1_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// purple is a valid Experiment with one set of pods and one analysis.
func purple() *v1alpha1.Experiment {
	return &v1alpha1.Experiment{Spec: v1alpha1.ExperimentSpec{
		Duration: "5m",
		Templates: []v1alpha1.TemplateSpec{{
			Name:     "purple",
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "purple"}},
			Template: v1alpha1.PodTemplate{PodTemplateSpec: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "purple"}},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web:1"}}},
			}},
		}},
		Analyses: []v1alpha1.ExperimentAnalysisTemplateRef{{Name: "load", TemplateName: "load"}},
	}}
}

func TestValidateExperiment(t *testing.T) {
	cases := []struct {
		name   string
		change func(e *v1alpha1.Experiment)
		want   []string
	}{
		{"an experiment with pods and an analysis is valid", func(*v1alpha1.Experiment) {}, nil},
		{
			"an experiment without pods is refused",
			func(e *v1alpha1.Experiment) { e.Spec.Templates = nil },
			[]string{`spec.templates: Required value: an Experiment needs pods to run`},
		},
		{
			"templates have unique names",
			func(e *v1alpha1.Experiment) { e.Spec.Templates = append(e.Spec.Templates, e.Spec.Templates[0]) },
			[]string{`spec.templates[1].name: Duplicate value: "purple"`},
		},
		{
			"counts and durations are not negative",
			func(e *v1alpha1.Experiment) {
				e.Spec.Duration, e.Spec.ScaleDownDelaySeconds = "-5m", ptr[int32](-1)
				e.Spec.Templates[0].Replicas, e.Spec.Templates[0].MinReadySeconds = ptr[int32](-1), -1
			},
			[]string{
				`spec.templates[0].replicas: Invalid value: -1: must be greater than or equal to 0`,
				`spec.templates[0].minReadySeconds: Invalid value: -1: must be greater than or equal to 0`,
				`spec.duration: Invalid value: "-5m": must not be negative`,
				`spec.scaleDownDelaySeconds: Invalid value: -1: must be greater than or equal to 0`,
			},
		},
		{
			"pods can become available before the deadline",
			func(e *v1alpha1.Experiment) {
				e.Spec.ProgressDeadlineSeconds, e.Spec.Templates[0].MinReadySeconds = ptr[int32](30), 30
			},
			[]string{`spec.templates[0].minReadySeconds: Invalid value: 30: must be less than progressDeadlineSeconds (30), or no pod becomes available in time`},
		},
		{
			"more pods than a cluster can hold are refused",
			func(e *v1alpha1.Experiment) { e.Spec.Templates[0].Replicas = ptr[int32](2000000) },
			[]string{`spec.templates[0].replicas: Invalid value: 2000000: must not be greater than 1000000`},
		},
		{
			"the selector selects the pods",
			func(e *v1alpha1.Experiment) { e.Spec.Templates[0].Selector.MatchLabels["app"] = "orange" },
			[]string{`spec.templates[0].template.metadata.labels: Invalid value: "app=purple": the selector app=orange does not select these labels: make them agree`},
		},
		{
			"a Service has a port",
			func(e *v1alpha1.Experiment) { e.Spec.Templates[0].Service = &v1alpha1.TemplateService{} },
			[]string{`spec.templates[0].service: Invalid value: "": a Service needs a port: add a containerPort to the template`},
		},
		{
			"two templates have two Services",
			func(e *v1alpha1.Experiment) {
				e.Spec.Templates[0].Service = &v1alpha1.TemplateService{Name: "web"}
				e.Spec.Templates[0].Template.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 8080}}
				e.Spec.Templates = append(e.Spec.Templates, *e.Spec.Templates[0].DeepCopy())
				e.Spec.Templates[1].Name = "orange"
			},
			[]string{`spec.templates[1].service.name: Duplicate value: "web"`},
		},
		{
			"analyses have names and templates",
			func(e *v1alpha1.Experiment) {
				e.Spec.Analyses = append(e.Spec.Analyses, e.Spec.Analyses[0], v1alpha1.ExperimentAnalysisTemplateRef{})
			},
			[]string{
				`spec.analyses[1].name: Duplicate value: "load"`,
				`spec.analyses[2].name: Required value: name the analysis`,
				`spec.analyses[2].templateName: Required value: name the analysis template to run`,
			},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			experiment := purple()
			c.change(experiment)
			if diff := cmp.Diff(c.want, sentences(v1alpha1.ValidateExperiment(experiment))); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}
