package analysisrun

import (
	"context"
	"sync"

	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// Priorities of statuses that wait for the API server: good news, then whatever else
// was measured or has begun, then verdicts, which somebody waits for.
const (
	goodNews = iota
	news
	verdict
)

// queueOfRuns is the queue of a controller.
type queueOfRuns = workqueue.TypedRateLimitingInterface[ctrl.Request]

// waiting are the runs whose status is to be stored.
type waiting struct {
	mu    sync.Mutex
	queue queueOfRuns // nil until the controller that stores begins
	early []entry     // what came before
}

// entry is a run in the queue.
type entry struct {
	request  ctrl.Request
	priority int
}

// open is told the queue of the controller that stores.
func (w *waiting) open(_ context.Context, queue queueOfRuns) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue = queue
	for _, one := range w.early {
		w.put(one)
	}
	w.early = nil
	return nil
}

// add has a status stored. Where the API server is slow, a verdict does not wait for
// the good news of others.
func (w *waiting) add(run *v1alpha1.AnalysisRun, status *v1alpha1.AnalysisRunStatus) {
	one := entry{request: ctrl.Request{NamespacedName: client.ObjectKeyFromObject(run)}}
	one.priority = priorityOf(&run.Status, status)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.queue == nil {
		w.early = append(w.early, one)
		return
	}
	w.put(one)
}

// put puts an entry in the queue, which is there.
func (w *waiting) put(one entry) {
	if ranked, ok := w.queue.(priorityqueue.PriorityQueue[ctrl.Request]); ok {
		ranked.AddWithOpts(priorityqueue.AddOpts{Priority: &one.priority}, one.request)
		return
	}
	w.queue.Add(one.request)
}

func priorityOf(from, to *v1alpha1.AnalysisRunStatus) int {
	switch {
	case uneventful(from, to):
		return goodNews
	case to.Phase.Completed():
		return verdict
	default:
		return news
	}
}

// uneventful reports whether nothing differs but that more was measured and found
// good.
func uneventful(from, to *v1alpha1.AnalysisRunStatus) bool {
	if from.Phase != to.Phase || len(from.MetricResults) != len(to.MetricResults) {
		return false
	}
	for i := range to.MetricResults {
		was, is := &from.MetricResults[i], &to.MetricResults[i]
		if was.Name != is.Name || was.Phase != is.Phase || was.Failed != is.Failed ||
			was.Error != is.Error || was.Inconclusive != is.Inconclusive || was.Ignored != is.Ignored {
			return false
		}
	}
	return true
}
