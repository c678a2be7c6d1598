package datadog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/analysis/provider/datadog/groups"
	"github.com/headway-rollouts/headway/analysis/provider/providertest"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

const (
	apiKey = "0123456789abcdef0123456789abcdef"
	appKey = "fedcba9876543210fedcba9876543210fedcba98"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// secrets are Secrets by namespace/name; the namespace of the controller is empty.
type secrets map[string]map[string]string

func (s secrets) read(_ context.Context, namespace, name string) (map[string]string, error) {
	values, ok := s[namespace+"/"+name]
	if !ok {
		return nil, fmt.Errorf("reading secret %q in namespace %q: not found", name, namespace)
	}
	return values, nil
}

func keys(address string) map[string]string {
	return map[string]string{"api-key": apiKey, "app-key": appKey + "\n", "address": address}
}

func queryTo(address string, edits ...func(*v1alpha1.DatadogMetric)) analysis.Query {
	metric := &v1alpha1.DatadogMetric{Query: "avg:cpu{*}"}
	for _, edit := range edits {
		edit(metric)
	}
	return analysis.Query{
		Verb: analysis.Take, Owner: analysis.Owner{Namespace: "shop", Name: "run"}, Number: 1, Now: noon,
		Metric:  v1alpha1.Metric{Name: "cpu", Provider: v1alpha1.MetricProvider{Datadog: metric}},
		Secrets: secrets{"/datadog": keys(address)}.read,
	}
}

func withV2(m *v1alpha1.DatadogMetric) { m.APIVersion = "v2" }

func answering(t *testing.T, status int, body string) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Retry-After", "30")
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(server.Close)
	return server
}

func provider() *Provider { return New(providertest.Client(), Environment{}) }

func TestConformanceOfVersion1(t *testing.T) {
	providertest.Run(t, provider(), func(address string) analysis.Query { return queryTo(address) })
}

func TestConformanceOfVersion2(t *testing.T) {
	providertest.Run(t, provider(), func(address string) analysis.Query { return queryTo(address, withV2) })
}

// sent is a request as Datadog sees it.
type sent struct{ Method, URL, Type, APIKey, AppKey, Body string }

func recording(t *testing.T, into *sent, body string) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		*into = sent{
			Method: r.Method, URL: r.URL.String(), Type: r.Header.Get("Content-Type"),
			APIKey: r.Header.Get("DD-API-KEY"), AppKey: r.Header.Get("DD-APPLICATION-KEY"), Body: string(text),
		}
		fmt.Fprint(w, body)
	}))
	t.Cleanup(server.Close)
	return server
}

