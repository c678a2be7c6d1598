package analysisrun

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// driven is a world in which nothing happens but what an event, a result or a queue
// brings about. Replies to writes may be lost.
type driven struct {
	*world
	events []event.UpdateEvent
	skip   int // how many replies come first
	lost   int // how many replies are lost after them
}

func newDriven(t *testing.T, metric v1alpha1.Metric) *driven {
	t.Helper()
	d := &driven{world: newWorld(t, newRun(metric))}
	whole := d.Client
	d.Client = interceptor.NewClient(whole.(client.WithWatch), interceptor.Funcs{
		Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
			old := d.read(c)
			if err := c.Patch(ctx, obj, patch, opts...); err != nil {
				return err
			}
			d.events = append(d.events, event.UpdateEvent{ObjectOld: old, ObjectNew: d.read(c)})
			switch {
			case d.skip > 0:
				d.skip--
			case d.lost > 0:
				d.lost--
				return errors.New("the reply was lost")
			}
			return nil
		},
	})
	return d
}

func (d *driven) read(c client.Client) *v1alpha1.AnalysisRun {
	var run v1alpha1.AnalysisRun
	if err := c.Get(d.t.Context(), key, &run); err != nil {
		d.t.Fatal(err)
	}
	return &run
}

// touch is a write of somebody else, which the cache tells of.
func (d *driven) touch() {
	old := d.read(d.Client)
	run := old.DeepCopy()
	run.Labels = map[string]string{"seen": "yes"}
	if err := d.Client.Update(d.t.Context(), run); err != nil {
		d.t.Fatal(err)
	}
	d.events = append(d.events, event.UpdateEvent{ObjectOld: old, ObjectNew: d.read(d.Client)})
}

// play lets happen what is brought about, and waits for results while any is under way.
// What is stored again after a failure comes before the events, as in the worst case.
func (d *driven) play() {
	d.t.Helper()
	for {
		switch {
		case len(d.queue.requests) > 0:
			if again, err := d.store(); err != nil || again.RequeueAfter > 0 {
				d.queue.requests = []ctrl.Request{{NamespacedName: key}}
				d.clock.SetTime(d.clock.Now().Add(2 * refusalTime))
			}
		case len(d.events) > 0:
			next := d.events[0]
			d.events = d.events[1:]
			if d.news(next) {
				d.pass()
			}
		case d.underWay():
			select {
			case <-d.desk.finished:
				d.pass()
			case <-time.After(10 * time.Second):
				d.t.Fatal("no measurement arrives")
			}
		default:
			select {
			case <-d.desk.finished: // one that was told after it was seen
				d.pass()
			default:
				return
			}
		}
	}
}

// underWay reports whether something is measured, or has come and is about to be told.
func (d *driven) underWay() bool {
	d.desk.mu.Lock()
	defer d.desk.mu.Unlock()
	s := d.desk.runs[key]
	return s != nil && len(s.underWay)+len(s.unstored) > 0
}

func (d *driven) pass() {
	d.t.Helper()
	if _, err := d.Reconcile(d.t.Context(), ctrl.Request{NamespacedName: key}); err != nil {
		d.t.Fatal(err)
	}
}

// Whatever is lost or written in between, a run comes to its verdict.
func TestARunIsNeverForgotten(t *testing.T) {
	for name, begin := range map[string]func(*driven){
		"undisturbed":                             func(*driven) {},
		"the reply of the first store is lost":    func(d *driven) { d.lost = 1 },
		"three replies are lost":                  func(d *driven) { d.lost = 3 },
		"somebody writes before the first store":  func(d *driven) { d.touch() },
		"both":                                    func(d *driven) { d.touch(); d.lost = 2 },
		"the reply of the verdict is lost":        func(d *driven) { d.skip = 1; d.lost = 1 },
		"it is looked at again before it is told": func(d *driven) { d.pass(); d.pass() },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDriven(t, newMetric("rate"))
			d.pass()
			begin(d)
			d.play()
			if got := d.status(); got.Phase != v1alpha1.AnalysisPhaseSuccessful || got.MetricResults[0].Count != 1 || d.provider.count() != 1 {
				t.Errorf("%s after %d measurements", got.Phase, d.provider.count())
			}
			events := []string{
				"Normal MetricSuccessful Metric 'rate' Completed. Result: Successful",
				"Normal AnalysisRunSuccessful Analysis Completed. Result: Successful",
			}
			if diff := cmp.Diff(events, d.told()); diff != "" {
				t.Errorf("events: %s", diff)
			}
		})
	}
}
