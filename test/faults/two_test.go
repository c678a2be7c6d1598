package faults

import (
	"testing"

	"github.com/headway-rollouts/headway/test/e2e/headway"
)

// TestTwoControllersAtOnceDoNoHarm has two controllers act on the same Rollouts,
// as when one that has lost the Lease has not noticed yet.
func TestTwoControllersAtOnceDoNoHarm(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	headway.Start(t, a.under("alone"))
	newVictim(t, a.under("two"))
	newVictim(t, a.under("two"))
	for _, p := range plots {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			play := func(instance string) *scene {
				s := a.open(t, p.objects(t, instance))
				s.atRest()
				p.before(s)
				p.act(s)
				s.atRest()
				return s
			}
			want := play("alone").check("")
			for range 2 {
				play("two").check(want)
			}
		})
	}
}
