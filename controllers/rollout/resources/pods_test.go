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

func labelled(labels ...string) *v1alpha1.PodTemplateMetadata {
	m := &v1alpha1.PodTemplateMetadata{Labels: map[string]string{}}
	for i := 0; i < len(labels); i += 2 {
		m.Labels[labels[i]] = labels[i+1]
	}
	return m
}

// withRole is a Rollout whose template has a label of its own under the key role, and who wants anti-affinity.
func withRole() *v1alpha1.Rollout {
	ro := rollout()
	ro.Spec.Template.Labels["role"] = "own"
	ro.Spec.Strategy.Canary = &v1alpha1.CanaryStrategy{AntiAffinity: &v1alpha1.AntiAffinity{
		PreferredDuringSchedulingIgnoredDuringExecution: &v1alpha1.PreferredDuringSchedulingIgnoredDuringExecution{Weight: 7},
	}}
	return ro
}

func TestWhatIsPutOntoATemplateIsNoPartOfTheRevision(t *testing.T) {
	ro := withRole()
	plain := ReplicaSet(ro, plan.CreateRevision{Hash: "abc"})
	rs := ReplicaSet(ro, plan.CreateRevision{Hash: "abc", Metadata: labelled("role", "canary", "new", "x"), Avoids: "old"})
	if got, want := rs.Spec.Template.Labels, map[string]string{"app": "web", "role": "canary", "new": "x", v1alpha1.PodTemplateHashLabel: "abc"}; !cmp.Equal(got, want) {
		t.Errorf("labels of new pods: %v", got)
	}
	if rs.Labels["role"] != "own" || rs.Labels["new"] != "" {
		t.Errorf("the ReplicaSet itself has the labels %v", rs.Labels)
	}
	if may, err := MayMatch(ro.Spec.Template, rs); err != nil || !may {
		t.Errorf("the same template: may match %t, %v", may, err)
	}
	if !SameTemplate(plain.Spec.Template, Template(rs)) {
		t.Errorf("(-plain +taken out):\n%s", cmp.Diff(plain.Spec.Template, Template(rs)))
	}
	got := Revision(ro, rs)
	if !cmp.Equal(got.Metadata, labelled("role", "canary", "new", "x")) || got.Avoids != "old" || got.Labelling {
		t.Errorf("read back: %+v", got)
	}
}

func TestAffinityOfTheUserStays(t *testing.T) {
	ro := withRole()
	own := corev1.PodAffinityTerm{TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "db"}}}
	ro.Spec.Template.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
		PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{Weight: 3, PodAffinityTerm: own}},
	}}
	rs := ReplicaSet(ro, plan.CreateRevision{Hash: "abc", Avoids: "old"})
	if n := len(rs.Spec.Template.Spec.Affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution); n != 2 {
		t.Fatalf("%d terms, want the user's and ours", n)
	}
	if got := avoided(rs.Spec.Template); got != "old" {
		t.Errorf("avoids %q", got)
	}
	if got := Template(rs).Spec.Affinity; !cmp.Equal(got, ro.Spec.Template.Spec.Affinity) {
		t.Errorf("taken out: %v", got)
	}
	ro.Spec.Template.Spec.Affinity = &corev1.Affinity{} // says nothing
	if rs := ReplicaSet(ro, plan.CreateRevision{Hash: "abc", Avoids: "old"}); !SameTemplate(ReplicaSet(ro, plan.CreateRevision{Hash: "abc"}).Spec.Template, Template(rs)) {
		t.Error("an empty affinity is a change")
	}
}

func TestARelabelledTemplateRemembersWhatItReplacedAndWhichPodsAreOpen(t *testing.T) {
	ro := withRole()
	rs := ReplicaSet(ro, plan.CreateRevision{Hash: "abc", Metadata: labelled("role", "canary", "gone", "x")})
	rs.UID, rs.ResourceVersion = "u2", "5"
	body, err := Relabel(rs, labelled("since", "ever"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"metadata": map[string]any{"uid": rs.UID, "resourceVersion": "5", "annotations": map[string]any{
			v1alpha1.EphemeralMetadataAnnotation: `{"labels":{"since":"ever"}}`,
			v1alpha1.ReplacedMetadataAnnotation:  nil,
			v1alpha1.PendingMetadataAnnotation:   `{"labels":{"gone":"","role":"","since":""}}`,
		}},
		"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{
			"labels": map[string]any{"role": "own", "gone": nil, "since": "ever"}, "annotations": map[string]any{},
		}}},
	}
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("patch (-want +got):\n%s", diff)
	}
}

func TestAnotherRoleBeforeThePodsAreDoneForgetsNoKey(t *testing.T) {
	rs := ReplicaSet(withRole(), plan.CreateRevision{Hash: "abc", Metadata: labelled("role", "stable")})
	rs.Annotations[v1alpha1.PendingMetadataAnnotation] = `{"labels":{"old":""}}`
	body, err := Relabel(rs, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := body["metadata"].(map[string]any)["annotations"].(map[string]any)[v1alpha1.PendingMetadataAnnotation]
	if want := `{"labels":{"old":"","role":""}}`; got != want {
		t.Errorf("open are %v, want %s", got, want)
	}
}

func TestOnlyInjectedKeysOfAPodAreTouched(t *testing.T) {
	rs := &appsv1.ReplicaSet{}
	rs.Annotations = map[string]string{v1alpha1.PendingMetadataAnnotation: `{"labels":{"role":"","gone":""},"annotations":{"note":""}}`}
	rs.Spec.Template.Labels = map[string]string{"app": "web", "role": "stable"}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "p", Labels: map[string]string{"app": "other", "role": "canary", "gone": "x", "mine": "y"}, Annotations: map[string]string{"note": "z"}}}
	want := map[string]any{"metadata": map[string]any{
		"uid": pod.UID, "labels": map[string]any{"role": "stable", "gone": nil}, "annotations": map[string]any{"note": nil},
	}}
	if diff := cmp.Diff(want, PodChanges(pod, rs)); diff != "" {
		t.Errorf("patch (-want +got):\n%s", diff)
	}
	pod.Labels, pod.Annotations = map[string]string{"role": "stable"}, nil
	if got := PodChanges(pod, rs); got != nil {
		t.Errorf("a pod that is right gets %v", got)
	}
}

func TestAPodIsAvailableAfterMinReadySeconds(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	for name, c := range map[string]struct {
		since     time.Duration
		min       int32
		available bool
	}{
		"at once":          {0, 0, true},
		"not before":       {4 * time.Second, 5, false},
		"from that moment": {5 * time.Second, 5, true},
	} {
		t.Run(name, func(t *testing.T) {
			rs := &appsv1.ReplicaSet{Spec: appsv1.ReplicaSetSpec{MinReadySeconds: c.min}}
			pod := &corev1.Pod{Status: corev1.PodStatus{Conditions: []corev1.PodCondition{
				{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(now.Add(-c.since))},
			}}}
			if got := Pod(pod, rs, "abc", now); !got.Ready || got.Available != c.available {
				t.Errorf("%+v", got)
			}
		})
	}
}
