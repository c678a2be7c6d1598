package resources_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/experiment/plan"
	"github.com/headway-rollouts/headway/controllers/experiment/resources"
)

func template(name string) v1alpha1.TemplateSpec {
	return v1alpha1.TemplateSpec{
		Name:     name,
		Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
		Template: v1alpha1.PodTemplate{PodTemplateSpec: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web", "side": "new"}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web:1"}}},
		}},
	}
}

func experiment(templates ...v1alpha1.TemplateSpec) *v1alpha1.Experiment {
	return &v1alpha1.Experiment{
		ObjectMeta: metav1.ObjectMeta{Name: "ab", Namespace: "shop", UID: "1", Labels: map[string]string{v1alpha1.InstanceIDLabel: "blue", "team": "web"}},
		Spec:       v1alpha1.ExperimentSpec{Templates: templates, Duration: "90s"},
	}
}

func sets(t *testing.T, e *v1alpha1.Experiment) []plan.Set {
	t.Helper()
	all, err := resources.Sets(e)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestTemplatesThatAreTheSameHaveDifferentHashes(t *testing.T) {
	all := sets(t, experiment(template("purple"), template("orange"), template("green")))
	if all[0].Hash == all[1].Hash || all[1].Hash == all[2].Hash || all[0].Hash == all[2].Hash {
		t.Errorf("hashes are shared: %+v", all)
	}
	var counts []int32
	for _, set := range all {
		counts = append(counts, ptr.Deref(set.Collisions, 0))
	}
	if want := []int32{0, 1, 2}; !cmp.Equal(want, counts) {
		t.Errorf("collisions %v, want %v", counts, want)
	}
}

func TestTheHashOfARolloutIsNotPartOfATemplate(t *testing.T) {
	plain, marked := template("purple"), template("purple")
	marked.Template.Labels[v1alpha1.PodTemplateHashLabel] = "abc"
	if a, b := sets(t, experiment(plain))[0].Hash, sets(t, experiment(marked))[0].Hash; a != b {
		t.Errorf("hashes %s and %s differ", a, b)
	}
}

func TestAReplicaSetTellsWhoseItIs(t *testing.T) {
	e := experiment(template("purple"))
	set := sets(t, e)[0]
	rs := resources.ReplicaSet(e, &e.Spec.Templates[0], set, 3)
	labels := map[string]string{"app": "web", "side": "new", v1alpha1.PodTemplateHashLabel: set.Hash}
	want := &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Name: "ab-purple", Namespace: "shop", Labels: labels,
			Annotations:     map[string]string{"experiment.argoproj.io/name": "ab", "experiment.argoproj.io/template-name": "purple"},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(e, v1alpha1.ExperimentKind)},
		},
		Spec: appsv1.ReplicaSetSpec{
			Replicas: ptr.To[int32](3),
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web", v1alpha1.PodTemplateHashLabel: set.Hash}},
			Template: e.Spec.Templates[0].Template.DeepCopy().PodTemplateSpec,
		},
	}
	want.Spec.Template.Labels = labels
	if diff := cmp.Diff(want, rs); diff != "" {
		t.Errorf("ReplicaSet (-want +got):\n%s", diff)
	}
	if _, marked := e.Spec.Templates[0].Template.Labels[v1alpha1.PodTemplateHashLabel]; marked {
		t.Error("the Experiment itself was changed")
	}
}

func TestWhatIsReadFromAReplicaSet(t *testing.T) {
	e := experiment(template("purple"))
	set := sets(t, e)[0]
	rs := resources.ReplicaSet(e, &e.Spec.Templates[0], set, 3)
	rs.Generation = 2
	rs.Annotations[v1alpha1.ScaleDownDeadlineAnnotation] = "2026-01-02T03:04:05Z"
	rs.Status = appsv1.ReplicaSetStatus{
		Replicas: 3, ReadyReplicas: 2, AvailableReplicas: 1, ObservedGeneration: 1,
		Conditions: []appsv1.ReplicaSetCondition{{Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue, Message: "quota"}},
	}
	want := set
	want.Exists, want.Replicas, want.Pods, want.Ready, want.Available = true, 3, 3, 2, 1
	want.Deadline, want.Failure = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), "quota"
	if diff := cmp.Diff(want, resources.Fill(set, &e.Spec.Templates[0], rs)); diff != "" {
		t.Errorf("set (-want +got):\n%s", diff)
	}
	for name, change := range map[string]func(*v1alpha1.TemplateSpec){
		"another image":           func(t *v1alpha1.TemplateSpec) { t.Template.Spec.Containers[0].Image = "web:2" },
		"another minReadySeconds": func(t *v1alpha1.TemplateSpec) { t.MinReadySeconds = 5 },
		"another selector":        func(t *v1alpha1.TemplateSpec) { t.Selector.MatchLabels = map[string]string{"side": "new"} },
	} {
		changed := template("purple")
		change(&changed)
		if set := resources.Fill(sets(t, experiment(changed))[0], &changed, rs); !set.Outdated {
			t.Errorf("%s: the ReplicaSet is not outdated", name)
		}
	}
	if stray := resources.Fill(plan.Set{}, nil, rs); stray.Template != "purple" || stray.Name != "ab-purple" || stray.Outdated {
		t.Errorf("of a template that is gone: %+v", stray)
	}
}

