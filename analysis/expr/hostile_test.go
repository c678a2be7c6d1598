package expr

import (
	"runtime"
	"strings"
	"testing"
	"time"
)

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
		"JSON of letters to escape":      `let x = repeat("\u0001", 1000000); len(toJSON([` + many("x,", 54) + `x])) > 0 && x != ""`,
		"JSON of JSON":                   `len(reduce(1..20, toJSON(#acc), repeat("\"", 1000000))) > 0`,
		"a list of JSON":                 `len(toJSON(map(1..60, repeat("\x01", 1000000)))) > 0`,
		"a list of texts":                `len(map(1..60, repeat("a", 1000000))) > 0`,
		"a list of capitals":             `len(map(1..60, upper(repeat("a", 300000)))) > 0`,
		"a list of lists of letters":     `len(map(1..60, split(repeat("a", 1000000), ""))) > 0`,
		"a list of texts of lists":       `len(map(1..60, string(map(1..10, repeat("a", 100000))))) > 0`,
		"a list of lists from JSON":      `len(map(1..60, fromJSON("[" + repeat("1,", 400000) + "1]"))) > 0`,
		"a list of maps from JSON":       `len(fromJSON("[" + repeat("{\"a\":0},", 100000) + "1]")) > 0`,
		"a list of maps":                 `len(map(1..90000, [{"a": #}])) > 0`,
		"a list of base64":               `len(map(1..60, toBase64(repeat("a", 700000)))) > 0`,
		"a list of times":                `len(map(1..100000, now().Format("` + many("Monday ", 30) + `"))) > 0`,
		"a list of time zones":           `let z = timezone("Europe/Berlin"); len(map(1..100000, string(z))) > 0`,
		"a long layout of a time":        `let f = now().Format; len(map(1..60, f(repeat("Monday", 100000)))) > 0`,
		"a list of letters":              `len(split(repeat("a", 1000000), "")) > 0`,
		"a long range":                   "len(1..300000) > 0",
		"a group for each value":         "len(groupBy(1..90000, #)) > 0",
		"many time zones":                `all(1..100000, timezone("Europe/Berlin") != nil)`,
		"many groups":                    "len(map(1..10, groupBy(1..90000, #))) > 0",
		"different values":               "len(uniq(1..50000)) > 0",
		"a regular expression":           `repeat("a", 100000) matches "(` + many("a?", 100) + `){100}b"`,
		"a slow regular expression":      `repeat("a", 1000000) matches "(` + many("a?", 200) + `)b"`,
		"a large regular expression":     `"a" matches "` + many("[a-z]{1000}", 300) + `"`,
		"many regular expressions":       `any(1..100000, "a" matches ("(?i)[" + repeat("\\pL\\PL", 40) + "]b" + string(#)))`,
		"a search for letters":           `trim(repeat("é", 400000), repeat("ü", 400000) + "é") == ""`,
		"a huge power":                   "2 ** 100000 > 0 && 1..1000000000 == 1",
		"a string that opens":            `"` + many("(", 1000),
		"a comment that opens":           "/*" + many("(", 1000),
		"600,000 parentheses":            many("(", 600_000),
		"700,000 exclamation marks":      many("!", 700_000) + "true",
		"700,000 brackets":               many("[", 700_000),
		"700,000 minus signs":            many("-", 700_000) + "1",
		"a million alternatives":         "false" + many("||true", 1_000_000),
		"10,000 conditionals":            many("true ? 1 : ", 10_000) + "1",
		"braces":                         many("{a: ", 1000) + "1" + many("}", 1000),
		"members of members":             "result" + many(".a", 2000) + " > 1",
		"indexes of indexes":             "result" + many("[0]", 1300) + " > 1",
		"calls of calls":                 many("string(", 500) + "1" + many(")", 500) + " == ''",
		"closures in closures":           many("map(1..9, ", 30) + "1" + many(")", 30) + " == []",
		"pipes":                          "result" + many(" | map(#)", 450) + " == 1",
		"a choice of nothing":            "result" + many(" ?? nil", 550) + " == 1",
		"a text of four thousand bytes":  `"` + many("x", 4080) + `" == 1`,
		"bytes that are no text":         many("\xff", 1000),
		"NULs":                           many("\x00", 1000) + "true",
		"brackets hidden behind strings": `"" == "" && ` + many("(", 500) + `"`,
	}
}

func ternary(yes bool, a, b string) string {
	if yes {
		return a
	}
	return b
}

// maxAllocated is above all that one evaluation allocates, what is thrown away
// again included; what it holds at any moment is less.
const maxAllocated = 64 << 20

// allocated is how many bytes something allocates.
func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestHostileExpressionsEndSoonAndStaySmall(t *testing.T) {
	if n := len(hostile()); n < 60 {
		t.Fatalf("only %d hostile expressions", n)
	}
	result := make([]float64, 10_000)
	for name, source := range hostile() {
		t.Run(name, func(t *testing.T) {
			var got Outcome
			start := time.Now()
			bytes := allocated(func() { got = Evaluate(Conditions{Success: source}, result, noon) })
			if got.Phase != errored {
				t.Errorf("got %+v", got)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("took %s", took)
			}
			if bytes > maxAllocated {
				t.Errorf("allocated %d bytes", bytes)
			}
			if len(got.Message) > 600 {
				t.Errorf("message has %d bytes", len(got.Message))
			}
		})
	}
}

func TestHostileTimesEndSoon(t *testing.T) {
	start := time.Now()
	if _, err := Time(`repeat("a", 100000) matches "(`+strings.Repeat("a?", 100)+`){100}b" ? now() : now()`, noon); err == nil {
		t.Error("it is accepted")
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestOrdinaryExpressionsHaveRoom(t *testing.T) {
	vector := make([]float64, 10_000)
	for i := range vector {
		vector[i] = float64(i) / 10_000
	}
	for _, source := range []string{
		"all(result, # < 1) && any(result, # > 0.5) && mean(result) < 0.6 && median(result) < 0.6",
		"sort(result)[9900] < 0.995 && len(filter(map(result, # * 2), # > 1)) > 1",
		"len(toJSON(result)) > 0 && len(string(result)) > 0 && len(uniq(result[0:1000])) == 1000",
		`all(map(result, string(#)), # matches "^[0-9.e+-]+$")`,
		`len(fromJSON("[" + repeat("0.25,", 10000) + "1]")) == 10001`,
	} {
		if got := Evaluate(Conditions{Success: source}, vector, noon); got.Phase != successful {
			t.Errorf("%s: %+v", source, got)
		}
	}
}
