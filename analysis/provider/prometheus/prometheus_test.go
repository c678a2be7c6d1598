package prometheus

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/analysis/provider/prometheus/promql"
	"github.com/headway-rollouts/headway/analysis/provider/providertest"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func queryTo(address string, edits ...func(*v1alpha1.Metric)) analysis.Query {
	metric := v1alpha1.Metric{
		Name:     "rate",
		Provider: v1alpha1.MetricProvider{Prometheus: &v1alpha1.PrometheusMetric{Address: address, Query: "up"}},
	}
	for _, edit := range edits {
		edit(&metric)
	}
	return analysis.Query{Verb: analysis.Take, Metric: metric, Number: 1, Now: noon}
}

func TestConformance(t *testing.T) {
	providertest.Run(t, New(providertest.Client(), Home{}), func(address string) analysis.Query { return queryTo(address) })
}

func answer(kind, result string) string {
	return fmt.Sprintf(`{"status":"success","data":{"resultType":%q,"result":%s}}`, kind, result)
}

func vectorOf(values ...string) string {
	samples := make([]string, len(values))
	for i, value := range values {
		samples[i] = fmt.Sprintf(`{"metric":{"i":"%d"},"value":[1700000000,%q]}`, i, value)
	}
	return answer("vector", "["+strings.Join(samples, ",")+"]")
}

func TestMeasure(t *testing.T) {
	success := func(source string) func(*v1alpha1.Metric) {
		return func(m *v1alpha1.Metric) { m.SuccessCondition = source }
	}
	failure := func(source string) func(*v1alpha1.Metric) {
		return func(m *v1alpha1.Metric) { m.FailureCondition = source }
	}
	cases := []struct {
		name, answer string
		edit         func(*v1alpha1.Metric)
		phase        v1alpha1.AnalysisPhase
		value        string
		message      string
	}{
		{"a scalar is a number", answer("scalar", `[1700000000,"1.50"]`), success("result > 1"), v1alpha1.AnalysisPhaseSuccessful, "1.5", ""},
		{"a vector is a list", vectorOf("0.99", "1"), success("result[0] >= 0.95"), v1alpha1.AnalysisPhaseSuccessful, "[0.99,1]", ""},
		{"a bad value fails", vectorOf("0.1"), success("result[0] >= 0.95"), v1alpha1.AnalysisPhaseFailed, "[0.1]", ""},
		{"a matrix is one list", answer("matrix", `[{"metric":{},"values":[[1,"1"],[2,"2"]]},{"metric":{},"values":[[1,"3"]]}]`), success("len(result) == 3"), v1alpha1.AnalysisPhaseSuccessful, "[1,2,3]", ""},
		{"a text is an error", answer("string", `[1700000000,"x"]`), success("true"), v1alpha1.AnalysisPhaseError, "", `unexpected value type "string"`},
		{"no data fails an index", vectorOf(), success("result[0] > 1"), v1alpha1.AnalysisPhaseError, "[]", "there may be no data"},
		{"no data is never a pass", vectorOf(), failure("any(result, # > 1)"), v1alpha1.AnalysisPhaseInconclusive, "[]", "the metric has no data"},
		{"no data decides when it is asked for", vectorOf(), success("len(result) == 0"), v1alpha1.AnalysisPhaseSuccessful, "[]", ""},
		{"NaN is never a pass", vectorOf("NaN"), failure("result[0] > 1"), v1alpha1.AnalysisPhaseInconclusive, "[NaN]", "the value holds NaN"},
		{"infinity is shown", vectorOf("+Inf"), failure("result[0] > 1"), v1alpha1.AnalysisPhaseFailed, "[+Inf]", ""},
		{"too many samples are an error", manySamples(), success("true"), v1alpha1.AnalysisPhaseError, "", "above the limit of 10000"},
		{"a histogram is an error", answer("vector", `[{"metric":{},"histogram":[1,{"count":"1","sum":"1","buckets":[]}]}]`), success("true"), v1alpha1.AnalysisPhaseError, "", "histograms"},
		{"an error of the server is told", `{"status":"error","errorType":"bad_data","error":"parse error: unexpected end"}`, success("true"), v1alpha1.AnalysisPhaseError, "", "bad_data: parse error"},
	}
	provider := New(providertest.Client(), Home{})
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, c.answer) }))
			defer server.Close()
			got := judged(provider, t, queryTo(server.URL, c.edit))
			if got.Phase != c.phase || got.Value != c.value || !strings.Contains(got.Message, c.message) || (c.message == "") != (got.Message == "") {
				t.Errorf("got %+v", got)
			}
			if got.MetricMetadata[ResolvedQuery] != "up" {
				t.Errorf("metadata is %v", got.MetricMetadata)
			}
		})
	}
}

// judged measures, and judges the value as the controller does.
func judged(p *Provider, t *testing.T, q analysis.Query) analysis.Reply {
	t.Helper()
	return analysis.Decide(&q.Metric, p.Measure(t.Context(), q), nil, noon)
}

