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
}
