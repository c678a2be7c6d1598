package web

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/analysis/provider/providertest"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

func answering(t *testing.T, text string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }))
	t.Cleanup(server.Close)
	return server.URL
}

func TestConditionsJudgeWhatIsFound(t *testing.T) {
	const reply = `{"data":{"x":7,"rate":0.25,"text":"7","ok":true,"list":[1,2],"none":null,"big":1e3}}`
	for _, c := range []struct {
		name, reply, path, success string
		want                       v1alpha1.AnalysisPhase
		value                      string
	}{
		{"a number of an object", reply, "{$.data}", "result.x > 5", "Successful", `{"big":1000,"list":[1,2],"none":null,"ok":true,"rate":0.25,"text":"7","x":7}`},
		{"a number", reply, "{$.data.x}", "result == 7", "Successful", "7"},
		{"a whole number", reply, "{$.data.x}", "asInt(result) == 7", "Successful", "7"},
		{"a fraction", reply, "{$.data.rate}", "asFloat(result) < 0.5", "Successful", "0.25"},
		{"an exponent", reply, "{$.data.big}", "result >= 1000", "Successful", "1000"},
		{"a number as a text", reply, "{$.data.text}", "asInt(result) > 5", "Successful", `"7"`},
		{"a truth", reply, "{$.data.ok}", "result", "Successful", "true"},
		{"a list", reply, "{$.data.list}", "len(result) == 2 && all(result, # > 0)", "Successful", "[1,2]"},
		{"null", reply, "{$.data.none}", "isNil(result)", "Successful", "null"},
		{"a bad number", reply, "{$.data.x}", "result > 100", "Failed", "7"},
		{"a text that is no number", reply, "{$.data}", "result.missing > 5", "Error", `{"big":1000,"list":[1,2],"none":null,"ok":true,"rate":0.25,"text":"7","x":7}`},
		{"nothing is asked", "fine", "", "", "Successful", "fine"},
		{"a text", "fine", "", `result == "fine"`, "Successful", "fine"},
		{"a page where a number should be", "<html>", "", "result > 5", "Error", "<html>"},
		{"an empty reply to a check", "", "", "", "Successful", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := queryTo(answering(t, c.reply), at(c.path))
			q.Metric.SuccessCondition = c.success
			got := analysis.Decide(&q.Metric, New(providertest.Client()).Measure(t.Context(), q), nil, q.Now)
			if got.Phase != c.want || got.Value != c.value {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestOnlyInsecureTrustsAnyCertificate(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "1") }))
	defer server.Close()
	provider := New(providertest.Client())
	if got := provider.Measure(t.Context(), queryTo(server.URL)); !strings.Contains(got.Message, "failed to verify certificate") {
		t.Errorf("an unknown certificate is trusted: %+v", got)
	}
	got := provider.Measure(t.Context(), queryTo(server.URL, func(m *v1alpha1.WebMetric) { m.Insecure = true }))
	if diff := cmp.Diff(analysis.Reply{Result: 1.0, Value: "1"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestAMetricMayWaitLess(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer server.Close()
	got := New(providertest.Client()).Measure(t.Context(), queryTo(server.URL, func(m *v1alpha1.WebMetric) { m.TimeoutSeconds = 1 }))
	if diff := cmp.Diff(failed("the web address did not answer in time"), got); diff != "" {
		t.Error(diff)
	}
}
