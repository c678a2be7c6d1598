package analysisrun

import (
	"crypto/sha256"
	"slices"
	"time"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// Whoever asks a server that never answers holds up to as many places, and no more.
const (
	perRun       = 16
	perNamespace = 32
	perSource    = 16
)

// ticket is a measurement that waits to be taken.
type ticket struct {
	seat     *seat
	run      *v1alpha1.AnalysisRun
	task     analysis.Task
	question analysis.Question
	take     measure
	// since is when the measurement was due; an answer to a question asked before
	// may be about an earlier moment.
	since time.Time
	// last is when the question was asked whose answer the metric used last; zero
	// when none is known.
	last time.Time
	// tired ends the wait.
	tired *time.Timer
	// leads reports that others may wait for its answer.
	leads bool
}

// maxAge is how old an answer may be. Most sources know no more within that
// time, and a verdict comes no later by it than anybody notices.
const maxAge = 10 * time.Second

// fresh reports whether the answer to a question asked at a time may be used: it
// is about the moment, or the metric has not used it and it is within the
// interval. The first measurement of a metric is always about the moment.
func (t *ticket) fresh(asked, now time.Time) bool {
	if !t.question.Shared {
		return false
	}
	if !asked.Before(t.since) {
		return true
	}
	return !t.last.IsZero() && asked.After(t.last) && now.Sub(asked) < t.window()
}

// window is how old an answer may be for a ticket.
func (t *ticket) window() time.Duration { return min(t.question.Interval, maxAge) }

// queue decides which measurement is taken next: the oldest of a run, a
// namespace and a source that have places left. It is not safe for use by
// several at once.
type queue struct {
	places     int
	busy       int
	namespaces map[string]int
	sources    map[string]*line
	order      []string // the sources with somebody in line, in the order they came
	asking     map[[sha256.Size]byte]*asking
}

// line is what waits for a source, and how much it is asked.
type line struct {
	waiting []*ticket
	busy    int
}

// asking is a question under way, and who else waits for its answer.
type asking struct {
	since     time.Time
	followers []*ticket
}

func newQueue(places int) *queue {
	return &queue{
		places: places, namespaces: map[string]int{}, sources: map[string]*line{},
		asking: map[[sha256.Size]byte]*asking{},
	}
}

func (q *queue) add(t *ticket) {
	at := q.sources[t.question.Source]
	if at == nil {
		at = &line{}
		q.sources[t.question.Source] = at
	}
	if len(at.waiting) == 0 {
		q.order = append(q.order, t.question.Source)
	}
	at.waiting = append(at.waiting, t)
}

// drop takes a ticket out of its line, and reports whether it was there.
func (q *queue) drop(t *ticket) bool {
	at := q.sources[t.question.Source]
	if at == nil {
		return false
	}
	i := slices.Index(at.waiting, t)
	if i < 0 {
		return false
	}
	at.waiting = slices.Delete(at.waiting, i, i+1)
	q.tidy()
	return true
}

// waits is how many measurements wait for a source.
func (q *queue) waits(source string) int {
	if at := q.sources[source]; at != nil {
		return len(at.waiting)
	}
	return 0
}

// next gives places to measurements and returns them. Those of runs that are
// given up are dropped, and those whose question is asked already, or will be
// by one that gets a place now, follow it without a place of their own.
func (q *queue) next(now time.Time) []*ticket {
	var out []*ticket
	for _, source := range q.order {
		if q.busy >= q.places {
			break
		}
		out = append(out, q.nextOf(q.sources[source], now)...)
	}
	q.tidy()
	return out
}

func (q *queue) nextOf(at *line, now time.Time) []*ticket {
	var out, rest []*ticket
	for _, t := range at.waiting {
		switch {
		case t.seat.ctx.Err() != nil:
			t.tired.Stop()
		case q.follow(t, now):
		case q.busy < q.places && at.busy < perSource && t.seat.busy < perRun && q.namespaces[t.run.Namespace] < perNamespace:
			q.enter(t, at, now)
			out = append(out, t)
		default:
			rest = append(rest, t)
		}
	}
	at.waiting = rest
	return out
}

// follow has a ticket wait for the answer to a question that is under way.
func (q *queue) follow(t *ticket, now time.Time) bool {
	if !t.question.Shared {
		return false
	}
	under := q.asking[t.question.Key]
	if under == nil || !t.fresh(under.since, now) {
		return false
	}
	t.tired.Stop() // the wait is that of the question now
	under.followers = append(under.followers, t)
	return true
}

func (q *queue) enter(t *ticket, at *line, now time.Time) {
	t.tired.Stop()
	q.busy++
	at.busy++
	t.seat.busy++
	q.namespaces[t.run.Namespace]++
	if t.question.Shared && q.asking[t.question.Key] == nil {
		q.asking[t.question.Key], t.leads = &asking{since: now}, true
	}
}

// leave gives back the place of a measurement, and returns those that follow it.
func (q *queue) leave(t *ticket) []*ticket {
	q.busy--
	t.seat.busy--
	q.sources[t.question.Source].busy--
	if q.namespaces[t.run.Namespace]--; q.namespaces[t.run.Namespace] == 0 {
		delete(q.namespaces, t.run.Namespace)
	}
	var followers []*ticket
	if t.leads {
		followers = q.asking[t.question.Key].followers
		delete(q.asking, t.question.Key)
	}
	q.tidy()
	return followers
}

// tidy forgets sources that nobody asks.
func (q *queue) tidy() {
	q.order = slices.DeleteFunc(q.order, func(source string) bool { return len(q.sources[source].waiting) == 0 })
	for source, at := range q.sources {
		if at.busy == 0 && len(at.waiting) == 0 {
			delete(q.sources, source)
		}
	}
}
