package expr

import (
	"encoding/json"
	"math"
	"strings"
	"syscall"
	"testing"
	"time"
)

// kinds are the types a value may have; data is JSON, or else a text.
var kinds = []func(data string) any{
	func(string) any { return nil },
	func(string) any { return 0.99 },
	func(string) any { return math.NaN() },
	func(string) any { return math.Inf(-1) },
	func(data string) any { return data },
	anyJSON,
	func(data string) any { return []any{anyJSON(data), nil, math.NaN(), "text", true} },
	func(data string) any { return map[string]any{data: anyJSON(data), "a": math.Inf(1), "b": []any{}} },
	func(string) any { return []float64{} },
	func(string) any { return []float64{0.1, math.NaN(), 0.3, math.Inf(1)} },
	func(string) any { return make([]float64, 10_000) },
	func(string) any { return strings.Repeat("text ", 100_000) },
	func(data string) any { return deep(anyJSON(data)) },
	func(data string) any { return wide(anyJSON(data)) },
	func(data string) any { return rows(anyJSON(data)) },
	func(string) any { return (*float64)(nil) },
	func(data string) any { value := anyJSON(data); return &value },
	func(string) any { return int64(7) },
	func(data string) any { return json.Number(data) },
	func(string) any { return series{Label: "a", Values: []float64{0.5, 1}} },
	func(string) any { return []series{{Label: "a", Values: []float64{math.NaN()}}, {}} },
}

// series is a value of a type that the language only reflects upon.
type series struct {
	Label  string
	Values []float64
	Next   *series
}

func anyJSON(data string) any {
	var value any
	if err := json.Unmarshal([]byte(data), &value); err != nil {
		return data
	}
	return value
}

// deep puts a value into lists and maps, a thousand times.
func deep(value any) any {
	for range 500 {
		value = map[string]any{"a": []any{value}}
	}
	return value
}

// wide is a map of many keys.
func wide(value any) any {
	out := map[string]any{}
	for i := range 5_000 {
		out[strings.Repeat("k", i%7)+string(rune('a'+i%26))+time.Duration(i).String()] = value
	}
	return out
}

// rows are what a data base answers.
func rows(value any) any {
	out := make([]any, 5_000)
	for i := range out {
		out[i] = map[string]any{"a": value, "b": float64(i), "c": "text"}
	}
	return out
}

// ordinary are conditions that people write, or nearly.
var ordinary = []string{
	"", "true", "result", "result[0] >= 0.95", "len(result) == 1 && result[0] <= 1.2", "len(result) > 0 && all(result, # < 0.4)",
	"len(result) == 0 || result[0] > 0.5", "isNil(result) || result < 0.05", "default(result, 0) < 0.05", "(result ?? 1) == 1",
	"isNaN(result) || isInf(result) || result < 1", "asFloat(result) > 0.5", "asInt(result.a[0].a) == 1", `result.status == "ok"`,
	"result.a?.b?[0] == nil", `all(result, {.b >= 0 && .c matches "^t"})`, "sum(map(result, .b)) / len(result) > 2",
	"let p = sort(result); p[len(p) / 2] < 1", `count(result, # contains "a") == 0`, "mean(result) < 0.5 && max(result) < 1", "any(keys(result), # == 'a')",
	`now() - duration("1h") < now()`, `result[0].Values[0] > 0`, `result.Next.Next == nil`, "reduce(result, #acc + #, 0) > 1", `fromJSON("{}") == result`,
	"groupBy(result, .c)['text'][0].b == 0", "toPairs(result)[0][1] != result", "result[:2] == result[1:]", "string(result) startsWith '['", "not (result in [1, 2])",
	"result.a.a.a.a == result", "flatten(result) == result", `toJSON(result) != ""`, "uniq(result) == result", "-result ** 2 < +result % 3",
	`$env["result"] == 1`, `get(result, "a") == get(result, 0)`, "result | len() > 1", "find(result, # > 1) == findLast(result, # > 1)", "if result > 1 { true } else { false }",
}

// cpu is the time that this process has worked, however busy the machine is.
func cpu(t *testing.T) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// FuzzEval judges values of every type by any conditions: it ends in a phase,
// within a second and with little memory, and passes no NaN and no infinity that
// nobody asked for.
func FuzzEval(f *testing.F) {
	documents := []string{`{"a":[{"a":1}],"status":"ok"}`, `[1,2,"3",null]`, "7.5", "\x00\xff text"}
	for i, source := range ordinary {
		for kind := i % 5; kind < len(kinds); kind += 5 {
			f.Add(source, ordinary[(i+kind)%len(ordinary)], documents[(i+kind)%len(documents)], byte(kind))
		}
	}
	for _, source := range hostile() {
		f.Add(source, "", documents[0], byte(10)) // a list of numbers
		f.Add("result == result", source, documents[0], byte(14))
	}
	f.Fuzz(func(t *testing.T, success, failure, data string, kind byte) {
		result := kinds[int(kind)%len(kinds)](data)
		var got Outcome
		start := cpu(t)
		bytes := allocated(func() { got = Evaluate(Conditions{Success: success, Failure: failure}, result, noon) })
		if took := cpu(t) - start; took > time.Second {
			t.Errorf("took %s", took)
		}
		if bytes > 2*maxAllocated {
			t.Errorf("allocated %d bytes", bytes)
		}
		if len(got.Message) > 700 || strings.Contains(got.Message, "\n") {
			t.Errorf("message is %q", got.Message)
		}
		switch got.Phase {
		case successful:
			founded(t, success+failure, result)
		case failedPhase, inconclusive, errored:
		default:
			t.Errorf("phase %q", got.Phase)
		}
	})
}

// founded checks that a pass rests on something.
func founded(t *testing.T, conditions string, result any) {
	t.Helper()
	result = plain(result)
	for function, kind := range map[string]func(float64) bool{"isNaN": math.IsNaN, "isInf": isInfinite} {
		if holds(result, kind) && !strings.Contains(conditions, function) {
			t.Errorf("%v passes without %s", result, function)
		}
	}
	if result == nil && conditions == "" {
		t.Error("nothing passes without a condition")
	}
}