// manySamples has more samples than are accepted, within the bytes that are.
func manySamples() string {
	return answer("matrix", `[{"metric":{},"values":[[1,"1"]`+strings.Repeat(`,[1,"1"]`, promql.MaxSamples)+`]}]`)
}

func TestWhatIsSent(t *testing.T) {
	var form, header, user string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		form, header = r.URL.Path+"?"+r.Form.Encode(), r.Header.Get("X-Scope-OrgID")
		name, password, _ := r.BasicAuth()
		user = name + "/" + password
		fmt.Fprint(w, `{"status":"success","warnings":["a \"b\"","c"],"data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"1"]]}]}}`)
	}))
	defer server.Close()
	got := New(providertest.Client(), Home{Address: server.URL + "/base/", Client: providertest.Client()}).Measure(t.Context(), queryTo("", func(m *v1alpha1.Metric) {
		p := m.Provider.Prometheus
		p.Headers = []v1alpha1.WebMetricHeader{{Key: "X-Scope-OrgID", Value: "tenant"}}
		p.Authentication.BasicAuth = v1alpha1.BasicAuthConfig{Username: "me", Password: "pass"}
		p.RangeQuery = &v1alpha1.PrometheusRangeQueryArgs{Start: `now() - duration("1h")`, End: "now()", Step: "1m"}
	}))
	want := analysis.Reply{
		Result: []float64{1}, Value: "[1]",
		Metadata:       map[string]string{Warnings: `"a \"b\"", "c"`},
		MetricMetadata: map[string]string{ResolvedQuery: "up"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if want := "/base/api/v1/query_range?end=1772366400&query=up&start=1772362800&step=60"; form != want {
		t.Errorf("asked %s, want %s", form, want)
	}
	if header != "tenant" || user != "me/pass" {
		t.Errorf("sent %q and %q", header, user)
	}
}

func TestConnectionsAreKept(t *testing.T) {
	var connections atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, vectorOf("1")) }))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	provider := New(providertest.Client(), Home{Address: server.URL, Client: providertest.Client()})
	for range 10 {
		if got := judged(provider, t, queryTo("")); got.Phase != v1alpha1.AnalysisPhaseSuccessful {
			t.Fatalf("got %+v", got)
		}
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("10 measurements made %d connections", n)
	}
}

func TestInsecure(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, vectorOf("1")) }))
	defer server.Close()
	provider := New(providertest.Client(), Home{Address: server.URL, Client: providertest.Client()})
	if got := provider.Measure(t.Context(), queryTo("")); got.Phase != v1alpha1.AnalysisPhaseError {
		t.Errorf("an unknown certificate is trusted: %+v", got)
	}
	got := judged(provider, t, queryTo("", func(m *v1alpha1.Metric) { m.Provider.Prometheus.Insecure = true }))
	if got.Phase != v1alpha1.AnalysisPhaseSuccessful {
		t.Errorf("got %+v", got)
	}
}

func TestBadConfiguration(t *testing.T) {
	negative := int64(-1)
	cases := []struct {
		name string
		edit func(*v1alpha1.PrometheusMetric)
		want string
	}{
		{"no address", func(p *v1alpha1.PrometheusMetric) { p.Address = "" }, "ARGO_ROLLOUTS_PROMETHEUS_ADDRESS"},
		{"an address that is no URL", func(p *v1alpha1.PrometheusMetric) { p.Address = "prometheus:9090" }, "the address is not a URL"},
		{"an address of a file", func(p *v1alpha1.PrometheusMetric) { p.Address = "file:///etc/passwd" }, "the address is not a URL"},
		{"a negative timeout", func(p *v1alpha1.PrometheusMetric) { p.Timeout = &negative }, "timeout should not be negative"},
		{"half of oauth2", func(p *v1alpha1.PrometheusMetric) { p.Authentication.OAuth2.TokenURL = "http://t" }, "authentication.oauth2 is not complete"},
		{"a start that is no time", func(p *v1alpha1.PrometheusMetric) {
			p.RangeQuery = &v1alpha1.PrometheusRangeQueryArgs{Start: "1", End: "now()", Step: "1m"}
		}, "rangeQuery.start"},
		{"a step that is none", func(p *v1alpha1.PrometheusMetric) {
			p.RangeQuery = &v1alpha1.PrometheusRangeQueryArgs{Start: "now()", End: "now()", Step: "often"}
		}, "rangeQuery.step"},
		{"a step of nothing", func(p *v1alpha1.PrometheusMetric) {
			p.RangeQuery = &v1alpha1.PrometheusRangeQueryArgs{Start: "now()", End: "now()", Step: "0s"}
		}, "the step must be above 0"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := New(providertest.Client(), Home{}).Measure(t.Context(), queryTo("http://127.0.0.1:1", func(m *v1alpha1.Metric) { c.edit(m.Provider.Prometheus) }))
			if got.Phase != v1alpha1.AnalysisPhaseError || !strings.Contains(got.Message, c.want) {
				t.Errorf("got %+v, want %q", got, c.want)
			}
		})
	}
}
