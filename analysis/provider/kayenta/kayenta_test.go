package kayenta

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

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/analysis/provider/kayenta/scopes"
	"github.com/headway-rollouts/headway/analysis/provider/providertest"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

const (
	configID = "bf9795c0-170f-403e-bb7f-fef3f9a44d42"
	id       = "01DS50WVHAWSTAQACJKB1VKDQB"
	configs  = `[{"id":"99d93685","name":"other","updatedTimestamp":1542305351000,"updatedTimestampIso":"2018-11-15T18:09:11Z","applications":["guestbook"]},
		{"id":"` + configID + `","name":"my config","updatedTimestamp":1553707842000,"updatedTimestampIso":"2019-03-27T17:30:42Z","applications":["guestbook"]}]`
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.FixedZone("east", 3600))

func queryTo(address string, edits ...func(*v1alpha1.Metric)) analysis.Query {
	side := func(hash string) v1alpha1.ScopeDetail {
		return v1alpha1.ScopeDetail{Scope: "hash=" + hash, Region: "us-west-2", Step: 60}
	}
	metric := v1alpha1.Metric{
		Name: "judged", Interval: "1h",
		Provider: v1alpha1.MetricProvider{Kayenta: &v1alpha1.KayentaMetric{
			Address: address, Application: "guest book", CanaryConfigName: "my config",
			MetricsAccountName: "metrics", ConfigurationAccountName: "configuration", StorageAccountName: "storage",
			Threshold: v1alpha1.KayentaThreshold{Pass: 90, Marginal: 75},
			Scopes:    []v1alpha1.KayentaScope{{Name: "default", ControlScope: side("stable"), ExperimentScope: side("canary")}},
		}},
	}
	for _, edit := range edits {
		edit(&metric)
	}
	return analysis.Query{Verb: analysis.Take, Metric: metric, Number: 1, Now: noon}
}

func underWay(q analysis.Query, verb analysis.Verb) analysis.Query {
	q.Verb = verb
	q.UnderWay = &v1alpha1.Measurement{
		Phase: v1alpha1.AnalysisPhaseRunning, StartedAt: &metav1.Time{Time: noon}, Metadata: map[string]string{ExecutionID: id},
	}
	return q
}

func provider() *Provider { return New(providertest.Client()) }

func TestConformanceOfStarting(t *testing.T) {
	providertest.Run(t, provider(), func(address string) analysis.Query { return queryTo(address) })
}

func TestConformanceOfLooking(t *testing.T) {
	providertest.Run(t, provider(), func(address string) analysis.Query { return underWay(queryTo(address), analysis.Resume) })
}

// speaker speaks for Kayenta, and keeps what it was asked.
type speaker struct {
	*httptest.Server
	asked []string
	body  any
}

// serving answers the requests of a metric: for a configuration, to start a
// judgement, and for its state.
func serving(t *testing.T, list, started, state string) *speaker {
	t.Helper()
	s := &speaker{}
	mux := http.NewServeMux()
	keep := func(w http.ResponseWriter, r *http.Request, answer string) {
		s.asked = append(s.asked, r.Method+" "+r.URL.String()+" "+r.Header.Get("Content-Type"))
		if text, _ := io.ReadAll(r.Body); len(text) > 0 {
			if err := json.Unmarshal(text, &s.body); err != nil {
				t.Error(err)
			}
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, answer)
	}
	mux.HandleFunc("GET /base/canaryConfig", func(w http.ResponseWriter, r *http.Request) { keep(w, r, list) })
	mux.HandleFunc("POST /base/canary/{config}", func(w http.ResponseWriter, r *http.Request) { keep(w, r, started) })
	mux.HandleFunc("GET /base/canary/{id}", func(w http.ResponseWriter, r *http.Request) { keep(w, r, state) })
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	s.URL += "/base/"
	return s
}

const started = `{"canaryExecutionId":"` + id + `"}`

func side(hash, start, end string) map[string]any {
	return map[string]any{"scope": "hash=" + hash, "region": "us-west-2", "step": 60.0, "start": start, "end": end}
}

