package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

const (
	// reconcileTimeout ends the requests of one reconcile; each takes milliseconds when all is well. An API
	// server that accepts requests and does not answer holds a worker for no longer than this.
	reconcileTimeout = 15 * time.Second
	// wedgedAfter is well past reconcileTimeout: a worker that is still busy then ignores its deadline.
	wedgedAfter = 5 * time.Minute
	// syncProbe is how long a probe waits for caches; kubelet's own patience is a second by default.
	syncProbe = 500 * time.Millisecond
)

// syncWaiter is the part of a cache that tells whether it is filled.
type syncWaiter interface {
	WaitForCacheSync(context.Context) bool
}

// cachesSynced is readiness: a standby is ready as well, since its caches are warm.
func cachesSynced(c syncWaiter) healthz.Checker {
	return func(req *http.Request) error {
		if !filled(req.Context(), c) {
			return errors.New("caches are not filled yet: the API server is slow or away, or refuses a list")
		}
		return nil
	}
}

func filled(ctx context.Context, c syncWaiter) bool {
	ctx, cancel := context.WithTimeout(ctx, syncProbe)
	defer cancel()
	return c.WaitForCacheSync(ctx)
}

// workersMove is liveness: it fails when a reconcile runs for so long that only a restart helps.
func workersMove(longest prometheus.Collector) healthz.Checker {
	return func(*http.Request) error {
		seconds, queue, err := largest(longest)
		if err != nil {
			return err
		}
		if seconds > wedgedAfter.Seconds() {
			return fmt.Errorf("a worker of %s has been busy with one object for %.0f s", queue, seconds)
		}
		return nil
	}
}

// longestReconcile finds the gauge in which controller-runtime keeps the age of the oldest reconcile
// of each controller. It is not exported, but registering its twin returns it.
func longestReconcile(r prometheus.Registerer) (prometheus.Collector, error) {
	twin := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Subsystem: metrics.WorkQueueSubsystem,
		Name:      metrics.LongestRunningProcessorKey,
		Help:      "How many seconds has the longest running processor for workqueue been running.",
	}, []string{"name", "controller"})
	var registered prometheus.AlreadyRegisteredError
	if err := r.Register(twin); !errors.As(err, &registered) {
		return nil, fmt.Errorf("finding the gauge of the longest reconcile in the metrics registry: got %v", err) //nolint:errorlint // nil here means that it was not there.
	}
	return registered.ExistingCollector, nil
}

// largest returns the highest value of a gauge and the name label that has it.
func largest(c prometheus.Collector) (value float64, name string, err error) {
	series := make(chan prometheus.Metric)
	go func() {
		defer close(series)
		c.Collect(series)
	}()
	for m := range series {
		var out dto.Metric
		if e := m.Write(&out); e != nil {
			err = fmt.Errorf("reading the gauge of the longest reconcile: %w", e)
			continue // The channel must be drained, or the collector hangs.
		}
		if v := out.GetGauge().GetValue(); v > value {
			value, name = v, labelOf(&out, "name")
		}
	}
	return value, name, err
}

func labelOf(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}
