package analysisrun

import (
	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/analysis/egress"
	"github.com/headway-rollouts/headway/analysis/egress/aws"
	"github.com/headway-rollouts/headway/analysis/provider/cloudwatch"
	"github.com/headway-rollouts/headway/analysis/provider/datadog"
	"github.com/headway-rollouts/headway/analysis/provider/graphite"
	"github.com/headway-rollouts/headway/analysis/provider/influxdb"
	"github.com/headway-rollouts/headway/analysis/provider/job"
	"github.com/headway-rollouts/headway/analysis/provider/kayenta"
	"github.com/headway-rollouts/headway/analysis/provider/newrelic"
	"github.com/headway-rollouts/headway/analysis/provider/prometheus"
	"github.com/headway-rollouts/headway/analysis/provider/skywalking"
	"github.com/headway-rollouts/headway/analysis/provider/wavefront"
	"github.com/headway-rollouts/headway/analysis/provider/web"
)

// withBuiltIn are all providers, by the names of their fields in a metric.
func withBuiltIn(opts Options) map[string]analysis.Provider {
	out, credentials := egress.New(opts.Addresses), aws.New()
	home := prometheus.Home{Address: opts.PrometheusAddress, Client: egress.New(egress.Unrestricted()), AWS: credentials}
	all := map[string]analysis.Provider{
		"prometheus": prometheus.New(out, home),
		"web":        web.New(out),
		"job":        job.New(opts.Jobs),
		"kayenta":    kayenta.New(out),
		"datadog":    datadog.New(out, opts.Datadog),
		"newRelic":   newrelic.New(out),
		"wavefront":  wavefront.New(out),
		"graphite":   graphite.New(out),
		"influxdb":   influxdb.New(out),
		"skywalking": skywalking.New(out),
		"cloudWatch": cloudwatch.New(out, credentials),
	}
	for name, provider := range opts.Providers {
		all[name] = provider
	}
	return all
}
