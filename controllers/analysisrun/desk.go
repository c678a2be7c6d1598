package analysisrun

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// measure takes one measurement and returns what came of it, and the answer it
// rests on if others may use it. With an answer given it asks nobody. It ends
// when the context does.
type measure func(ctx context.Context, run *v1alpha1.AnalysisRun, task analysis.Task, given *answer) (analysis.Result, *answer)

// answer is what a source said, before it is judged. It may be used for others
// who ask the same.
type answer struct {
	asked   time.Time
	reply   analysis.Reply
	samples *float64
	// secrets are what the provider read; they are kept out of messages.
	secrets []string
}

const (
	// queueTime is how long a measurement waits for a source that others ask too.
	queueTime = time.Minute
	// maxShared is the largest text of a value that is kept for others.
	maxShared = 16 << 10
	// maxAnswers is how many answers are kept.
	maxAnswers = 10_000
)

// maxAhead is how many measurements of a metric may be taken and not yet stored.
// More than one are only where the API server takes writes more slowly than runs
// are measured.
const maxAhead = 3

// desk has measurements taken outside of the queue, one at a time of a metric, and
// holds what came of them until it is stored in the status.
type desk struct {
	// finished wakes a run that has a new result.
	finished chan event.GenericEvent
	clock    clock.PassiveClock
	metrics  *deskMetrics

	ctx    context.Context //nolint:containedctx // It is the life of the desk, not of a call.
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu      sync.Mutex
	queue   *queue
	answers map[[sha256.Size]byte]*answer
	runs    map[types.NamespacedName]*seat
}

// seat is what the desk holds of one run.
type seat struct {
	uid      types.UID
	ctx      context.Context //nolint:containedctx // It ends what is measured for this run.
	cancel   context.CancelFunc
	underWay map[string]bool             // the metrics that wait to be measured, or are
	unstored []analysis.Result           // what was taken and is not stored, in the order in which it came
	came     map[string]int              // how often something came of the measurements of a metric
	used     map[string]time.Time        // when the question was asked whose answer a metric used last
	busy     int                         // how many are under way
	stored   *stored                     // what was stored last; nil before
	refused  refusal                     // of the last write
	doubted  *v1alpha1.AnalysisRunStatus // the status before a write of which nobody knows whether it was made
	held     bool                        // some metric waits until more is stored
}

func newDesk(places int, now clock.PassiveClock) *desk {
	ctx, cancel := context.WithCancel(context.Background())
	return &desk{
		finished: make(chan event.GenericEvent),
		clock:    now,
		metrics:  newDeskMetrics(),
		ctx:      ctx,
		cancel:   cancel,
		queue:    newQueue(places),
		answers:  map[[sha256.Size]byte]*answer{},
		runs:     map[types.NamespacedName]*seat{},
	}
}

// start has a measurement taken unless the metric is being measured already, or was
// since the view.
func (d *desk) start(v view, task analysis.Task, take measure) {
	question := analysis.QuestionOf(v.run, task)
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.ticketOf(v, task, question)
	if t == nil {
		return
	}
	t.take = take
	t.seat.underWay[task.Metric] = true
	if given := d.given(t); given != nil {
		d.deliver(t, given)
		return
	}
	d.line(t)
	d.admit()
}

// judge takes at once those of the measurements of a run for which an answer is
// there, and reports whether there are any. It asks nobody, so it never waits:
// a run whose arguments are in Secrets is left to start.
func (d *desk) judge(v view, tasks []analysis.Task, take measure) bool {
	if slices.ContainsFunc(v.run.Spec.Args, fromSecret) {
		return false
	}
	judged := false
	for _, task := range tasks {
		if t, given := d.answered(v, task); given != nil {
			t.take = take
			d.use(t, given)
			judged = true
		}
	}
	return judged
}

func fromSecret(arg v1alpha1.Argument) bool {
	return arg.ValueFrom != nil && arg.ValueFrom.SecretKeyRef != nil
}

// answered is a ticket for a measurement and the answer that is there for it; nil
// when there is none.
func (d *desk) answered(v view, task analysis.Task) (*ticket, *answer) {
	question := analysis.QuestionOf(v.run, task)
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.ticketOf(v, task, question)
	if t == nil {
		return nil, nil
	}
	given := d.given(t)
	if given == nil {
		return nil, nil
	}
	t.seat.underWay[task.Metric] = true
	d.metrics.shared.Inc()
	d.lateness(t)
	return t, given
}

// ticketOf is a ticket for a measurement; nil where the metric is being measured
// already, was since the view, or is too far ahead of what is stored. The desk is
// locked.
func (d *desk) ticketOf(v view, task analysis.Task, question analysis.Question) *ticket {
	if d.ctx.Err() != nil {
		return nil
	}
	s := d.seatOf(v.run)
	switch {
	case s.ctx.Err() != nil, s.underWay[task.Metric], s.came[task.Metric] != v.came[task.Metric]:
		return nil // what came wakes the run
	case s.ahead(task.Metric) >= maxAhead:
		s.held = true
		return nil
	}
	return &ticket{seat: s, run: v.run, task: task, question: question, since: d.clock.Now(), last: s.used[task.Metric]}
}

// ahead is how many measurements of a metric are not stored.
func (s *seat) ahead(metric string) int {
	n := 0
	for _, result := range s.unstored {
		if result.Task.Metric == metric {
			n++
		}
	}
	return n
}

// took is told what came of a measurement. The desk is locked.
func (s *seat) took(result analysis.Result) {
	delete(s.underWay, result.Task.Metric)
	s.came[result.Task.Metric]++
	s.unstored = append(s.unstored, result)
}

