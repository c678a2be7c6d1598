package expr

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const (
	successful   = v1alpha1.AnalysisPhaseSuccessful
	failedPhase  = v1alpha1.AnalysisPhaseFailed
	inconclusive = v1alpha1.AnalysisPhaseInconclusive
	errored      = v1alpha1.AnalysisPhaseError
)

func TestEvaluate(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	number := 3.0
	var nothing *float64
	cases := []struct {
		name             string
		success, failure string
		result           any
		want             v1alpha1.AnalysisPhase
	}{
		{"no condition and a value is good", "", "", 1.0, successful},
		{"a true success condition is good", "result > 1", "", 2.0, successful},
		{"a false success condition is bad", "result > 1", "", 1.0, failedPhase},
		{"a false failure condition is good", "", "result > 1", 1.0, successful},
		{"a true failure condition is bad", "", "result > 1", 2.0, failedPhase},
		{"failure wins over success", "result > 1", "result > 1", 2.0, failedPhase},
		{"neither condition true is inconclusive", "result > 5", "result < 1", 2.0, inconclusive},
		{"a vector is indexed", "result[0] >= 0.95", "", []float64{0.99}, successful},
		{"a whole vector is judged", "all(result, # < 0.05)", "", []float64{0.01, 0.02}, successful},
		{"one bad sample fails a whole vector", "all(result, # < 0.05)", "", []float64{0.01, 0.2}, failedPhase},
		{"NaN fails a success condition", "result[0] < 0.05", "", []float64{nan}, failedPhase},
		{"NaN does not pass a failure condition", "", "result[0] > 0.05", []float64{nan}, inconclusive},
		{"NaN does not pass without conditions", "", "", nan, inconclusive},
		{"NaN does not pass a negated success condition", "!(result > 5)", "", nan, inconclusive},
		{"NaN anywhere in the vector is no pass", "result[0] < 1", "", []float64{0, nan}, inconclusive},
		{"NaN passes when the author says so", "isNaN(result) || result < 1", "", nan, successful},
		{"NaN fails when the author says so", "", "isNaN(result[0])", []float64{nan}, failedPhase},
		{"infinity does not pass", "", "result < 0.95", inf, inconclusive},
		{"infinity passes when the author says so", "isInf(result)", "", inf, successful},
		{"an empty vector does not pass a failure condition", "", "any(result, # > 1)", []float64{}, inconclusive},
		{"an empty vector does not pass all()", "all(result, # < 1)", "", []float64{}, inconclusive},
		{"an empty vector passes when the author says so", "len(result) == 0 || result[0] < 1", "", []float64{}, successful},
		{"an index into an empty vector is an error", "result[0] < 1", "", []float64{}, errored},
		{"nil does not pass without conditions", "", "", nil, inconclusive},
		{"nil pointer is nil", "isNil(result)", "", nothing, successful},
		{"a pointer is followed", "result == 3", "", &number, successful},
		{"default gives a value for nil", "default(result, 0) < 0.05", "", nil, successful},
		{"default leaves a value", "default(result, 0) < 0.05", "", 1.0, failedPhase},
		{"asInt reads text", "asInt(result) == 7", "", "7", successful},
		{"asFloat reads text", "asFloat(result) > 6.9", "", "7.0", successful},
		{"asFloat of a word is an error", "asFloat(result) > 6.9", "", "many", errored},
		{"asInt of a list is an error", "asInt(result) > 6", "", []any{}, errored},
		{"a number compared with text is an error", "", `result == "bad"`, 1.0, errored},
		{"a number is not a boolean", "result", "", 1.0, errored},
		{"text is not a boolean", "result.ok", "", map[string]any{"ok": "yes"}, errored},
		{"JSON fields are read", "result.ok && result.n > 1", "", map[string]any{"ok": true, "n": 2.0}, successful},
		{"a missing JSON field is an error", "result.a.b > 1", "", map[string]any{}, errored},
		{"sum and mean work on a vector", "sum(result) == 3 && mean(result) == 1.5", "", []float64{1, 2}, successful},
		{"sorting works on a vector", "sort(result)[0] == 1 && first(result) == 2", "", []float64{2, 1}, successful},
		{"map and reduce work", "reduce(map(result, # * 2), #acc + #) == 6", "", []float64{1, 2}, successful},
		{"plus adds numbers and joins texts", `1 + 1 == 2 && "a" + "b" == "ab"`, "", 1.0, successful},
		{"time is the time given", `now() == date("2026-03-01T12:00:00Z") && now() - duration("1h") < now()`, "", 1.0, successful},
		{"texts can be joined", `join(map(result, string(#)), ",") == "1,2"`, "", []float64{1, 2}, successful},
		{"texts can be replaced", `replace(result, "a", "b") == "bbc" && repeat("x", 3) == "xxx"`, "", "abc", successful},
		{"let and conditionals work", `let x = result[0]; x > 1 ? true : false`, "", []float64{2}, successful},
		{"an unknown name is an error", "results > 1", "", 1.0, errored},
		{"something unfinished is an error", "result >", "", 1.0, errored},
		{"a number has no index", "result[0] > 1", "", 1.0, errored},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := Evaluate(Conditions{c.success, c.failure}, c.result, noon)
			if got.Phase != c.want {
				t.Errorf("got %+v, want %s", got, c.want)
			}
			if (got.Phase == errored) != (got.Message != "" && got.Phase != inconclusive) {
				t.Errorf("an error and only an error has a message: %+v", got)
			}
		})
	}
}

