package main

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// registerInfo serves what is known of this binary as two constant gauges.
func registerInfo(r prometheus.Registerer, b build) error {
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "argo_rollouts_controller_info",
		Help:        "Always 1; the label is the version of the controller.",
		ConstLabels: prometheus.Labels{"version": b.version},
	})
	details := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "build_info",
		Help: "Always 1; the labels say what the controller was built from.",
		ConstLabels: prometheus.Labels{
			"version": b.version, "goversion": b.goVersion, "goarch": b.goArch, "commit": b.commit,
		},
	})
	for _, g := range []prometheus.Gauge{info, details} {
		g.Set(1)
		if err := r.Register(g); err != nil {
			return fmt.Errorf("registering %s: %w", g.Desc(), err)
		}
	}
	return nil
}
