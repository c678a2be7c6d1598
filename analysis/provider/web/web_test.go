package web

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/analysis/provider/providertest"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func queryTo(address string, edits ...func(*v1alpha1.WebMetric)) analysis.Query {
	metric := &v1alpha1.WebMetric{URL: address}
	for _, edit := range edits {
		edit(metric)
	}
	return analysis.Query{
		Verb: analysis.Take, Number: 1, Now: noon,
		Metric: v1alpha1.Metric{Name: "check", Provider: v1alpha1.MetricProvider{Web: metric}},
	}
}

func at(path string) func(*v1alpha1.WebMetric) {
	return func(m *v1alpha1.WebMetric) { m.JSONPath = path }
}

func TestConformance(t *testing.T) {
	providertest.Run(t, New(providertest.Client()), func(address string) analysis.Query { return queryTo(address, at("{$.data}")) })
}

func failed(message string) analysis.Reply {
	return analysis.Reply{Phase: v1alpha1.AnalysisPhaseError, Message: message}
}

func TestValues(t *testing.T) {
	nothing := failed("jsonPath finds nothing in the reply")
	nothing.NoData = true
	deep := strings.Repeat(`{"a":`, 90) + "1" + strings.Repeat("}", 90)
	for _, c := range []struct {
		name, path, body string
		want             analysis.Reply
	}{
		{"all of a document", "", `{"ok":true}`, analysis.Reply{Result: map[string]any{"ok": true}, Value: `{"ok":true}`}},
		{"a number", "{$.a.b}", `{"a":{"b":0.5}}`, analysis.Reply{Result: 0.5, Value: "0.5"}},
		{"a text", "{$.message}", `{"message":"It worked!"}`, analysis.Reply{Result: "It worked!", Value: `"It worked!"`}},
		{"a list", "{$.a}", `{"a":[1,"x",null]}`, analysis.Reply{Result: []any{1.0, "x", nil}, Value: `[1,"x",null]`}},
		{"null", "{$.a}", `{"a":null}`, analysis.Reply{Value: "null"}},
		{"the first of several", "{$.a[*].v}", `{"a":[{"v":1},{"v":2}]}`, analysis.Reply{Result: 1.0, Value: "1"}},
		{"what a filter finds", `{$.a[?(@.n=="y")].v}`, `{"a":[{"n":"x","v":1},{"n":"y","v":2}]}`, analysis.Reply{Result: 2.0, Value: "2"}},
		{"what is somewhere below", "{$..v}", `{"a":[{"b":{"v":3}}]}`, analysis.Reply{Result: 3.0, Value: "3"}},
		{"what is far below", "{$" + strings.Repeat(".a", 90) + "}", deep, analysis.Reply{Result: 1.0, Value: "1"}},
		{"what is not there", "{$.b}", `{"a":1}`, nothing},
		{"an entry that is not there", "{$.a[3]}", `{"a":[1]}`, nothing},
		{"a field of a number", "{$.a.b}", `{"a":1}`, nothing},
		{"a field of null", "{$.a.b}", `{"a":null}`, nothing},
		{"a filter that finds nothing", `{$.a[?(@.n=="z")].v}`, `{"a":[{"n":"x","v":1}]}`, nothing},
		{"an empty reply", "", "", analysis.Reply{Result: ""}},
		{"an empty reply, by a path", "{$.a}", "", nothing},
		{"what is no JSON", "", "42 errors", analysis.Reply{Result: "42 errors", Value: "42 errors"}},
		{"what is no JSON, by a path", "{$.a}", "42 errors", failed("the reply is not JSON, so jsonPath finds nothing in it; without jsonPath it is a text")},
		{"a path without braces", "$.a", "{}", failed("web.jsonPath: not one path in braces, such as {$.data.value}")},
		{"a path that is none", "{$.a[}", "{}", failed("web.jsonPath: not a path such as {$.data.value}: unterminated array")},
		{"two paths", "{$.a}{$.b}", "{}", failed("web.jsonPath: not one path in braces, such as {$.data.value}")},
		{"a long path", "{$." + strings.Repeat("a", 600) + "}", "{}", failed("web.jsonPath: longer than 512 characters")},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, c.body) }))
			defer server.Close()
			got := New(providertest.Client()).Measure(t.Context(), queryTo(server.URL, at(c.path)))
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// sent is what reached a server.
type sent struct{ Method, URI, Body, Type, Token string }