func TestAJudgementIsStarted(t *testing.T) {
	s := serving(t, configs, started, "")
	got := provider().Measure(t.Context(), queryTo(s.URL))
	want := analysis.Reply{
		Phase: v1alpha1.AnalysisPhaseRunning, Metadata: map[string]string{ExecutionID: id}, ResumeAt: noon.Add(15 * time.Second),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	asked := []string{
		"GET /base/canaryConfig?application=guest+book&configurationAccountName=configuration ",
		"POST /base/canary/" + configID + "?application=guest+book&configurationAccountName=configuration" +
			"&metricsAccountName=metrics&storageAccountName=storage application/json",
	}
	if diff := cmp.Diff(asked, s.asked); diff != "" {
		t.Error(diff)
	}
	const start, end = "2026-03-01T10:00:00Z", "2026-03-01T11:00:00Z"
	body := map[string]any{
		"scopes":     map[string]any{"default": map[string]any{"controlScope": side("stable", start, end), "experimentScope": side("canary", start, end)}},
		"thresholds": map[string]any{"pass": 90.0, "marginal": 75.0},
	}
	if diff := cmp.Diff(any(body), s.body); diff != "" {
		t.Error(diff)
	}
}

func TestAMeasurementThatWasNotStoredStartsAgain(t *testing.T) {
	s := serving(t, configs, started, "")
	first := provider().Measure(t.Context(), queryTo(s.URL))
	second := provider().Measure(t.Context(), queryTo(s.URL))
	if diff := cmp.Diff(first, second); diff != "" || second.Phase != v1alpha1.AnalysisPhaseRunning {
		t.Errorf("%s %s", second.Phase, diff)
	}
}

func TestSpansOfScopes(t *testing.T) {
	const given = "2026-02-01T00:00:00Z"
	both := func(set func(*v1alpha1.ScopeDetail)) func(*v1alpha1.Metric) {
		return func(m *v1alpha1.Metric) {
			set(&m.Provider.Kayenta.Scopes[0].ControlScope)
			set(&m.Provider.Kayenta.Scopes[0].ExperimentScope)
		}
	}
	start := both(func(s *v1alpha1.ScopeDetail) { s.Start = given })
	end := both(func(s *v1alpha1.ScopeDetail) { s.End = given })
	cases := []struct {
		name       string
		edit       []func(*v1alpha1.Metric)
		start, end string
	}{
		{"one interval up to now", nil, "2026-03-01T10:00:00Z", "2026-03-01T11:00:00Z"},
		{"from a start up to now", []func(*v1alpha1.Metric){start}, given, "2026-03-01T11:00:00Z"},
		{"one interval before now, up to an end", []func(*v1alpha1.Metric){end}, "2026-03-01T10:00:00Z", given},
		{"as given", []func(*v1alpha1.Metric){start, end}, given, given},
		{"as given, also with lookback", []func(*v1alpha1.Metric){start, end, func(m *v1alpha1.Metric) { m.Provider.Kayenta.Lookback = true }}, given, given},
		{"from the start of the run, with lookback", []func(*v1alpha1.Metric){func(m *v1alpha1.Metric) { m.Provider.Kayenta.Lookback = true }}, "2026-03-01T08:00:00Z", "2026-03-01T11:00:00Z"},
		{"a start needs no interval", []func(*v1alpha1.Metric){start, func(m *v1alpha1.Metric) { m.Interval = "" }}, given, "2026-03-01T11:00:00Z"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			q := queryTo("", c.edit...)
			q.Started = q.Now.Add(-3 * time.Hour)
			got, err := scopes.Of(q)
			if err != nil {
				t.Fatal(err)
			}
			filled := func(hash string) v1alpha1.ScopeDetail {
				return v1alpha1.ScopeDetail{Scope: "hash=" + hash, Region: "us-west-2", Step: 60, Start: c.start, End: c.end}
			}
			want := map[string]scopes.Scope{"default": {Control: filled("stable"), Experiment: filled("canary")}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func state(score string) string {
	return `{"application":"guestbook","pipelineId":"` + id + `","stageStatus":{"judge":"succeeded"},"complete":true,"status":"succeeded",
		"result":{"application":"guestbook","judgeResult":{"judgeName":"NetflixACAJudge-v1.0","results":[],"groupScores":[],
		"score":{"score":` + score + `,"classification":"Pass","classificationReason":"Canary score exceeds the pass score."}}},"storageAccountName":"storage"}`
}

func TestStatesOfAJudgement(t *testing.T) {
	kept := map[string]string{ExecutionID: id}
	failed := func(message string) analysis.Reply {
		return analysis.Reply{Phase: v1alpha1.AnalysisPhaseError, Message: message, Metadata: kept}
	}
	cases := []struct {
		name, state string
		want        analysis.Reply
	}{
		{"under way", `{"complete":false,"status":"running","stageStatus":{}}`, analysis.Reply{Phase: v1alpha1.AnalysisPhaseRunning, ResumeAt: noon.Add(15 * time.Second), Metadata: kept}},
		{"at the pass score", state("90"), analysis.Reply{Phase: v1alpha1.AnalysisPhaseSuccessful, Value: "90", Metadata: kept}},
		{"just below the pass score", state("89.9"), analysis.Reply{Phase: v1alpha1.AnalysisPhaseInconclusive, Value: "89.9", Message: "score 89.9 is below threshold.pass 90", Metadata: kept}},
		{"at the marginal score", state("75.0"), analysis.Reply{Phase: v1alpha1.AnalysisPhaseInconclusive, Value: "75", Message: "score 75 is below threshold.pass 90", Metadata: kept}},
		{"below the marginal score", state("74"), analysis.Reply{Phase: v1alpha1.AnalysisPhaseFailed, Value: "74", Message: "score 74 is below threshold.marginal 75", Metadata: kept}},
		{"a score of nothing is a score", state("0"), analysis.Reply{Phase: v1alpha1.AnalysisPhaseFailed, Value: "0", Message: "score 0 is below threshold.marginal 75", Metadata: kept}},
		{"broken", `{"complete":true,"status":"terminal","exception":{"exceptionType":"RetrofitError","operation":"prometheusFetch","details":{"error":"Unexpected Task Failure","errors":["connection refused"]},"shouldRetry":false}}`, failed("the judgement of kayenta ended without a score: status terminal Unexpected Task Failure connection refused")},
		{"cancelled", `{"complete":true,"status":"canceled","result":null,"exception":null}`, failed("the judgement of kayenta ended without a score: status canceled")},
		{"with an exception of another form", `{"complete":true,"status":"terminal","exception":"no"}`, failed("the judgement of kayenta ended without a score: status terminal")},
		{"something else", `{"status":"UP"}`, failed("querying kayenta: the reply is not the state of a judgement; check the address")},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := serving(t, "", "", c.state)
			got := provider().Measure(t.Context(), underWay(queryTo(s.URL), analysis.Resume))
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff([]string{"GET /base/canary/" + id + "?storageAccountName=storage "}, s.asked); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestATerminatedJudgementIsGivenUpWithoutAQuestion(t *testing.T) {
	s := serving(t, "", "", "")
	got := provider().Measure(t.Context(), underWay(queryTo(s.URL), analysis.Terminate))
	want := analysis.Reply{
		Phase: v1alpha1.AnalysisPhaseInconclusive, Message: "the judgement was given up with the run", Metadata: map[string]string{ExecutionID: id},
	}
	if diff := cmp.Diff(want, got); diff != "" || len(s.asked) > 0 {
		t.Errorf("asked %v: %s", s.asked, diff)
	}
}

func TestErrorsSayWhatKayentaSays(t *testing.T) {
	cases := []struct {
		name   string
		status int
		body   string
		want   string
	}{
		{"a bad account", 400, `{"message":"Unable to resolve account x of type METRICS_STORE."}`, "querying kayenta: the server answered with status 400 Bad Request: Unable to resolve account x of type METRICS_STORE."},
		{"no right", 403, `{"timestamp":1,"status":403,"error":"Forbidden","message":"Access Denied","path":"/canaryConfig"}`, "querying kayenta: the server answered with status 403 Forbidden: Access Denied"},
		{"too many requests", 429, `{"message":"slow down"}`, "querying kayenta: the server answered with status 429 Too Many Requests: slow down"},
		{"a list of errors", 500, `[{"message":"one"}]`, "querying kayenta: the server answered with status 500 Internal Server Error"},
		{"a page", 503, `<html>secret page</html>`, "querying kayenta: the server answered with status 503 Service Unavailable"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "30")
				w.WriteHeader(c.status)
				fmt.Fprint(w, c.body)
			}))
			defer s.Close()
			got := provider().Measure(t.Context(), queryTo(s.URL))
			if diff := cmp.Diff(analysis.Reply{Phase: v1alpha1.AnalysisPhaseError, Message: c.want}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatCannotBeStarted(t *testing.T) {
	withScopes := func(edit func(*v1alpha1.KayentaScope)) func(*v1alpha1.Metric) {
		return func(m *v1alpha1.Metric) { edit(&m.Provider.Kayenta.Scopes[0]) }
	}
	cases := []struct {
		name, list, started string
		edit                func(*v1alpha1.Metric)
		want                string
	}{
		{"no such config", `[]`, started, func(*v1alpha1.Metric) {}, `kayenta has no canary config "my config" for application "guest book" in account "configuration"; check canaryConfigName`},
		{"configs that are none", `{"this is":"bad"}`, started, func(*v1alpha1.Metric) {}, "not the JSON that was expected"},
		{"a judgement without an id", configs, `{}`, func(*v1alpha1.Metric) {}, "the reply has no canaryExecutionId"},
		{"one start", configs, started, withScopes(func(s *v1alpha1.KayentaScope) { s.ControlScope.Start = "x" }), `scope "default": set start in both`},
		{"one end", configs, started, withScopes(func(s *v1alpha1.KayentaScope) { s.ExperimentScope.End = "x" }), `scope "default": set end in both`},
		{"neither start nor interval", configs, started, func(m *v1alpha1.Metric) { m.Interval = "" }, "without a start the metric needs an interval"},
		{"a scope twice", configs, started, func(m *v1alpha1.Metric) {
			m.Provider.Kayenta.Scopes = append(m.Provider.Kayenta.Scopes, m.Provider.Kayenta.Scopes[0])
		}, `scope "default" is there twice`},
		{"an address that is no URL", configs, started, func(m *v1alpha1.Metric) { m.Provider.Kayenta.Address = "kayenta:8090" }, "the address is not a URL"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := serving(t, c.list, c.started, "")
			got := provider().Measure(t.Context(), queryTo(s.URL, c.edit))
			if got.Phase != v1alpha1.AnalysisPhaseError || !strings.Contains(got.Message, c.want) {
				t.Errorf("got %+v, want %q", got, c.want)
			}
		})
	}
	lost := queryTo("http://127.0.0.1:1")
	lost.Verb = analysis.Resume
	for name, q := range map[string]analysis.Query{"no metric": {}, "no judgement": lost, "no verb": {Metric: lost.Metric}} {
		if got := provider().Measure(t.Context(), q); got.Phase != v1alpha1.AnalysisPhaseError {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

func TestAnIDIsNoPath(t *testing.T) {
	s := serving(t, "", "", "")
	q := underWay(queryTo(s.URL), analysis.Resume)
	q.UnderWay.Metadata[ExecutionID] = "../canaryConfig?x"
	q.Metric.Provider.Kayenta.StorageAccountName = ""
	provider().Measure(t.Context(), q)
	if diff := cmp.Diff([]string{"GET /base/canary/..%2FcanaryConfig%3Fx "}, s.asked); diff != "" {
		t.Error(diff)
	}
}

func TestOneProviderServesManyQueriesAtOnce(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, state(strings.TrimPrefix(r.URL.Path, "/canary/")))
	}))
	defer s.Close()
	p := provider()
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			q := underWay(queryTo(s.URL), analysis.Resume)
			q.UnderWay.Metadata[ExecutionID] = fmt.Sprint(i)
			if got := p.Measure(t.Context(), q); got.Value != fmt.Sprint(i) {
				t.Errorf("got %+v, want %d", got, i)
			}
		})
	}
	group.Wait()
}
