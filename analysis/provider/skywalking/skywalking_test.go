package skywalking

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/analysis/provider/providertest"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// now is written in another time zone than that of the server.
var now = time.Date(2026, 3, 1, 1, 2, 59, 0, time.FixedZone("", 2*3600))

const apdex = `query queryData($duration: Duration!) { service_apdex: readMetricsValues(
  condition: { name: "service_apdex", entity: { scope: Service, serviceName: "a::b", normal: true } }, duration: $duration) {
    label values { values { value } } } }`

func queryTo(address string) analysis.Query {
	return analysis.Query{Verb: analysis.Take, Number: 1, Now: now, Metric: v1alpha1.Metric{
		Name: "apdex", Provider: v1alpha1.MetricProvider{SkyWalking: &v1alpha1.SkyWalkingMetric{Address: address, Query: apdex, Interval: "3m"}},
	}}
}

func TestConformance(t *testing.T) {
	providertest.Run(t, New(providertest.Client()), queryTo)
}

func failure(message string) analysis.Reply {
	return analysis.Reply{Phase: v1alpha1.AnalysisPhaseError, Message: message}
}

func nothing() analysis.Reply {
	reply := failure("skywalking has no data for the query")
	reply.NoData = true
	return reply
}

const neither = "the reply has neither data nor errors; the address may lead to something else than skywalking"

var cases = []struct {
	name, answer string
	want         analysis.Reply
}{
	{"data is a map", `{"data": {"service_apdex": {"label": null, "values": {"values": [{"value": 9900}, {"value": 10000.5}]}}}}`, analysis.Reply{
		Result: map[string]any{"service_apdex": map[string]any{"label": nil, "values": map[string]any{"values": []any{
			map[string]any{"value": 9900.0}, map[string]any{"value": 10000.5},
		}}}},
		Value: `{"service_apdex":{"label":null,"values":{"values":[{"value":9900},{"value":10000.5}]}}}`,
	}},
	{"the text is as the server wrote it", `{"data": {"b": "<&>", "a": 9007199254740993}}`, analysis.Reply{
		Result: map[string]any{"b": "<&>", "a": 9007199254740992.0}, Value: `{"b":"<&>","a":9007199254740993}`,
	}},
	{"no errors are none", `{"data": {"a": 1}, "errors": []}`, analysis.Reply{Result: map[string]any{"a": 1.0}, Value: `{"a":1}`}},
	{"data that is empty is for the conditions", `{"data": {}}`, analysis.Reply{Result: map[string]any{}, Value: `{}`}},
	{"bytes that are no text are replaced", "{\"data\": {\"a\": \"\xff\xff\"}}", analysis.Reply{Result: map[string]any{"a": "\uFFFD\uFFFD"}, Value: "{\"a\":\"\uFFFD\uFFFD\"}"}},
	{"null is no data", `{"data": null}`, nothing()},
	{"an error within a success is an error", `{"data": null, "errors": [{"message": "Validation error (FieldUndefined@[x]) :\n Field 'x' is undefined", "locations": [{"line": 1, "column": 2}], "extensions": {"classification": "ValidationError"}}]}`, failure("skywalking refused the query: Validation error (FieldUndefined@[x]) : Field 'x' is undefined")},
	{"data beside an error does not count", `{"data": {"a": 1}, "errors": [{"message": "timeout"}, {"message": "more"}]}`, failure("skywalking refused the query: timeout")},
	{"a long error is cut", `{"errors": [{"message": "` + strings.Repeat("x", 500) + `"}]}`, failure("skywalking refused the query: " + strings.Repeat("x", 200) + "…")},
	{"another JSON is an error", `{"status": "ok"}`, failure(neither)},
	{"nothing but null is an error", `null`, failure(neither)},
	{"a number without end is an error", `{"data": {"a": 1e999}}`, failure("the data of the reply cannot be decoded; ask for fewer fields")},
	{"a list is an error", `[]`, failure("querying skywalking: the reply is not the JSON that was expected; the address may lead to something else")},
}

