package plan_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/headway-rollouts/headway/controllers/experiment/plan"
)

// TestEveryCodeOfWhyHasATranscriptAndAText reads the transcripts and the page.
func TestEveryCodeOfWhyHasATranscriptAndAText(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "experiments.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range plan.Codes() {
		if !strings.Contains(all.String(), "= why "+string(code)+": ") {
			t.Errorf("no transcript shows the code %s", code)
		}
		if !strings.Contains(string(page), "| `"+string(code)+"` |") {
			t.Errorf("docs/experiments.md does not explain the code %s", code)
		}
	}
}
