package plan

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// handover is a Deployment and the first revision of the Rollout that replaces it.
type handover struct {
	size, available, had int32 // of the Deployment
	pods                 int32 // of the Rollout: available ones of 4
	stable               string
	way                  string
	kept, paused         bool
	number               int64
}

func (h handover) world() world {
	if h.number == 0 {
		h.number = 1
	}
	ro := &v1alpha1.Rollout{}
	ro.Spec.Replicas, ro.Spec.Paused = new(int32(4)), h.paused
	ro.Spec.WorkloadRef = &v1alpha1.ObjectRef{Kind: "Deployment", Name: "web", ScaleDown: h.way}
	ro.Spec.Strategy.Canary = &v1alpha1.CanaryStrategy{StableService: "web"}
	ro.Status = v1alpha1.RolloutStatus{StableRS: "v1", CurrentPodHash: "v1"}
	return read(Snapshot{
		Rollout: ro, Current: "v1", Services: Services{Stable: selected(h.stable)},
		Revisions: map[string]Revision{"v1": {Hash: "v1", Number: h.number, Replicas: 4, Pods: 4, Ready: h.pods, Available: h.pods}},
		Workload:  &Workload{Name: "web", Replicas: h.size, Available: h.available, Had: h.had, Kept: h.kept},
	})
}

func TestADeploymentGoesAsItsPodsAreReplaced(t *testing.T) {
	const slow, once = v1alpha1.ScaleDownProgressively, v1alpha1.ScaleDownOnSuccess
	for _, c := range []struct {
		name string
		handover
		want int32
	}{
		{"it keeps all while none is replaced", handover{size: 4, available: 4, pods: 0, way: slow}, 4},
		{"it loses as many as are replaced", handover{size: 4, available: 4, pods: 3, way: slow}, 1},
		{"it is gone when all are replaced", handover{size: 4, available: 4, pods: 4, way: slow}, 0},
		{"it keeps all until the Rollout is whole", handover{size: 4, available: 4, pods: 3, way: once}, 4},
		{"it is gone when the Rollout is whole", handover{size: 4, available: 4, pods: 4, way: once}, 0},
		{"never is never", handover{size: 4, available: 4, pods: 4, way: v1alpha1.ScaleDownNever}, 4},
		{"never is the default", handover{size: 4, available: 4, pods: 4}, 4},
		{"a larger one keeps what nobody replaces", handover{size: 9, available: 9, pods: 4, way: slow}, 5},
		{"a larger one keeps it also when the Rollout is whole", handover{size: 9, available: 9, pods: 4, way: once}, 5},
		{"a smaller one goes when there are pods above what the Rollout needs in all", handover{size: 2, available: 2, pods: 3, way: slow}, 1},
		{"a smaller one stays while there are not", handover{size: 2, available: 2, pods: 2, way: slow}, 2},
		{"pods that do not answer may be the ones that stay", handover{size: 4, available: 2, pods: 1, way: slow}, 4},
		{"pods that do not answer are not needed when all are replaced", handover{size: 4, available: 0, pods: 4, way: slow}, 0},
		{"it gets back what the Rollout loses", handover{size: 1, available: 1, had: 4, pods: 2, way: slow}, 2},
		{"it gets back no more than it had", handover{size: 1, available: 1, had: 2, pods: 0, way: slow}, 2},
		{"it gets pods back although the Rollout is paused", handover{size: 1, available: 1, had: 4, pods: 2, way: slow, paused: true}, 2},
		{"it loses none while the Rollout is paused", handover{size: 4, available: 4, pods: 4, way: slow, paused: true}, 4},
		{"one that was scaled down before is left alone", handover{size: 4, available: 4, pods: 4, way: slow, kept: true}, 4},
		{"a second revision begins no migration", handover{size: 4, available: 4, pods: 4, way: slow, number: 2}, 4},
		{"a second revision ends one that began", handover{size: 2, available: 2, had: 4, pods: 4, way: slow, number: 2}, 0},
		{"pods that the stable Service does not reach replace nothing", handover{size: 4, available: 4, pods: 4, stable: "v0", way: slow}, 4},
		{"pods that it reaches do", handover{size: 4, available: 4, pods: 4, stable: "v1", way: slow}, 0},
		{"one at zero is left there", handover{size: 0, had: 4, pods: 1, way: slow}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := c.handover.world()
			if got := guard(w, wish(w)).workload; got != c.want {
				t.Errorf("it has %d pods, want %d", got, c.want)
			}
		})
	}
}

func TestAnOrphanIsAdoptedBeforeItIsChanged(t *testing.T) {
	ro := &v1alpha1.Rollout{}
	ro.Annotations = map[string]string{numberAnnotation: "2"}
	ro.Spec.Replicas = new(int32(4))
	ro.Spec.Strategy.Canary = &v1alpha1.CanaryStrategy{}
	orphans := map[string]Revision{
		"v1": {Hash: "v1", Number: 1, Replicas: 3, Pods: 3, Ready: 3, Available: 3, Orphan: true},
		"v2": {Hash: "v2", Number: 2, Replicas: 4, Pods: 4, Ready: 4, Available: 4, Orphan: true, Drift: true},
	}
	s := Snapshot{Rollout: ro, Current: "v2", Revisions: orphans, Unselected: []string{"web-v0"}}
	want := []Action{
		Adopt{"v2", "it has the labels of the Rollout and no owner"},
		Adopt{"v1", "it has the labels of the Rollout and no owner"},
		Release{"web-v0", "the selector does not select its labels any more"},
	}
	if diff := cmp.Diff(want, Make(s).Actions); diff != "" {
		t.Errorf("actions (-want +got):\n%s", diff)
	}
}

func TestAStatusThatIsGoneIsReadFromWhatRuns(t *testing.T) {
	revision := func(hash string, available int32) Revision {
		return Revision{Hash: hash, Replicas: available, Available: available}
	}
	late := revision("v1", 4)
	late.Deadline = time.Unix(1_000_000, 0)
	for _, c := range []struct {
		name, service, current, want string
		revisions                    []Revision
	}{
		{"the stable Service tells", "v1", "v2", "v1", []Revision{revision("v0", 3), revision("v1", 1), revision("v2", 4)}},
		{"a Service on the current revision tells that it is the first", "v2", "v2", "", []Revision{revision("v1", 4), revision("v2", 4)}},
		{"a Service without pods tells nothing", "v0", "v2", "v1", []Revision{revision("v0", 0), revision("v1", 1), revision("v2", 4)}},
		{"without a Service, the most pods beside the current ones", "", "v3", "v1", []Revision{revision("v1", 3), revision("v2", 1), revision("v3", 2)}},
		{"pods that wait for their end are not meant", "", "v2", "", []Revision{late, revision("v2", 4)}},
		{"no pods but the current ones", "", "v2", "", []Revision{revision("v1", 0), revision("v2", 4)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := Snapshot{Rollout: &v1alpha1.Rollout{}, Current: c.current, Revisions: map[string]Revision{}, Services: Services{Stable: selected(c.service)}}
			for _, r := range c.revisions {
				s.Revisions[r.Hash] = r
			}
			if got := knownStable(world{Snapshot: s}); got != c.want {
				t.Errorf("%q is stable, want %q", got, c.want)
			}
		})
	}
}
