package sim

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// histories is how many random histories are played: 2,000 in make test, more
// with HEADWAY_HISTORIES, as make test-long does.
func histories(t *testing.T) uint64 {
	text := os.Getenv("HEADWAY_HISTORIES")
	if text == "" {
		return 2000
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		t.Fatalf("HEADWAY_HISTORIES is %q: it is a number of histories", text)
	}
	return n
}

func TestEveryHistoryIsSafeAndComesToRest(t *testing.T) {
	failures := 0
	for seed := range histories(t) {
		h := NewHistory(seed)
		h.Play(60)
		if len(h.Broken) == 0 {
			continue
		}
		t.Errorf("seed %d: %s\n%s", seed, strings.Join(h.Broken, "\n"), strings.Join(tail(h.Log, 40), "\n"))
		if failures++; failures >= 3 {
			t.Fatal("three histories are enough to look at")
		}
	}
}

func tail(lines []string, n int) []string { return lines[max(0, len(lines)-n):] }
