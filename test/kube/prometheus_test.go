package kube_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headway-rollouts/headway/test/kube"
)

func TestPrometheusAnswersRate(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a Prometheus: not with -short")
	}
	t.Parallel()
	var requests atomic.Int64
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, "# TYPE requests_total counter\nrequests_total{code=\"200\"} %d\n", requests.Load())
	}))
	defer app.Close()
	go func() {
		for t.Context().Err() == nil {
			requests.Add(1)
			time.Sleep(10 * time.Millisecond)
		}
	}()
	start := time.Now()
	p, err := kube.StartPrometheus(t.Context(), kube.PrometheusOptions{Targets: []string{app.URL + "/metrics"}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	t.Logf("ready after %s", time.Since(start))

	if a := query(t, p, "nothing_of_this_name"); a.Status != "success" || a.Data.Type != "vector" || string(a.Data.Result) != "[]" {
		t.Errorf("want an empty vector, got %+v", a)
	}
	if a := query(t, p, "this is no query("); a.Status != "error" || a.ErrorType != "bad_data" {
		t.Errorf("want bad_data, got %+v", a)
	}
	kube.Eventually(t, within, func() error {
		return about100(query(t, p, `sum by (code) (rate(requests_total{job="test"}[5s]))`))
	})
	t.Logf("rate after %s", time.Since(start))
	now := time.Now().Unix()
	a := get(t, fmt.Sprintf("%s/api/v1/query_range?query=up&start=%d&end=%d&step=1", p.Address, now-5, now))
	if a.Status != "success" || a.Data.Type != "matrix" {
		t.Errorf("want a matrix, got %+v", a)
	}
}

// about100 checks for one series, of code 200, with a value near 100.
func about100(a answer) error {
	var series []struct {
		Metric map[string]string
		Value  [2]any
	}
	if err := json.Unmarshal(a.Data.Result, &series); err != nil {
		return err
	}
	if len(series) != 1 || series[0].Metric["code"] != "200" {
		return fmt.Errorf("want one series: %s", a.Data.Result)
	}
	rate, err := strconv.ParseFloat(fmt.Sprint(series[0].Value[1]), 64)
	if err != nil || rate < 30 || rate > 200 {
		return fmt.Errorf("want about 100 per second: %s", a.Data.Result)
	}
	return nil
}

type answer struct {
	Status    string
	ErrorType string
	Data      struct {
		Type   string `json:"resultType"`
		Result json.RawMessage
	}
}

func query(t *testing.T, p *kube.Prometheus, q string) answer {
	t.Helper()
	return get(t, p.Address+"/api/v1/query?query="+url.QueryEscape(q))
}

func get(t *testing.T, address string) answer {
	t.Helper()
	resp, err := http.Get(address) //nolint:gosec,noctx // A server of ours.
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var a answer
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		t.Fatal(err)
	}
	return a
}
