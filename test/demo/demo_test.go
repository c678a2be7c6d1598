package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
)

// TestDemo shows the whole demo without a terminal.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a control plane: not with -short")
	}
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	transcript := filepath.Join(t.TempDir(), "transcript")
	var out bytes.Buffer
	started := time.Now()
	if err := demo(t.Context(), []string{"--transcript", transcript}, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	t.Logf("took %s\n%s", time.Since(started).Round(time.Second), out.String())

	inOrder(t, out.String(), []string{
		"Simulated: the nodes, the application and its users",
		"Headway installed from config/default: 5 CRDs",
		"token of ServiceAccount headway-system/headway",
		"shop/cart 2.7.4 is healthy",
		"weight      10 %", "wants result[0] >= 0.95 ✔", "weight      50 %", "wants result[0] >= 0.95 ✔", "weight     100 %",
		"✔ 2.8.0 is promoted by its measurements",
		"weight      10 %", "wants result[0] >= 0.95 ✖", "weight       0 %",
		"✖ 2.9.0 is rolled back by itself",
		"$ kubectl rollouts why cart -n shop",
		"$ kubectl rollouts get rollout cart -n shop",
		"setWeight: 10",
		"kubectl apply --server-side -k config/default",
		"Done in ",
	})
	if !regexp.MustCompile(`(?m)^ 0:\d\d  `).MatchString(out.String()) {
		t.Error("no line has a time")
	}
	if i := strings.IndexFunc(out.String(), func(r rune) bool { return r != '\n' && unicode.IsControl(r) }); i >= 0 {
		t.Errorf("a control character at %d: %q", i, out.String()[i:min(i+20, out.Len())])
	}
	if copied, err := os.ReadFile(transcript); err != nil || string(copied) != out.String() {
		t.Errorf("the transcript is not what was shown: %v", err)
	}
	leftovers(t, tmp)
}

// leftovers checks that the folder for temporary files is empty again.
func leftovers(t *testing.T, tmp string) {
	t.Helper()
	entries, err := os.ReadDir(tmp)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Errorf("left behind: %s", e.Name())
	}
}