func TestAServiceHasEveryPortOnce(t *testing.T) {
	port := func(name string, number int32, protocol corev1.Protocol) corev1.ContainerPort {
		return corev1.ContainerPort{Name: name, ContainerPort: number, Protocol: protocol}
	}
	service := func(name string, number int32, protocol corev1.Protocol) corev1.ServicePort {
		return corev1.ServicePort{Name: name, Protocol: protocol, Port: number, TargetPort: intstr.FromInt32(number)}
	}
	for name, c := range map[string]struct {
		containers [][]corev1.ContainerPort
		want       []corev1.ServicePort
	}{
		"one port needs no name": {[][]corev1.ContainerPort{{port("", 8080, "")}}, []corev1.ServicePort{service("", 8080, "TCP")}},
		"a name is kept":         {[][]corev1.ContainerPort{{port("web", 8080, "TCP")}}, []corev1.ServicePort{service("web", 8080, "TCP")}},
		"several ports have names of their own": {
			[][]corev1.ContainerPort{{port("", 8080, ""), port("dns", 53, "UDP")}, {port("dns", 54, "UDP")}},
			[]corev1.ServicePort{service("tcp-8080", 8080, "TCP"), service("dns", 53, "UDP"), service("udp-54", 54, "UDP")},
		},
		"a port of two containers is one": {
			[][]corev1.ContainerPort{{port("a", 8080, "TCP")}, {port("b", 8080, "TCP")}},
			[]corev1.ServicePort{service("a", 8080, "TCP")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := experiment(template("purple"))
			spec := &e.Spec.Templates[0]
			spec.Template.Spec.Containers = nil
			for _, ports := range c.containers {
				spec.Template.Spec.Containers = append(spec.Template.Spec.Containers, corev1.Container{Ports: ports})
			}
			svc := resources.Service(e, spec, sets(t, e)[0], "shop")
			if diff := cmp.Diff(c.want, svc.Spec.Ports); diff != "" {
				t.Errorf("ports (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnAnalysisRunTellsItsAttempt(t *testing.T) {
	e := experiment(template("purple"))
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	e.Status.AvailableAt = &metav1.Time{Time: at.In(time.FixedZone("here", 3600))}
	e.Spec.AnalysisRunMetadata = v1alpha1.AnalysisRunMetadata{
		Labels:      map[string]string{"mine": "yes", v1alpha1.InstanceIDLabel: "other"},
		Annotations: map[string]string{"mine": "yes"},
	}
	run := resources.AnalysisRun(e, plan.StartAnalysis{Name: "ab-load", Analysis: "load"}, v1alpha1.AnalysisRunSpec{})
	if want := map[string]string{"mine": "yes", v1alpha1.InstanceIDLabel: "blue"}; !cmp.Equal(want, run.Labels) {
		t.Errorf("labels: %s", cmp.Diff(want, run.Labels))
	}
	run.Spec.Terminate, run.Status.Phase, run.Status.Message = true, v1alpha1.AnalysisPhaseFailed, "slow"
	want := plan.Run{Name: "ab-load", Analysis: "load", Attempt: at, Phase: v1alpha1.AnalysisPhaseFailed, Message: "slow", Stopping: true}
	if diff := cmp.Diff(want, resources.Run(run)); diff != "" {
		t.Errorf("run (-want +got):\n%s", diff)
	}
}

func TestArguments(t *testing.T) {
	e := experiment(template("purple"))
	all := sets(t, e)
	e.Status.AvailableAt = &metav1.Time{Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	s := plan.Snapshot{Experiment: e, Sets: all}
	for name, c := range map[string]struct{ text, want, err string }{
		"plain text":               {"web", "web", ""},
		"the hash of a template":   {"{{templates.purple.podTemplateHash}}", all[0].Hash, ""},
		"the name of a ReplicaSet": {"set-{{ templates.purple.replicaset.name }}!", "set-ab-purple!", ""},
		"the times":                {"{{experiment.availableAt}}..{{experiment.finishedAt}}", "2026-01-02T03:04:05Z..2026-01-02T03:05:35Z", ""},
		"a template that is not there": {
			"{{templates.orange.podTemplateHash}}", "", `argument "a": {{templates.orange.podTemplateHash}} is not known: it may be experiment.availableAt, experiment.finishedAt, templates.purple.`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			args, err := resources.Arguments([]v1alpha1.Argument{{Name: "a", Value: &c.text}}, resources.Values(s))
			if c.err != "" {
				if err == nil || !strings.HasPrefix(err.Error(), c.err) {
					t.Errorf("error %v, want %s", err, c.err)
				}
				return
			}
			if err != nil || *args[0].Value != c.want {
				t.Errorf("%v, error %v, want %s", args, err, c.want)
			}
		})
	}
	e.Spec.Duration = ""
	text := "{{experiment.finishedAt}}"
	if _, err := resources.Arguments([]v1alpha1.Argument{{Name: "a", Value: &text}}, resources.Values(s)); err == nil || !strings.Contains(err.Error(), "no duration") {
		t.Errorf("without a duration: %v", err)
	}
}

func TestOnlyARolloutHasFieldsToRead(t *testing.T) {
	value := "x"
	secret := v1alpha1.Argument{Name: "s", ValueFrom: &v1alpha1.ValueFrom{SecretKeyRef: &v1alpha1.SecretKeyRef{Name: "n", Key: "k"}}}
	field := v1alpha1.Argument{Name: "f", ValueFrom: &v1alpha1.ValueFrom{FieldRef: &v1alpha1.FieldRef{FieldPath: "metadata.name"}}}
	if err := resources.Unread([]v1alpha1.Argument{{Name: "a", Value: &value}, secret}); err != nil {
		t.Error(err)
	}
	if err := resources.Unread([]v1alpha1.Argument{field}); err == nil || !strings.Contains(err.Error(), `argument "f"`) {
		t.Errorf("error %v", err)
	}
}
