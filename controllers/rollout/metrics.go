package rollout

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/internal/reconcilemetrics"
	"github.com/headway-rollouts/headway/controllers/rollout/plan"
)

// metrics are the series of the served API.
type metrics struct {
	reconcilemetrics.Meter

	events *prometheus.CounterVec
}

func newMetrics() *metrics {
	return &metrics{
		Meter: reconcilemetrics.New("rollout", "Rollout reconciliation performance.", "Error occurring during the rollout."),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollout_events_total", Help: "Count of rollout events.",
		}, append(reconcilemetrics.Labels(), "type", "reason")),
	}
}

func (m *metrics) register(reader client.Reader) error {
	return reconcilemetrics.Register(m.Meter, m.events, inventory{reader})
}

func (m *metrics) event(key types.NamespacedName, e plan.Event) {
	m.events.WithLabelValues(key.Namespace, key.Name, e.Type, e.Reason).Inc()
}

func (m *metrics) forget(key types.NamespacedName) {
	m.Forget(key)
	reconcilemetrics.Forget(key, m.events.MetricVec)
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
	strategy, routing := "blueGreen", routerNamesOf(ro)
	if ro.Spec.Strategy.Canary != nil {
		strategy = "canary"
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