func TestMessages(t *testing.T) {
	cases := []struct {
		name             string
		success, failure string
		result           any
		want             Outcome
	}{
		{
			"an index into nothing says that there may be no data", "result[0] > 1", "",
			[]float64{},
			Outcome{errored, "successCondition: expression failed: index out of range: 0 (array length is 0) (1:7): " +
				"the metric result is nil or empty, so there may be no data; test len(result) or isNil(result) first"},
		},
		{
			"no data says how to decide it", "", "any(result, # > 1)",
			[]float64{},
			Outcome{inconclusive, "the metric has no data, and no condition says what that means; test len(result) or isNil(result) to decide it"},
		},
		{
			"NaN says how to decide it", "", "result > 1", math.NaN(),
			Outcome{inconclusive, "the value holds NaN or infinity, and no condition says what that means; test isNaN or isInf to decide it"},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := Evaluate(Conditions{c.success, c.failure}, c.result, noon)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// hostile are expressions that exhaust a naive engine.
func hostile() map[string]string {
	many := strings.Repeat
	doubled := `let a0 = "x"; `
	for i := range 60 {
		n, m := string(rune('a'+i/26))+string(rune('a'+i%26)), "a0"
		if i > 0 {
			m = string(rune('a'+(i-1)/26)) + string(rune('a'+(i-1)%26))
		}
		doubled += "let v" + n + " = " + ternary(i == 0, m, "v"+m) + " + " + ternary(i == 0, m, "v"+m) + "; "
	}
	return map[string]string{
		"a megabyte":                     "result > 1" + many(" || true", 1<<17),
		"parentheses":                    many("(", 100_000) + "1" + many(")", 100_000),
		"parentheses within the length":  many("(", 2000) + "1" + many(")", 2000),
		"exclamation marks":              many("!", 4000) + "true",
		"brackets":                       many("[", 4000),
		"minus signs":                    many("-", 4000) + "1",
		"nots":                           many("not ", 1000) + "true",
		"conditionals":                   many("true ? 1 : ", 300) + "1",
		"nested loops over ranges":       "all(1..100000, all(1..100000, all(1..100000, # > 0)))",
		"nested loops over the result":   "all(result, all(result, all(result, # >= 0)))",
		"builtins in loops":              "all(result, sum(result) >= 0)",
		"search in loops":                "all(result, # in result)",
		"comparison in loops":            "all(result, result == result)",
		"repeat of repeat":               `repeat(repeat("ab", 400000), 1000000) == ""`,
		"replace":                        `replace(repeat("a", 100000), "", repeat("a", 100000)) == ""`,
		"join":                           `join(map(1..10000, "a"), repeat("a", 100000)) == ""`,
		"doubling of text":               doubled + "true == (vch != '')",
		"doubling of text by reduce":     `reduce(1..1000, #acc + #acc, "a") == ""`,
		"doubling of lists":              "reduce(1..1000, concat(#acc, #acc), [1]) == []",
		"doubling of nested lists":       "toJSON(reduce(1..1000, [#acc, #acc], [1])) == ''",
		"text of nested lists":           "string(reduce(1..1000, [#acc, #acc], [1])) == ''",
		"comparison of nested lists":     "let a = reduce(1..1000, [#acc, #acc], [1]); a == a",
		"reading of nested lists":        "reduce(1..1000, [#acc, #acc], [1]) in [[1]]",
		"flattening of nested lists":     "len(flatten(reduce(1..1000, [#acc, #acc], [1]))) > 0",
		"a huge power":                   "2 ** 100000 > 0 && 1..1000000000 == 1",
		"a string that opens":            `"` + many("(", 1000),
		"a comment that opens":           "/*" + many("(", 1000),
		"brackets hidden behind strings": `"" == "" && ` + many("(", 500) + `"`,
	}
}

func ternary(yes bool, a, b string) string {
	if yes {
		return a
	}
	return b
}

func TestHostileExpressionsEndSoon(t *testing.T) {
	result := make([]float64, 10_000)
	for name, source := range hostile() {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			got := Evaluate(Conditions{Success: source}, result, noon)
			if got.Phase != errored {
				t.Errorf("got %+v", got)
			}
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("took %s", took)
			}
			if len(got.Message) > 600 {
				t.Errorf("message has %d bytes", len(got.Message))
			}
		})
	}
}

