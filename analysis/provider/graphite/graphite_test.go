package graphite

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"reflect"
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

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func queryTo(address, query string) analysis.Query {
	return analysis.Query{Verb: analysis.Take, Number: 1, Now: noon, Metric: v1alpha1.Metric{
		Name: "rate", Provider: v1alpha1.MetricProvider{Graphite: &v1alpha1.GraphiteMetric{Address: address, Query: query}},
	}}
}

// serving is a server that gives one answer.
func serving(t *testing.T, status int, answer string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, answer)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestConformance(t *testing.T) {
	providertest.Run(t, New(providertest.Client()), func(address string) analysis.Query { return queryTo(address, "target=a.b") })
}

// answer is a reply with one series.
func answer(points string) string {
	return `[{"target": "sumSeries(app.*.count)", "tags": {"name": "app.a.count"}, "datapoints": [` + points + `]}]`
}

func of(values ...float64) []float64 { return append([]float64{}, values...) }

var cases = []struct {
	name, answer string
	want         analysis.Reply
}{
	{"points are a list", answer(`[0.5, 1621348430], [12.0, 1621348440]`), analysis.Reply{Result: of(0.5, 12), Value: "[0.5,12]"}},
	{"points without a value are left out", answer(`[null, 1621348430], [3, 1621348440], [null, 1621348450]`), analysis.Reply{Result: of(3), Value: "[3]"}},
	{"a quoted number is a number", answer(`["100.25", "1621348430"]`), analysis.Reply{Result: of(100.25), Value: "[100.25]"}},
	{"infinity is kept", answer(`[1e9999, 1], [-1e9999, 2]`), analysis.Reply{Result: of(math.Inf(1), math.Inf(-1)), Value: "[+Inf,-Inf]"}},
	{"the first series counts", `[{"datapoints": [[1, 1]]}, {"datapoints": [[2, 1]]}]`, analysis.Reply{Result: of(1), Value: "[1]"}},
	{"no series is no data", `[]`, analysis.Reply{Result: of(), Value: "[]", NoData: true}},
	{"no points are no data", answer(``), analysis.Reply{Result: of(), Value: "[]", NoData: true}},
	{"points that all lack a value are no data", answer(`[null, 1], [null, 2]`), analysis.Reply{Result: of(), Value: "[]", NoData: true}},
	{"another JSON is an error", `{"status": "ok"}`, failure("querying graphite: the reply is not the JSON that was expected; the address may lead to something else")},
	{"null is an error", `null`, failure(`the reply is no list of series; the address may lead to something else than graphite`)},
	{"a series without points is an error", `[{"id": 1}]`, failure(`the reply is no list of series; the address may lead to something else than graphite`)},
	{"a text for a value is an error", answer(`["many", 1]`), failure("querying graphite: the reply is not the JSON that was expected; the address may lead to something else")},
	{"too many points are an error", answer(`[1, 1]` + strings.Repeat(`,[1,1]`, maxPoints)), failure("the query returns 10001 points, above the limit of 10000; summarize() them")},
}

func failure(message string) analysis.Reply {
	return analysis.Reply{Phase: v1alpha1.AnalysisPhaseError, Message: message}
}

