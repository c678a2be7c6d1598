package analysisrun

import (
	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// Whoever asks a server that never answers holds up to as many places, and no more.
const (
	perRun       = 16
	perNamespace = 32
)

// ticket is a measurement that waits to be taken.
type ticket struct {
	seat *seat
	run  *v1alpha1.AnalysisRun
	task analysis.Task
	take measure
}

// queue decides which measurement is taken next: the oldest of a run and a
// namespace that have places left. It is not safe for use by several at once.
type queue struct {
	places     int
	busy       int
	namespaces map[string]int
	waiting    []ticket
}

func newQueue(places int) *queue {
	return &queue{places: places, namespaces: map[string]int{}}
}

func (q *queue) add(t ticket) { q.waiting = append(q.waiting, t) }

// next gives places to measurements and returns them. Those of runs that are
// given up are dropped.
func (q *queue) next() []ticket {
	var out, rest []ticket
	for _, t := range q.waiting {
		switch {
		case t.seat.ctx.Err() != nil:
		case q.busy < q.places && t.seat.busy < perRun && q.namespaces[t.run.Namespace] < perNamespace:
			q.busy++
			t.seat.busy++
			q.namespaces[t.run.Namespace]++
			out = append(out, t)
		default:
			rest = append(rest, t)
		}
	}
	q.waiting = rest
	return out
}

// leave gives back the place of a measurement.
func (q *queue) leave(t ticket) {
	q.busy--
	t.seat.busy--
	if q.namespaces[t.run.Namespace]--; q.namespaces[t.run.Namespace] == 0 {
		delete(q.namespaces, t.run.Namespace)
	}
}
