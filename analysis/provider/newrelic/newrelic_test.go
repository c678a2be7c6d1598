package newrelic

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/analysis/provider/newrelic/nerdgraph"
	"github.com/headway-rollouts/headway/analysis/provider/providertest"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

const (
	key   = "NRAK-0123456789ABCDEFGHIJKLMNOPQ"
	query = "SELECT count(*) FROM Transaction"
)

// secrets are Secrets beside the controller, by name.
type secrets map[string]map[string]string

func (s secrets) read(_ context.Context, namespace, name string) (map[string]string, error) {
	values, ok := s[name]
	if namespace != "" || !ok {
		return nil, fmt.Errorf("reading secret %q in namespace %q: not found", name, namespace)
	}
	return values, nil
}

func keys(address string) map[string]string {
	return map[string]string{"personal-api-key": key + "\n", "account-id": "12345", "base-url-nerdgraph": address}
}

func queryTo(address string, edits ...func(*v1alpha1.NewRelicMetric)) analysis.Query {
	metric := &v1alpha1.NewRelicMetric{Query: query}
	for _, edit := range edits {
		edit(metric)
	}
	return analysis.Query{
		Verb: analysis.Take, Owner: analysis.Owner{Namespace: "shop"}, Number: 1,
		Metric:  v1alpha1.Metric{Name: "rate", Provider: v1alpha1.MetricProvider{NewRelic: metric}},
		Secrets: secrets{"newrelic": keys(address)}.read,
	}
}

func provider() *Provider { return New(providertest.Client()) }

func answering(t *testing.T, status int, body string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Retry-After", "30")
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(server.Close)
	return server.URL + "/graphql"
}

func results(rows string) string {
	return `{"data":{"actor":{"account":{"nrql":{"results":` + rows + `}}}}}`
}

func failed(message string) analysis.Reply {
	return analysis.Reply{
		Phase: v1alpha1.AnalysisPhaseError, Message: message, MetricMetadata: map[string]string{ResolvedQuery: query},
	}
}

func TestConformance(t *testing.T) {
	providertest.Run(t, provider(), func(address string) analysis.Query { return queryTo(address + "/graphql") })
}

