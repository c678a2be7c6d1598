package v1alpha1

import (
	"encoding/json"
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
