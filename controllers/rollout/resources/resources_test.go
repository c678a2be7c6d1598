package resources

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/rollout/plan"
)

func rollout() *v1alpha1.Rollout {
	ro := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{
		Name: "web", Namespace: "shop", UID: "u1",
		Labels: map[string]string{"team": "shop"},
		Annotations: map[string]string{
			"owner":                            "ana",
			v1alpha1.RevisionAnnotation:        "7",
			corev1.LastAppliedConfigAnnotation: "{}",
		},
	}}
	ro.Spec.Replicas = new(int32(4))
	ro.Spec.MinReadySeconds = 5
	ro.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	ro.Spec.Template.Labels = map[string]string{"app": "web"}
	ro.Spec.Template.Spec.Containers = []corev1.Container{{Name: "app", Image: "app:v1"}}
	return ro
}

func TestAReplicaSetCarriesWhatTheContractSays(t *testing.T) {
	rs := ReplicaSet(rollout(), plan.CreateRevision{Hash: "abc", Number: 3, Replicas: 1})
	labels := map[string]string{"app": "web", v1alpha1.PodTemplateHashLabel: "abc"}
	yes := true
	want := metav1.ObjectMeta{
		Name: "web-abc", Namespace: "shop", Labels: labels,
		Annotations: map[string]string{"owner": "ana", v1alpha1.RevisionAnnotation: "3", v1alpha1.DesiredReplicasAnnotation: "4"},
		OwnerReferences: []metav1.OwnerReference{{
			APIVersion: "argoproj.io/v1alpha1", Kind: "Rollout", Name: "web", UID: "u1", Controller: &yes, BlockOwnerDeletion: &yes,
		}},
	}
	if diff := cmp.Diff(want, rs.ObjectMeta); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]any{labels, labels, int32(1), int32(5)}, []any{rs.Spec.Selector.MatchLabels, rs.Spec.Template.Labels, *rs.Spec.Replicas, rs.Spec.MinReadySeconds}); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
}

func TestARevisionIsReadBackFromItsReplicaSet(t *testing.T) {
	deadline := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	rs := ReplicaSet(rollout(), plan.CreateRevision{Hash: "abc", Number: 3, Replicas: 2})
	rs.Annotations[v1alpha1.ScaleDownDeadlineAnnotation] = deadline.Format(time.RFC3339)
	rs.Status = appsv1.ReplicaSetStatus{Replicas: 2, ReadyReplicas: 1, AvailableReplicas: 1, Conditions: []appsv1.ReplicaSetCondition{
		{Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue, Message: "quota exceeded"},
	}}
	want := plan.Revision{Hash: "abc", Name: "web-abc", Number: 3, Replicas: 2, Pods: 2, Ready: 1, Available: 1, Deadline: deadline, Failure: "quota exceeded", Observed: true}
	if diff := cmp.Diff(want, Revision(rollout(), rs)); diff != "" {
		t.Errorf("revision (-want +got):\n%s", diff)
	}
	rs.Annotations[v1alpha1.RevisionAnnotation], rs.Annotations[v1alpha1.ScaleDownDeadlineAnnotation] = "many", "soon"
	if got := Revision(rollout(), rs); got.Number != 0 || !got.Deadline.IsZero() {
		t.Errorf("annotations that nobody can read count as absent, got %+v", got)
	}
}

func TestAReplicaSetDriftsWhenTheRolloutChangesBesidesItsTemplate(t *testing.T) {
	for name, change := range map[string]func(*v1alpha1.Rollout){
		"an annotation was added":    func(ro *v1alpha1.Rollout) { ro.Annotations["x"] = "y" },
		"an annotation changed":      func(ro *v1alpha1.Rollout) { ro.Annotations["owner"] = "bo" },
		"minReadySeconds was raised": func(ro *v1alpha1.Rollout) { ro.Spec.MinReadySeconds = 9 },
	} {
		t.Run(name, func(t *testing.T) {
			rs := ReplicaSet(rollout(), plan.CreateRevision{Hash: "abc"})
			changed := rollout()
			change(changed)
			if Revision(rollout(), rs).Drift || !Revision(changed, rs).Drift {
				t.Error("only the changed Rollout should drift")
			}
		})
	}
}

