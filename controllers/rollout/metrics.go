package rollout

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	crmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/rollout/plan"
)

// metrics are the series of the served API. Their labels are the namespace and
// name of a Rollout, never anything a user writes into one, and they go with it.
type metrics struct {
	reconcile *prometheus.HistogramVec
	failures  *prometheus.CounterVec
	events    *prometheus.CounterVec
}

func newMetrics() *metrics {
	object := []string{"namespace", "name"}
	return &metrics{
		reconcile: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "rollout_reconcile", Help: "Rollout reconciliation performance.", Buckets: []float64{0.01, 0.15, .25, .5, 1},
		}, object),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollout_reconcile_error", Help: "Error occurring during the rollout.",
		}, object),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollout_events_total", Help: "Count of rollout events.",
		}, append(object, "type", "reason")),
	}
}

func (m *metrics) register(reader client.Reader) error {
	for _, c := range []prometheus.Collector{m.reconcile, m.failures, m.events, inventory{reader}} {
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

func (m *metrics) event(key types.NamespacedName, e plan.Event) {
	m.events.WithLabelValues(key.Namespace, key.Name, e.Type, e.Reason).Inc()
}

func (m *metrics) forget(key types.NamespacedName) {
	object := prometheus.Labels{"namespace": key.Namespace, "name": key.Name}
	m.reconcile.DeletePartialMatch(object)
	m.failures.DeletePartialMatch(object)
	m.events.DeletePartialMatch(object)
}

var (
	infoDesc = prometheus.NewDesc("rollout_info", "Information about rollout.",
		[]string{"namespace", "name", "strategy", "traffic_router", "phase"}, nil)
	phaseDesc = prometheus.NewDesc("rollout_phase", "[DEPRECATED - use rollout_info] Information on the state of the rollout.",
		[]string{"namespace", "name", "strategy", "phase"}, nil)
	replicaDescs = map[string]*prometheus.Desc{}
)

func init() {
	for _, kind := range []string{"available", "unavailable", "desired", "updated"} {
		replicaDescs[kind] = prometheus.NewDesc("rollout_info_replicas_"+kind,
			"The number of "+kind+" replicas per rollout.", []string{"namespace", "name"}, nil)
	}
}

// inventory tells of every Rollout in the cache at the moment of a scrape.
type inventory struct{ reader client.Reader }

// Describe is part of prometheus.Collector.
func (inventory) Describe(ch chan<- *prometheus.Desc) {
	ch <- infoDesc
	ch <- phaseDesc
	for _, desc := range replicaDescs {
		ch <- desc
	}
}

// Collect is part of prometheus.Collector.
func (i inventory) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var list v1alpha1.RolloutList
	if err := i.reader.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return // the cache is not synced yet
	}
	for n := range list.Items {
		collect(ch, &list.Items[n])
	}
}

func collect(ch chan<- prometheus.Metric, ro *v1alpha1.Rollout) {
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, append([]string{ro.Namespace, ro.Name}, labels...)...)
	}
	strategy, routing := "blueGreen", ""
	if canary := ro.Spec.Strategy.Canary; canary != nil {
		strategy = "canary"
		if canary.TrafficRouting != nil && canary.TrafficRouting.Nginx != nil {
			routing = router(nil).Type()
		}
	}
	phase := string(ro.Status.Phase)
	gauge(infoDesc, 1, strategy, routing, phase)
	gauge(phaseDesc, 1, strategy, oldPhase(ro))
	st := ro.Status
	desired := ro.DesiredReplicas()
	for kind, value := range map[string]int32{
		"available": st.AvailableReplicas, "unavailable": st.Replicas - st.AvailableReplicas,
		"desired": desired, "updated": st.UpdatedReplicas,
	} {
		gauge(replicaDescs[kind], float64(value))
	}
}

// oldPhase is the phase in the words of the deprecated metric.
func oldPhase(ro *v1alpha1.Rollout) string {
	for _, c := range ro.Status.Conditions {
		switch {
		case c.Type == v1alpha1.RolloutInvalidSpec:
			return "InvalidSpec"
		case c.Type == v1alpha1.RolloutProgressing && c.Reason == plan.ReasonAborted:
			return "Abort"
		case c.Type == v1alpha1.RolloutProgressing && c.Reason == plan.ReasonDeadlineExceeded:
			return "Timeout"
		}
	}
	if ro.Status.Phase == v1alpha1.RolloutPhaseHealthy {
		return "Completed"
	}
	return string(ro.Status.Phase)
}
