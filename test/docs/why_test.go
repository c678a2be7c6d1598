package docs

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/rollout/plan"
)

func TestEveryReasonIsExplained(t *testing.T) {
	for _, problem := range unexplained(read(t, "docs/why.md"), plan.Codes()) {
		t.Error(problem)
	}
}

// The control of the test above: what it would miss without an entry, or without a part of one.
func TestAReasonThatIsNotExplainedIsNoticed(t *testing.T) {
	text := read(t, "docs/why.md")
	for _, e := range entriesOf(text) {
		without := map[string]string{
			"the entry":   strings.Replace(text, "### "+e.code+"\n"+e.text, "", 1),
			"its meaning": strings.Replace(text, e.text, e.text[strings.Index(e.text, "\n- **By itself**"):], 1),
		}
		for _, part := range entryParts {
			without[part] = strings.Replace(text, e.text, strings.Replace(e.text, part, "- ", 1), 1)
		}
		for what, changed := range without {
			if problems := unexplained(changed, plan.Codes()); !slices.ContainsFunc(problems, func(p string) bool { return strings.HasPrefix(p, e.code+" ") }) {
				t.Errorf("docs/why.md without %s of %s is not noticed: %q", what, e.code, problems)
			}
		}
	}
	if problems := unexplained(text+"\n### NoSuchCode\n", plan.Codes()); len(problems) == 0 {
		t.Error("an entry for a code that does not exist is not noticed")
	}
}

// entryParts is what every entry has after its meaning: the next automatic event, and how to unblock.
var entryParts = []string{"- **By itself**: ", "- **Unblock**: "}

// entry is what docs/why.md says of one code.
type entry struct{ code, text string }

func entriesOf(page string) []entry {
	heading := regexp.MustCompile(`(?m)^##+ .*$`)
	bounds := append(heading.FindAllStringIndex(page, -1), []int{len(page), len(page)})
	var all []entry
	for i, at := range bounds[:len(bounds)-1] {
		if code, is := strings.CutPrefix(page[at[0]:at[1]], "### "); is {
			all = append(all, entry{code, page[min(at[1]+1, len(page)):bounds[i+1][0]]})
		}
	}
	return all
}

// unexplained says which codes lack an entry or a part of it, and which entries
// have no code or are out of the order in which the reasons are considered.
func unexplained(page string, codes []v1alpha1.WhyCode) []string {
	var problems []string
	entries := entriesOf(page)
	last := -1
	for _, code := range codes {
		at := slices.IndexFunc(entries, func(e entry) bool { return e.code == string(code) })
		if at < 0 {
			problems = append(problems, fmt.Sprintf("%s has no entry", code))
			continue
		}
		if at < last {
			problems = append(problems, fmt.Sprintf("%s is considered after the entry below it", code))
		}
		last = max(last, at)
		meaning, _, _ := strings.Cut(entries[at].text, "\n- ")
		if strings.TrimSpace(meaning) == "" {
			problems = append(problems, fmt.Sprintf("%s has no meaning", code))
		}
		for _, part := range entryParts {
			if !strings.Contains(entries[at].text, "\n"+part) {
				problems = append(problems, fmt.Sprintf("%s has no %q", code, part))
			}
		}
	}
	for _, e := range entries {
		if !slices.Contains(codes, v1alpha1.WhyCode(e.code)) {
			problems = append(problems, e.code+" is no code of status.why")
		}
	}
	return problems
}