func TestTheTemplateHashFollowsTheTemplateAndTheCollisions(t *testing.T) {
	hash := func(image string, collisions *int32) string {
		ro := rollout()
		ro.Spec.Template.Spec.Containers[0].Image = image
		h, err := TemplateHash(ro.Spec.Template, collisions)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	seen := map[string]bool{}
	for _, h := range []string{hash("app:v1", nil), hash("app:v2", nil), hash("app:v1", new(int32(1))), hash("app:v1", new(int32(2)))} {
		if seen[h] {
			t.Errorf("hash %s came twice", h)
		}
		seen[h] = true
	}
	if first, again := hash("app:v1", nil), hash("app:v1", nil); first != again {
		t.Errorf("one template has the hashes %s and %s", first, again)
	}
}

func TestATemplateMayMatchWhatTheServerCompleted(t *testing.T) {
	ro := rollout()
	rs := ReplicaSet(ro, plan.CreateRevision{Hash: "abc"})
	rs.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyAlways // as the API server fills in
	rs.Spec.Template.Spec.Containers[0].TerminationMessagePath = "/dev/termination-log"
	if may, err := MayMatch(ro.Spec.Template, rs); err != nil || !may {
		t.Errorf("the same template: may match %v, %v", may, err)
	}
	for name, change := range map[string]func(*v1alpha1.Rollout){
		"another image":     func(ro *v1alpha1.Rollout) { ro.Spec.Template.Spec.Containers[0].Image = "app:v2" },
		"one more variable": func(ro *v1alpha1.Rollout) { ro.Spec.Template.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "A"}} },
		"one more label":    func(ro *v1alpha1.Rollout) { ro.Spec.Template.Labels["x"] = "y" },
	} {
		t.Run(name, func(t *testing.T) {
			changed := rollout()
			change(changed)
			if may, err := MayMatch(changed.Spec.Template, rs); err != nil || may {
				t.Errorf("may match %v, %v", may, err)
			}
		})
	}
	if SameTemplate(rs.Spec.Template, ro.Spec.Template.PodTemplateSpec) {
		t.Error("templates that differ in what the server fills in are not proven to be the same")
	}
	if !SameTemplate(rs.Spec.Template, rs.Spec.Template) {
		t.Error("a template is the same as itself")
	}
}

func TestFields(t *testing.T) {
	for name, c := range map[string]struct{ path, want, problem string }{
		"the name":             {path: "metadata.name", want: "web"},
		"a label":              {path: "metadata.labels['team']", want: "shop"},
		"an annotation":        {path: "metadata.annotations['owner']", want: "ana"},
		"a number":             {path: "spec.replicas", want: "4"},
		"an element of a list": {path: "spec.template.spec.containers[0].image", want: "app:v1"},
		"a missing label":      {path: "metadata.labels['x']", problem: "the Rollout has no field metadata.labels['x']"},
		"a missing field":      {path: "spec.nothing", problem: `the Rollout has no field spec.nothing: "nothing" is not set`},
		"too long a list":      {path: "spec.template.spec.containers[3].image", problem: "the Rollout has no field spec.template.spec.containers[3].image: containers has no element 3"},
		"not a plain value":    {path: "spec.template", problem: "spec.template is not a plain value"},
		"nonsense":             {path: "..", problem: `the Rollout has no field ..: "" is not a field name`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Field(rollout(), c.path)
			problem := ""
			if err != nil {
				problem = err.Error()
			}
			if got != c.want || problem != c.problem {
				t.Errorf("Field = %q, %q; want %q, %q", got, problem, c.want, c.problem)
			}
		})
	}
}

func TestArgumentsOfAnAnalysis(t *testing.T) {
	latest, stable := v1alpha1.PodTemplateHashLatest, v1alpha1.PodTemplateHashStable
	got, err := Arguments(rollout(), []v1alpha1.AnalysisRunArgument{
		{Name: "plain", Value: "1"},
		{Name: "latest", ValueFrom: &v1alpha1.ArgumentValueFrom{PodTemplateHashValue: &latest}},
		{Name: "stable", ValueFrom: &v1alpha1.ArgumentValueFrom{PodTemplateHashValue: &stable}},
		{Name: "field", ValueFrom: &v1alpha1.ArgumentValueFrom{FieldRef: &v1alpha1.FieldRef{FieldPath: "metadata.name"}}},
	}, "old", "new")
	if err != nil {
		t.Fatal(err)
	}
	want := []v1alpha1.Argument{
		{Name: "plain", Value: new("1")},
		{Name: "latest", Value: new("new")},
		{Name: "stable", Value: new("old")},
		{Name: "field", Value: new("web")},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
}
