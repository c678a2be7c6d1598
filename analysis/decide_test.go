package analysis

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"github.com/headway-rollouts/headway/analysis/expr"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

var (
	nan, inf = math.NaN(), math.Inf(1)
	// policies are those of noData, in the order of the letters in the tables.
	policies = []v1alpha1.NoDataPolicy{"", "fail", "inconclusive", "ignore", "pass"}
	// decided are the letters of the tables: X is a measurement that is ignored.
	decided = map[byte]Reply{
		'S': {Phase: v1alpha1.AnalysisPhaseSuccessful},
		'F': {Phase: v1alpha1.AnalysisPhaseFailed},
		'I': {Phase: v1alpha1.AnalysisPhaseInconclusive},
		'E': {Phase: v1alpha1.AnalysisPhaseError},
		'R': {Phase: v1alpha1.AnalysisPhaseRunning},
		'X': {Phase: v1alpha1.AnalysisPhaseInconclusive, Ignored: true},
	}
)

// series is the result of one of several queries.
type series struct {
	Label  string
	Values []float64
}

// judging makes a metric of a policy and of conditions.
func judging(policy v1alpha1.NoDataPolicy, success, failure string) *v1alpha1.Metric {
	return &v1alpha1.Metric{Name: "rate", NoData: policy, SuccessCondition: success, FailureCondition: failure}
}

// least makes a metric ask for samples.
func least(m *v1alpha1.Metric, n intstr.IntOrString) *v1alpha1.Metric {
	m.MinSamples = &v1alpha1.MinSamples{Least: n}
	return m
}

// wanted is a reply that was judged.
func wanted(in Reply, letter byte, message string) Reply {
	in.Phase, in.Ignored, in.Message = decided[letter].Phase, decided[letter].Ignored, message
	return in
}

func differs(want, got Reply) string {
	return cmp.Diff(want, got, cmpopts.EquateNaNs())
}

const (
	noData    = "the metric has no data"
	holdsNaN  = "the metric has no data: the value holds NaN"
	holdsInf  = "the metric has no data: the value holds infinity"
	askNil    = "the metric has no data, and no condition says what that means; test isNil(result) to decide it"
	askLen    = "the metric has no data, and no condition says what that means; test len(result) to decide it"
	askSeries = "the metric has no data, and no condition says what that means; test len(result[0].Values) to decide it"
	askNaN    = "the value holds NaN, and no condition says what that means; test isNaN to decide it"
	askInf    = "the value holds infinity, and no condition says what that means; test isInf to decide it"
)

