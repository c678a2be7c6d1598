package plan_test

import (
	"strings"
	"testing"
)

// TestEveryRuleOfTheServedAPIHasItsTest reads the table of rules: the section
// of the description of the served API, the rule, and which test shows it.
func TestEveryRuleOfTheServedAPIHasItsTest(t *testing.T) {
	const file = "testdata/contract.tsv"
	all := claims(t, file, 3)
	checkClaims(t, file, all)
	sections := map[string]bool{}
	for _, c := range all {
		section, _, _ := strings.Cut(c.columns[0], " ")
		sections[section] = true
	}
	for _, section := range strings.Fields("1.0 1.1 1.2 1.3 1.4 1.5 1.6 1.7 1.8 1.9 1.10 1.11 1.12") {
		if !sections[section] {
			t.Errorf("%s has no rule of section %s", file, section)
		}
	}
}
