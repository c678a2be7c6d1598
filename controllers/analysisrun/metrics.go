package analysisrun

import (
	"context"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/internal/reconcilemetrics"
)

// metrics are the series of the served API.
type metrics struct {
	reconcilemetrics.Meter

	desk *deskMetrics
}

// deskMetrics tell how measurements are taken. They have no labels, since the
// addresses of sources are users' data.
type deskMetrics struct {
	asked, shared prometheus.Counter
	late          prometheus.Histogram
}

func newDeskMetrics() *deskMetrics {
	return &deskMetrics{
		asked: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "headway_measurements_asked_total", Help: "Measurements that asked their source.",
		}),
		shared: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "headway_measurements_shared_total", Help: "Measurements that used the answer to the same question of another.",
		}),
		late: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "headway_measurement_late_seconds", Help: "Time from when a measurement was due until its source was asked, or an answer was there.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}),
	}
}

func newMetrics(desk *deskMetrics) *metrics {
	return &metrics{
		Meter: reconcilemetrics.New("analysis_run", "Analysis Run reconciliation performance.", "Error occurring during the analysis run."),
		desk:  desk,
	}
}

func (m *metrics) register(reader client.Reader) error {
	return reconcilemetrics.Register(m.Meter, m.desk.asked, m.desk.shared, m.desk.late, inventory{reader})
}

var (
	infoDesc = prometheus.NewDesc("analysis_run_info", "Information about analysis run.",
		[]string{"namespace", "name", "phase"}, nil)
	phaseDesc = prometheus.NewDesc("analysis_run_phase", "Information on the state of the Analysis Run.",
		[]string{"namespace", "name", "phase"}, nil)
	metricTypeDesc = prometheus.NewDesc("analysis_run_metric_type", "Information on the type of a specific metric in the Analysis Runs.",
		[]string{"namespace", "name", "metric", "type"}, nil)
	metricPhaseDesc = prometheus.NewDesc("analysis_run_metric_phase", "Information on the state of a specific metric in the Analysis Run.",
		[]string{"namespace", "name", "metric", "type", "dry_run", "phase"}, nil)
)

// inventory tells of every AnalysisRun in the cache at the moment of a scrape.
type inventory struct{ reader client.Reader }

// Describe is part of prometheus.Collector.
func (inventory) Describe(ch chan<- *prometheus.Desc) {
	ch <- infoDesc
	ch <- phaseDesc
	ch <- metricTypeDesc
	ch <- metricPhaseDesc
}

// Collect is part of prometheus.Collector.
func (i inventory) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var list v1alpha1.AnalysisRunList
	if err := i.reader.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return // the cache is not synced yet
	}
	for n := range list.Items {
		collect(ch, &list.Items[n])
	}
}

func collect(ch chan<- prometheus.Metric, run *v1alpha1.AnalysisRun) {
	gauge := func(desc *prometheus.Desc, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, 1, append([]string{run.Namespace, run.Name}, labels...)...)
	}
	gauge(infoDesc, string(run.Status.Phase))
	gauge(phaseDesc, string(run.Status.Phase))
	// Names may occur twice in what a user wrote; a series must not.
	types := map[string]string{}
	for i := range run.Spec.Metrics {
		metric := &run.Spec.Metrics[i]
		if _, twice := types[metric.Name]; twice {
			continue
		}
		types[metric.Name] = typeOf(metric)
		gauge(metricTypeDesc, metric.Name, types[metric.Name])
	}
	told := map[string]bool{}
	for _, result := range run.Status.MetricResults {
		if told[result.Name] {
			continue
		}
		told[result.Name] = true
		gauge(metricPhaseDesc, result.Name, types[result.Name], strconv.FormatBool(result.DryRun), string(result.Phase))
	}
}

// providerTypes are the names of providers in the served series, by their fields.
var providerTypes = map[string]string{
	"prometheus": "Prometheus", "kayenta": "Kayenta", "web": "WebMetric", "datadog": "Datadog",
	"wavefront": "Wavefront", "newRelic": "NewRelic", "job": "Job", "cloudWatch": "CloudWatch",
	"graphite": "Graphite", "influxdb": "Influxdb", "skywalking": "SkyWalking", "plugin": "Plugin",
}

func typeOf(metric *v1alpha1.Metric) string {
	kinds := metric.Provider.Kinds()
	if len(kinds) != 1 {
		return ""
	}
	return providerTypes[kinds[0]]
}
