package analysis

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// maxGround is how much of a value, a condition or a query a sentence holds.
const maxGround = 160

// grounds is what a verdict rests on, for a sentence: the value that decided,
// the condition it was held against, and the query. It is empty for an error,
// which says itself what went wrong.
func grounds(f facts, phase v1alpha1.AnalysisPhase) string {
	if phase == v1alpha1.AnalysisPhaseError {
		return ""
	}
	var parts []string
	if value := line(deciding(f.result, phase)); value != "" {
		parts = append(parts, "value "+value)
	}
	switch {
	case f.success != "" && f.failure != "":
		parts = append(parts, "successCondition "+line(f.success), "failureCondition "+line(f.failure))
	case f.success != "":
		parts = append(parts, "successCondition "+line(f.success))
	case f.failure != "":
		parts = append(parts, "failureCondition "+line(f.failure))
	}
	if query := line(f.query); query != "" {
		parts = append(parts, "query "+query)
	}
	if len(parts) == 0 {
		return ""
	}
	return fmt.Sprintf(" (%s)", strings.Join(parts, "; "))
}

// deciding is the value of the last failed measurement where a metric failed, and
// else of the last one, which made the metric end.
func deciding(result v1alpha1.MetricResult, phase v1alpha1.AnalysisPhase) string {
	last := latest(result)
	if phase == v1alpha1.AnalysisPhaseFailed {
		for i := range slices.Backward(result.Measurements) {
			if result.Measurements[i].Phase == phase {
				last = &result.Measurements[i]
				break
			}
		}
	}
	if last == nil {
		return ""
	}
	return last.Value
}

// line puts a text on one line and cuts it.
func line(text string) string {
	return clip(strings.Join(strings.Fields(text), " "), maxGround)
}

// asked is what a metric asks its provider, for the reader; empty where that is
// no query.
func asked(p *v1alpha1.MetricProvider, values map[string]string) string {
	text := QueryOf(p)
	if !strings.Contains(text, "{{") {
		return text
	}
	filled, err := substitute(text, values)
	if err != nil {
		return text
	}
	return filled
}

// QueryOf is the query of a provider as it is written, or the address that it
// asks; empty where there is neither.
func QueryOf(p *v1alpha1.MetricProvider) string {
	switch {
	case p.Prometheus != nil:
		return p.Prometheus.Query
	case p.Datadog != nil:
		return queryOfDatadog(p.Datadog)
	case p.NewRelic != nil:
		return p.NewRelic.Query
	case p.Wavefront != nil:
		return p.Wavefront.Query
	case p.Graphite != nil:
		return p.Graphite.Query
	case p.Influxdb != nil:
		return p.Influxdb.Query
	case p.SkyWalking != nil:
		return p.SkyWalking.Query
	case p.Web != nil:
		return p.Web.URL
	default:
		return ""
	}
}

func queryOfDatadog(d *v1alpha1.DatadogMetric) string {
	switch {
	case d.Query != "":
		return d.Query
	case d.Formula != "":
		return d.Formula
	default:
		return strings.Join(slices.Sorted(maps.Values(d.Queries)), ", ")
	}
}