func TestMeasure(t *testing.T) {
	provider := New(providertest.Client())
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, c.answer) }))
			defer server.Close()
			if diff := cmp.Diff(c.want, provider.Measure(t.Context(), queryTo(server.URL))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAStatusIsTold(t *testing.T) {
	cases := []struct {
		name   string
		status int
		answer string
		want   string
	}{
		{"what is wrong with the query", http.StatusBadRequest, `{"errors": [{"message": "Invalid syntax"}]}`, "skywalking refused the query: Invalid syntax"},
		{"a page", http.StatusNotFound, "<html>" + providertest.Leak, "querying skywalking: the server answered with status 404 Not Found"},
		{"data does not count", http.StatusInternalServerError, `{"data": {"a": 1}}`, "querying skywalking: the server answered with status 500 Internal Server Error"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.status)
				fmt.Fprint(w, c.answer)
			}))
			defer server.Close()
			if diff := cmp.Diff(failure(c.want), New(providertest.Client()).Measure(t.Context(), queryTo(server.URL))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatIsSent(t *testing.T) {
	type question struct {
		Query     string
		Variables struct{ Duration map[string]string }
	}
	cases := []struct {
		name, base string
		interval   v1alpha1.DurationString
		path       string
		want       map[string]string
	}{
		{"the window that is asked for", "", "3m", "/graphql", map[string]string{"start": "2026-02-28 2259", "end": "2026-02-28 2302", "step": "MINUTE"}},
		{"a window of five minutes", "/", "", "/graphql", map[string]string{"start": "2026-02-28 2257", "end": "2026-02-28 2302", "step": "MINUTE"}},
		{"a window of a day", "/base", "24h", "/base/graphql", map[string]string{"start": "2026-02-27 2302", "end": "2026-02-28 2302", "step": "MINUTE"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			var asked question
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				got = []string{r.Method, r.RequestURI, r.Header.Get("Content-Type"), r.Header.Get("Accept")}
				body, _ := io.ReadAll(r.Body)
				if err := json.Unmarshal(body, &asked); err != nil {
					t.Error(err)
				}
				fmt.Fprint(w, `{"data": {"a": 1}}`)
			}))
			defer server.Close()
			q := queryTo(server.URL + c.base)
			q.Metric.Provider.SkyWalking.Interval = c.interval
			if reply := New(providertest.Client()).Measure(t.Context(), q); reply.Phase != "" {
				t.Errorf("got %+v", reply)
			}
			if diff := cmp.Diff([]string{"POST", c.path, "application/json; charset=utf-8", "application/json; charset=utf-8"}, got); diff != "" {
				t.Error(diff)
			}
			want := question{Query: apdex}
			want.Variables.Duration = c.want
			if diff := cmp.Diff(want, asked); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBadConfiguration(t *testing.T) {
	const url = "querying skywalking: the address is not a URL such as http://metrics.example.com:8080"
	cases := []struct {
		name, address string
		interval      v1alpha1.DurationString
		want          string
	}{
		{"no address", "", "", url},
		{"an address without a scheme", "skywalking-oap.istio-system:12800", "", url},
		{"an address that cannot be read", ":::pass", "", "skywalking: the address is not a URL"},
		{"an address of a file", "file:///etc/passwd", "", url},
		{"an interval that is none", "http://127.0.0.1:1", "often", `skywalking: interval: parsing duration "often": time: invalid duration "often"`},
		{"an interval of nothing", "http://127.0.0.1:1", "0s", "skywalking: the interval must be above 0; write for example 5m"},
		{"a negative interval", "http://127.0.0.1:1", "-5m", "skywalking: the interval must be above 0; write for example 5m"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			q := queryTo(c.address)
			q.Metric.Provider.SkyWalking.Interval = c.interval
			if diff := cmp.Diff(failure(c.want), New(providertest.Client()).Measure(t.Context(), q)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAMetricOfAnotherProviderIsAnError(t *testing.T) {
	got := New(providertest.Client()).Measure(t.Context(), analysis.Query{})
	if diff := cmp.Diff(failure("the metric has no skywalking query"), got); diff != "" {
		t.Error(diff)
	}
}

func TestOneProviderServesManyAtOnce(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked struct{ Query string }
		_ = json.NewDecoder(r.Body).Decode(&asked)
		fmt.Fprint(w, `{"data": `+asked.Query+`}`)
	}))
	defer server.Close()
	provider := New(providertest.Client())
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			q := queryTo(server.URL)
			q.Metric.Provider.SkyWalking.Query = fmt.Sprint(i)
			if diff := cmp.Diff(analysis.Reply{Result: float64(i), Value: fmt.Sprint(i)}, provider.Measure(t.Context(), q)); diff != "" {
				t.Error(diff)
			}
		})
	}
	all.Wait()
}

// FuzzReply decodes what a server may say. The text of a value is JSON of that
// value, and an error is one short line.
func FuzzReply(f *testing.F) {
	for _, c := range cases {
		f.Add([]byte(c.answer))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var a answer
		if json.Unmarshal(body, &a) != nil {
			return
		}
		got, err := a.reply()
		again, _ := a.reply()
		if diff := cmp.Diff(got, again); diff != "" {
			t.Fatal("not the same again: " + diff)
		}
		if err != nil {
			if len(err.Error()) > 300 || strings.Contains(err.Error(), "\n") {
				t.Fatalf("got %q", err)
			}
			return
		}
		if got.NoData != (got.Result == nil) || got.NoData != (got.Phase == v1alpha1.AnalysisPhaseError) {
			t.Fatalf("got %+v", got)
		}
		if got.NoData {
			return
		}
		var told any
		if err := json.Unmarshal([]byte(got.Value), &told); err != nil || !utf8.ValidString(got.Value) {
			t.Fatalf("the text %q is no JSON: %v", got.Value, err)
		}
		if diff := cmp.Diff(got.Result, told); diff != "" {
			t.Fatal(diff)
		}
	})
}