func TestVersion1IsAskedForAWindow(t *testing.T) {
	var got sent
	server := recording(t, &got, `{"status":"ok","series":[]}`)
	provider().Measure(t.Context(), queryTo(server.URL+"/proxy/", func(m *v1alpha1.DatadogMetric) { m.Interval = "10m" }))
	want := sent{
		Method: "GET", URL: "/proxy/api/v1/query?from=1772365800&query=avg%3Acpu%7B%2A%7D&to=1772366400",
		Type: "application/json", APIKey: apiKey, AppKey: appKey,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestVersion2IsAskedForScalars(t *testing.T) {
	const single = `{"data":{"type":"scalar_request","attributes":{"from":1772366100000,"to":1772366400000,
		"queries":[{"data_source":"metrics","name":"query","query":"avg:cpu{*}","aggregator":"last"}],"formulas":[]}}}`
	const formula = `{"data":{"type":"scalar_request","attributes":{"from":1772366100000,"to":1772366400000,
		"queries":[{"data_source":"metrics","name":"a","query":"sum:e{*}","aggregator":"sum"},
			{"data_source":"metrics","name":"b","query":"sum:r{*}","aggregator":"sum"}],
		"formulas":[{"formula":"a / b"}]}}}`
	cases := []struct {
		name string
		edit func(*v1alpha1.DatadogMetric)
		want string
	}{
		{"one query takes the last value", func(*v1alpha1.DatadogMetric) {}, single},
		{"a formula over queries", func(m *v1alpha1.DatadogMetric) {
			m.Query, m.Queries = "", map[string]string{"b": "sum:r{*}", "a": "sum:e{*}"}
			m.Formula, m.Aggregator = "a / b", "sum"
		}, formula},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var got sent
			server := recording(t, &got, `{"data":{"type":"scalar_response","attributes":{"columns":[]}}}`)
			provider().Measure(t.Context(), queryTo(server.URL, withV2, c.edit))
			var body, wanted any
			if err := errors.Join(json.Unmarshal([]byte(got.Body), &body), json.Unmarshal([]byte(c.want), &wanted)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(wanted, body); diff != "" {
				t.Error(diff)
			}
			got.Body = ""
			want := sent{Method: "POST", URL: "/api/v2/query/scalar", Type: "application/json", APIKey: apiKey, AppKey: appKey}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func points(text string) string {
	return `{"status":"ok","res_type":"time_series","resp_version":1,"query":"avg:cpu{*}","from_date":1772366100000,"to_date":1772366400000,` +
		`"series":[{"metric":"cpu","interval":60,"length":3,"scope":"*","pointlist":` + text + `},{"pointlist":[[1,99]]}],"values":[],"times":[],"message":"","group_by":[]}`
}

func columns(text string) string {
	return `{"data":{"type":"scalar_response","attributes":{"columns":` + text + `}}}`
}

func TestValues(t *testing.T) {
	none := analysis.Reply{Value: "[]", NoData: true}
	const failed = v1alpha1.AnalysisPhaseError
	const foreign = "querying datadog: the reply is not one of Datadog; check the address"
	cases := []struct {
		name, version, body string
		want                analysis.Reply
	}{
		{"the last point counts", "v1", points(`[[1,0.5],[2,0.25]]`), analysis.Reply{Result: 0.25, Value: "0.25"}},
		{"points without a value at the end do not count", "v1", points(`[[1,0.5],[2,0.25],[3,null]]`), analysis.Reply{Result: 0.25, Value: "0.25"}},
		{"points without values are no data", "v1", points(`[[1,null]]`), none},
		{"a series without points is no data", "v1", points(`[]`), none},
		{"no series is no data", "v1", `{"status":"ok","series":[]}`, none},
		{"an error in a good reply is an error", "v1", `{"status":"error","error":"Error parsing query: unable to parse avg:"}`, analysis.Reply{Phase: failed, Message: "datadog rejects the query: Error parsing query: unable to parse avg:"}},
		{"other JSON is not no data", "v1", `{"status":"UP"}`, analysis.Reply{Phase: failed, Message: foreign}},
		{"a point of one part is an error", "v1", points(`[[1]]`), analysis.Reply{Phase: failed, Message: foreign}},
		{"a series that is a text is an error", "v1", `{"status":"ok","series":"x"}`, analysis.Reply{Phase: failed, Message: "querying datadog: the reply is not the JSON that was expected; the address may lead to something else"}},
		{"a number", "v2", columns(`[{"name":"a","type":"number","values":[0.97],"meta":{"unit":null}}]`), analysis.Reply{Result: 0.97, Value: "0.97"}},
		{"the first column of numbers counts", "v2", columns(`[{"type":"number","values":[1]},{"type":"number","values":[2]}]`), analysis.Reply{Result: 1.0, Value: "1"}},
		{"null is no data", "v2", columns(`[{"type":"number","values":[null]}]`), none},
		{"a column without values is no data", "v2", columns(`[{"type":"number","values":[]}]`), none},
		{"no columns are no data", "v2", columns(`[]`), none},
		{"groups are a list", "v2", columns(`[{"name":"env","type":"group","values":[["prod"],["dev"],["old"]]},{"name":"path","type":"group","values":[["/a"],["/b"],["/c"]]},{"name":"a","type":"number","values":[3,1.5,null]}]`), analysis.Reply{
			Result: []float64{3, 1.5}, Value: "[3,1.5]", Metadata: map[string]string{groups.Key: `[{"name":"prod,/a","value":3},{"name":"dev,/b","value":1.5}]`},
		}},
		{"one group is a list", "v2", columns(`[{"type":"group","values":[["prod"]]},{"type":"number","values":[3]}]`), analysis.Reply{
			Result: []float64{3}, Value: "[3]", Metadata: map[string]string{groups.Key: `[{"name":"prod","value":3}]`},
		}},
		{"groups without numbers are no data", "v2", columns(`[{"type":"group","values":[["prod"]]},{"type":"number","values":[null]}]`), none},
		{"a text for errors is an error", "v2", `{"errors":"cannot find metric"}`, analysis.Reply{Phase: failed, Message: "datadog rejects the query: cannot find metric"}},
		{"other JSON is not no data either", "v2", `{}`, analysis.Reply{Phase: failed, Message: foreign}},
		{"numbers that are texts are an error", "v2", columns(`[{"type":"number","values":["1"]}]`), analysis.Reply{Phase: failed, Message: foreign}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			server := answering(t, http.StatusOK, c.body)
			got := provider().Measure(t.Context(), queryTo(server.URL, func(m *v1alpha1.DatadogMetric) { m.APIVersion = c.version }))
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestConditionsProvideForNoData(t *testing.T) {
	cases := []struct {
		condition string
		want      v1alpha1.AnalysisPhase
	}{
		{"default(result, 0) < 0.05", v1alpha1.AnalysisPhaseSuccessful},
		{"default(result, 1) < 0.05", v1alpha1.AnalysisPhaseFailed},
		{"isNil(result)", v1alpha1.AnalysisPhaseSuccessful},
		{"result < 0.05", v1alpha1.AnalysisPhaseError},
	}
	server := answering(t, http.StatusOK, `{"status":"ok","series":[]}`)
	for _, c := range cases {
		t.Run(c.condition, func(t *testing.T) {
			q := queryTo(server.URL)
			q.Metric.SuccessCondition = c.condition
			if got := analysis.Decide(&q.Metric, provider().Measure(t.Context(), q), nil, noon); got.Phase != c.want {
				t.Errorf("got %+v, want %s", got, c.want)
			}
		})
	}
}

func TestErrorsSayWhatDatadogSaysAndWhatToDo(t *testing.T) {
	cases := []struct {
		name   string
		status int
		body   string
		want   string
	}{
		{"no right", 403, `{"errors":["Forbidden"]}`, "querying datadog: the server answered with status 403 Forbidden: Forbidden; check api-key, the rights of app-key, and that address is the site of the account"},
		{"no user", 401, `{"errors":["Unauthorized"]}`, "querying datadog: the server answered with status 401 Unauthorized: Unauthorized; check api-key, the rights of app-key, and that address is the site of the account"},
		{"too many requests", 429, `{"errors":["Rate limit of 300 requests in 3600 seconds reached."]}`, "querying datadog: the server answered with status 429 Too Many Requests: Rate limit of 300 requests in 3600 seconds reached.; measure less often, or have Datadog raise the limit"},
		{"a bad query", 400, `{"status":"error","error":"Error parsing query"}`, "querying datadog: the server answered with status 400 Bad Request: Error parsing query"},
		{"a list of errors", 400, `{"errors":["one","two"]}`, "querying datadog: the server answered with status 400 Bad Request: one two"},
		{"a page", 502, `<html>secret page</html>`, "querying datadog: the server answered with status 502 Bad Gateway"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			server := answering(t, c.status, c.body)
			for _, version := range []string{"v1", "v2"} {
				got := provider().Measure(t.Context(), queryTo(server.URL, func(m *v1alpha1.DatadogMetric) { m.APIVersion = version }))
				if diff := cmp.Diff(analysis.Reply{Phase: v1alpha1.AnalysisPhaseError, Message: c.want}, got); diff != "" {
					t.Errorf("%s: %s", version, diff)
				}
			}
		})
	}
}

func TestALongErrorIsCut(t *testing.T) {
	server := answering(t, http.StatusTooManyRequests, `{"errors":["`+strings.Repeat("x", 1000)+`"]}`)
	got := provider().Measure(t.Context(), queryTo(server.URL))
	if n := len(got.Message); n > 400 || !strings.HasSuffix(got.Message, "raise the limit") {
		t.Errorf("got %d bytes: %s", n, got.Message)
	}
}

func TestKeysOfTheEnvironmentAreNotToldByErrors(t *testing.T) {
	server := answering(t, http.StatusForbidden, fmt.Sprintf(`{"errors":["key %s of %s is not valid"]}`, apiKey, appKey))
	p := New(providertest.Client(), Environment{APIKey: apiKey, AppKey: appKey, Address: server.URL})
	got := p.Measure(t.Context(), queryTo("http://unused"))
	if strings.Contains(got.Message, apiKey) || strings.Contains(got.Message, appKey) || !strings.Contains(got.Message, "is not valid") {
		t.Errorf("got %s", got.Message)
	}
}

func TestCredentials(t *testing.T) {
	var got sent
	server := recording(t, &got, `{"status":"ok","series":[]}`)
	of := func(key string) map[string]string {
		return map[string]string{"api-key": key, "app-key": appKey, "address": server.URL}
	}
	all := secrets{
		"/datadog": of("default"), "/team": of("team"), "shop/team": of("team-in-shop"),
		"/half": {"api-key": "x", "address": server.URL},
	}
	full := Environment{APIKey: "environment", AppKey: appKey, Address: server.URL}
	half := Environment{APIKey: "environment", AppKey: appKey}
	cases := []struct {
		name        string
		ref         v1alpha1.SecretRef
		environment Environment
		secrets     secrets
		key         string
		message     string
	}{
		{"the Secret that is named", v1alpha1.SecretRef{Name: "team"}, full, all, "team", ""},
		{"the Secret that is named in the namespace of the run", v1alpha1.SecretRef{Name: "team", Namespaced: true}, full, all, "team-in-shop", ""},
		{"the environment", v1alpha1.SecretRef{}, full, all, "environment", ""},
		{"half an environment does not count", v1alpha1.SecretRef{}, half, all, "default", ""},
		{"the Secret datadog", v1alpha1.SecretRef{}, Environment{}, all, "default", ""},
		{"a named Secret that is not there has no substitute", v1alpha1.SecretRef{Name: "none"}, full, all, "", `reading secret "none"`},
		{"a Secret of the controller is not one of the run", v1alpha1.SecretRef{Name: "half", Namespaced: true}, full, all, "", `in namespace "shop": not found`},
		{"a Secret without all keys", v1alpha1.SecretRef{Name: "half"}, full, all, "", `secret "half" needs the keys api-key and app-key`},
		{"a namespaced Secret without a name", v1alpha1.SecretRef{Namespaced: true}, full, all, "", "a namespaced secretRef needs a name"},
		{"nothing at all", v1alpha1.SecretRef{}, half, nil, "", "set DD_API_KEY, DD_APP_KEY and DD_ADDRESS"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got = sent{}
			q := queryTo("", func(m *v1alpha1.DatadogMetric) { m.SecretRef = c.ref })
			q.Secrets = c.secrets.read
			reply := New(providertest.Client(), c.environment).Measure(t.Context(), q)
			if got.APIKey != c.key || !strings.Contains(reply.Message, c.message) || (c.message == "") != (reply.Message == "") {
				t.Errorf("asked with %q, got %+v", got.APIKey, reply)
			}
		})
	}
}

func TestBadConfiguration(t *testing.T) {
	two := map[string]string{"a": "x", "b": "y"}
	cases := []struct {
		name string
		edit func(*v1alpha1.DatadogMetric)
		want string
	}{
		{"no query", func(m *v1alpha1.DatadogMetric) { m.Query = "" }, "there is no query"},
		{"query and queries", func(m *v1alpha1.DatadogMetric) { m.APIVersion, m.Queries = "v2", two }, "set query or queries, not both"},
		{"queries with v1", func(m *v1alpha1.DatadogMetric) { m.Query, m.Queries = "", two }, "queries, formula and aggregator need apiVersion v2"},
		{"a formula with v1", func(m *v1alpha1.DatadogMetric) { m.Formula = "a" }, "queries, formula and aggregator need apiVersion v2"},
		{"a formula over one query", func(m *v1alpha1.DatadogMetric) { m.APIVersion, m.Formula = "v2", "query * 2" }, "formula needs queries"},
		{"queries without a formula", func(m *v1alpha1.DatadogMetric) { m.APIVersion, m.Query, m.Queries = "v2", "", two }, "several queries need a formula"},
		{"an aggregator with v1", func(m *v1alpha1.DatadogMetric) { m.Aggregator = "sum" }, "queries, formula and aggregator need apiVersion v2"},
		{"an unknown version", func(m *v1alpha1.DatadogMetric) { m.APIVersion = "v3" }, "apiVersion must be v1 or v2"},
		{"an interval that is none", func(m *v1alpha1.DatadogMetric) { m.Interval = "often" }, "interval must be a duration above 0"},
		{"an interval of nothing", func(m *v1alpha1.DatadogMetric) { m.Interval = "0s" }, "interval must be a duration above 0"},
		{"a negative timeout", func(m *v1alpha1.DatadogMetric) { m.RequestTimeout = "-1s" }, "requestTimeout must be a duration above 0"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := provider().Measure(t.Context(), queryTo("http://127.0.0.1:1", c.edit))
			if got.Phase != v1alpha1.AnalysisPhaseError || !strings.Contains(got.Message, c.want) {
				t.Errorf("got %+v, want %q", got, c.want)
			}
		})
	}
	if got := provider().Measure(t.Context(), analysis.Query{}); got.Phase != v1alpha1.AnalysisPhaseError {
		t.Errorf("a metric without a query gives %+v", got)
	}
}

func TestTheTimeoutOfTheMetricEndsTheRequest(t *testing.T) {
	stop := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stop }))
	defer server.Close()
	defer close(stop)
	got := provider().Measure(t.Context(), queryTo(server.URL, func(m *v1alpha1.DatadogMetric) { m.RequestTimeout = "20ms" }))
	if diff := cmp.Diff(analysis.Reply{Phase: v1alpha1.AnalysisPhaseError, Message: "datadog did not answer in time"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestOneProviderServesManyQueriesAtOnce(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, points("[[1,"+r.URL.Query().Get("query")+"]]"))
	}))
	defer server.Close()
	p := provider()
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			want := fmt.Sprint(i)
			if got := p.Measure(t.Context(), queryTo(server.URL, func(m *v1alpha1.DatadogMetric) { m.Query = want })); got.Value != want {
				t.Errorf("got %+v, want %s", got, want)
			}
		})
	}
	group.Wait()
}