// given is the answer that is there for a ticket; nil when there is none. The desk
// is locked.
func (d *desk) given(t *ticket) *answer {
	if given := d.answers[t.question.Key]; given != nil && t.fresh(given.asked, t.since) {
		return given
	}
	return nil
}

// use judges an answer that somebody else asked for.
func (d *desk) use(t *ticket, given *answer) {
	result, _ := t.take(t.seat.ctx, t.run, t.task, given)
	d.mu.Lock()
	defer d.mu.Unlock()
	t.seat.used[t.task.Metric] = given.asked
	t.seat.took(result)
}

// line puts a ticket in line. The desk is locked.
func (d *desk) line(t *ticket) {
	t.tired = time.AfterFunc(queueTime, func() { d.giveUp(t) })
	d.queue.add(t)
}

// admit starts the measurements whose turn it is. The desk is locked.
func (d *desk) admit() {
	for _, t := range d.queue.next(d.clock.Now()) {
		d.done.Go(func() { d.work(t) })
	}
}

// deliver has an answer judged that somebody else asked for. The desk is locked.
func (d *desk) deliver(t *ticket, given *answer) {
	d.metrics.shared.Inc()
	d.lateness(t)
	d.done.Go(func() {
		d.use(t, given)
		d.wake(t)
	})
}

// lateness is told of measurements that are taken, not of those that are looked at again.
func (d *desk) lateness(t *ticket) {
	if t.task.Verb == analysis.Take && !t.task.Due.IsZero() {
		d.metrics.late.Observe(d.clock.Since(t.task.Due).Seconds())
	}
}

// giveUp ends the wait of a measurement whose source has no place for it: it
// could not be taken in time, and that is its result.
func (d *desk) giveUp(t *ticket) {
	d.mu.Lock()
	if d.ctx.Err() != nil || !d.queue.drop(t) {
		d.mu.Unlock()
		return
	}
	waiting := d.queue.waits(t.question.Source)
	now := d.clock.Now()
	t.seat.took(analysis.Result{
		Task: t.task, Started: t.since, Finished: now,
		Reply: analysis.Failure(fmt.Errorf("no place to ask %s within %s; %d more measurements wait for it: it answers too slowly for so many",
			t.question.Source, queueTime, waiting)),
	})
	d.done.Go(func() { d.wake(t) })
	d.mu.Unlock()
}

// seatOf is the seat of a run; one of an earlier run of the same name is given up.
func (d *desk) seatOf(run *v1alpha1.AnalysisRun) *seat {
	key := client.ObjectKeyFromObject(run)
	s := d.runs[key]
	if s != nil && s.uid == run.UID {
		return s
	}
	if s != nil {
		s.cancel()
	}
	ctx, cancel := context.WithCancel(d.ctx)
	s = &seat{uid: run.UID, ctx: ctx, cancel: cancel, underWay: map[string]bool{}, came: map[string]int{}, used: map[string]time.Time{}}
	d.runs[key] = s
	return s
}

func (d *desk) work(t *ticket) {
	d.metrics.asked.Inc()
	d.lateness(t)
	result, made := t.take(t.seat.ctx, t.run, t.task, nil)
	d.mu.Lock()
	t.seat.took(result)
	if made != nil {
		t.seat.used[t.task.Metric] = made.asked
	}
	d.share(t, made, d.queue.leave(t))
	d.admit()
	d.mu.Unlock()
	d.wake(t)
}

// share gives an answer to all who wait for it. Without one, since its run was
// given up or the answer is too large to be kept, they ask themselves. The desk
// is locked.
func (d *desk) share(t *ticket, made *answer, followers []*ticket) {
	if !t.question.Shared || errors.Is(t.seat.ctx.Err(), context.Canceled) {
		made = nil
	}
	if made != nil {
		d.keep(t, made)
	}
	for _, follower := range followers {
		if made != nil && follower.fresh(made.asked, d.clock.Now()) {
			d.deliver(follower, made)
			continue
		}
		d.line(follower)
	}
}

// keep keeps an answer as long as it is fresh for somebody. Whoever comes after
// an error may be luckier.
func (d *desk) keep(t *ticket, made *answer) {
	if t.window() == 0 || made.reply.Phase == v1alpha1.AnalysisPhaseError {
		return
	}
	if len(d.answers) >= maxAnswers {
		clear(d.answers)
	}
	d.answers[t.question.Key] = made
	time.AfterFunc(t.window(), func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.answers[t.question.Key] == made {
			delete(d.answers, t.question.Key)
		}
	})
}

// wake wakes the run of a ticket.
func (d *desk) wake(t *ticket) { d.wakeRun(t.seat, t.run) }

// wakeRun wakes a run.
func (d *desk) wakeRun(s *seat, run *v1alpha1.AnalysisRun) {
	named := &v1alpha1.AnalysisRun{ObjectMeta: metav1.ObjectMeta{Namespace: run.Namespace, Name: run.Name}}
	select {
	case d.finished <- event.GenericEvent{Object: named}:
	case <-s.ctx.Done(): // nobody waits for it any more
	}
}

// forgetKey gives up everything that is measured for a run.
func (d *desk) forgetKey(key types.NamespacedName) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.runs[key]; s != nil {
		s.cancel()
		delete(d.runs, key)
	}
}

// close gives up everything and waits until it has ended.
func (d *desk) close() {
	d.mu.Lock()
	d.cancel()
	d.mu.Unlock()
	d.done.Wait()
}
