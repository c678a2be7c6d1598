package analysis

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

const failedOnce = `Metric "rate" assessed Failed due to failed (1) > failureLimit (0)`

// secretly makes a run of a metric whose argument secret is read from a Secret,
// and whose argument app is web.
func secretly(edit func(*v1alpha1.Metric)) *v1alpha1.AnalysisRun {
	m := metric("rate")
	edit(&m)
	web, empty := "web", ""
	run := withArg(runOf(m), v1alpha1.Argument{Name: "app", Value: &web})
	run = withArg(run, v1alpha1.Argument{Name: "empty", Value: &empty})
	return withArg(run, v1alpha1.Argument{Name: "secret", ValueFrom: &v1alpha1.ValueFrom{
		SecretKeyRef: &v1alpha1.SecretKeyRef{Name: "s", Key: "k"},
	}})
}

// say is the message of a run whose metric got one reply.
func say(run *v1alpha1.AnalysisRun, reply Reply) string {
	run.Status = statusOf(run, nil, noon)
	var results []Result
	for _, task := range scheduleOf(run, noon).Tasks {
		results = append(results, Result{Task: task, Started: noon, Finished: noon, Reply: reply})
	}
	return statusOf(run, results, noon).Message
}

func TestWhatASentenceRestsOn(t *testing.T) {
	query := func(q string) func(*v1alpha1.Metric) {
		return func(m *v1alpha1.Metric) { m.Provider.Prometheus.Query = q }
	}
	conditions := func(success, failure string) func(*v1alpha1.Metric) {
		return func(m *v1alpha1.Metric) {
			m.SuccessCondition, m.FailureCondition, m.Provider.Prometheus.Query = success, failure, ""
		}
	}
	long := strings.Repeat("0123456789", 17)
	cut := strings.Repeat("0123456789", 16) + "…"
	cases := []struct {
		name, value string
		edit        func(*v1alpha1.Metric)
		want        string
	}{
		{"nothing is known", "", query(""), ""},
		{"a value", "[0.5]", query(""), " (value [0.5])"},
		{"a query", "", query("up"), " (query up)"},
		{"a success condition", "", conditions("result > 1", ""), " (successCondition result > 1)"},
		{"a failure condition", "", conditions("", "result > 1"), " (failureCondition result > 1)"},
		{"both conditions", "", conditions("result > 1", "result < 1"), " (successCondition result > 1; failureCondition result < 1)"},
		{"all of it", "[0.5]", func(m *v1alpha1.Metric) { m.SuccessCondition = "result[0] > 1" }, " (value [0.5]; successCondition result[0] > 1; query x)"},
		{"an argument in the query", "", query(`up{app="{{args.app}}"}`), ` (query up{app="web"})`},
		{"an argument with spaces around it", "", query(`up{app="{{ args.app }}"}`), ` (query up{app="web"})`},
		{"an argument in a condition", "", conditions(`result == "{{args.app}}"`, ""), ` (successCondition result == "web")`},
		{"an argument of nothing", "", query("{{args.empty}}"), ""},
		{"a Secret in the query", "", query(`up{key="{{args.secret}}"}`), ` (query up{key="*****"})`},
		{"a Secret in the success condition", "", conditions("result > {{args.secret}}", ""), " (successCondition result > *****)"},
		{"a Secret in the failure condition", "", conditions("", "result > {{args.secret}}"), " (failureCondition result > *****)"},
		{"a Secret beside an argument", "", query("{{args.app}}/{{args.secret}}"), " (query web/*****)"},
		{"a Secret in another field of the provider", "", func(m *v1alpha1.Metric) { m.Provider.Prometheus.Address = "http://{{args.secret}}" }, " (query x)"},
		{"an argument in the query that nobody gives", "", query("up{{args.nobody}}"), " (query up{{args.nobody}})"},
		{"a tag in the query that is not closed", "", query("up{{args.app"), " (query up{{args.app)"},
		{"a query of several lines", "", query("\n  sum(up)\n\t/\r\n  count(up)\n"), " (query sum(up) / count(up))"},
		{"a condition of several lines", "", conditions("result > 1 &&\n  result < 2\n", ""), " (successCondition result > 1 && result < 2)"},
		{"a value of several lines", "{\n  \"a\": 1\n}", query(""), ` (value { "a": 1 })`},
		{"a value of spaces", " \n ", query(""), ""},
		{"a query of spaces", "", query(" \n "), ""},
		{"a query as long as fits", "", query(long[:160]), " (query " + long[:160] + ")"},
		{"a long query", "", query(long), " (query " + cut + ")"},
		{"a long value", long, query(""), " (value " + cut + ")"},
		{"a long condition", "", conditions("result == '"+long+"'", ""), " (successCondition " + ("result == '" + long)[:160] + "…)"},
		{"long lines are cut when they are one", "", query(strings.Repeat("a\n\n\n", 100)), " (query " + strings.Repeat("a ", 80) + "…)"},
		{"a letter is not cut in half", "", query("1" + strings.Repeat("é", 100)), " (query 1" + strings.Repeat("é", 79) + "…)"},
		{"a long argument", "", query("{{args.app}}" + long), " (query " + ("web" + long)[:160] + "…)"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := say(secretly(c.edit), Reply{Phase: v1alpha1.AnalysisPhaseFailed, Value: c.value})
			if diff := cmp.Diff(failedOnce+c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatEachPhaseTells(t *testing.T) {
	both := func(m *v1alpha1.Metric) {
		m.SuccessCondition, m.FailureCondition = "result > 1", "result < 1"
		m.ConsecutiveErrorLimit = limit(0)
	}
	const sentence = `Metric "rate" assessed %s due to %s: "Error Message: m"%s`
	const rests = " (value 1; successCondition result > 1; failureCondition result < 1; query x)"
	for phase, want := range map[v1alpha1.AnalysisPhase]string{
		v1alpha1.AnalysisPhaseSuccessful:   "",
		v1alpha1.AnalysisPhaseFailed:       fmt.Sprintf(sentence, "Failed", "failed (1) > failureLimit (0)", rests),
		v1alpha1.AnalysisPhaseInconclusive: fmt.Sprintf(sentence, "Inconclusive", "inconclusive (1) > inconclusiveLimit (0)", rests),
		v1alpha1.AnalysisPhaseError:        fmt.Sprintf(sentence, "Error", "consecutiveErrors (1) > consecutiveErrorLimit (0)", ""),
	} {
		if diff := cmp.Diff(want, say(secretly(both), Reply{Phase: phase, Value: "1", Message: "m"})); diff != "" {
			t.Errorf("%s: %s", phase, diff)
		}
	}
}

func TestAValueThatIsCutInTheStatusIsCutInTheSentence(t *testing.T) {
	run := secretly(func(m *v1alpha1.Metric) { m.Name = strings.Repeat("n", 300) })
	got := say(run, Reply{Phase: v1alpha1.AnalysisPhaseFailed, Value: strings.Repeat("1", 5000), Message: strings.Repeat("m", 5000)})
	want := fmt.Sprintf("Metric %q assessed Failed due to failed (1) > failureLimit (0): \"Error Message: %s…\" (value %s…; query x)",
		strings.Repeat("n", 300), strings.Repeat("m", 1024), strings.Repeat("1", 160))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTheValueThatDecidedIsTold(t *testing.T) {
	cases := []struct {
		name  string
		story string // letters, each with its place as its value
		phase v1alpha1.AnalysisPhase
		want  string
	}{
		{"no measurement has none", "", v1alpha1.AnalysisPhaseFailed, ""},
		{"the failed one", "F", v1alpha1.AnalysisPhaseFailed, "0"},
		{"the last that failed", "FFSI", v1alpha1.AnalysisPhaseFailed, "1"},
		{"the last when none that failed is kept", "SSI", v1alpha1.AnalysisPhaseFailed, "2"},
		{"the last when it is in doubt", "ISF", v1alpha1.AnalysisPhaseInconclusive, "2"},
		{"the last when it could not be measured", "EFE", v1alpha1.AnalysisPhaseError, "2"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var result v1alpha1.MetricResult
			for i := range c.story {
				m := measurementOf(c.story[i], time.Minute)
				m.Value = fmt.Sprint(i)
				result.Measurements = append(result.Measurements, m)
			}
			if got := deciding(result, c.phase); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestTheQueryOfEachProvider(t *testing.T) {
	cases := []struct {
		name     string
		provider v1alpha1.MetricProvider
		want     string
	}{
		{"no provider", v1alpha1.MetricProvider{}, ""},
		{"prometheus", v1alpha1.MetricProvider{Prometheus: &v1alpha1.PrometheusMetric{Query: "up", Address: "http://a"}}, "up"},
		{"datadog with a query", v1alpha1.MetricProvider{Datadog: &v1alpha1.DatadogMetric{Query: "avg:x{*}"}}, "avg:x{*}"},
		{"datadog with a query and a formula", v1alpha1.MetricProvider{Datadog: &v1alpha1.DatadogMetric{Query: "avg:x{*}", Formula: "a"}}, "avg:x{*}"},
		{"datadog with a formula", v1alpha1.MetricProvider{Datadog: &v1alpha1.DatadogMetric{
			Formula: "a / b", Queries: map[string]string{"b": "y", "a": "x"},
		}}, "a / b"},
		{"datadog with queries", v1alpha1.MetricProvider{Datadog: &v1alpha1.DatadogMetric{
			Queries: map[string]string{"c": "z", "a": "y", "b": "x"},
		}}, "x, y, z"},
		{"newRelic", v1alpha1.MetricProvider{NewRelic: &v1alpha1.NewRelicMetric{Query: "FROM x", Profile: "p"}}, "FROM x"},
		{"wavefront", v1alpha1.MetricProvider{Wavefront: &v1alpha1.WavefrontMetric{Query: "ts(x)", Address: "a"}}, "ts(x)"},
		{"graphite", v1alpha1.MetricProvider{Graphite: &v1alpha1.GraphiteMetric{Query: "sum(x)", Address: "a"}}, "sum(x)"},
		{"influxdb", v1alpha1.MetricProvider{Influxdb: &v1alpha1.InfluxdbMetric{Query: "from(x)", Profile: "p"}}, "from(x)"},
		{"skywalking", v1alpha1.MetricProvider{SkyWalking: &v1alpha1.SkyWalkingMetric{Query: "query {x}", Address: "a"}}, "query {x}"},
		{"web", v1alpha1.MetricProvider{Web: &v1alpha1.WebMetric{URL: "http://a/b", Body: "c"}}, "http://a/b"},
		{"cloudWatch", v1alpha1.MetricProvider{CloudWatch: &v1alpha1.CloudWatchMetric{}}, ""},
		{"a job", v1alpha1.MetricProvider{Job: &v1alpha1.JobMetric{}}, ""},
		{"kayenta", v1alpha1.MetricProvider{Kayenta: &v1alpha1.KayentaMetric{Address: "a"}}, ""},
		{"a plugin", v1alpha1.MetricProvider{Plugin: map[string]json.RawMessage{"a/b": json.RawMessage(`{"query":"x"}`)}}, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, QueryOf(&c.provider)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestASecretInTheAddressOfAWebMetricIsNotTold(t *testing.T) {
	run := secretly(func(m *v1alpha1.Metric) {
		m.Provider = v1alpha1.MetricProvider{Web: &v1alpha1.WebMetric{URL: "https://{{args.app}}.example.com/?token={{args.secret}}"}}
	})
	want := failedOnce + " (query https://web.example.com/?token=*****)"
	if diff := cmp.Diff(want, say(run, Reply{Phase: v1alpha1.AnalysisPhaseFailed})); diff != "" {
		t.Error(diff)
	}
}
