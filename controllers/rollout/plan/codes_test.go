package plan_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/headway-rollouts/headway/controllers/rollout/plan"
)

// toldElsewhere are the codes that are not of a plan: the test that shows each.
var toldElsewhere = map[string]string{
	string(plan.WhyActionFailed): "TestAnErrorThatDiffersInItsNumbersAloneIsToldOnce in failed_test.go",
}

// TestEveryReasonHasACase looks for each code of status.why in a transcript, and
// for a sentence with it. docs/why.md has an entry for each: a test of the pages
// checks that.
func TestEveryReasonHasACase(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(data)
	}
	for _, code := range plan.Codes() {
		_, after, told := strings.Cut(all.String(), "\n= why "+string(code)+": ")
		sentence, _, _ := strings.Cut(after, "\n")
		switch {
		case !told && toldElsewhere[string(code)] == "":
			t.Errorf("no transcript is at rest with the reason %s", code)
		case told && !strings.HasSuffix(sentence, "."):
			t.Errorf("the reason %s has no sentence: %q", code, sentence)
		}
	}
	if strings.Contains(all.String(), "\n= why :") {
		t.Error("a transcript is at rest without a reason")
	}
}
