package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// twice tells the same series two times, which no scrape accepts.
type twice struct{ desc *prometheus.Desc }

func (c twice) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc }

func (c twice) Collect(ch chan<- prometheus.Metric) {
	for range 2 {
		ch <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, 1)
	}
}

func TestOneBrokenSeriesDoesNotHideTheOthers(t *testing.T) {
	broken := twice{prometheus.NewDesc("headway_test_twice", "A series that is told twice.", nil, nil)}
	if err := metrics.Registry.Register(broken); err != nil {
		t.Fatal(err)
	}
	defer metrics.Registry.Unregister(broken)
	if _, err := metrics.Registry.Gather(); err == nil {
		t.Fatal("the series is not broken")
	}
	code, body := ask(metricsRoutes(), "/metrics")
	if code != http.StatusOK || !strings.Contains(body, "go_goroutines ") {
		t.Errorf("got %d: %.200s", code, body)
	}
}
