package expr

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"time"

	exprlang "github.com/expr-lang/expr"
	"github.com/expr-lang/expr/parser"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// Conditions say what a value means. Either may be empty.
type Conditions struct {
	// Success is true for a good value.
	Success string
	// Failure is true for a bad value.
	Failure string
}

// Outcome is what a value means, and why when that is not plain.
type Outcome struct {
	Phase   v1alpha1.AnalysisPhase
	Message string
}

// Check reports a condition that can never be evaluated: too long, too deep,
// or not an expression. What depends on the type of the value is left for later.
func Check(source string) error {
	if err := checkSize(source); err != nil {
		return err
	}
	if _, err := parser.Parse(source); err != nil {
		return fmt.Errorf("expression does not parse: %s", brief(err))
	}
	return nil
}

// Evaluate judges a value. It never panics and never takes long.
//
// A value is good when no condition says otherwise, with one exception: no data,
// NaN and infinity are good only when a condition shows that its author thought
// of them: len(result) or result == [] for an empty list, len(result[0].Values)
// for a series without samples; isNil, default, ?? or nil for no value; isNaN for
// NaN; isInf for infinity. Otherwise they are inconclusive.
func Evaluate(conditions Conditions, result any, now time.Time) Outcome {
	result = plain(result)
	j, err := newJudge(conditions, result)
	if err != nil {
		return failed(err, result)
	}
	return j.judge(result, now)
}

// judge is a pair of compiled conditions for values of one type.
type judge struct {
	success, failure *program
}

// newJudge makes a judge for values of the type of sample.
func newJudge(conditions Conditions, sample any) (judge, error) {
	var j judge
	for _, c := range []struct {
		name, source string
		into         **program
	}{
		{"successCondition", conditions.Success, &j.success},
		{"failureCondition", conditions.Failure, &j.failure},
	} {
		if c.source == "" {
			continue
		}
		p, err := compile(c.source, sample, exprlang.AsBool())
		if err != nil {
			return judge{}, fmt.Errorf("%s: %w", c.name, err)
		}
		*c.into = &p
	}
	return j, nil
}

func (j judge) judge(result any, now time.Time) Outcome {
	var good, bad bool
	var err error
	if j.success != nil {
		if good, err = j.success.decide("successCondition", result, now); err != nil {
			return failed(err, result)
		}
	}
	if j.failure != nil {
		if bad, err = j.failure.decide("failureCondition", result, now); err != nil {
			return failed(err, result)
		}
	}
	phase := j.phase(good, bad)
	if phase == v1alpha1.AnalysisPhaseSuccessful {
		if why := j.unfounded(result); why != "" {
			return Outcome{v1alpha1.AnalysisPhaseInconclusive, why}
		}
	}
	return Outcome{Phase: phase}
}

func (j judge) phase(good, bad bool) v1alpha1.AnalysisPhase {
	switch {
	case bad:
		return v1alpha1.AnalysisPhaseFailed
	case good, j.success == nil:
		return v1alpha1.AnalysisPhaseSuccessful
	case j.failure == nil:
		return v1alpha1.AnalysisPhaseFailed
	default:
		return v1alpha1.AnalysisPhaseInconclusive
	}
}

// unfounded says why a pass rests on nothing; empty when it does not.
func (j judge) unfounded(result any) string {
	var m minds
	for _, p := range []*program{j.success, j.failure} {
		if p != nil {
			m = m.or(p.minds)
		}
	}
	switch {
	case result == nil && !m.absent:
		return "the metric has no data, and no condition says what that means; test isNil(result) to decide it"
	case m.unseen(result):
		return "the metric has no data, and no condition says what that means; test " + toTest(result) + " to decide it"
	case holds(result, math.IsNaN) && !m.nan:
		return "the value holds NaN, and no condition says what that means; test isNaN to decide it"
	case holds(result, isInfinite) && !m.inf:
		return "the value holds infinity, and no condition says what that means; test isInf to decide it"
	}
	return ""
}

// Missing says why a value is no data; empty when it is data. No value, an empty
// list or map, series without any sample, and anything that holds NaN or
// infinity are none.
func Missing(result any) string {
	result = plain(result)
	switch {
	case empty(result):
		return "the metric has no data"
	case holds(result, math.IsNaN):
		return "the metric has no data: the value holds NaN"
	case holds(result, isInfinite):
		return "the metric has no data: the value holds infinity"
	}
	return ""
}

func (p *program) decide(name string, result any, now time.Time) (bool, error) {
	out, err := p.run(result, now)
	if err != nil {
		return false, fmt.Errorf("%s: %w", name, err)
	}
	yes, ok := out.(bool)
	if !ok {
		return false, fmt.Errorf("%s: expected a boolean, got %T", name, out)
	}
	return yes, nil
}

// Time evaluates an expression that gives a time, such as now() - duration("1h").
func Time(source string, now time.Time) (time.Time, error) {
	p, err := compile(source, nil, exprlang.AsAny())
	if err != nil {
		return time.Time{}, err
	}
	out, err := p.run(nil, now)
	if err != nil {
		return time.Time{}, err
	}
	at, ok := out.(time.Time)
	if !ok {
		return time.Time{}, fmt.Errorf("expression %q gives %T, not a time; write for example now() - duration(\"1h\")", short(source), out)
	}
	return at, nil
}

func failed(err error, result any) Outcome {
	message := err.Error()
	if empty(result) {
		message += ": the metric result is nil or empty, so there may be no data; test " + toTest(result) + " or isNil(result) first"
	}
	return Outcome{v1alpha1.AnalysisPhaseError, message}
}

// plain follows pointers to the value they hold.
func plain(result any) any {
	v := reflect.ValueOf(result)
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	}
	if !v.IsValid() {
		return nil
	}
	return v.Interface()
}

// empty reports a value that holds no data.
func empty(result any) bool {
	if series, ok := seriesOf(result); ok {
		return allEmpty(series)
	}
	v := reflect.ValueOf(result)
	switch v.Kind() {
	case reflect.Invalid:
		return true
	case reflect.Slice, reflect.Map:
		return v.Len() == 0
	default:
		return false
	}
}

// holds reports a kind of number in a value or a vector.
func holds(result any, kind func(float64) bool) bool {
	switch v := result.(type) {
	case float64:
		return kind(v)
	case []float64:
		return slices.ContainsFunc(v, kind)
	case []any:
		return slices.ContainsFunc(v, func(item any) bool { return holds(item, kind) })
	case map[string]any:
		for _, item := range v {
			if holds(item, kind) {
				return true
			}
		}
		return false
	default:
		series, _ := seriesOf(result)
		return slices.ContainsFunc(series, func(samples []float64) bool { return slices.ContainsFunc(samples, kind) })
	}
}