func TestWhatIsSent(t *testing.T) {
	seconds := func(n int64) func(*v1alpha1.NewRelicMetric) {
		return func(m *v1alpha1.NewRelicMetric) { m.Timeout = &n }
	}
	cases := []struct {
		name    string
		edit    func(*v1alpha1.NewRelicMetric)
		timeout float64
	}{
		{"five seconds unless the metric says otherwise", func(*v1alpha1.NewRelicMetric) {}, 5},
		{"as many seconds as the metric says", seconds(30), 30},
		{"nothing is the default", seconds(0), 5},
		{"an hour at most", seconds(1 << 60), 3600},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var line string
			var body map[string]any
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				line = strings.Join([]string{r.Method, r.URL.String(), r.Header.Get("Content-Type"), r.Header.Get("API-Key")}, " ")
				text, _ := io.ReadAll(r.Body)
				if err := json.Unmarshal(text, &body); err != nil {
					t.Error(err)
				}
				fmt.Fprint(w, results(`[{"count":1}]`))
			}))
			defer server.Close()
			provider().Measure(t.Context(), queryTo(server.URL+"/graphql", c.edit))
			if want := "POST /graphql application/json " + key; line != want {
				t.Errorf("sent %q, want %q", line, want)
			}
			want := map[string]any{
				"query":     nerdgraph.Question,
				"variables": map[string]any{"accountId": 12345.0, "query": query, "timeout": c.timeout},
			}
			if diff := cmp.Diff(want, body); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRows(t *testing.T) {
	const foreign = "querying newrelic: the reply is not one of NerdGraph; check base-url-nerdgraph"
	resolved := map[string]string{ResolvedQuery: query}
	none := failed("the NRQL query returned no rows")
	none.NoData = true
	cases := []struct {
		name, body string
		want       analysis.Reply
	}{
		{"one row is a map", results(`[{"average.duration":0.25,"appName":"shop"}]`), analysis.Reply{
			Result: map[string]any{"average.duration": 0.25, "appName": "shop"}, Value: `{"appName":"shop","average.duration":0.25}`, MetricMetadata: resolved,
		}},
		{"several rows are a list of maps", results(`[{"facet":"a","count":1},{"facet":"b","count":null}]`), analysis.Reply{
			Result: []any{map[string]any{"facet": "a", "count": 1.0}, map[string]any{"facet": "b", "count": nil}}, Value: `[{"count":1,"facet":"a"},{"count":null,"facet":"b"}]`, MetricMetadata: resolved,
		}},
		{"no rows are no data", results(`[]`), none},
		{"null for rows is no data", results(`null`), none},
		{"one empty row is no data", results(`[{}]`), none},
		{"an error in a good reply is an error", `{"data":{"actor":{"account":{"nrql":null}}},"errors":[{"locations":[{"column":5,"line":1}],"message":"NRQL Syntax Error: Error at line 1 position 8, unexpected 'FROM'","path":["actor","account","nrql"],"extensions":{"errorClass":"SERVER_ERROR"}}]}`, failed("newrelic rejects the query: NRQL Syntax Error: Error at line 1 position 8, unexpected 'FROM'")},
		{"an error beside rows is an error", `{"data":{"actor":{"account":{"nrql":{"results":[{"count":1}]}}}},"errors":[{"message":"one"},{"message":"two"}]}`, failed("newrelic rejects the query: one; two")},
		{"a warning beside rows is none", `{"data":{"actor":{"account":{"nrql":{"results":[{"count":1}]}}}},"errors":[{"message":"This field is deprecated! Please use another."}]}`, analysis.Reply{
			Result: map[string]any{"count": 1.0}, Value: `{"count":1}`, MetricMetadata: resolved,
		}},
		{"other JSON is not no data", `{}`, failed(foreign)},
		{"rows that are a text are an error", results(`"x"`), failed("querying newrelic: the reply is not the JSON that was expected; the address may lead to something else")},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := provider().Measure(t.Context(), queryTo(answering(t, http.StatusOK, c.body)))
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestConditionsSeeRows(t *testing.T) {
	cases := []struct{ rows, condition string }{
		{`[{"successRate":99.5}]`, "result.successRate >= 95"},
		{`[{"average.duration":0.25}]`, "result['average.duration'] < 1"},
		{`[{"count":1},{"count":2}]`, "all(result, .count < 3) && result[1].count == 2"},
	}
	for _, c := range cases {
		t.Run(c.condition, func(t *testing.T) {
			q := queryTo(answering(t, http.StatusOK, results(c.rows)))
			q.Metric.SuccessCondition = c.condition
			got := analysis.Decide(&q.Metric, provider().Measure(t.Context(), q), nil, q.Now)
			if got.Phase != v1alpha1.AnalysisPhaseSuccessful {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestErrorsSayWhatNerdGraphSaysAndWhatToDo(t *testing.T) {
	cases := []struct {
		name   string
		status int
		body   string
		want   string
	}{
		{"a bad key", 401, `{"errors":[{"message":"The API key provided is invalid","extensions":{"error_code":"BAD_API_KEY"}}]}`, "querying newrelic: the server answered with status 401 Unauthorized: The API key provided is invalid; check personal-api-key, account-id and region"},
		{"no right", 403, `{"errors":[{"message":"Access denied"}]}`, "querying newrelic: the server answered with status 403 Forbidden: Access denied; check personal-api-key, account-id and region"},
		{"too many requests", 429, `{"errors":[{"message":"Too many requests","extensions":{"errorClass":"TOO_MANY_REQUESTS"}}]}`, "querying newrelic: the server answered with status 429 Too Many Requests: Too many requests; measure less often"},
		{"a page", 503, `<html>secret page</html>`, "querying newrelic: the server answered with status 503 Service Unavailable"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := provider().Measure(t.Context(), queryTo(answering(t, c.status, c.body)))
			if diff := cmp.Diff(failed(c.want), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBadConfiguration(t *testing.T) {
	negative := int64(-1)
	cases := []struct {
		name string
		edit func(*v1alpha1.NewRelicMetric)
		want string
	}{
		{"a negative timeout", func(m *v1alpha1.NewRelicMetric) { m.Timeout = &negative }, "newrelic timeout should not be negative; give seconds, or nothing for 5"},
		{"a profile that is not there", func(m *v1alpha1.NewRelicMetric) { m.Profile = "none" }, `finding the newrelic credentials: reading secret "none" in namespace "": not found`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := provider().Measure(t.Context(), queryTo("http://127.0.0.1:1", c.edit))
			if diff := cmp.Diff(failed(c.want), got); diff != "" {
				t.Error(diff)
			}
		})
	}
	if got := provider().Measure(t.Context(), analysis.Query{}); got.Phase != v1alpha1.AnalysisPhaseError {
		t.Errorf("a metric without a query gives %+v", got)
	}
}

func TestOneProviderServesManyQueriesAtOnce(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Variables struct{ Query string } }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		fmt.Fprint(w, results(`[{"n":`+body.Variables.Query+`}]`))
	}))
	defer server.Close()
	p := provider()
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			got := p.Measure(t.Context(), queryTo(server.URL, func(m *v1alpha1.NewRelicMetric) { m.Query = fmt.Sprint(i) }))
			if want := fmt.Sprintf(`{"n":%d}`, i); got.Value != want {
				t.Errorf("got %+v, want %s", got, want)
			}
		})
	}
	group.Wait()
}
