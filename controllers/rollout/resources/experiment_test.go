package resources

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/rollout/plan"
)

// experimenting is a Rollout whose second step is an Experiment, in the middle of its second revision.
func experimenting(step v1alpha1.RolloutExperimentStep) (plan.Snapshot, map[string]*appsv1.ReplicaSet) {
	ro := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", UID: "u1", Labels: map[string]string{"team": "a"}}}
	ro.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	ro.Spec.ProgressDeadlineSeconds, ro.Spec.MinReadySeconds = ptr.To(int32(90)), 5
	ro.Spec.Strategy.Canary = &v1alpha1.CanaryStrategy{Steps: []v1alpha1.CanaryStep{{SetWeight: ptr.To(int32(20))}, {Experiment: &step}}}
	ro.Status.StableRS = "old"
	sets := map[string]*appsv1.ReplicaSet{}
	for hash, image := range map[string]string{"old": "app:v1", "new": "app:v2"} {
		rs := &appsv1.ReplicaSet{}
		rs.Spec.Template.Labels = map[string]string{"app": "web", v1alpha1.PodTemplateHashLabel: hash}
		rs.Spec.Template.Spec.Containers = []corev1.Container{{Name: "app", Image: image}}
		sets[hash] = rs
	}
	return plan.Snapshot{
		Rollout: ro, Current: "new", StepHash: "steps",
		Revisions: map[string]plan.Revision{"new": {Hash: "new", Number: 2}, "old": {Hash: "old", Number: 1}},
	}, sets
}

func TestAnExperimentOfAStepCarriesWhatTheContractSays(t *testing.T) {
	t.Parallel()
	s, sets := experimenting(v1alpha1.RolloutExperimentStep{
		Duration: "5m", ScaleDownDelaySeconds: ptr.To(int32(7)),
		Templates: []v1alpha1.RolloutExperimentTemplate{
			{Name: "baseline", SpecRef: v1alpha1.StableSpecRef, Weight: ptr.To(int32(5))},
			{Name: "canary", SpecRef: v1alpha1.CanarySpecRef, Replicas: ptr.To(int32(3)), Metadata: v1alpha1.PodTemplateMetadata{
				Labels: map[string]string{"kind": "tried"}, Annotations: map[string]string{"note": "x"},
			}},
		},
		Analyses: []v1alpha1.RolloutExperimentStepAnalysisTemplateRef{{
			Name: "rate", TemplateName: "success-rate", RequiredForCompletion: true,
			Args: []v1alpha1.AnalysisRunArgument{
				{Name: "hash", ValueFrom: &v1alpha1.ArgumentValueFrom{PodTemplateHashValue: ptr.To(v1alpha1.PodTemplateHashStable)}},
				{Name: "pods", Value: "{{templates.canary.podTemplateHash}}"},
			},
		}},
	})
	e, err := Experiment(s, plan.StartExperiment{Name: "web-new-2-1", Step: 1}, sets)
	if err != nil {
		t.Fatal(err)
	}
	meta := metav1.ObjectMeta{
		Name: "web-new-2-1", Namespace: "shop",
		Labels:          map[string]string{"team": "a", v1alpha1.PodTemplateHashLabel: "new"},
		Annotations:     map[string]string{v1alpha1.RevisionAnnotation: "2", v1alpha1.StepHashAnnotation: "steps"},
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(s.Rollout, v1alpha1.RolloutKind)},
	}
	if diff := cmp.Diff(meta, e.ObjectMeta); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
	pods := func(image string, labels, annotations map[string]string) v1alpha1.PodTemplate {
		p := v1alpha1.PodTemplate{}
		p.Labels, p.Annotations = labels, annotations
		p.Spec.Containers = []corev1.Container{{Name: "app", Image: image}}
		return p
	}
	tried := map[string]string{"app": "web", "kind": "tried"}
	web := map[string]string{"app": "web"}
	want := v1alpha1.ExperimentSpec{
		Duration: "5m", ProgressDeadlineSeconds: ptr.To(int32(90)), ScaleDownDelaySeconds: ptr.To(int32(7)),
		Templates: []v1alpha1.TemplateSpec{
			// A weight needs a Service that routes can name.
			{
				Name: "baseline", MinReadySeconds: 5, Selector: &metav1.LabelSelector{MatchLabels: web},
				Template: pods("app:v1", web, nil), Service: &v1alpha1.TemplateService{},
			},
			{
				Name: "canary", Replicas: ptr.To(int32(3)), MinReadySeconds: 5, Selector: &metav1.LabelSelector{MatchLabels: tried},
				Template: pods("app:v2", tried, map[string]string{"note": "x"}),
			},
		},
		Analyses: []v1alpha1.ExperimentAnalysisTemplateRef{{
			Name: "rate", TemplateName: "success-rate", RequiredForCompletion: true,
			Args: []v1alpha1.Argument{{Name: "hash", Value: ptr.To("old")}, {Name: "pods", Value: ptr.To("{{templates.canary.podTemplateHash}}")}},
		}},
	}
	if diff := cmp.Diff(want, e.Spec); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
	if got := s.Rollout.Spec.Selector.MatchLabels; len(got) != 1 {
		t.Errorf("the selector of the Rollout was changed: %v", got)
	}
}

func TestAnExperimentOfARevisionThatIsGoneIsNotMade(t *testing.T) {
	t.Parallel()
	s, sets := experimenting(v1alpha1.RolloutExperimentStep{Templates: []v1alpha1.RolloutExperimentTemplate{{Name: "baseline", SpecRef: v1alpha1.StableSpecRef}}})
	delete(sets, "old")
	if _, err := Experiment(s, plan.StartExperiment{Name: "web-new-2-1", Step: 1}, sets); err == nil {
		t.Error("it was made without the pods of the stable revision")
	}
}

func TestTheStepOfAnExperimentIsToldByItsName(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		step     int32
		revision int64
	}{
		{"web-new-2-1", 1, 2},
		{"web-new-2-12", 12, 2},
		{"web-new-2-1-3", 1, 2}, // the fourth try
		{"web-new-2", -1, 0},
		{"mine", -1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := &v1alpha1.Experiment{ObjectMeta: metav1.ObjectMeta{
				Name: c.name, Labels: map[string]string{v1alpha1.PodTemplateHashLabel: "new"}, Annotations: map[string]string{v1alpha1.RevisionAnnotation: "2"},
			}}
			e.Status.TemplateStatuses = []v1alpha1.TemplateStatus{{Name: "baseline", ServiceName: "svc", PodTemplateHash: "x1"}, {Name: "canary"}}
			got := ExperimentVerdict("web", e)
			if got.Step != c.step || got.Revision != c.revision {
				t.Errorf("step %d of revision %d, want %d of %d", got.Step, got.Revision, c.step, c.revision)
			}
			if diff := cmp.Diff(map[string]plan.Side{"baseline": {Service: "svc", Hash: "x1"}}, got.Sides); diff != "" {
				t.Errorf("sides (-want +got):\n%s", diff)
			}
		})
	}
}
