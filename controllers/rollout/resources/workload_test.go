package resources

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/rollout/plan"
)

const (
	from = v1alpha1.ScaledDownFromAnnotation
	to   = v1alpha1.MigratingToAnnotation
	done = v1alpha1.MigratedToAnnotation
)

func TestTheMarksOfADeploymentSayWhoseItIs(t *testing.T) {
	for _, c := range []struct {
		name  string
		marks map[string]string
		had   int32
		kept  bool
	}{
		{"none", nil, 0, false},
		{"this Rollout is at it", map[string]string{to: "web", from: "5"}, 5, false},
		{"a former Rollout of this name was at it", map[string]string{to: "web", from: "5", done: "web/u0"}, 5, false},
		{"another Rollout is at it", map[string]string{to: "shop", from: "5"}, 0, true},
		{"this Rollout is done", map[string]string{done: "web/u1", from: "5"}, 0, true},
		{"a former Rollout of this name was done", map[string]string{done: "web/u0", from: "5"}, 0, false},
		{"another Rollout was done", map[string]string{done: "shop/u2", from: "5"}, 0, true},
		{"somebody wrote nonsense", map[string]string{to: "web", from: "many"}, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := &Workload{ObjectMeta: metav1.ObjectMeta{Name: "web", Generation: 3, Annotations: c.marks}, Replicas: 4, Available: 2}
			want := &plan.Workload{Name: "web", Generation: 3, Replicas: 4, Available: 2, Had: c.had, Kept: c.kept}
			if diff := cmp.Diff(want, w.Fact(rollout())); diff != "" {
				t.Errorf("fact (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAScaledDeploymentIsMarked(t *testing.T) {
	w := &Workload{Replicas: 5}
	if diff := cmp.Diff(map[string]any{to: "web", from: "5"}, w.Scaled(rollout(), 3)); diff != "" {
		t.Errorf("at first (-want +got):\n%s", diff)
	}
	w = &Workload{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{to: "web", from: "5"}}, Replicas: 3}
	if diff := cmp.Diff(map[string]any{to: nil, done: "web/u1", from: "5"}, w.Scaled(rollout(), 0)); diff != "" {
		t.Errorf("at last (-want +got):\n%s", diff)
	}
}

func TestPodsThatAreAboutToGoDoNotCount(t *testing.T) {
	for _, c := range []struct {
		name               string
		observed, asked    int64
		size, pods, answer int32
		want               int32
	}{
		{"all stay", 1, 1, 4, 4, 3, 3},
		{"the status is about another size", 1, 2, 4, 4, 4, 0},
		{"two of them go, and may be those that answer", 2, 2, 2, 4, 3, 1},
		{"more go than answer", 2, 2, 1, 4, 2, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Generation: c.asked}, Spec: appsv1.DeploymentSpec{Replicas: &c.size}}
			d.Status = appsv1.DeploymentStatus{ObservedGeneration: c.observed, Replicas: c.pods, AvailableReplicas: c.answer}
			if got := OfDeployment(d).Available; got != c.want {
				t.Errorf("%d pods stay, want %d", got, c.want)
			}
		})
	}
}

func TestTheNameDecidesWhoAdopts(t *testing.T) {
	mine := func(change func(*v1alpha1.Rollout)) *v1alpha1.Rollout {
		ro := rollout()
		change(ro)
		return ro
	}
	begun := func(ro *v1alpha1.Rollout) { ro.Status.CurrentPodHash, ro.Status.StableRS = "new", "known" }
	as := func(name string) func(*v1alpha1.Rollout) { return func(ro *v1alpha1.Rollout) { ro.Name = name } }
	for _, c := range []struct {
		name    string
		rollout *v1alpha1.Rollout
		orphan  string // its name; the hash is abc unless it ends otherwise
		labels  map[string]string
		others  []v1alpha1.Rollout
		adopts  bool
	}{
		{"its own name", mine(begun), "web-abc", nil, nil, true},
		{"its own name, whoever else selects it", mine(begun), "web-abc", nil, []v1alpha1.Rollout{*mine(as("shop"))}, true},
		{"its own name with other labels", mine(begun), "web-abc", map[string]string{"app": "shop"}, nil, false},
		{"the name of another Rollout", mine(as("shop")), "web-abc", nil, []v1alpha1.Rollout{*rollout()}, false},
		{"a name of nobody, before it has begun", rollout(), "old-abc", nil, nil, true},
		{"a name of nobody that two select", rollout(), "old-abc", nil, []v1alpha1.Rollout{*mine(as("shop"))}, false},
		{"a name of nobody, once it has begun", mine(begun), "old-abc", nil, nil, false},
		{"a name of nobody that is its stable revision", mine(begun), "old-known", map[string]string{"app": "web", v1alpha1.PodTemplateHashLabel: "known"}, nil, true},
		{"a Rollout whose selector its workload has may select it too", rollout(), "old-abc", nil, []v1alpha1.Rollout{*mine(func(ro *v1alpha1.Rollout) {
			ro.Name, ro.Spec.Selector, ro.Spec.WorkloadRef = "shop", nil, &v1alpha1.ObjectRef{}
		})}, false},
		{"nothing is adopted without a selector", mine(func(ro *v1alpha1.Rollout) { ro.Spec.Selector = nil }), "web-abc", nil, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			rs := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: c.orphan, Labels: c.labels}}
			if rs.Labels == nil {
				rs.Labels = map[string]string{"app": "web"}
			}
			if rs.Labels[v1alpha1.PodTemplateHashLabel] == "" {
				rs.Labels[v1alpha1.PodTemplateHashLabel] = "abc"
			}
			if got := Adoptable(c.rollout, rs, c.others); got != c.adopts {
				t.Errorf("it is adopted: %t, want %t", got, c.adopts)
			}
			rs.Annotations = map[string]string{v1alpha1.ExperimentAnnotation: "try"}
			if Adoptable(c.rollout, rs, c.others) {
				t.Error("the ReplicaSet of an Experiment is adopted")
			}
		})
	}
}
