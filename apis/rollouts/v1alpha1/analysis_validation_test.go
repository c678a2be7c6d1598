package v1alpha1

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func TestValidateMetrics(t *testing.T) {
	number := func(n int) *intstr.IntOrString { v := intstr.FromInt32(int32(n)); return &v }
	text := func(s string) *intstr.IntOrString { v := intstr.FromString(s); return &v }
	cases := []struct {
		name string
		edit func(*Metric)
		want string
	}{
		{"a plain metric is valid", func(*Metric) {}, ""},
		{"a count needs an interval", func(m *Metric) { m.Count = number(2) }, "m[0].interval: Required value: interval must be specified when count > 1"},
		{"a count of 1 needs none", func(m *Metric) { m.Count = number(1) }, ""},
		{"a count in text is a number", func(m *Metric) { m.Count = text("2") }, "m[0].interval: Required value: interval must be specified when count > 1"},
		{"a count that waits for an argument is valid", func(m *Metric) { m.Count = text("{{args.n}}") }, ""},
		{"a count of words is not", func(m *Metric) { m.Count = text("many") }, `m[0].count: Invalid value: "many": must be a whole number or an argument such as {{args.count}}`},
		{"a count below 0 is not", func(m *Metric) { m.Count = number(-1) }, `m[0].count: Invalid value: "-1": must be >= 0`},
		{"a count beyond 32 bits is not", func(m *Metric) { m.Count = text("9999999999") }, `m[0].count: Invalid value: "9999999999": must be a whole number or an argument such as {{args.count}}`},
		{"the failure limit may equal the count", func(m *Metric) { m.Count, m.FailureLimit = number(1), number(1) }, ""},
		{"the failure limit must be within the count", func(m *Metric) { m.Count, m.FailureLimit = number(1), number(2) }, "m[0].count: Invalid value: 1: count must be >= failureLimit + consecutiveSuccessLimit (2), otherwise the limits are never reached"},
		{"both limits must be within the count", func(m *Metric) {
			m.Interval, m.Count, m.FailureLimit, m.ConsecutiveSuccessLimit = "1m", number(3), number(2), number(2)
		}, "m[0].count: Invalid value: 3: count must be >= failureLimit + consecutiveSuccessLimit (4), otherwise the limits are never reached"},
		{"the inconclusive limit must be within the count", func(m *Metric) { m.Count, m.InconclusiveLimit = number(1), number(2) }, "m[0].count: Invalid value: 1: count must be >= inconclusiveLimit (2), otherwise the limit is never reached"},
		{"limits without a count are valid", func(m *Metric) { m.Interval, m.FailureLimit = "1m", number(5) }, ""},
		{"a failure limit below -1 is not", func(m *Metric) { m.FailureLimit = number(-2) }, `m[0].failureLimit: Invalid value: "-2": must be >= -1`},
		{"no failure limit needs a success limit", func(m *Metric) { m.FailureLimit = number(-1) }, "m[0].failureLimit: Invalid value: -1: -1 turns the limit off, so consecutiveSuccessLimit must be above 0"},
		{"no failure limit with a success limit is valid", func(m *Metric) { m.FailureLimit, m.ConsecutiveSuccessLimit = number(-1), number(1) }, ""},
		{"no failure limit with a success limit to come is valid", func(m *Metric) { m.FailureLimit, m.ConsecutiveSuccessLimit = number(-1), text("{{args.n}}") }, ""},
		{"an interval is a duration", func(m *Metric) { m.Interval = "often" }, `m[0].interval: Invalid value: "often": must be a duration such as 30s, 5m or 1h30m`},
		{"an interval is not negative", func(m *Metric) { m.Interval = "-1s" }, `m[0].interval: Invalid value: "-1s": must not be negative`},
		{"a delay is a duration", func(m *Metric) { m.InitialDelay = "5" }, `m[0].initialDelay: Invalid value: "5": must be a duration such as 30s, 5m or 1h30m`},
		{"a condition has a limit", func(m *Metric) { m.SuccessCondition = strings.Repeat("x", 4097) }, "m[0].successCondition: Too long: may not be more than 4096 bytes"},
		{"a metric needs a name", func(m *Metric) { m.Name = "" }, "m[0].name: Required value: a metric needs a name"},
		{"a metric needs a provider", func(m *Metric) { m.Provider = MetricProvider{} }, "m[0].provider: Required value: no provider specified"},
		{"a metric has one provider", func(m *Metric) { m.Provider.Web = &WebMetric{} }, `m[0].provider: Invalid value: "prometheus, web": multiple providers specified; set exactly one`},
		{"a job must be a job", func(m *Metric) {
			m.Provider = MetricProvider{Job: &JobMetric{Spec: JobSpec{Malformed: "no", Raw: []byte("{}")}}}
		}, `m[0].provider.job.spec: Invalid value: "": not a Job spec: no`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := Metric{Name: "rate", Provider: MetricProvider{Prometheus: &PrometheusMetric{}}}
			c.edit(&m)
			got := ""
			if err := ValidateMetrics([]Metric{m}, field.NewPath("m")).ToAggregate(); err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestValidateNoData(t *testing.T) {
	const invalid = `m.noData: Unsupported value: %q: supported values: "fail", "inconclusive", "ignore", "pass"`
	for policy, want := range map[string]string{
		"": "", "fail": "", "inconclusive": "", "ignore": "", "pass": "",
		"Fail": invalid, "failed": invalid, "pass ": invalid, "*****": invalid, "{{args.noData}}": invalid, "default": invalid,
	} {
		t.Run("the policy is "+policy, func(t *testing.T) {
			metric := Metric{Name: "rate", Provider: MetricProvider{Job: &JobMetric{}}, NoData: NoDataPolicy(policy)}
			if want != "" {
				want = fmt.Sprintf(want, policy)
			}
			if diff := cmp.Diff(want, wrongs(&metric)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// wrongs are the errors of a metric in one text.
func wrongs(metric *Metric) string {
	var texts []string
	for _, err := range ValidateMetric(metric, field.NewPath("m")) {
		texts = append(texts, err.Error())
	}
	return strings.Join(texts, "\n")
}

func TestTheLeastNumberOfSamplesIsAWholeNumber(t *testing.T) {
	const noNumber = `m.minSamples.least: Invalid value: %q: must be a whole number or an argument such as {{args.count}}`
	const tooSmall = `m.minSamples.least: Invalid value: %q: must be >= 1`
	cases := []struct {
		name  string
		least intstr.IntOrString
		want  string
	}{
		{"one is the smallest", intstr.FromInt32(1), ""},
		{"so many fit", intstr.FromInt32(math.MaxInt32), ""},
		{"a number in text is a number", intstr.FromString("100"), ""},
		{"an argument is read later", intstr.FromString("{{args.least}}"), ""},
		{"none would be no minimum", intstr.FromInt32(0), tooSmall},
		{"none in text is none", intstr.FromString("0"), tooSmall},
		{"fewer than none is less", intstr.FromInt32(-5), tooSmall},
		{"no number at all", intstr.FromString(""), noNumber},
		{"a fraction is not whole", intstr.FromString("1.5"), noNumber},
		{"a word is no number", intstr.FromString("many"), noNumber},
		{"a number with a unit is none", intstr.FromString("1k"), noNumber},
		{"a power is not written out", intstr.FromString("1e3"), noNumber},
		{"a number beyond 32 bits is not counted to", intstr.FromString("2147483648"), noNumber},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			metric := Metric{Name: "rate", Provider: MetricProvider{Web: &WebMetric{}}, MinSamples: &MinSamples{Least: c.least}}
			if c.want != "" {
				c.want = fmt.Sprintf(c.want, c.least.String())
			}
			if diff := cmp.Diff(c.want, wrongs(&metric)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhoseSamplesCanBeCounted(t *testing.T) {
	const (
		judges  = "m.minSamples: Forbidden: a job, a kayenta or a plugin judges by itself and gives no value that has samples; take minSamples out"
		noQuery = "m.minSamples.query: Forbidden: this provider asks no query of one text; leave it out to count the values of the result, or use one of " +
			"prometheus, datadog with query, newRelic, wavefront, graphite, influxdb, skywalking"
		none = "m.provider: Required value: no provider specified"
		two  = `m.provider: Invalid value: "web, job": multiple providers specified; set exactly one`
	)
	cases := []struct {
		name            string
		provider        MetricProvider
		counted, values string // what is wrong with a query that counts, and with counting the values
	}{
		{"prometheus asks a query", MetricProvider{Prometheus: &PrometheusMetric{Query: "x"}}, "", ""},
		{"datadog asks a query", MetricProvider{Datadog: &DatadogMetric{Query: "x"}}, "", ""},
		{"datadog may ask several", MetricProvider{Datadog: &DatadogMetric{Queries: map[string]string{"a": "x"}, Formula: "a"}}, noQuery, ""},
		{"newRelic asks a query", MetricProvider{NewRelic: &NewRelicMetric{Query: "x"}}, "", ""},
		{"wavefront asks a query", MetricProvider{Wavefront: &WavefrontMetric{Query: "x"}}, "", ""},
		{"graphite asks a query", MetricProvider{Graphite: &GraphiteMetric{Query: "x"}}, "", ""},
		{"influxdb asks a query", MetricProvider{Influxdb: &InfluxdbMetric{Query: "x"}}, "", ""},
		{"skywalking asks a query", MetricProvider{SkyWalking: &SkyWalkingMetric{Query: "x"}}, "", ""},
		{"web asks an address", MetricProvider{Web: &WebMetric{}}, noQuery, ""},
		{"cloudWatch asks a list", MetricProvider{CloudWatch: &CloudWatchMetric{}}, noQuery, ""},
		{"a job judges", MetricProvider{Job: &JobMetric{}}, judges, judges},
		{"kayenta judges", MetricProvider{Kayenta: &KayentaMetric{}}, judges, judges},
		{"two providers are wrong enough", MetricProvider{Job: &JobMetric{}, Web: &WebMetric{}}, two, two},
		{"no provider is wrong enough", MetricProvider{}, none, none},
		{"a plugin judges", MetricProvider{Plugin: map[string]json.RawMessage{"x/y": nil}}, judges, judges},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			metric := Metric{Name: "rate", Provider: c.provider, MinSamples: &MinSamples{Least: intstr.FromInt32(1), Query: "count(x)"}}
			if diff := cmp.Diff(c.counted, wrongs(&metric)); diff != "" {
				t.Errorf("with a query: %s", diff)
			}
			metric.MinSamples.Query = ""
			if diff := cmp.Diff(c.values, wrongs(&metric)); diff != "" {
				t.Errorf("without: %s", diff)
			}
			metric.MinSamples = nil
			if got := wrongs(&metric); strings.Contains(got, "minSamples") {
				t.Errorf("without minSamples: %s", got)
			}
		})
	}
}

func TestMetricNamesAreUnique(t *testing.T) {
	m := Metric{Name: "rate", Provider: MetricProvider{Prometheus: &PrometheusMetric{}}}
	errs := ValidateMetrics([]Metric{m, m}, field.NewPath("m"))
	if len(errs) != 1 || errs[0].Error() != `m[1].name: Duplicate value: "rate"` {
		t.Errorf("got %v", errs)
	}
}

func TestAMalformedJobLosesNothing(t *testing.T) {
	for _, text := range []string{
		`{"backoffLimit":"{{args.n}}","template":{"spec":{"containers":[]}}}`,
		`{"template":[]}`,
		`[]`,
	} {
		var metric JobMetric
		if err := json.Unmarshal([]byte(`{"spec":`+text+`}`), &metric); err != nil {
			t.Fatal(err)
		}
		out, err := json.Marshal(metric)
		if err != nil || metric.Spec.Malformed == "" || string(out) != `{"spec":`+text+`}` {
			t.Errorf("%s became %s: %v", text, out, err)
		}
	}
}

func TestAJobIsDecoded(t *testing.T) {
	var metric JobMetric
	text := `{"spec":{"backoffLimit":2,"template":{"spec":{"containers":[{"name":"c"}]}}}}`
	if err := json.Unmarshal([]byte(text), &metric); err != nil {
		t.Fatal(err)
	}
	if metric.Spec.Malformed != "" || *metric.Spec.BackoffLimit != 2 || metric.Spec.Template.Spec.Containers[0].Name != "c" {
		t.Errorf("got %+v", metric.Spec)
	}
}

func TestPhasesThatAreFinal(t *testing.T) {
	for phase, want := range map[AnalysisPhase]bool{
		"": false, AnalysisPhasePending: false, AnalysisPhaseRunning: false,
		AnalysisPhaseSuccessful: true, AnalysisPhaseFailed: true, AnalysisPhaseError: true, AnalysisPhaseInconclusive: true,
	} {
		if phase.Completed() != want {
			t.Errorf("%q is final: %v", phase, !want)
		}
	}
}
