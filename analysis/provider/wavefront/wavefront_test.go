package wavefront

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/analysis/provider/providertest"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// now is 1772366400 in seconds.
var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const token = "s3cr3t-token-0123456789"

// holding is a cluster whose only Secret is that of the controller.
func holding(tokens map[string]string) analysis.SecretReader {
	return func(_ context.Context, namespace, name string) (map[string]string, error) {
		if namespace != "" || name != "wavefront-api-tokens" {
			return nil, fmt.Errorf("secrets %q not found", namespace+"/"+name)
		}
		return tokens, nil
	}
}

func queryTo(address string) analysis.Query {
	return analysis.Query{
		Verb: analysis.Take, Number: 1, Now: now, Secrets: holding(map[string]string{address: token + "\n"}),
		Metric: v1alpha1.Metric{Name: "rate", Provider: v1alpha1.MetricProvider{
			Wavefront: &v1alpha1.WavefrontMetric{Address: address, Query: `sum(rate(5m, ts("requests", code!=500))) / 2`},
		}},
	}
}

func TestConformance(t *testing.T) {
	providertest.Run(t, New(providertest.Client()), queryTo)
}

// chartOf is a reply with series of points.
func chartOf(series ...string) string {
	lines := make([]string, len(series))
	for i, points := range series {
		lines[i] = `{"label": "requests", "host": "server1.example.net", "tags": {"zone": "a"}, "data": [` + points + `]}`
	}
	return `{"query": "ts(requests)", "name": "ts(requests)", "timeseries": [` + strings.Join(lines, ",") + `],
		"granularity": 1, "stats": {"keys": 105, "points": 105, "latency": 1}}`
}

func found(result any, value, timestamps, drift string) analysis.Reply {
	return analysis.Reply{Result: result, Value: value, Metadata: map[string]string{"timestamps": timestamps, "drift": drift}}
}

func failure(message string) analysis.Reply {
	return analysis.Reply{Phase: v1alpha1.AnalysisPhaseError, Message: message}
}

func nothing(metadata map[string]string) analysis.Reply {
	reply := failure("wavefront has no points for the query")
	reply.NoData, reply.Metadata = true, metadata
	return reply
}

const (
	unexpected = "querying wavefront: the reply is not the JSON that was expected; the address may lead to something else"
	noChart    = "the reply is no chart; the address may lead to something else than wavefront"
)

var cases = []struct {
	name, answer string
	want         analysis.Reply
}{
	{"one series is a number", chartOf(`[1772366340, 0.049999999999999996]`), found(0.049999999999999996, "0.049999999999999996", "1772366340", "-60")},
	{"several series are a list", chartOf(`[1772366400, 1]`, `[1772366401, 2.5]`), found([]float64{1, 2.5}, "[1,2.5]", "[1772366400,1772366401]", "[0,1]")},
	{"the earlier point is closer", chartOf(`[1772366399, 1], [1772366405, 2]`), found(1.0, "1", "1772366399", "-1")},
	{"the later point is closer", chartOf(`[1772366390, 1], [1772366401, 2]`), found(2.0, "2", "1772366401", "1")},
	{"of two as close the first counts", chartOf(`[1772366399, 1], [1772366401, 2]`), found(1.0, "1", "1772366399", "-1")},
	{"the order of the points is of no matter", chartOf(`[1772366460, 3], [1772366401, 2], [1772366340, 1]`), found(2.0, "2", "1772366401", "1")},
	{"infinity is kept", chartOf(`[1772366400, 1e999]`), found(math.Inf(1), "+Inf", "1772366400", "0")},
	{"a point without a value is passed over", chartOf(`[1772366400, null], [1772366300, 7]`), found(7.0, "7", "1772366300", "-100")},
	{"a series without points keeps its place", chartOf(`[1772366400, 1]`, ``, `[1772366400, 3]`), found([]float64{1, math.NaN(), 3}, "[1,NaN,3]", "[1772366400,NaN,1772366400]", "[0,NaN,0]")},
	{"no series are no data", chartOf(), nothing(map[string]string{})},
	{"series that are not there are no data", `{"query": "ts(x)", "warnings": "No metrics matching: [x]"}`, nothing(map[string]string{"warnings": "No metrics matching: [x]"})},
	{"no points are no data", chartOf(``), nothing(map[string]string{})},
	{"series that all lack points are no data", chartOf(``, `[1772366400]`, `[]`, `[null, 1]`), nothing(map[string]string{})},
	{"a warning is kept", `{"query": "q", "timeseries": [{"data": [[1772366400, 1]]}], "warnings": "slow\nquery"}`, analysis.Reply{
		Result: 1.0, Value: "1", Metadata: map[string]string{"timestamps": "1772366400", "drift": "0", "warnings": "slow query"},
	}},
	{"an error within a success is an error", `{"query": "ts(x)", "errorType": "QueryExecutionFailed", "errorMessage": "Terminating Query"}`, failure("wavefront refused the query: QueryExecutionFailed: Terminating Query")},
	{"a long error is cut", `{"query": "ts(x)", "errorType": "E", "errorMessage": "` + strings.Repeat("x", 500) + `"}`, failure("wavefront refused the query: E: " + strings.Repeat("x", 197) + "…")},
	{"another JSON is an error", `{"status": "ok"}`, failure(noChart)},
	{"null is an error", `null`, failure(noChart)},
	{"a list is an error", `[]`, failure(unexpected)},
	{"a text for a value is an error", chartOf(`[1772366400, "many"]`), failure(unexpected)},
}

