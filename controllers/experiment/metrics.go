package experiment

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/internal/reconcilemetrics"
)

// metrics are the series of the served API.
type metrics struct{ reconcilemetrics.Meter }

func newMetrics() *metrics {
	return &metrics{reconcilemetrics.New("experiment", "Experiments reconciliation performance.", "Error occurring during the experiment.")}
}

func (m *metrics) register(reader client.Reader) error {
	return reconcilemetrics.Register(m.Meter, inventory{reader})
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
