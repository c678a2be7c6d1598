package analysisrun

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/internal/outcome"
)

// series counts the series of a collector.
func series(c prometheus.Collector) int {
	out := make(chan prometheus.Metric, 100)
	c.Collect(out)
	return len(out)
}

func TestADeletedRunLeavesNoSeries(t *testing.T) {
	w := newWorld(t, newRun(newMetric("rate")))
	w.reconcile()
	w.arrive()
	if got := series(w.metrics.Meter); got != 1 {
		t.Fatalf("%d series of a run that is there", got)
	}
	if err := w.Client.Delete(t.Context(), newRun()); err != nil {
		t.Fatal(err)
	}
	w.reconcile()
	if got := series(w.metrics.Meter); got != 0 {
		t.Errorf("%d series of a deleted run", got)
	}
}

func TestADeletedRunIsForgottenAtOnce(t *testing.T) {
	w := newWorld(t, newRun(newMetric("rate")))
	w.provider.answer = func(ctx context.Context, _ analysis.Query) analysis.Reply {
		<-ctx.Done()
		return analysis.Failure(ctx.Err())
	}
	w.reconcile()
	if err := w.Client.Delete(t.Context(), newRun()); err != nil {
		t.Fatal(err)
	}
	if got := w.reconcile(); got.RequeueAfter != 0 || len(w.desk.runs) != 0 {
		t.Errorf("looks again after %s, and the desk has %d runs", got.RequeueAfter, len(w.desk.runs))
	}
	next := newRun(newMetric("rate"))
	next.UID = "uid-2"
	if err := w.Client.Create(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	if got := w.reconcile(); got.RequeueAfter != 0 || w.status().Phase != v1alpha1.AnalysisPhaseRunning {
		t.Errorf("the next run of its name waits for %s, and is %q", got.RequeueAfter, w.status().Phase)
	}
}

// TestAnOldViewCannotTurnAVerdictAround has two instances: the cache of one is
// behind, and it measured something else.
func TestAnOldViewCannotTurnAVerdictAround(t *testing.T) {
	w := newWorld(t, newRun(newMetric("rate")))
	w.provider.answer = func(context.Context, analysis.Query) analysis.Reply {
		return analysis.Reply{Phase: v1alpha1.AnalysisPhaseFailed, Value: "0"}
	}
	w.reconcile()
	var old v1alpha1.AnalysisRun
	if err := w.Client.Get(t.Context(), key, &old); err != nil {
		t.Fatal(err)
	}
	behind := true
	view := interceptor.NewClient(w.Client.(client.WithWatch), interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, k client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
			if run, ok := obj.(*v1alpha1.AnalysisRun); ok && behind {
				old.DeepCopyInto(run)
				return nil
			}
			return c.Get(ctx, k, obj, opts...)
		},
	})
	good := &provider{answer: func(context.Context, analysis.Query) analysis.Reply {
		return analysis.Reply{Phase: v1alpha1.AnalysisPhaseSuccessful, Value: "1"}
	}}
	other := &world{t: t, clock: w.clock, events: w.events}
	other.open(view, good)
	other.reconcile()
	<-other.desk.finished // both have measured
	w.arrive()
	if got := w.status().Phase; got != v1alpha1.AnalysisPhaseFailed {
		t.Fatalf("the run is %s", got)
	}
	if got, err := other.attempt(); got.RequeueAfter != outcome.Soon || err != nil {
		t.Errorf("stores again after %s, %v", got.RequeueAfter, err)
	}
	behind = false
	other.reconcile()
	if got := w.status(); got.Phase != v1alpha1.AnalysisPhaseFailed || got.MetricResults[0].Successful != 0 {
		t.Errorf("the verdict Failed became %s: %+v", got.Phase, got.MetricResults)
	}
}

func TestAResultSurvivesTheWriteOfAnother(t *testing.T) {
	w := newWorld(t, newRun(newMetric("rate")))
	w.reconcile()
	<-w.desk.finished
	whole, written := w.Client, false
	w.Client = interceptor.NewClient(whole.(client.WithWatch), interceptor.Funcs{
		Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
			if !written { // somebody writes between our reading and our writing
				written = true
				var run v1alpha1.AnalysisRun
				if err := c.Get(ctx, key, &run); err != nil {
					return err
				}
				run.Labels = map[string]string{"seen": "yes"}
				if err := c.Update(ctx, &run); err != nil {
					return err
				}
			}
			return c.Patch(ctx, obj, patch, opts...)
		},
	})
	if got, err := w.attempt(); got.RequeueAfter != outcome.Soon || err != nil {
		t.Errorf("stores again after %s, %v", got.RequeueAfter, err)
	}
	w.reconcile()
	if got := w.status().Phase; got != v1alpha1.AnalysisPhaseSuccessful || w.provider.count() != 1 {
		t.Errorf("got %s after %d measurements", got, w.provider.count())
	}
}

