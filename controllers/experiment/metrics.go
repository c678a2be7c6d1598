package experiment

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	crmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// metrics are the series of the served API. They go with their Experiment.
type metrics struct {
	reconcile *prometheus.HistogramVec
	failures  *prometheus.CounterVec
}

func newMetrics() *metrics {
	object := []string{"namespace", "name"}
	return &metrics{
		reconcile: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "experiment_reconcile", Help: "Experiments reconciliation performance.", Buckets: []float64{0.01, 0.15, .25, .5, 1},
		}, object),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "experiment_reconcile_error", Help: "Error occurring during the experiment.",
		}, object),
	}
}

func (m *metrics) register(reader client.Reader) error {
	for _, c := range []prometheus.Collector{m.reconcile, m.failures, inventory{reader}} {
		if err := crmetrics.Registry.Register(c); err != nil {
			return fmt.Errorf("registering a collector: %w", err)
		}
	}
	return nil
}

func (m *metrics) reconciled(key types.NamespacedName, took time.Duration, err error) {
	m.reconcile.WithLabelValues(key.Namespace, key.Name).Observe(took.Seconds())
	if err != nil {
		m.failures.WithLabelValues(key.Namespace, key.Name).Inc()
	}
}

func (m *metrics) forget(key types.NamespacedName) {
	object := prometheus.Labels{"namespace": key.Namespace, "name": key.Name}
	m.reconcile.DeletePartialMatch(object)
	m.failures.DeletePartialMatch(object)
}

var (
	infoDesc = prometheus.NewDesc("experiment_info", "Information about Experiment.",
		[]string{"namespace", "name", "phase"}, nil)
	phaseDesc = prometheus.NewDesc("experiment_phase", "Information on the state of the experiment.",
		[]string{"namespace", "name", "phase"}, nil)
)

// inventory tells of every Experiment in the cache at the moment of a scrape.
type inventory struct{ reader client.Reader }

// Describe is part of prometheus.Collector.
func (inventory) Describe(ch chan<- *prometheus.Desc) {
	ch <- infoDesc
	ch <- phaseDesc
}

// Collect is part of prometheus.Collector.
func (i inventory) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var list v1alpha1.ExperimentList
	if err := i.reader.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return // the cache is not synced yet
	}
	for n := range list.Items {
		e := &list.Items[n]
		for _, desc := range []*prometheus.Desc{infoDesc, phaseDesc} {
			ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, 1, e.Namespace, e.Name, string(e.Status.Phase))
		}
	}
}