// TestEachPolicyForEachKindOfNoData has a letter for each policy: none, fail,
// inconclusive, ignore, pass.
func TestEachPolicyForEachKindOfNoData(t *testing.T) {
	type object = map[string]any
	var nothing *float64
	cases := []struct {
		name             string
		success, failure string
		result           any
		letters          string
		without, with    string // messages without a policy and with one
	}{
		{"no value", "", "", nil, "IFIXS", askNil, noData},
		{"a pointer to nothing", "", "", nothing, "IFIXS", askNil, noData},
		{"an empty list of numbers", "", "", []float64{}, "IFIXS", askLen, noData},
		{"a list of numbers that is none", "", "", []float64(nil), "IFIXS", askLen, noData},
		{"an empty list", "", "", []any{}, "IFIXS", askLen, noData},
		{"an empty map", "", "", object{}, "IFIXS", askLen, noData},
		{"NaN", "", "", nan, "IFIXS", askNaN, holdsNaN},
		{"a pointer to NaN", "", "", &nan, "IFIXS", askNaN, holdsNaN},
		{"infinity", "", "", inf, "IFIXS", askInf, holdsInf},
		{"infinity below zero", "", "", -inf, "IFIXS", askInf, holdsInf},
		{"a list of one NaN", "", "", []float64{nan}, "IFIXS", askNaN, holdsNaN},
		{"a list with one NaN", "", "", []float64{1, nan, 2}, "IFIXS", askNaN, holdsNaN},
		{"a list with infinity", "", "", []float64{1, inf}, "IFIXS", askInf, holdsInf},
		{"a list with both", "", "", []float64{inf, nan}, "IFIXS", askNaN, holdsNaN},
		{"a mixed list with NaN", "", "", []any{"a", 1.0, nan}, "IFIXS", askNaN, holdsNaN},
		{"a list of lists with NaN", "", "", []any{[]any{1.0}, []any{nan}}, "IFIXS", askNaN, holdsNaN},
		{"a map with NaN", "", "", object{"a": 1.0, "b": nan}, "IFIXS", askNaN, holdsNaN},
		{"a map with infinity", "", "", object{"a": inf}, "IFIXS", askInf, holdsInf},
		{"a map of maps with NaN", "", "", object{"a": object{"b": nan}}, "IFIXS", askNaN, holdsNaN},
		{"a list of maps with NaN", "", "", []any{object{"p99": nan}}, "IFIXS", askNaN, holdsNaN},
		{"a map of lists with NaN", "", "", object{"a": []float64{nan}}, "IFIXS", askNaN, holdsNaN},

		{"series without samples", "", "", []series{{}, {}}, "IFIXS", askSeries, noData},
		{"a series without samples that a condition provides for", "len(result[0].Values) == 0", "", []series{{}}, "SFIXS", "", noData},
		{"a series with NaN", "", "", []series{{Values: []float64{1, nan}}}, "IFIXS", askNaN, holdsNaN},
		{"one of two series without samples", "", "", []series{{}, {Values: []float64{1}}}, "SSSSS", "", ""},

		{"no value that a condition provides for", "isNil(result)", "", nil, "SFIXS", "", noData},
		{"no value that a condition refuses", "", "result == nil", nil, "FFIXS", "", noData},
		{"an empty list that a condition provides for", "len(result) == 0", "", []float64{}, "SFIXS", "", noData},
		{"an empty list that a condition refuses", "result != []", "", []float64{}, "FFIXS", "", noData},
		{"an empty list that a condition is content with", "all(result, # > 1)", "", []float64{}, "IFIXS", askLen, noData},
		{"NaN that a condition provides for", "isNaN(result)", "", nan, "SFIXS", "", holdsNaN},
		{"NaN that is not above a number", "result > 1", "", nan, "FFIXS", "", holdsNaN},
		{"NaN that is not below a number", "", "result < 1", nan, "IFIXS", askNaN, holdsNaN},
		{"NaN between two conditions", "result > 1", "result < 1", nan, "IFIXS", "", holdsNaN},
		{"infinity that a condition provides for", "isInf(result)", "", inf, "SFIXS", "", holdsInf},
		{"infinity that is above a number", "result > 1", "", inf, "IFIXS", askInf, holdsInf},
		{"infinity that is too large", "", "result > 1", inf, "FFIXS", "", holdsInf},

		{"a number is data", "", "", 1.0, "SSSSS", "", ""},
		{"zero is data", "", "", 0.0, "SSSSS", "", ""},
		{"a text is data", "", "", "ok", "SSSSS", "", ""},
		{"a text of nothing is data", "", "", "", "SSSSS", "", ""},
		{"a text that says NaN is data", "", "", "NaN", "SSSSS", "", ""},
		{"no is data", "", "", false, "SSSSS", "", ""},
		{"a list of nothing is data", "", "", []any{nil}, "SSSSS", "", ""},
		{"a map of nothing is data", "", "", object{"a": nil}, "SSSSS", "", ""},
		{"a list of numbers is data", "", "", []float64{0, 1}, "SSSSS", "", ""},
		{"good data stays good", "result > 1", "", 2.0, "SSSSS", "", ""},
		{"bad data stays bad", "result > 1", "", 1.0, "FFFFF", "", ""},
		{"bad data stays bad by a failure condition", "", "result > 1", 2.0, "FFFFF", "", ""},
		{"data in doubt stays in doubt", "result > 2", "result < 1", 1.5, "IIIII", "", ""},
	}
	for _, c := range cases {
		for i, policy := range policies {
			t.Run(fmt.Sprintf("%s by %q", c.name, policy), func(t *testing.T) {
				message := c.with
				if policy == "" {
					message = c.without
				}
				in := Reply{Result: c.result, Value: "v", Metadata: map[string]string{"k": "v"}}
				if diff := differs(wanted(in, c.letters[i], message), Decide(judging(policy, c.success, c.failure), in, nil, noon)); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

func TestAConditionThatBreaksIsAnErrorWhateverThePolicy(t *testing.T) {
	for _, policy := range policies {
		got := Decide(judging(policy, "result[0] > 1", ""), Reply{Result: 1.0}, nil, noon)
		if got.Phase != v1alpha1.AnalysisPhaseError || got.Ignored || !strings.HasPrefix(got.Message, "successCondition: expression does not compile: ") {
			t.Errorf("%q: %+v", policy, got)
		}
	}
}

// TestWhatIsJudgedStaysAsItIs has the same letter in and out, whatever is asked for.
func TestWhatIsJudgedStaysAsItIs(t *testing.T) {
	for _, letter := range "SFIER" {
		for _, policy := range policies {
			in := Reply{Phase: phases[byte(letter)], Message: "m", Value: "v", Result: nan, ResumeAt: noon, Metadata: map[string]string{"k": "v"}}
			few := 0.0
			if diff := differs(in, Decide(least(judging(policy, "false", ""), intstr.FromInt32(9)), in, &few, noon)); diff != "" {
				t.Errorf("%c by %q: %s", letter, policy, diff)
			}
		}
	}
}

func TestAnErrorForWantOfData(t *testing.T) {
	cases := []struct {
		name, said, letters string
		with                string // the message with a policy
	}{
		{"that says why", "no points in 5m", "EFIXS", "no points in 5m"},
		{"that says nothing", "", "EFIXS", noData},
	}
	for _, c := range cases {
		for i, policy := range policies {
			for _, metric := range []*v1alpha1.Metric{judging(policy, "", ""), judging(policy, "isNil(result)", ""), least(judging(policy, "", ""), intstr.FromInt32(3))} {
				in := Reply{Phase: v1alpha1.AnalysisPhaseError, NoData: true, Message: c.said}
				message := c.with
				if policy == "" {
					message = c.said
				}
				if diff := differs(wanted(in, c.letters[i], message), Decide(metric, in, nil, noon)); diff != "" {
					t.Errorf("%s by %q: %s", c.name, policy, diff)
				}
			}
		}
	}
}

func TestAProviderMaySayThatThereIsNoDataAndLeaveItToTheConditions(t *testing.T) {
	for i, policy := range policies {
		in := Reply{NoData: true, Result: []float64{}}
		message := noData
		if policy == "" {
			message = ""
		}
		if diff := differs(wanted(in, "SFIXS"[i], message), Decide(judging(policy, "len(result) == 0", ""), in, nil, noon)); diff != "" {
			t.Errorf("%q: %s", policy, diff)
		}
	}
}

func TestHowMuchAValueRestsOn(t *testing.T) {
	hundred, three := intstr.FromInt32(100), intstr.FromInt32(3)
	number := func(f float64) *float64 { return &f }
	few := func(n string, of int) string { return fmt.Sprintf("%s: %s of at least %d samples", noData, n, of) }
	cases := []struct {
		name    string
		least   intstr.IntOrString
		counted *float64
		result  any
		letters string // by policy
		samples string
		without string // the message without a policy; with one it is the same unless given
		with    string
	}{
		{"enough values", three, nil, []float64{1, 1, 1}, "SSSSS", "3", "", ""},
		{"more than enough values", three, nil, []any{1.0, "a", nil, 2.0}, "SSSSS", "4", "", ""},
		{"enough entries of a map", three, nil, map[string]any{"a": 1.0, "b": 1.0, "c": 1.0}, "SSSSS", "3", "", ""},
		{"too few values", three, nil, []float64{1, 1}, "IFIXS", "2", few("2", 3), ""},
		{"too few entries of a map", three, nil, map[string]any{"a": 1.0}, "IFIXS", "1", few("1", 3), ""},
		{"enough samples of several series", three, nil, []series{{Values: []float64{1}}, {Values: []float64{1, 1}}}, "SSSSS", "3", "", ""},
		{"too few samples of several series", three, nil, []series{{}, {Values: []float64{1, 1}}}, "IFIXS", "2", few("2", 3), ""},
		{"one number of three", three, nil, 1.0, "IFIXS", "1", few("1", 3), ""},
		{"one number of one", intstr.FromInt32(1), nil, 1.0, "SSSSS", "1", "", ""},
		{"one text of one", intstr.FromString("1"), nil, "ok", "SSSSS", "1", "", ""},
		{"no value", three, nil, nil, "IFIXS", "0", few("0", 3), ""},
		{"an empty list", three, nil, []float64{}, "IFIXS", "0", few("0", 3), ""},
		{"an empty map", intstr.FromInt32(1), nil, map[string]any{}, "IFIXS", "0", few("0", 1), ""},
		{"NaN counts as a value, and is no data by a policy", intstr.FromInt32(1), nil, nan, "IFIXS", "1", askNaN, holdsNaN},
		{"one NaN among enough values", three, nil, []float64{1, nan, 1}, "IFIXS", "3", askNaN, holdsNaN},
		{"enough counted samples", hundred, number(100), 1.0, "SSSSS", "100", "", ""},
		{"more than enough counted samples", hundred, number(123456789), 1.0, "SSSSS", "123456789", "", ""},
		{"too few counted samples", hundred, number(99), 1.0, "IFIXS", "99", few("99", 100), ""},
		{"not quite enough counted samples", hundred, number(99.5), 1.0, "IFIXS", "99.5", few("99.5", 100), ""},
		{"too few counted samples for many values", three, number(2), []float64{1, 1, 1, 1}, "IFIXS", "2", few("2", 3), ""},
		{"enough counted samples for few values", three, number(3), 1.0, "SSSSS", "3", "", ""},
		{"counted nothing", hundred, number(0), 1.0, "IFIXS", "0", few("0", 100), ""},
		{"counted less than nothing", intstr.FromInt32(1), number(-5), 1.0, "IFIXS", "-5", few("-5", 1), ""},
		{"counted NaN", intstr.FromInt32(1), number(nan), 1.0, "IFIXS", "NaN", few("NaN", 1), ""},
		{"counted infinity", hundred, number(inf), 1.0, "IFIXS", "+Inf", few("+Inf", 100), ""},
		{"counted enough for no value", hundred, number(100), nil, "IFIXS", "100", askNil, noData},
		{"counted enough for an empty list", hundred, number(100), []float64{}, "IFIXS", "100", askLen, noData},
		{"counted enough for infinity", hundred, number(100), inf, "IFIXS", "100", askInf, holdsInf},
		{"a least number that is an argument is filled in before", intstr.FromString("3"), nil, []float64{1, 1}, "IFIXS", "2", few("2", 3), ""},
	}
	for _, c := range cases {
		for i, policy := range policies {
			t.Run(fmt.Sprintf("%s by %q", c.name, policy), func(t *testing.T) {
				message := c.without
				if policy != "" && c.with != "" {
					message = c.with
				}
				in := Reply{Result: c.result, Value: "v", Metadata: map[string]string{"k": "v"}}
				want := wanted(in, c.letters[i], message)
				want.Metadata = map[string]string{"k": "v", SamplesKey: c.samples}
				if diff := differs(want, Decide(least(judging(policy, "", ""), c.least), in, c.counted, noon)); diff != "" {
					t.Error(diff)
				}
				if diff := cmp.Diff(map[string]string{"k": "v"}, in.Metadata); diff != "" {
					t.Errorf("the metadata of the provider is changed: %s", diff)
				}
			})
		}
	}
}

func TestSamplesAreNotToldWhereNobodyAsks(t *testing.T) {
	hundred := 100.0
	if got := Decide(judging("", "", ""), Reply{Result: 1.0}, &hundred, noon); got.Metadata != nil {
		t.Errorf("got %v", got.Metadata)
	}
}

func TestSamples(t *testing.T) {
	type object = map[string]any
	cases := []struct {
		name   string
		result any
		want   float64
		wrong  string
	}{
		{"no value is no sample", nil, 0, ""},
		{"a number is so many", 12.0, 12, ""},
		{"a fraction stays one", 0.5, 0.5, ""},
		{"a whole number is one too", int64(12), 12, ""},
		{"also without a sign", []any{uint64(12), int64(1)}, 13, ""},
		{"an empty list is none", []float64{}, 0, ""},
		{"numbers are added up", []float64{1, 2, 3.5}, 6.5, ""},
		{"NaN stays NaN", nan, nan, ""},
		{"with NaN the sum is NaN", []float64{1, nan}, nan, ""},
		{"with infinity the sum is infinite", []float64{1, inf}, inf, ""},
		{"a mixed list is added up", []any{1.0, nil, []float64{2, 3}, []any{4.0}}, 10, ""},
		{"an empty mixed list is none", []any{}, 0, ""},
		{"a row of one column is its number", object{"count": 7.0}, 7, ""},
		{"rows of one column are added up", []any{object{"count": 7.0}, object{"count": 8.0}}, 15, ""},
		{"a number within objects of one field is found", object{"data": object{"values": []any{object{"value": 3.0}, object{"value": 4.0}}}}, 7, ""},
		{"an empty object is none", object{}, 0, ""},
		{"a row of two columns is not guessed at", object{"count": 7.0, "app": "web"}, 0, "minSamples.query gives 2 named values, not one; ask for the count alone"},
		{"a row of two columns in a list is not guessed at", []any{object{"a": 1.0, "b": 2.0}}, 0, "minSamples.query gives 2 named values, not one; ask for the count alone"},
		{"a text is no number", "12", 0, "minSamples.query gives string, not a number"},
		{"a text in a list is none either", []any{1.0, "12"}, 0, "minSamples.query gives string, not a number"},
		{"yes is no number", true, 0, "minSamples.query gives bool, not a number"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := Samples(c.result)
			if diff := cmp.Diff(c.want, got, cmpopts.EquateNaNs()); diff != "" {
				t.Error(diff)
			}
			text := ""
			if err != nil {
				text = err.Error()
			}
			if diff := cmp.Diff(c.wrong, text); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestAPolicyIsAboutNoDataAlone holds for any list: where it is data, all
// policies say what the conditions say, and where it is none, what they are for.
func TestAPolicyIsAboutNoDataAlone(t *testing.T) {
	number := rapid.OneOf(rapid.Float64Range(-2, 2), rapid.SampledFrom([]float64{nan, inf, -inf, 0, 1}))
	conditions := rapid.SampledFrom([]string{"", "result[0] > 0", "all(result, # < 1)", "len(result) > 1", "isNaN(result[0])", "result[2] > 0 || isInf(result[0])"})
	rapid.Check(t, func(t *rapid.T) {
		in := Reply{Result: rapid.SliceOfN(number, 0, 4).Draw(t, "result")}
		success, failure := conditions.Draw(t, "success"), conditions.Draw(t, "failure")
		missing := expr.Missing(in.Result)
		without := Decide(judging("", success, failure), in, nil, noon)
		for i, policy := range policies[1:] {
			want := without
			if missing != "" {
				want = wanted(in, "FIXS"[i], missing)
			}
			if diff := differs(want, Decide(judging(policy, success, failure), in, nil, noon)); diff != "" {
				t.Fatalf("%s: %s", policy, diff)
			}
		}
	})
}
