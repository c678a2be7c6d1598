package analysis

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

type templates map[string]v1alpha1.AnalysisTemplateSpec

func (ts templates) lookup(ref v1alpha1.AnalysisTemplateRef) (*v1alpha1.AnalysisTemplateSpec, error) {
	spec, ok := ts[ref.TemplateName]
	if !ok {
		return nil, fmt.Errorf("not found")
	}
	return &spec, nil
}

func refs(names ...string) []v1alpha1.AnalysisTemplateRef {
	var out []v1alpha1.AnalysisTemplateRef
	for _, name := range names {
		out = append(out, v1alpha1.AnalysisTemplateRef{TemplateName: name})
	}
	return out
}

func arg(name string, value ...string) v1alpha1.Argument {
	a := v1alpha1.Argument{Name: name}
	if len(value) > 0 {
		a.Value = &value[0]
	}
	return a
}

func TestFlatten(t *testing.T) {
	secret := v1alpha1.Argument{Name: "key", ValueFrom: &v1alpha1.ValueFrom{SecretKeyRef: &v1alpha1.SecretKeyRef{Name: "s", Key: "k"}}}
	ts := templates{
		"a": {Metrics: []v1alpha1.Metric{metric("one")}, Args: []v1alpha1.Argument{arg("x", "1"), secret}, DryRun: []v1alpha1.DryRun{{MetricName: "one"}}},
		"b": {Metrics: []v1alpha1.Metric{metric("two")}, Args: []v1alpha1.Argument{arg("x"), arg("y", "2")}, Templates: refs("a")},
	}
	got, err := Flatten(refs("b", "a", "a"), ts.lookup, Overrides{
		Args:   []v1alpha1.Argument{arg("y", "3"), arg("unknown", "4")},
		DryRun: []v1alpha1.DryRun{{MetricName: "two"}},
	})
	want := v1alpha1.AnalysisRunSpec{
		Metrics: []v1alpha1.Metric{metric("two"), metric("one")},
		Args:    []v1alpha1.Argument{arg("x", "1"), arg("y", "3"), secret},
		DryRun:  []v1alpha1.DryRun{{MetricName: "two"}, {MetricName: "one"}},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func TestFlattenRefuses(t *testing.T) {
	chain := templates{}
	for i := range 200 {
		chain[fmt.Sprint(i)] = v1alpha1.AnalysisTemplateSpec{Templates: refs(fmt.Sprint(i + 1))}
	}
	big := metric("big")
	big.Provider.Prometheus.Query = strings.Repeat("x", MaxBytes)
	ts := templates{
		"a":     {Metrics: []v1alpha1.Metric{metric("one")}, Args: []v1alpha1.Argument{arg("x", "1")}},
		"same":  {Metrics: []v1alpha1.Metric{metric("one")}},
		"other": {Args: []v1alpha1.Argument{arg("x", "2")}},
		"open":  {Args: []v1alpha1.Argument{arg("y")}},
		"dry1":  {DryRun: []v1alpha1.DryRun{{MetricName: "one"}}},
		"dry2":  {DryRun: []v1alpha1.DryRun{{MetricName: "one"}}},
		"keep1": {MeasurementRetention: []v1alpha1.MeasurementRetention{{MetricName: "one"}}},
		"keep2": {MeasurementRetention: []v1alpha1.MeasurementRetention{{MetricName: "one"}}},
		"loop1": {Templates: refs("loop2")},
		"loop2": {Templates: refs("loop1")},
		"big":   {Metrics: []v1alpha1.Metric{big}},
	}
	cases := []struct {
		name  string
		from  templates
		names []string
		want  string
	}{
		{"two metrics of one name", ts, []string{"a", "same"}, "two metrics have the same name 'one'"},
		{"two values of one argument", ts, []string{"a", "other"}, "Argument `x` specified multiple times with different values"},
		{"an argument nobody gives", ts, []string{"open"}, "args.y was not resolved"},
		{"two dry runs of one name", ts, []string{"dry1", "dry2"}, "two Dry-Run metric rules have the same name 'one'"},
		{"two retentions of one name", ts, []string{"keep1", "keep2"}, "two Measurement Retention metric rules have the same name 'one'"},
		{"a circle", ts, []string{"loop1"}, "AnalysisTemplate 'loop1' -> AnalysisTemplate 'loop2' -> AnalysisTemplate 'loop1'"},
		{"a template that is missing", ts, []string{"none"}, "looking up AnalysisTemplate 'none': not found"},
		{"too many templates", chain, []string{"0"}, "more than 100 templates"},
		{"a template that is too large", ts, []string{"big"}, "above the limit of 1048576"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := Flatten(refs(c.names...), c.from.lookup, Overrides{})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestResolveMetricKeepsValuesWithinTheirText(t *testing.T) {
	m := metric("rate")
	m.Provider.Prometheus.Query = `rate{job="{{args.job}}", x="{{ args.x }}"}`
	got, err := ResolveMetric(m, map[string]string{"job": `a"}, {"b": "\` + "\n", "x": "{{args.job}} <&>"})
	if err != nil {
		t.Fatal(err)
	}
	want := `rate{job="a"}, {"b": "\` + "\n" + `", x="{{args.job}} <&>"}`
	if got.Provider.Prometheus.Query != want {
		t.Errorf("got %s", got.Provider.Prometheus.Query)
	}
}

func TestResolveMetricFillsAJobThatWasMalformed(t *testing.T) {
	var m v1alpha1.Metric
	text := `{"name":"j","provider":{"job":{"spec":{"backoffLimit":"{{args.n}}","template":{"spec":{"containers":[]}}}}}}`
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatal(err)
	}
	got, err := ResolveMetric(m, map[string]string{"n": "1"})
	if err != nil || !strings.Contains(string(got.Provider.Job.Spec.Raw), `"backoffLimit":"1"`) {
		t.Errorf("got %+v, %v", got.Provider.Job, err)
	}
}

func TestResolveMetricStopsAmplification(t *testing.T) {
	m := metric("rate")
	m.Provider.Prometheus.Query = strings.Repeat("{{args.x}}", 1000)
	if _, err := ResolveMetric(m, map[string]string{"x": strings.Repeat("y", 10_000)}); err == nil {
		t.Error("10 MB are accepted")
	}
}

func TestRedact(t *testing.T) {
	secrets := []string{"p@ss word", "p@ss", ""}
	text := `Get "http://h/?k=p%40ss+word&l=p@ss word" with p@ss: "p%40ss%20word" p%40ss`
	if got := Redact(text, secrets); strings.Contains(got, "p@ss") || strings.Contains(got, "40ss") {
		t.Errorf("got %s", got)
	}
	reply := RedactReply(Reply{Value: "p@ss", Message: "p@ss", Metadata: map[string]string{"q": "p@ss"}}, secrets)
	want := Reply{Value: "p@ss", Message: "*****", Metadata: map[string]string{"q": "*****"}}
	if diff := cmp.Diff(want, reply); diff != "" {
		t.Error(diff)
	}
}
