package docs

import (
	"regexp"
	"strings"
	"testing"
)

// The limits that docs/compatibility.md names are constants of the code: each
// has its value and the words of the page that say so.
func TestTheLimitsOfThePageAreThoseOfTheCode(t *testing.T) {
	page := strings.Join(strings.Fields(read(t, "docs/compatibility.md")), " ")
	for _, c := range []struct{ file, name, value, says string }{
		{"apis/rollouts/v1alpha1/rollout_validation.go", "MaxReplicas", "1_000_000", "`replicas` and percentages up to 1,000,000"},
		{"apis/rollouts/v1alpha1/rollout_validation.go", "MaxTrafficWeightLimit", "1_000_000", "`maxTrafficWeight` from 1 to 1,000,000"},
		{"apis/rollouts/v1alpha1/rollout_validation.go", "MaxSteps", "1000", "1,000 steps"},
		{"apis/rollouts/v1alpha1/analysis_validation.go", "MaxExpressionBytes", "4096", "4,096 bytes, 64 deep"},
		{"apis/rollouts/v1alpha1/rule_validation.go", "maxRules", "100", "100 of each"},
		{"apis/rollouts/v1alpha1/rule_validation.go", "maxRuleBytes", "256", "256 bytes each"},
		{"apis/rollouts/v1alpha1/rule_validation.go", "MaxRuleSize", "500", "with 500 instructions"},
		{"analysis/expr/limits.go", "maxDepth", "64", "4,096 bytes, 64 deep"},
		{"analysis/expr/budget.go", "maxWork", "1_000_000", "looks at 1,000,000 values"},
		{"analysis/expr/budget.go", "maxValues", "200_000", "makes 200,000"},
		{"analysis/expr/budget.go", "maxText", "1 << 20", "a text of 1 MiB"},
		{"analysis/expr/budget.go", "maxRoom", "8 << 20", "8 MiB in all"},
		{"analysis/expr/pattern.go", "maxPattern", "1000", "have 1,000 instructions"},
		{"analysis/flatten.go", "MaxTemplates", "100", "At most 100 templates in a run"},
		{"analysis/substitute.go", "MaxBytes", "1 << 20", "1 MiB each"},
		{"analysis/fit.go", "maxStatus", "512 << 10", "about 512 KiB in all"},
		{"analysis/fit.go", "maxMessage", "1 << 10", "messages up to 1 KiB"},
		{"analysis/fit.go", "maxValue", "2 << 10", "Values and metadata up to 2 KiB"},
		{"analysis/judgement.go", "maxRetention", "100", "100 measurements of a metric"},
		{"analysis/egress/limits.go", "MaxBody", "1 << 20", "1 MiB with at most"},
		{"analysis/egress/limits.go", "MaxParts", "100_000", "at most 100,000 commas"},
		{"analysis/egress/limits.go", "MaxDepth", "100", "100 deep"},
		{"analysis/provider/prometheus/promql/promql.go", "MaxSamples", "10_000", "10,000 samples"},
		{"analysis/provider/job/place/place.go", "Kept", "10", "the last 10 Jobs of a metric are kept"},
		{"analysis/provider/job/manifest/manifest.go", "maxName", "63", "cut at 63 characters"},
		{"controllers/analysisrun/queue.go", "perRun", "16", "16 of a run"},
		{"controllers/analysisrun/queue.go", "perNamespace", "32", "32 of a namespace"},
		{"controllers/analysisrun/queue.go", "perSource", "16", "16 of a source"},
		{"controllers/analysisrun/queue.go", "maxAge", "10 * time.Second", "at most an interval and 10 s old"},
		{"controllers/analysisrun/desk.go", "maxAhead", "3", "up to 3 ahead of what is stored"},
		{"controllers/analysisrun/desk.go", "queueTime", "time.Minute", "gets no place for a minute"},
		{"controllers/analysisrun/take.go", "patience", "2 * time.Minute", "2 minutes, or the metric's `timeout`"},
		{"controllers/rollout/plan/guard.go", "drain", "2 * time.Second", "for up to 2 s after"},
		{"controllers/internal/settle/settle.go", "Time", "time.Second", "may wait up to 1 s"},
	} {
		is := regexp.MustCompile(`(?m)\b` + c.name + ` += (.*?)(?: //.*)?$`).FindStringSubmatch(read(t, c.file))
		if is == nil || is[1] != c.value {
			t.Errorf("%s: the constant %s is not %s any more: %q", c.file, c.name, c.value, is)
		}
		if !strings.Contains(page, c.says) {
			t.Errorf("docs/compatibility.md does not say %q", c.says)
		}
	}
}
