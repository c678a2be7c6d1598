package analysisrun

import (
	"context"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// measure takes one measurement and returns what came of it. It ends when the
// context does.
type measure func(ctx context.Context, run *v1alpha1.AnalysisRun, task analysis.Task) analysis.Result

// desk has measurements taken outside of the queue. It holds at most one per
// metric of a run: from its start until its result is stored in the status.
type desk struct {
	// finished wakes a run that has a new result.
	finished chan event.GenericEvent

	ctx    context.Context //nolint:containedctx // It is the life of the desk, not of a call.
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu    sync.Mutex
	queue *queue
	runs  map[types.NamespacedName]*seat
}

// seat is what the desk holds of one run.
type seat struct {
	uid     types.UID
	ctx     context.Context //nolint:containedctx // It ends what is measured for this run.
	cancel  context.CancelFunc
	metrics map[string]*analysis.Result // nil while the measurement waits or is under way
	busy    int                         // how many are under way
}

func newDesk(places int) *desk {
	ctx, cancel := context.WithCancel(context.Background())
	return &desk{
		finished: make(chan event.GenericEvent),
		ctx:      ctx,
		cancel:   cancel,
		queue:    newQueue(places),
		runs:     map[types.NamespacedName]*seat{},
	}
}

// start has a measurement taken unless the metric is being measured already.
func (d *desk) start(run *v1alpha1.AnalysisRun, task analysis.Task, take measure) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ctx.Err() != nil {
		return
	}
	s := d.seatOf(run)
	if _, busy := s.metrics[task.Metric]; busy {
		return
	}
	s.metrics[task.Metric] = nil
	d.queue.add(ticket{s, run, task, take})
	d.admit()
}

// admit starts the measurements whose turn it is. The desk is locked.
func (d *desk) admit() {
	for _, t := range d.queue.next() {
		d.done.Go(func() { d.work(t) })
	}
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
	s = &seat{uid: run.UID, ctx: ctx, cancel: cancel, metrics: map[string]*analysis.Result{}}
	d.runs[key] = s
	return s
}

func (d *desk) work(t ticket) {
	result := t.take(t.seat.ctx, t.run, t.task)
	d.mu.Lock()
	t.seat.metrics[t.task.Metric] = &result
	d.queue.leave(t)
	d.admit()
	d.mu.Unlock()
	wake := &v1alpha1.AnalysisRun{ObjectMeta: metav1.ObjectMeta{Namespace: t.run.Namespace, Name: t.run.Name}}
	select {
	case d.finished <- event.GenericEvent{Object: wake}:
	case <-t.seat.ctx.Done(): // nobody waits for it any more
	}
}

// results are the measurements of a run that were taken and not yet stored, in
// the order of its metrics.
func (d *desk) results(run *v1alpha1.AnalysisRun) []analysis.Result {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.runs[client.ObjectKeyFromObject(run)]
	if s == nil || s.uid != run.UID {
		return nil
	}
	var out []analysis.Result
	for _, result := range s.metrics {
		if result != nil {
			out = append(out, *result)
		}
	}
	inOrder(out)
	return out
}

// recorded forgets results that are stored in the status.
func (d *desk) recorded(run *v1alpha1.AnalysisRun, results []analysis.Result) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.runs[client.ObjectKeyFromObject(run)]
	if s == nil || s.uid != run.UID {
		return
	}
	for _, result := range results {
		delete(s.metrics, result.Task.Metric)
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
