package prometheus

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headway-rollouts/headway/analysis/egress"
	"github.com/headway-rollouts/headway/analysis/provider/prometheus/promql"
	"github.com/headway-rollouts/headway/analysis/provider/providertest"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// atHome is a provider for metrics that name no server.
func atHome(address string) *Provider {
	return New(providertest.Client(), Home{Address: address, Client: providertest.Client()})
}

// answering is the address of a server that answers every query with a text.
func answering(t *testing.T, text string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }))
	t.Cleanup(server.Close)
	return server.URL
}

func TestRepliesThatGrowWhenDecodedAreRefused(t *testing.T) {
	for name, reply := range map[string]string{
		"empty samples":  answer("vector", "["+strings.Repeat("{},", 300_000)+"{}]"),
		"empty warnings": `{"status":"success","warnings":[` + strings.Repeat(`"",`, 300_000) + `""],"data":{"resultType":"vector","result":[]}}`,
		"empty series":   answer("matrix", "["+strings.Repeat("{},", 300_000)+"{}]"),
	} {
		t.Run(name, func(t *testing.T) {
			got := atHome(answering(t, reply)).Measure(t.Context(), queryTo(""))
			if got.Phase != v1alpha1.AnalysisPhaseError || !strings.Contains(got.Message, "the reply has more than 100000 parts") {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestAsManySamplesAsAreAcceptedMayHaveLabels(t *testing.T) {
	sample := `{"metric":{"a":"1","b":"2","c":"3","d":"4","e":"5","f":"6"},"value":[1,"1"]}`
	url := answering(t, answer("vector", "["+strings.Repeat(sample+",", promql.MaxSamples-1)+sample+"]"))
	got := atHome(url).Measure(t.Context(), queryTo(""))
	if values, ok := got.Result.([]float64); !ok || len(values) != promql.MaxSamples {
		t.Errorf("got %s %s", got.Phase, got.Message)
	}
}

func TestWhatIsNotOfPrometheusIsNotRepeated(t *testing.T) {
	const secret = "SECRET-OF-THE-SERVER"
	sample := func(value string) string {
		return answer("vector", `[{"metric":{"a":"`+secret+`"},"value":`+value+`}]`)
	}
	const other = "querying prometheus: the reply is not one of Prometheus; the address may lead to something else"
	for _, c := range []struct{ name, reply, want string }{
		{"a text", secret, other},
		{"a list", `["` + secret + `"]`, other},
		{"another object", `{"password":"` + secret + `","status":5}`, other},
		{"other data", `{"status":"success","data":"` + secret + `"}`, other},
		{"another type", answer(secret, "[]"), other},
		{"another result", answer("vector", `{"a":"`+secret+`"}`), other},
		{"a sample of a number", sample(`[1,2]`), other},
		{"a sample of a text", sample(`[1,"` + secret + `"]`), other},
		{"a time of an object", sample(`[{"a":"` + secret + `"},"1"]`), other},
		{"a scalar of texts", answer("scalar", `["`+secret+`","1"]`), other},
		{"an object of nothing", "{}", "the reply holds no result"},
		{"nothing", "null", "the reply holds no result"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := atHome(answering(t, c.reply)).Measure(t.Context(), queryTo(""))
			if got.Phase != v1alpha1.AnalysisPhaseError || got.Message != c.want {
				t.Errorf("got %+v, want %s", got, c.want)
			}
		})
	}
}

// The client asks again with GET where POST is not taken, and waits for the
// server a second time.
func TestASlowServerTakesNoTurn(t *testing.T) {
	asked := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		close(asked)
		<-r.Context().Done()
	}))
	defer server.Close()
	turns := egress.NewTurns(1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ctx, end := turns.Begin(ctx)
		defer end()
		atHome(server.URL).Measure(ctx, queryTo(""))
	}()
	<-asked
	beside, end := turns.Begin(t.Context())
	defer end()
	short, stop := context.WithTimeout(beside, 10*time.Second)
	defer stop()
	if got := atHome(answering(t, vectorOf("1"))).Measure(short, queryTo("")); got.Value != "[1]" {
		t.Errorf("beside a slow server: %+v", got)
	}
	cancel()
	<-ended
}

// The operator's server may be beside the controller, where no metric may reach.
func TestOnlyTheOperatorNamesAnyServer(t *testing.T) {
	url := answering(t, vectorOf("1"))
	provider := New(egress.New(egress.Policy{}), Home{Address: url, Client: egress.New(egress.Unrestricted())})
	if got := provider.Measure(t.Context(), queryTo("")); got.Value != "[1]" {
		t.Errorf("the operator's server: %+v", got)
	}
	if got := provider.Measure(t.Context(), queryTo(url)); !strings.Contains(got.Message, "loopback addresses are refused") {
		t.Errorf("the same server, named by a metric: %+v", got)
	}
	got := provider.Measure(t.Context(), queryTo("", func(m *v1alpha1.Metric) {
		m.Provider.Prometheus.Authentication.OAuth2 = v1alpha1.OAuth2Config{TokenURL: url, ClientID: "me", ClientSecret: "s"}
	}))
	if !strings.Contains(got.Message, "querying the oauth2 tokenUrl") || !strings.Contains(got.Message, "loopback addresses are refused") {
		t.Errorf("a server of tokens, named by a metric: %+v", got)
	}
}

func TestOAuth2(t *testing.T) {
	const secret = "hunter2-of-the-client"
	var tokens, seen []string
	good := true
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		id, password, _ := r.BasicAuth()
		_ = r.ParseForm()
		tokens = append(tokens, id+":"+password+" "+r.PostForm.Encode())
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":"token-%d","token_type":"bearer","expires_in":3600}`, len(tokens))
	})
	mux.HandleFunc("/api/v1/query", func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Get("Authorization")+" "+r.Header.Get("X-Scope-OrgID"))
		if !good {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, vectorOf("1"))
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	query := queryTo(server.URL, func(m *v1alpha1.Metric) {
		m.Provider.Prometheus.Headers = []v1alpha1.WebMetricHeader{{Key: "X-Scope-OrgID", Value: "tenant"}, {Key: "Authorization", Value: "mine"}}
		m.Provider.Prometheus.Authentication.OAuth2 = v1alpha1.OAuth2Config{
			TokenURL: server.URL + "/token", ClientID: "me", ClientSecret: secret, Scopes: []string{"read", "metrics"},
		}
	})
	provider := New(providertest.Client(), Home{})
	for _, good = range []bool{true, true, false, true} {
		got := provider.Measure(t.Context(), query)
		if (got.Value == "[1]") != good || strings.Contains(got.Message, secret) || strings.Contains(got.Message, "token-") {
			t.Errorf("got %+v", got)
		}
	}
	form := "me:" + secret + " grant_type=client_credentials&scope=read+metrics"
	if diff := cmp.Diff([]string{form, form}, tokens); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"Bearer token-1 tenant", "Bearer token-1 tenant", "Bearer token-1 tenant", "Bearer token-2 tenant"}, seen); diff != "" {
		t.Error(diff)
	}
}

func TestHalfOfOAuth2IsAnError(t *testing.T) {
	for _, c := range []struct {
		name string
		have v1alpha1.OAuth2Config
		want string
	}{
		{"scopes alone", v1alpha1.OAuth2Config{Scopes: []string{"read"}}, "authentication.oauth2 is not complete; set tokenUrl and clientId and clientSecret too"},
		{"no secret", v1alpha1.OAuth2Config{TokenURL: "http://t", ClientID: "me"}, "authentication.oauth2 is not complete; set clientSecret too"},
		{"a server that is no URL", v1alpha1.OAuth2Config{TokenURL: "t", ClientID: "me", ClientSecret: "s"}, "authentication.oauth2 tokenUrl: the address is not a URL such as http://metrics.example.com:8080"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := New(providertest.Client(), Home{}).Measure(t.Context(), queryTo("http://127.0.0.1:1", func(m *v1alpha1.Metric) {
				m.Provider.Prometheus.Authentication.OAuth2 = c.have
			}))
			if got.Phase != v1alpha1.AnalysisPhaseError || got.Message != c.want {
				t.Errorf("got %+v, want %s", got, c.want)
			}
		})
	}
}
