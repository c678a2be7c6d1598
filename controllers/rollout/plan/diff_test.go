package plan

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestARevisionGrowsOnlyAfterItsShrinkWasSeen(t *testing.T) {
	for _, c := range []struct {
		name           string
		replicas, pods int32 // of v2, of which four are wanted
		want           []Action
	}{
		{"one that has no pods left grows", 0, 0, []Action{Scale{Revision: "v2", From: 0, To: 4, Why: "step 1/1 sets weight 50"}}},
		{"one whose pods are about to go waits", 0, 2, nil},
		{"one that is still growing grows on", 3, 2, []Action{Scale{Revision: "v2", From: 3, To: 4, Why: "step 1/1 sets weight 50"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := scene{v1: 4, v2: 0, stable: "v1", canary: "v1"}.world()
			w.Revisions["v2"] = Revision{Hash: "v2", Replicas: c.replicas, Pods: c.pods, Ready: c.pods, Available: c.pods}
			if got := grow(w, target{sizes: map[string]int32{"v2": 4}}); !cmp.Equal(c.want, got) {
				t.Errorf("actions (-want +got):\n%s", cmp.Diff(c.want, got))
			}
		})
	}
}