func TestWhatIsSent(t *testing.T) {
	var got sent
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = sent{r.Method, r.RequestURI, string(body), r.Header.Get("Content-Type"), r.Header.Get("Authorization")}
		fmt.Fprint(w, "1")
	}))
	defer server.Close()
	method := func(m v1alpha1.WebMetricMethod) func(*v1alpha1.WebMetric) {
		return func(w *v1alpha1.WebMetric) { w.Method = m }
	}
	json := func(m *v1alpha1.WebMetric) { m.JSONBody = []byte(`{"a":1}`) }
	for _, c := range []struct {
		name  string
		edits []func(*v1alpha1.WebMetric)
		want  sent
	}{
		{"GET by itself", nil, sent{"GET", "/check?a=1", "", "", ""}},
		{"a header", []func(*v1alpha1.WebMetric){func(m *v1alpha1.WebMetric) {
			m.Headers = []v1alpha1.WebMetricHeader{{Key: "authorization", Value: "Bearer x"}}
		}}, sent{"GET", "/check?a=1", "", "", "Bearer x"}},
		{"a text", []func(*v1alpha1.WebMetric){method("POST"), func(m *v1alpha1.WebMetric) { m.Body = "a=b" }}, sent{"POST", "/check?a=1", "a=b", "", ""}},
		{"JSON", []func(*v1alpha1.WebMetric){method("PUT"), json}, sent{"PUT", "/check?a=1", `{"a":1}`, "application/json", ""}},
		{"JSON of another type", []func(*v1alpha1.WebMetric){method("POST"), json, func(m *v1alpha1.WebMetric) {
			m.Headers = []v1alpha1.WebMetricHeader{{Key: "Content-Type", Value: "application/vnd.x+json"}}
		}}, sent{"POST", "/check?a=1", `{"a":1}`, "application/vnd.x+json", ""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if reply := New(providertest.Client()).Measure(t.Context(), queryTo(server.URL+"/check?a=1", c.edits...)); reply.Value != "1" {
				t.Fatalf("got %+v", reply)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestATokenIsFetchedOnce(t *testing.T) {
	asked, tokens := 0, 0
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		tokens++
		id, secret, _ := r.BasicAuth()
		if id != "me" || secret != "s3cret" || r.FormValue("scope") != "read" || r.FormValue("grant_type") != "client_credentials" {
			t.Errorf("asked for a token as %s %s with %v", id, secret, r.Form)
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"access_token":"abc","token_type":"Bearer","expires_in":3600}`)
	})
	mux.HandleFunc("GET /check", func(w http.ResponseWriter, r *http.Request) {
		asked++
		if got := r.Header.Get("Authorization"); got != "Bearer abc" {
			t.Errorf("authorized by %q", got)
		}
		fmt.Fprint(w, "1")
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	provider := New(providertest.Client())
	for range 3 {
		reply := provider.Measure(t.Context(), queryTo(server.URL+"/check", func(m *v1alpha1.WebMetric) {
			m.Authentication.OAuth2 = v1alpha1.OAuth2Config{TokenURL: server.URL + "/token", ClientID: "me", ClientSecret: "s3cret", Scopes: []string{"read"}}
		}))
		if reply.Value != "1" {
			t.Fatalf("got %+v", reply)
		}
	}
	if asked != 3 || tokens != 1 {
		t.Errorf("asked %d times with %d tokens", asked, tokens)
	}
}

func TestWhatIsRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(*v1alpha1.WebMetric)
		want string
	}{
		{"a body of GET", func(m *v1alpha1.WebMetric) { m.Body = "x" }, "web: GET sends no body; set method to POST or PUT"},
		{"two bodies", func(m *v1alpha1.WebMetric) { m.Method, m.Body, m.JSONBody = "POST", "x", []byte("{}") }, "web: set body or jsonBody, not both"},
		{"another method", func(m *v1alpha1.WebMetric) { m.Method = "DELETE" }, "web: method must be GET, POST or PUT"},
		{"a negative timeout", func(m *v1alpha1.WebMetric) { m.TimeoutSeconds = -1 }, "web.timeoutSeconds should not be negative"},
		{"a user and a password", func(m *v1alpha1.WebMetric) { m.Authentication.BasicAuth.Username = "me" }, "web: authentication is oauth2 alone; for a user"},
		{"a signature", func(m *v1alpha1.WebMetric) { m.Authentication.Sigv4.Region = "eu" }, "web: authentication is oauth2 alone"},
		{"scopes alone", func(m *v1alpha1.WebMetric) { m.Authentication.OAuth2.Scopes = []string{"read"} }, "web: authentication.oauth2 is not complete; set tokenUrl and clientId and clientSecret too"},
		{"half of OAuth2", func(m *v1alpha1.WebMetric) { m.Authentication.OAuth2.TokenURL = "http://x" }, "web: authentication.oauth2"},
		{"no URL", func(m *v1alpha1.WebMetric) { m.URL = "checks:80" }, "is not a URL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := New(providertest.Client()).Measure(t.Context(), queryTo("http://127.0.0.1:1", c.edit))
			if got.Phase != v1alpha1.AnalysisPhaseError || !strings.Contains(got.Message, c.want) {
				t.Errorf("got %+v, want %q", got, c.want)
			}
		})
	}
}

func TestAStatusIsToldAndItsBodyIsNot(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "the password is x", http.StatusTeapot) }))
	defer server.Close()
	got := New(providertest.Client()).Measure(t.Context(), queryTo(server.URL))
	if diff := cmp.Diff(failed("querying the web address: the server answered with status 418 I'm a teapot"), got); diff != "" {
		t.Error(diff)
	}
}
