package expr

import (
	"math"
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
		{"NaN does not pass when the author thought of infinity only", "", "isInf(result[0]) || result[0] > 0.05", []float64{nan}, inconclusive},
		{"infinity does not pass", "", "result < 0.95", inf, inconclusive},
		{"infinity does not pass when the author thought of NaN only", "!isNaN(result)", "", inf, inconclusive},
		{"infinity passes when the author says so", "isInf(result)", "", inf, successful},
		{"an empty vector does not pass a failure condition", "", "any(result, # > 1)", []float64{}, inconclusive},
		{"an empty vector does not pass all()", "all(result, # < 1)", "", []float64{}, inconclusive},
		{"an empty vector passes when the author says so", "len(result) == 0 || result[0] < 1", "", []float64{}, successful},
		{"an empty vector passes when the author writes it", "result == []", "", []float64{}, successful},
		{"an empty vector written first is the same", "[] == result || result[0] < 1", "", []float64{}, successful},
		{"a full vector is not the empty one", "result != [] && result[0] < 1", "", []float64{0.5}, successful},
		{"count says nothing of an empty vector", "count(result, # > 0.05) == 0", "", []float64{}, inconclusive},
		{"count in a failure condition says nothing either", "", "count(result, # > 0.05) > 0", []float64{}, inconclusive},
		{"the length of something else says nothing of it", "len(filter(result, # > 0.05)) == 0", "", []float64{}, inconclusive},
		{"nil says nothing of an empty vector", "result != nil && all(result, # < 0.05)", "", []float64{}, inconclusive},
		{"isNil says nothing of an empty vector", "!isNil(result) && all(result, # < 0.05)", "", []float64{}, inconclusive},
		{"default says nothing of an empty vector", "all(default(result, [1]), # < 0.05)", "", []float64{}, inconclusive},
		{"?? says nothing of an empty vector", "all(result ?? [1], # < 0.05)", "", []float64{}, inconclusive},
		{"a function that is only named says nothing of it", "let x = len; true", "", []float64{}, inconclusive},
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
		{"texts change their letters", `upper(result) == "ABC" && lower("Ä") == "ä" && trim("  a ") == "a" && trim("xax", "x") == "a"`, "", "abc", successful},
		{"texts are split", `split("a,b,c", ",") == ["a", "b", "c"] && split("a,b,c", ",", 2)[1] == "b,c" && splitAfter("a,b", ",")[0] == "a,"`, "", 1.0, successful},
		{"the first hits are replaced", `replace("aaa", "a", "b", 2) == "bba" && replace("aaa", "a", "b", -1) == "bbb"`, "", 1.0, successful},
		{"values have texts", `string(result) == "[1 2]" && string(1 == 1) == "true" && string(nil) == "<nil>" && string(duration("1m")) == "1m0s"`, "", []float64{1, 2}, successful},
		{"JSON is written and read", `toJSON({"a": [1, "<"]}) == "{\n  \"a\": [\n    1,\n    \"\\u003c\"\n  ]\n}" && fromJSON("{\"a\":[1]}").a[0] == 1`, "", 1.0, successful},
		{"base64 is written and read", `fromBase64(toBase64(result)) == "abc"`, "", "abc", successful},
		{"what is not base64 is an error", `fromBase64("?") == ""`, "", 1.0, errored},
		{"equal values are dropped", `uniq(result) == [1, 2] && uniq(["a", "a"]) == ["a"]`, "", []float64{1, 2, 1}, successful},
		{"lists are sorted, joined and grouped", `concat(result, [3]) == [2, 1, 3] && reverse(sort(result)) == [2, 1] && len(groupBy(result, # > 1)) == 2 && median(result) == 1.5`, "", []float64{2, 1}, successful},
		{"a regular expression is found", `result matches "^a[bc]{2}$" && result matches "b" && !(result matches "B") && b"xy" matches "y"`, "", "abc", successful},
		{"a regular expression is computed", `result matches ("^" + "ab")`, "", "abc", successful},
		{"no value passes before it is looked into", "isNil(result) || result[0] < 0.05", "", nil, successful},
		{"no value passes before it is compared", "result == nil || result < 0.05", "", nil, successful},
		{"no value passes before its fields are read", "isNil(result) || result.a.b < 0.05", "", nil, successful},
		{"no value fails before it is looked into", "!isNil(result) && result[0] < 0.05", "", nil, failedPhase},
		{"no value is an error when it is looked into first", "result[0] < 0.05 || isNil(result)", "", nil, errored},
		{"no value is an error when it is compared", "result < 0.05", "", nil, errored},
		{"no value is no boolean", "result", "", nil, errored},
		{"nothing matches nothing", `result matches "a" || isNil(result)`, "", nil, successful},
		{"what is no regular expression is an error", `result matches "["`, "", "abc", errored},
		{"a number does not match", `result matches "1"`, "", 1.0, errored},
		{"times have methods", `now().Format("2006-01-02") == "2026-03-01" && now().Add(duration("1h")).Hour() == 13`, "", 1.0, successful},
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
			Outcome{inconclusive, "the metric has no data, and no condition says what that means; test len(result) to decide it"},
		},
		{
			"no value says how to decide it", "", "false", nil,
			Outcome{inconclusive, "the metric has no data, and no condition says what that means; test isNil(result) to decide it"},
		},
		{
			"NaN says how to decide it", "", "result > 1", math.NaN(),
			Outcome{inconclusive, "the value holds NaN, and no condition says what that means; test isNaN to decide it"},
		},
		{
			"infinity says how to decide it", "", "result < 1", math.Inf(1),
			Outcome{inconclusive, "the value holds infinity, and no condition says what that means; test isInf to decide it"},
		},
		{
			"a regular expression that is too large says so", `result matches "(ab){900}"`, "", "text",
			Outcome{errored, "successCondition: expression failed: matches: the regular expression needs more than 1000 instructions; repeat less in it (1:8)"},
		},
		{
			"an error of several lines is told in one", `int("a` + "\\n" + `b") == 1`, "", 1.0,
			Outcome{errored, "successCondition: expression failed: invalid operation: int(a b) (1:1)"},
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
