package plan

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/headway-rollouts/headway/trafficrouting"
)

func TestAnAbortBringsTrafficHomeFromRoutesThatTheSpecNoLongerNames(t *testing.T) {
	home := Route{
		Split: trafficrouting.Split{MaxWeight: 100, Stable: trafficrouting.Backend{Weight: 100}},
		Why:   "aborted",
	}
	grows := Scale{Revision: "v1", From: 1, To: 4, Why: "spec.replicas is 4"}
	for _, c := range []struct {
		name  string
		scene scene
		want  []Action
	}{
		{"also when it names no Service either", scene{v1: 4, v2: 4, weight: 50, abort: true}, []Action{home}},
		{"not while the pods cannot carry it", scene{v1: 1, v2: 0, weight: 50, abort: true}, nil},
		{"without an abort nothing moves", scene{v1: 4, v2: 4, weight: 50}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := c.scene.world() // Its spec names no router and no Service.
			w.Invalid = field.Required(field.NewPath("spec", "strategy", "canary", "trafficRouting"), "name a router")
			if diff := cmp.Diff(c.want, invalid(w).Actions); diff != "" {
				t.Errorf("actions (-want +got):\n%s", diff)
			}
		})
	}

	t.Run("also when one of several routes is missing", func(t *testing.T) {
		w := scene{v1: 4, v2: 4, weight: 50, abort: true}.world()
		w.Invalid, w.Traffic.Exists, w.Traffic.InSync = field.Required(field.NewPath("spec"), "a route"), false, false
		if diff := cmp.Diff([]Action{home}, invalid(w).Actions); diff != "" {
			t.Errorf("actions (-want +got):\n%s", diff)
		}
		if weights := invalid(w).Status.Canary.Weights; weights == nil || weights.Canary.Weight != 50 {
			t.Errorf("weights %+v, want those that are seen", weights)
		}
	})
	t.Run("and the stable revision grows for what returns", func(t *testing.T) {
		w := scene{v1: 4, v2: 4, weight: 50, abort: true}.world()
		small := w.Revisions["v1"]
		small.Replicas, small.Pods, small.Available = 1, 1, 1
		w.Revisions["v1"] = small
		w.Invalid = field.Required(field.NewPath("spec"), "a template")
		var got []Action
		for _, a := range invalid(w).Actions {
			if scale, is := a.(Scale); is {
				scale.Why = grows.Why
				got = append(got, scale)
			}
		}
		if diff := cmp.Diff([]Action{grows}, got); diff != "" {
			t.Errorf("sizes (-want +got):\n%s", diff)
		}
	})
}