func TestOneOddRunDoesNotBreakTheScrape(t *testing.T) {
	run := newRun(newMetric("rate"), newMetric("rate"))
	run.Status.MetricResults = []v1alpha1.MetricResult{{Name: "a", Phase: "Running"}, {Name: "a", Phase: "Failed"}, {Name: "a", Phase: "Running"}}
	w := newWorld(t, run)
	registry := prometheus.NewRegistry()
	if err := registry.Register(inventory{w.Client}); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Error(err)
	}
	var phases []*dto.Metric
	for _, family := range families {
		if family.GetName() == "analysis_run_metric_phase" {
			phases = family.GetMetric()
		}
	}
	if len(phases) != 1 || !strings.Contains(phases[0].String(), "Running") {
		t.Errorf("the phases are %v", phases)
	}
}

func TestAStatusTheServerRefusesIsStoredShorter(t *testing.T) {
	refusals := map[string]error{
		"by its code":              apierrors.NewRequestEntityTooLargeError("limit is 3145728"),
		"by etcd":                  errors.New("etcdserver: request is too large"),
		"by the client of etcd":    errors.New("rpc error: code = ResourceExhausted desc = trying to send message larger than max (2200513 vs. 2097152)"),
		"for something else, once": errors.New("no route to host"),
	}
	for name, refusal := range refusals {
		t.Run(name, func(t *testing.T) {
			m := newMetric("rate")
			m.Interval = "1m"
			w := newWorld(t, newRun(m))
			w.provider.answer = func(context.Context, analysis.Query) analysis.Reply {
				return analysis.Reply{Phase: v1alpha1.AnalysisPhaseSuccessful, Value: strings.Repeat("1", 1000)}
			}
			w.reconcile()
			whole := w.Client
			w.Client = interceptor.NewClient(whole.(client.WithWatch), interceptor.Funcs{
				Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
					if body, err := patch.Data(obj); err != nil || len(body) > 900 {
						return errors.Join(refusal, err)
					}
					return c.Patch(ctx, obj, patch, opts...)
				},
			})
			<-w.desk.finished
			_, err := w.attempt()
			results := w.status().MetricResults
			if strings.Contains(name, "else") {
				if err == nil || len(results) > 0 {
					t.Errorf("another refusal is taken for one: %v %+v", err, results)
				}
				return
			}
			if err != nil || len(results) != 1 || results[0].Count != 1 || !strings.HasSuffix(results[0].Measurements[0].Value, "1…") {
				text, _ := json.Marshal(results)
				t.Errorf("got %v, %.500s", err, text)
			}
		})
	}
}

// TestASourceThatNeverAnswersHoldsUpItsOwnOnly has runs of one namespace ask a
// server that is stuck for more than all places.
func TestASourceThatNeverAnswersHoldsUpItsOwnOnly(t *testing.T) {
	var stuck []v1alpha1.Metric
	for i := range 50 {
		metric := newMetric(fmt.Sprintf("stuck-%d", i))
		metric.Provider.Prometheus.Address = fmt.Sprintf("http://stuck-%d", i)
		stuck = append(stuck, metric)
	}
	w := newWorld(t, newRun(newMetric("rate")))
	w.provider.answer = func(ctx context.Context, q analysis.Query) analysis.Reply {
		if strings.HasPrefix(q.Metric.Name, "stuck") {
			<-ctx.Done()
		}
		return analysis.Reply{Phase: v1alpha1.AnalysisPhaseSuccessful}
	}
	for i := range 5 {
		run := newRun(stuck...)
		run.Namespace, run.Name = "other", fmt.Sprintf("run-%d", i)
		for at := range stuck {
			w.desk.start(w.desk.latest(run), analysis.Task{Verb: analysis.Take, Metric: stuck[at].Name, Index: at, Number: 1}, w.take)
		}
	}
	w.reconcile()
	w.arrive()
	if got := w.status().Phase; got != v1alpha1.AnalysisPhaseSuccessful {
		t.Errorf("the run is %s", got)
	}
	w.desk.mu.Lock()
	defer w.desk.mu.Unlock()
	if busy := w.desk.queue.namespaces["other"]; busy != perNamespace {
		t.Errorf("%d are under way", busy)
	}
}
