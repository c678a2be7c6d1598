package v1alpha1

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

func TestValidateRules(t *testing.T) {
	many := func(n int) []string { return strings.Split(strings.Repeat("x,", n-1)+"x", ",") }
	cases := []struct {
		name  string
		rules []string
		want  string
	}{
		{"no rules are fine", nil, ""},
		{"names, patterns and all are fine", []string{"rate", "rate-[0-9]{2,3}$", "*", ".*", "(?i)RATE", "erfolg-für-alle"}, ""},
		{"arguments are read later", []string{"{{args.name}}("}, ""},
		{"a hundred rules are fine", many(100), ""},
		{"more are not", many(101), "Too many: 101: must have at most 100 items"},
		{"a long rule is not", []string{"ok", strings.Repeat("x", 257)}, "[1].metricName: Too long: may not be more than 256 bytes"},
		{"half a pattern is not", []string{"("}, "[0].metricName: Invalid value: \"(\": neither a name nor a regular expression"},
		{"many repetitions are not", []string{"(a{30}){30}"}, "needs more than 500 instructions"},
		{"classes of Unicode are not", []string{`\pL`}, "letters beyond ASCII"},
		{"ranges of Unicode are not", []string{`[a-\x{1e942}]`}, "letters beyond ASCII"},
		{"ranges of Unicode as they are written are not", []string{"[a-ü]"}, "letters beyond ASCII"},
	}
	for _, c := range cases {
		for kind, check := range map[string]func() field.ErrorList{
			"spec.dryRun": func() field.ErrorList {
				var rules []DryRun
				for _, name := range c.rules {
					rules = append(rules, DryRun{MetricName: name})
				}
				return ValidateRules(rules, nil, field.NewPath("spec"))
			},
			"spec.measurementRetention": func() field.ErrorList {
				var rules []MeasurementRetention
				for _, name := range c.rules {
					rules = append(rules, MeasurementRetention{MetricName: name})
				}
				return ValidateRules(nil, rules, field.NewPath("spec"))
			},
		} {
			t.Run(c.name+" in "+kind, func(t *testing.T) {
				got := ""
				if err := check().ToAggregate(); err != nil {
					got = err.Error()
				}
				if (got == "") != (c.want == "") || !strings.Contains(got, c.want) || got != "" && !strings.HasPrefix(got, kind) {
					t.Errorf("got %q, want %q", got, c.want)
				}
			})
		}
	}
}

func TestPatternSize(t *testing.T) {
	cases := []struct {
		pattern string
		want    int // 0 for an error
	}{
		{"", 1},
		{"abc", 3},
		{"[a-z]", 1},
		{"a|b", 1},
		{"ab|cd", 5},
		{"(ab)*", 4},
		{"(ab){10}", 40},
		{"a{2,}", 6},
		{"(((a{10}){10}){10}){10}", 0},
		{"a{1000}", 0},
		{"[", 0},
	}
	for _, c := range cases {
		got, err := PatternSize(c.pattern, 1000)
		if got != c.want || (err != nil) != (c.want == 0) {
			t.Errorf("%s has %d, %v; want %d", c.pattern, got, err, c.want)
		}
	}
}

func TestTheSizeOfAnyPatternIsKnownSoon(t *testing.T) {
	start := time.Now()
	for _, pattern := range []string{
		strings.Repeat("(", 900) + strings.Repeat("){2}", 900),
		strings.Repeat("a{1000}", 500), strings.Repeat("(a{1000}|", 300) + strings.Repeat(")", 300),
	} {
		if size, err := PatternSize(pattern, 1000); err == nil {
			t.Errorf("%.20s… has %d", pattern, size)
		}
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("took %s", took)
	}
}
