package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// synced is a cache that is synced or not.
type synced bool

func (f synced) WaitForCacheSync(ctx context.Context) bool {
	if !f {
		<-ctx.Done()
	}
	return bool(f)
}

func TestReadinessIsThatOfTheCaches(t *testing.T) {
	for _, c := range []struct {
		name string
		sync synced
		code int
	}{
		{"filled caches are ready", true, http.StatusOK},
		{"caches that are not filled are not ready", false, http.StatusInternalServerError},
	} {
		t.Run(c.name, func(t *testing.T) {
			ready := &healthz.Handler{Checks: map[string]healthz.Checker{"caches": cachesSynced(c.sync)}}
			if code, body := ask(healthRoutes(http.NotFoundHandler(), ready), "/readyz"); code != c.code {
				t.Errorf("got %d, want %d: %s", code, c.code, body)
			}
		})
	}
}

func TestLivenessIsThatOfTheWorkers(t *testing.T) {
	busy := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "busy"}, []string{"name", "controller"})
	live := healthRoutes(&healthz.Handler{Checks: map[string]healthz.Checker{"workers": workersMove(busy)}}, http.NotFoundHandler())
	for _, c := range []struct {
		name    string
		seconds float64
		code    int
		says    string
	}{
		{"idle workers are alive", 0, http.StatusOK, "ok"},
		{"a reconcile within its deadline is alive", reconcileTimeout.Seconds(), http.StatusOK, "ok"},
		{"a reconcile far past its deadline is not", wedgedAfter.Seconds() + 1, http.StatusInternalServerError, "workers"},
	} {
		t.Run(c.name, func(t *testing.T) {
			busy.WithLabelValues("analysisrun", "analysisrun").Set(0)
			busy.WithLabelValues("rollout", "rollout").Set(c.seconds)
			code, body := ask(live, "/healthz")
			if code != c.code || !strings.Contains(body, c.says) {
				t.Errorf("got %d, want %d and %q: %s", code, c.code, c.says, body)
			}
		})
	}
	busy.WithLabelValues("rollout", "rollout").Set(301)
	if err := workersMove(busy)(nil); err == nil || !strings.Contains(err.Error(), "a worker of rollout has been busy with one object for 301 s") {
		t.Errorf("the error does not say which worker: %v", err)
	}
}

// A new controller-runtime may describe its gauge otherwise; then this fails, not a liveness probe.
func TestTheGaugeOfTheLongestReconcileIsFound(t *testing.T) {
	if _, err := longestReconcile(metrics.Registry); err != nil {
		t.Error(err)
	}
	if _, err := longestReconcile(prometheus.NewRegistry()); err == nil {
		t.Error("it is found where it is not")
	}
}

func TestInfoIsServed(t *testing.T) {
	if err := registerInfo(metrics.Registry, build{version: "v1.2.3", goVersion: "go1", goArch: "arm64", commit: "abc"}); err != nil {
		t.Fatal(err)
	}
	_, body := ask(metricsRoutes(), "/metrics")
	for _, want := range []string{
		`argo_rollouts_controller_info{version="v1.2.3"} 1`,
		`build_info{commit="abc",goarch="arm64",goversion="go1",version="v1.2.3"} 1`,
		"go_goroutines ", "process_resident_memory_bytes ",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("not served: %s", want)
		}
	}
}

func ask(h http.Handler, path string) (int, string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}
