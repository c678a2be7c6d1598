package docs

import (
	"math"
	"testing"
	"time"

	"github.com/headway-rollouts/headway/analysis/expr"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// What docs/analysis.md says about conditions, case by case.
func TestConditionsMeanWhatThePageSays(t *testing.T) {
	const good, bad, undecided, unknown = v1alpha1.AnalysisPhaseSuccessful, v1alpha1.AnalysisPhaseFailed, v1alpha1.AnalysisPhaseInconclusive, v1alpha1.AnalysisPhaseError
	nan, one, none := []float64{math.NaN()}, []float64{1}, []float64{}
	for _, c := range []struct {
		name             string
		success, failure string
		value            []float64
		want             v1alpha1.AnalysisPhase
	}{
		{"no condition passes any value", "", "", one, good},
		{"no condition does not pass no data", "", "", none, undecided},
		{"the success condition is true", "result[0] >= 0.95", "", one, good},
		{"the success condition is false", "result[0] >= 2", "", one, bad},
		{"the failure condition is true", "", "result[0] >= 0.95", one, bad},
		{"the failure condition is false", "", "result[0] >= 2", one, good},
		{"both are true", "result[0] == 1", "result[0] == 1", one, bad},
		{"neither is true", "result[0] == 2", "result[0] == 3", one, undecided},
		{"no data is an error where the first value is asked for", "result[0] >= 0.95", "", none, unknown},
		{"a condition that is content with no data", "all(result, # < 0.4)", "", none, undecided},
		{"one that asks for the length", "len(result) == 0 || result[0] >= 0.95", "", none, good},
		{"one that compares with nothing", "result == [] || result[0] >= 0.95", "", none, good},
		{"NaN makes the success condition false", "result[0] >= 0.95", "", nan, bad},
		{"NaN makes the failure condition false", "", "result[0] > 0.05", nan, undecided},
		{"NaN that was thought of", "isNaN(result[0]) || result[0] >= 0.95", "", nan, good},
		{"infinity is enough for any limit", "result[0] >= 0.95", "", []float64{math.Inf(1)}, undecided},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := expr.Evaluate(expr.Conditions{Success: c.success, Failure: c.failure}, c.value, time.Unix(1_000_000, 0))
			if got.Phase != c.want {
				t.Errorf("%s, want %s: %s", got.Phase, c.want, got.Message)
			}
		})
	}
}
