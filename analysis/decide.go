package analysis

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/headway-rollouts/headway/analysis/expr"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// SamplesKey is the key of a measurement's metadata that says how many samples
// its value rests on. It is there where a metric asks for a minimum.
const SamplesKey = "samples"

// Decide judges what a provider saw. A reply that is judged already, or under
// way, stays as it is. samples is what the query of minSamples counted; nil
// where there is none.
func Decide(metric *v1alpha1.Metric, reply Reply, samples *float64, now time.Time) Reply {
	if reply.Phase != "" && (!reply.NoData || metric.NoData == "") {
		return reply
	}
	why := ""
	if reply.NoData && metric.NoData != "" {
		if why = reply.Message; why == "" {
			why = "the metric has no data"
		}
	}
	if metric.MinSamples != nil && why == "" {
		counted := samplesOf(reply.Result, samples)
		reply.Metadata = merged(reply.Metadata, map[string]string{SamplesKey: Number(counted)})
		why = tooFew(counted, metric.MinSamples.Least)
	}
	if why == "" && metric.NoData != "" {
		why = expr.Missing(reply.Result)
	}
	if why != "" {
		return without(reply, metric.NoData, why)
	}
	outcome := expr.Evaluate(expr.Conditions{Success: metric.SuccessCondition, Failure: metric.FailureCondition}, reply.Result, now)
	reply.Phase, reply.Message = outcome.Phase, outcome.Message
	return reply
}

// without is the reply of a measurement without data.
func without(reply Reply, policy v1alpha1.NoDataPolicy, why string) Reply {
	reply.Message = why
	switch policy {
	case v1alpha1.NoDataFail:
		reply.Phase = v1alpha1.AnalysisPhaseFailed
	case v1alpha1.NoDataPass:
		reply.Phase = v1alpha1.AnalysisPhaseSuccessful
	case v1alpha1.NoDataIgnore:
		reply.Phase, reply.Ignored = v1alpha1.AnalysisPhaseInconclusive, true
	case v1alpha1.NoDataInconclusive:
		reply.Phase = v1alpha1.AnalysisPhaseInconclusive
	default:
		reply.Phase = v1alpha1.AnalysisPhaseInconclusive
	}
	return reply
}

// samplesOf is how many samples a value rests on: what a query counted, or else the
// values of the result.
func samplesOf(result any, counted *float64) float64 {
	if counted != nil {
		return *counted
	}
	return float64(expr.Count(result))
}

// tooFew says that there are fewer samples than asked for; empty when there are
// enough. NaN and infinity are no number of samples.
func tooFew(samples float64, least intstr.IntOrString) string {
	if asked := number(&least, 1); !(samples >= float64(asked)) || math.IsInf(samples, 0) {
		return fmt.Sprintf("the metric has no data: %s of at least %d samples", Number(samples), asked)
	}
	return ""
}

// Samples adds up what the query of minSamples returned. A map of one entry, such
// as a row of one column, is what it holds. What is not a number is an error.
func Samples(result any) (float64, error) {
	switch v := result.(type) {
	case nil:
		return 0, nil
	case float64:
		return v, nil
	case []float64:
		total := 0.0
		for _, value := range v {
			total += value
		}
		return total, nil
	case []any:
		total := 0.0
		for _, value := range v {
			part, err := Samples(value)
			if err != nil {
				return 0, err
			}
			total += part
		}
		return total, nil
	case map[string]any:
		if len(v) > 1 {
			return 0, fmt.Errorf("minSamples.query gives %d named values, not one; ask for the count alone", len(v))
		}
		return Samples(slices.Collect(maps.Values(v)))
	}
	switch v := reflect.ValueOf(result); {
	case v.CanInt():
		return float64(v.Int()), nil
	case v.CanUint():
		return float64(v.Uint()), nil
	default:
		return 0, fmt.Errorf("minSamples.query gives %T, not a number", result)
	}
}
