package plan

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// tired is a snapshot in which a restart is due: v1 is stable with as many old
// pods as are available, and other pods that are not old.
func tired(old, fresh, asked int32, change ...func(*Snapshot)) Snapshot {
	s := scene{v1: old + fresh, v2: -1, stable: "v1", canary: "v1", replicas: asked}.world().Snapshot
	s.Invalid, s.Current, s.StepHash = nil, "v1", "s"
	s.Rollout.Status.CurrentPodHash = "v1"
	s.Rollout.Spec.Strategy.Canary.TrafficRouting.Nginx = &v1alpha1.NginxTrafficRouting{StableIngress: "web"}
	s.Rollout.Spec.RestartAt = &metav1.Time{Time: s.Now.Add(-time.Minute)}
	s.Rollout.Annotations = map[string]string{v1alpha1.RevisionAnnotation: "1"}
	r := s.Revisions["v1"]
	r.Number = 1
	s.Revisions["v1"] = r
	for i := range old {
		s.Pods = append(s.Pods, Pod{Name: fmt.Sprintf("old-%d", i), Revision: "v1", Created: s.Now.Add(-time.Hour), Ready: true, Available: true})
	}
	for i := range fresh {
		s.Pods = append(s.Pods, Pod{Name: fmt.Sprintf("new-%d", i), Revision: "v1", Created: s.Now, Ready: true, Available: true})
	}
	for _, f := range change {
		f(&s)
	}
	return s
}

func having(change func(*Revision)) func(*Snapshot) {
	return func(s *Snapshot) {
		r := s.Revisions["v1"]
		change(&r)
		s.Revisions["v1"] = r
	}
}

func unready(i int) func(*Snapshot) {
	return func(s *Snapshot) { s.Pods[i].Ready, s.Pods[i].Available = false, false }
}

func TestARestartTakesNoPodThatIsNeeded(t *testing.T) {
	paused := func(s *Snapshot) { s.Rollout.Spec.Paused = true }
	for _, c := range []struct {
		name string
		s    Snapshot
		want []string
	}{
		{"a quarter of the pods goes at once", tired(8, 0, 8), []string{"evict old-0", "evict old-1"}},
		{"nothing more goes while what went is missing", tired(6, 0, 8), nil},
		{"a pod that does not answer goes as well", tired(8, 0, 8, unready(5)), []string{"evict old-5", "evict old-0"}},
		{"one of two goes", tired(2, 0, 2), []string{"evict old-0"}},
		{"the only pod gets a successor first", tired(1, 0, 1), []string{"scale v1 1 -> 2"}},
		{"also when the user paused", tired(1, 0, 1, paused), []string{"scale v1 1 -> 2"}},
		{"it goes when the successor answers", tired(1, 1, 1, having(func(r *Revision) { r.Extra, r.Replicas = true, 2 })), []string{"evict old-0"}},
		{"and not before", tired(1, 1, 1, unready(1), having(func(r *Revision) { r.Extra, r.Replicas = true, 2 })), nil},
		{"the size is what it was when the ReplicaSet was seen to know", tired(0, 2, 1, having(func(r *Revision) { r.Extra, r.Replicas = true, 2 })), []string{"scale v1 2 -> 1"}},
		{"and not before that either", tired(0, 1, 1, having(func(r *Revision) { r.Extra, r.Replicas = true, 2 })), nil},
		{"the size stays when the Rollout grew meanwhile", tired(0, 2, 2, having(func(r *Revision) { r.Extra = true }), paused), []string{"scale v1 2 -> 2"}},
		{"nothing goes beside a move of pods", tired(3, 0, 4, having(func(r *Revision) { r.Replicas = 3 })), []string{"scale v1 3 -> 4"}},
		{"nor while pods are about to go that should stay", tired(4, 0, 4, having(func(r *Revision) { r.Replicas = 3 })), nil},
		{"a ReplicaSet that has not seen what went does not shrink", tired(2, 1, 3, having(func(r *Revision) { r.Replicas = 4 })), nil},
		{"it shrinks when it has", tired(2, 2, 3, having(func(r *Revision) { r.Replicas = 4 })), []string{"scale v1 4 -> 3"}},
		{"nothing happens before the time", tired(4, 0, 4, func(s *Snapshot) { s.Rollout.Spec.RestartAt.Time = s.Now.Add(time.Second) }), nil},
		{"nor after it was done", tired(4, 0, 4, func(s *Snapshot) { s.Rollout.Status.RestartedAt = s.Rollout.Spec.RestartAt }), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, a := range Make(c.s).Actions {
				switch a := a.(type) {
				case Evict:
					got = append(got, "evict "+a.Pod)
				case Scale:
					got = append(got, fmt.Sprintf("scale %s %d -> %d", a.Revision, a.From, a.To))
				default: // it moves no pod
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestPodsAreSeenOnlyWhileSomebodyNeedsThem(t *testing.T) {
	rest := func(s *Snapshot) { s.Rollout.Spec.RestartAt = nil }
	for _, c := range []struct {
		name string
		s    Snapshot
		want []string
	}{
		{"a restart that is due", tired(1, 0, 1), []string{"v1"}},
		{"none at rest", tired(1, 0, 1, rest), nil},
		{"a pod that is there for a restart that nobody wants any more", tired(1, 1, 1, rest, having(func(r *Revision) { r.Extra = true })), []string{"v1"}},
		{"pods that may carry the metadata of another role", tired(1, 0, 1, rest, having(func(r *Revision) { r.Labelling, r.Observed = true, true })), []string{"v1"}},
		{"not before new pods are right", tired(1, 0, 1, rest, having(func(r *Revision) { r.Labelling = true })), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, PodsOf(c.s)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAPodThatMayNotGoIsTold(t *testing.T) {
	s := tired(4, 0, 4)
	p := Make(s)
	if p.Wake <= 0 || p.Wake > restartRetry {
		t.Errorf("it is looked at again after %s", p.Wake)
	}
	got := Refused(s, p.Status, "old-0", "The budget needs 4 pods.").Why
	want := "Pods made before 1970-01-12T13:45:40Z are replaced: 4 of 4 are left. Pod old-0 may not go now: The budget needs 4 pods."
	if got.Code != WhyRestarting || got.Message != want {
		t.Errorf("%s: %s", got.Code, got.Message)
	}
	if p.Status.Why.Message == got.Message {
		t.Error("the plan itself was changed")
	}
	if st := Refused(s, v1alpha1.RolloutStatus{Why: &v1alpha1.Why{Code: WhyAborted}}, "x", "y"); st.Why.Code != WhyAborted {
		t.Error("a reason that comes first is hidden")
	}
}