func TestMeasure(t *testing.T) {
	provider := New(providertest.Client())
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, c.answer) }))
			defer server.Close()
			got := provider.Measure(t.Context(), queryTo(server.URL))
			if diff := cmp.Diff(c.want, got, cmpopts.EquateNaNs()); diff != "" {
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
		{"what the server says", http.StatusUnauthorized, `{"status": {"result": "ERROR", "message": "Unauthorized\ntoken", "code": 401}}`, "wavefront refused the query with status 401: Unauthorized token"},
		{"a page", http.StatusForbidden, "<html>" + providertest.Leak, "querying wavefront: the server answered with status 403 Forbidden"},
		{"a limit of requests", http.StatusNotAcceptable, `{}`, "querying wavefront: the server answered with status 406 Not Acceptable"},
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
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = []string{r.Method, r.RequestURI, r.Header.Get("Authorization"), r.Header.Get("Accept")}
		fmt.Fprint(w, chartOf(`[1772366400, 1]`))
	}))
	defer server.Close()
	for _, base := range []string{server.URL, server.URL + "/"} {
		if reply := New(providertest.Client()).Measure(t.Context(), queryTo(base)); reply.Phase != "" {
			t.Errorf("got %+v", reply)
		}
		want := []string{
			"GET", "/api/v2/chart/api?autoEvents=false&e=1772366400000&g=s&i=true&includeObsoleteMetrics=false&listmode=false&p=1" +
				"&q=sum%28rate%285m%2C+ts%28%22requests%22%2C+code%21%3D500%29%29%29+%2F+2&s=1772366400000&strict=false",
			"Bearer " + token, "application/json",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestAnAddressWithoutASchemeIsAskedWithTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("an unknown certificate is trusted") }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	got := New(providertest.Client()).Measure(t.Context(), queryTo(strings.TrimPrefix(server.URL, "https://")))
	if got.Phase != v1alpha1.AnalysisPhaseError || !strings.Contains(got.Message, "certificate") {
		t.Errorf("got %+v", got)
	}
	if got, want := question("example.wavefront.com", "q", now), "https://example.wavefront.com/api/v2/chart/api?"; !strings.HasPrefix(got, want) {
		t.Errorf("asks %s", got)
	}
}

