// Package reconcilemetrics counts the reconciles of each object, and how long
// they take. The labels are the namespace and name of an object, never anything
// a user writes into one, and the series go with it.
package reconcilemetrics

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	crmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
)

// Labels name the object that a series is about.
func Labels() []string { return []string{"namespace", "name"} }

// Meter holds the series <kind>_reconcile and <kind>_reconcile_error.
type Meter struct {
	reconcile *prometheus.HistogramVec
	failures  *prometheus.CounterVec
}

// New makes the series of a kind, with the help texts of the served API.
func New(kind, help, failureHelp string) Meter {
	return Meter{
		reconcile: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: kind + "_reconcile", Help: help, Buckets: []float64{0.01, 0.15, .25, .5, 1},
		}, Labels()),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: kind + "_reconcile_error", Help: failureHelp,
		}, Labels()),
	}
}

// Reconciled counts one reconcile and what it came to.
func (m Meter) Reconciled(key types.NamespacedName, took time.Duration, err error) {
	m.reconcile.WithLabelValues(key.Namespace, key.Name).Observe(took.Seconds())
	if err != nil {
		m.failures.WithLabelValues(key.Namespace, key.Name).Inc()
	}
}

// Forget drops the series of an object that is gone.
func (m Meter) Forget(key types.NamespacedName) {
	Forget(key, m.reconcile.MetricVec, m.failures.MetricVec)
}

// Describe is part of prometheus.Collector.
func (m Meter) Describe(ch chan<- *prometheus.Desc) {
	m.reconcile.Describe(ch)
	m.failures.Describe(ch)
}

// Collect is part of prometheus.Collector.
func (m Meter) Collect(ch chan<- prometheus.Metric) {
	m.reconcile.Collect(ch)
	m.failures.Collect(ch)
}

// Forget drops the series of an object that is gone.
func Forget(key types.NamespacedName, vectors ...*prometheus.MetricVec) {
	for _, v := range vectors {
		v.DeletePartialMatch(prometheus.Labels{"namespace": key.Namespace, "name": key.Name})
	}
}

// Register adds collectors to the registry that the manager serves.
func Register(collectors ...prometheus.Collector) error {
	for _, c := range collectors {
		if err := crmetrics.Registry.Register(c); err != nil {
			return fmt.Errorf("registering a collector: %w", err)
		}
	}
	return nil
}
