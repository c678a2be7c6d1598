package expr

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// note and answer are like the results of a provider that asks several queries.
type note struct{ Code, Value string }

type answer struct {
	Id         string //nolint:revive // The name is what users write.
	StatusCode string
	Timestamps []time.Time
	Values     []float64
	Messages   []note
}

func answers(series ...[]float64) []answer {
	out := []answer{}
	for i, values := range series {
		out = append(out, answer{Id: string(rune('a' + i)), StatusCode: "Complete", Values: values})
		for range values {
			out[i].Timestamps = append(out[i].Timestamps, noon)
		}
	}
	return out
}

func TestSeries(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	none := []float64{}
	noted := []answer{{Id: "a", Values: []float64{1}, Messages: []note{{"Code", `"quoted"`}}}}
	cases := []struct {
		name             string
		success, failure string
		result           []answer
		want             v1alpha1.AnalysisPhase
	}{
		{"a value is indexed", "result[0].Values[0] > 1", "", answers([]float64{2}), successful},
		{"a bad value fails", "result[0].Values[0] > 1", "", answers([]float64{1}), failedPhase},
		{"all values are judged", "all(result, all(.Values, # <= 50))", "", answers([]float64{2}, []float64{50}), successful},
		{"the fields have their types", `result[0].Id == "a" && result[0].StatusCode == "Complete" && result[0].Timestamps[0] == now()`, "", answers([]float64{2}), successful},
		{"a field that does not exist is an error", "", `result[0].Status == "bad"`, answers([]float64{2}), errored},
		{"an index without values is an error", "result[0].Values[0] > 1", "", answers(none), errored},
		{"no values do not pass all()", "all(result[0].Values, # <= 50)", "", answers(none), inconclusive},
		{"no values do not pass a failure condition", "", "any(result[0].Values, # > 50)", answers(none), inconclusive},
		{"no values do not pass without conditions", "", "", answers(none), inconclusive},
		{"no values anywhere do not pass", "all(result, all(.Values, # <= 50))", "", answers(none, none), inconclusive},
		{"no results do not pass", "all(result, all(.Values, # <= 50))", "", answers(), inconclusive},
		{"no results pass when the author says so", "len(result) == 0", "", answers(), successful},
		{"the number of results says nothing of values", "len(result) > 0 && all(result[0].Values, # <= 50)", "", answers(none), inconclusive},
		{"no values pass when the author says so", "len(result[0].Values) == 0", "", answers(none), successful},
		{"no values pass when the author writes it", "result[0].Values == []", "", answers(none), successful},
		{"no values written first are the same", "[] == result[0].Values", "", answers(none), successful},
		{"no values pass when the author looks at each", "all(result, len(.Values) == 0)", "", answers(none), successful},
		{"no values pass with an optional field", "len(result[0]?.Values) == 0", "", answers(none), successful},
		{"a part that is named must have values", "all(result[1].Values, # <= 50)", "", answers([]float64{1}, none), inconclusive},
		{"a part that is not named need not", "all(result[0].Values, # <= 50)", "", answers([]float64{1}, none), successful},
		{"a part named in the other condition must have values", "result[0].Values[0] < 2", "any(result[1].Values, # > 50)", answers([]float64{1}, none), inconclusive},
		{"NaN in any series is no pass", "", "result[0].Values[0] > 50", answers([]float64{nan}), inconclusive},
		{"infinity in any series is no pass", "result[0].Values[0] > 50", "", answers([]float64{inf}), inconclusive},
		{"a result has JSON", `fromJSON(toJSON(result))[0].Messages[0].Value == "\"quoted\""`, "", noted, successful},
		{"a result has a text", `string(result[0].Messages) == "[{Code \"quoted\"}]"`, "", noted, successful},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := Evaluate(Conditions{c.success, c.failure}, c.result, noon); got.Phase != c.want {
				t.Errorf("got %+v, want %s", got, c.want)
			}
		})
	}
}

func TestMissingSeries(t *testing.T) {
	cases := []struct {
		name   string
		result any
		want   string
	}{
		{"values are data", answers([]float64{1}), ""},
		{"values in one of two series are data", answers(nil, []float64{1}), ""},
		{"no series is none", answers(), "the metric has no data"},
		{"series without values are none", answers([]float64{}, nil), "the metric has no data"},
		{"NaN is none", answers([]float64{1, math.NaN()}), "the metric has no data: the value holds NaN"},
		{"infinity is none", answers([]float64{1}, []float64{math.Inf(-1)}), "the metric has no data: the value holds infinity"},
		{"an empty list within JSON is data", []any{map[string]any{"Values": []any{}}}, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := Missing(c.result); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestMessagesOfSeriesSayWhatToTest(t *testing.T) {
	got := []Outcome{
		Evaluate(Conditions{Success: "all(result[0].Values, # < 1)"}, answers(nil), noon),
		Evaluate(Conditions{Success: "result[0].Values[0] < 1"}, answers(nil), noon),
	}
	want := []Outcome{
		{inconclusive, "the metric has no data, and no condition says what that means; test len(result[0].Values) to decide it"},
		{errored, "successCondition: expression failed: index out of range: 0 (array length is 0) (1:17): " +
			"the metric result is nil or empty, so there may be no data; test len(result[0].Values) or isNil(result) first"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTheSamplesOfASeriesArePaidFor(t *testing.T) {
	b := newBudget()
	if got := b.pay(answers(make([]float64, 1000))); got < 2000 {
		t.Errorf("1000 values and their times cost %d", got)
	}
}

func TestCount(t *testing.T) {
	number := 1.0
	for _, c := range []struct {
		name   string
		result any
		want   int
	}{
		{"no value is none", nil, 0},
		{"a pointer to no value is none", (*float64)(nil), 0},
		{"a number is one", 1.0, 1},
		{"a pointer to a number is one", &number, 1},
		{"a text is one", "abc", 1},
		{"a list has its entries", []float64{1, 2}, 2},
		{"an object has its fields", map[string]any{"a": 1.0}, 1},
		{"several series have their samples", answers([]float64{1, 2}, nil, []float64{3}), 3},
	} {
		if got := Count(c.result); got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
}
