// Package transcript plays stories from files and compares what came of them. A
// story is a list of blocks with an empty line between: what happens, a line of
// dashes, and what was then done. A block that starts with # is a remark.
//
// Rewrite the files with -update, and keep only what you understand.
package transcript

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the transcripts again")

// Story is a story while it is told.
type Story interface {
	// Tell lets the commands of a block happen, and returns what was then done, line by line.
	Tell(commands []string) []string
	// Broken are the rules that were broken on the way.
	Broken() []string
}

// Play plays every file that matches the pattern, each as a case with the name of the file.
func Play(t *testing.T, pattern string, begin func(*testing.T) Story) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts in %s: %v", pattern, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { play(t, file, begin(t)) })
	}
}

func play(t *testing.T, file string, s Story) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, block := range strings.Split(strings.TrimSpace(string(data)), "\n\n") {
		commands, _, _ := strings.Cut(block, "\n----")
		lines := strings.Split(strings.TrimSpace(commands), "\n")
		if !strings.HasPrefix(lines[0], "#") {
			lines = append(append(lines, "----"), s.Tell(lines)...)
		}
		out = append(out, strings.Join(lines, "\n"))
	}
	got := strings.Join(out, "\n\n") + "\n"
	if broken := s.Broken(); len(broken) > 0 {
		t.Errorf("rules broken:\n%s", strings.Join(broken, "\n"))
	}
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(data), got); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", file, diff)
	}
}