func TestDepthIgnoresStringsAndComments(t *testing.T) {
	cases := []struct {
		name, source string
		want         int
	}{
		{"brackets nest", "a[(1)]", 2},
		{"a string is flat", `"((((" == '[[\'[[' + ` + "`{{{`", 1},
		{"a comment is flat", "1 // ((((\n + 1 /* [[[ */", 1},
		{"prefix operators in a row nest", "!!-1", 3},
		{"binary operators do not", "1 - 1 - 1 - 1", 1},
		{"conditionals nest", "a ? b : c ? d : e", 2},
		{"optional access does not", "a?.b ?? c", 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := nesting(c.source); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}

func TestTime(t *testing.T) {
	got, err := Time(`now() - duration("1h")`, noon)
	if err != nil || !got.Equal(noon.Add(-time.Hour)) {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := Time(`"noon"`, noon); err == nil {
		t.Error("text is not a time")
	}
}

func TestCheck(t *testing.T) {
	if err := Check("result[0] > 0.95 && result.x == 1"); err != nil {
		t.Error(err)
	}
	if err := Check("result >"); err == nil {
		t.Error("an unfinished expression is accepted")
	}
}

func FuzzEvaluate(f *testing.F) {
	for _, source := range hostile() {
		f.Add(source)
	}
	f.Add("result[0] > 0.95")
	f.Fuzz(func(t *testing.T, source string) {
		start := time.Now()
		for _, result := range []any{1.0, []float64{1, 2}, "text", nil, map[string]any{"a": []any{1.0}}} {
			got := Evaluate(Conditions{Success: source}, result, noon)
			if !got.Phase.Completed() {
				t.Errorf("phase %q", got.Phase)
			}
		}
		if took := time.Since(start); took > time.Minute {
			t.Errorf("took %s", took)
		}
	})
}