func TestMeasure(t *testing.T) {
	provider := New(providertest.Client())
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := provider.Measure(t.Context(), queryTo(serving(t, http.StatusOK, c.answer), "target=sumSeries(app.*.count)"))
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAStatusIsTold(t *testing.T) {
	address := serving(t, http.StatusBadRequest, "Invalid target "+providertest.Leak)
	got := New(providertest.Client()).Measure(t.Context(), queryTo(address, "target=nothing("))
	want := failure("querying graphite: the server answered with status 400 Bad Request")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsSent(t *testing.T) {
	const many = "target=summarize(\n  asPercent(\n    sumSeries(app.a.{x,y}.count),\n\tsumSeries(app.*.count)\n  ),\n  '5min', 'avg')\n&from=-5min\n&until=-1min"
	cases := []struct{ name, base, query, want string }{
		{"a query on one line", "", "target=a.b&from=-2min", "/render?format=json&from=-2min&target=a.b"},
		{"a query on many lines loses its blanks", "", many, "/render?format=json&from=-5min&target=" +
			"summarize%28asPercent%28sumSeries%28app.a.%7Bx%2Cy%7D.count%29%2CsumSeries%28app.%2A.count%29%29%2C%275min%27%2C%27avg%27%29&until=-1min"},
		{"a path before that of graphite is kept", "/graphite/", "target=a", "/graphite/render?format=json&target=a"},
		{"parameters of the address are not sent", "/?target=evil&jsonp=x", "target=a", "/render?format=json&target=a"},
		{"the format is always JSON", "", "format=png&target=a", "/render?format=json&target=a"},
		{"only the first target is sent", "", "target=a&target=b", "/render?format=json&target=a"},
		{"what is escaped stays in its place", "", "target=a%26from%3D-1y%25", "/render?format=json&target=a%26from%3D-1y%25"},
		{"what marks a fragment is part of the target", "", "target=a#b", "/render?format=json&target=a%23b"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var got string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				got = r.Method + " " + r.RequestURI
				fmt.Fprint(w, answer(`[1, 1]`))
			}))
			defer server.Close()
			if reply := New(providertest.Client()).Measure(t.Context(), queryTo(server.URL+c.base, c.query)); reply.Phase != "" {
				t.Errorf("got %+v", reply)
			}
			if diff := cmp.Diff("GET "+c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBadConfiguration(t *testing.T) {
	const url = "querying graphite: the address is not a URL such as http://metrics.example.com:8080"
	const server = "http://127.0.0.1:1"
	cases := []struct{ name, address, query, want string }{
		{"no address", "", "target=a", url},
		{"an address without a scheme", "graphite.example.com", "target=a", url},
		{"an address that cannot be read", ":::pass", "target=a", "graphite: the address is not a URL"},
		{"an address of a file", "file:///etc/passwd", "target=a", url},
		{"no query", server, "", "graphite: the query has no target; write for example target=sumSeries(app.*.count)&from=-5min"},
		{"no target", server, "target=&from=-5min", "graphite: the query has no target; write for example target=sumSeries(app.*.count)&from=-5min"},
		{"a bare expression", server, "sumSeries(a.b)", `graphite: the query holds the parameter "sumSeries(a.b)", and may hold ` + allowed + "; write & within a target as %26"},
		{"a parameter that is not of use", server, "target=a&jsonp=x", `graphite: the query holds the parameter "jsonp", and may hold ` + allowed + "; write & within a target as %26"},
		{"a time twice", server, "target=a&from=-5min&from=-1y", "graphite: the query holds the parameter from twice; leave one"},
		{"a percent sign", server, "target=alias(a,'5%')", "graphite: the query cannot be read; write % as %25 and ; as %3B"},
		{"a semicolon", server, "target=seriesByTag('name;x')", "graphite: the query cannot be read; write % as %25 and ; as %3B"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := New(providertest.Client()).Measure(t.Context(), queryTo(c.address, c.query))
			if diff := cmp.Diff(failure(c.want), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAMetricOfAnotherProviderIsAnError(t *testing.T) {
	got := New(providertest.Client()).Measure(t.Context(), analysis.Query{})
	if diff := cmp.Diff(failure("the metric has no graphite query"), got); diff != "" {
		t.Error(diff)
	}
}

func TestOneProviderServesManyAtOnce(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, answer("["+strings.TrimPrefix(r.FormValue("target"), "n")+", 1]"))
	}))
	defer server.Close()
	provider := New(providertest.Client())
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			got := provider.Measure(t.Context(), queryTo(server.URL, fmt.Sprintf("target=n%d", i)))
			if diff := cmp.Diff(analysis.Reply{Result: of(float64(i)), Value: fmt.Sprintf("[%d]", i)}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	all.Wait()
}

// FuzzReply decodes what a server may say. What has a value is a number of the
// first series, in its order; an error is one short line.
func FuzzReply(f *testing.F) {
	for _, c := range cases {
		if len(c.answer) < 1000 {
			f.Add([]byte(c.answer))
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var reply []series
		if json.Unmarshal(body, &reply) != nil || bytes.Count(bytes.ToLower(body), []byte("datapoints")) > len(reply) {
			return // no JSON, or a key twice, which decoders read as they like
		}
		got, err := valuesOf(reply)
		again, _ := valuesOf(reply)
		if !reflect.DeepEqual(got, again) {
			t.Fatalf("got %v and then %v", got, again)
		}
		if err != nil {
			if got != nil || len(err.Error()) > 300 || strings.Contains(err.Error(), "\n") {
				t.Fatalf("got %v and %q", got, err)
			}
			return
		}
		if diff := cmp.Diff(told(body), got, cmpopts.EquateNaNs()); diff != "" {
			t.Fatal(diff)
		}
		if analysis.Numbers(got) == "" || len(got) > maxPoints {
			t.Fatalf("%d values as %q", len(got), analysis.Numbers(got))
		}
	})
}

// told reads the points of the first series another way.
func told(body []byte) []float64 {
	var reply []struct {
		Datapoints [][]any `json:"datapoints"`
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	_ = decoder.Decode(&reply)
	out := []float64{}
	if len(reply) == 0 {
		return out
	}
	for _, point := range reply[0].Datapoints {
		if len(point) > 0 && point[0] != nil {
			value, _ := strconv.ParseFloat(fmt.Sprint(point[0]), 64)
			out = append(out, value)
		}
	}
	return out
}