func TestTheTokenComesFromTheSecret(t *testing.T) {
	const none = "the controller's Secret wavefront-api-tokens has no token for the address; write it as a key there, such as example.wavefront.com"
	cases := []struct {
		name    string
		secrets analysis.SecretReader
		want    string
	}{
		{"no Secret", func(context.Context, string, string) (map[string]string, error) { return nil, errors.New("not found") }, "reading Secret wavefront-api-tokens for wavefront: not found"},
		{"an empty Secret", holding(nil), none},
		{"a token for another address", holding(map[string]string{"other.wavefront.com": token}), none},
		{"a token for the address with a scheme", holding(map[string]string{"https://example.wavefront.com": token}), none},
		{"an empty token", holding(map[string]string{"example.wavefront.com": " \n"}), none},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			q := queryTo("example.wavefront.com")
			q.Secrets = c.secrets
			if diff := cmp.Diff(failure(c.want), New(providertest.Client()).Measure(t.Context(), q)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestATokenThatNoHeaderHoldsIsNotRepeated(t *testing.T) {
	q := queryTo("http://127.0.0.1:1")
	q.Secrets = holding(map[string]string{"http://127.0.0.1:1": token + "\n" + token})
	got := New(providertest.Client()).Measure(t.Context(), q)
	if got.Phase != v1alpha1.AnalysisPhaseError || strings.Contains(got.Message, "s3cr3t") {
		t.Errorf("got %+v", got)
	}
}

func TestAMetricOfAnotherProviderIsAnError(t *testing.T) {
	got := New(providertest.Client()).Measure(t.Context(), analysis.Query{})
	if diff := cmp.Diff(failure("the metric has no wavefront query"), got); diff != "" {
		t.Error(diff)
	}
}

func TestOneProviderServesManyAtOnce(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, chartOf(`[1772366400, `+r.FormValue("q")+`]`))
	}))
	defer server.Close()
	provider := New(providertest.Client())
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			q := queryTo(server.URL)
			q.Metric.Provider.Wavefront.Query = strconv.Itoa(i)
			if diff := cmp.Diff(found(float64(i), strconv.Itoa(i), "1772366400", "0"), provider.Measure(t.Context(), q)); diff != "" {
				t.Error(diff)
			}
		})
	}
	all.Wait()
}

// FuzzReply decodes what a server may say. What has a value has one for each
// series, with its time and drift; no other point is closer; an error is one short line.
func FuzzReply(f *testing.F) {
	for _, c := range cases {
		f.Add([]byte(c.answer))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var c chart
		if json.Unmarshal(body, &c) != nil {
			return
		}
		at := float64(now.Unix())
		got := c.reply(at)
		if diff := cmp.Diff(got, c.reply(at), cmpopts.EquateNaNs()); diff != "" {
			t.Fatal("not the same again: " + diff)
		}
		if got.Phase == v1alpha1.AnalysisPhaseError {
			if got.Result != nil || got.Message == "" || len(got.Message) > 300 || strings.Contains(got.Message, "\n") {
				t.Fatalf("got %+v", got)
			}
			return
		}
		if got.Phase != "" || got.NoData {
			t.Fatalf("got %+v", got)
		}
		values, isList := got.Result.([]float64)
		if number, one := got.Result.(float64); one {
			values, isList = []float64{number}, len(c.Timeseries) == 1
		}
		if !isList || len(values) != len(c.Timeseries) || got.Value != list(values) {
			t.Fatalf("%d series gave %+v", len(c.Timeseries), got)
		}
		times := strings.Split(strings.Trim(got.Metadata["timestamps"], "[]"), ",")
		drifts := strings.Split(strings.Trim(got.Metadata["drift"], "[]"), ",")
		if len(times) != len(values) || len(drifts) != len(values) {
			t.Fatalf("%d values have %d times and %d drifts", len(values), len(times), len(drifts))
		}
		for i, s := range c.Timeseries {
			drift, err := strconv.ParseFloat(drifts[i], 64)
			if err != nil {
				t.Fatal(err)
			}
			for _, point := range s.Data {
				if when, err := point[0].Float64(); err == nil && point[1] != "" && !(math.Abs(when-at) >= math.Abs(drift)) {
					t.Fatalf("%v is closer than %v", when, drift)
				}
			}
		}
	})
}
