package sim

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// histories is how many random histories are played: 2,000 in make test,
// 100,000 in make test-long, any number with HEADWAY_HISTORIES.
func histories(t *testing.T) uint64 {
	text := os.Getenv("HEADWAY_HISTORIES")
	switch {
	case text == "" && os.Getenv("HEADWAY_LONG") != "":
		return 100_000
	case text == "":
		return 2_000
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		t.Fatalf("HEADWAY_HISTORIES is %q: it is a number of histories", text)
	}
	return n
}

// TestEveryHistoryIsSafeAndComesToRest plays random histories. The seed of one
// that fails is printed; HEADWAY_SEED plays it alone and prints all of it.
func TestEveryHistoryIsSafeAndComesToRest(t *testing.T) {
	if seed, err := strconv.ParseUint(os.Getenv("HEADWAY_SEED"), 10, 64); err == nil {
		h := NewHistory(seed)
		h.Play(60)
		t.Logf("seed %d:\n%s", seed, strings.Join(h.Log, "\n"))
		failIfBroken(t, seed, h)
		return
	}
	n := histories(t)
	t.Logf("seeds 0 to %d", n-1)
	const parts = 8
	for part := range uint64(parts) {
		t.Run(fmt.Sprintf("every %dth from %d", parts, part), func(t *testing.T) {
			t.Parallel()
			for seed := part; seed < n; seed += parts {
				h := NewHistory(seed)
				h.Play(60)
				if failIfBroken(t, seed, h); t.Failed() {
					return
				}
			}
		})
	}
}

func failIfBroken(t *testing.T, seed uint64, h *History) {
	t.Helper()
	if len(h.Broken) > 0 {
		t.Errorf("seed %d: %s\n%s", seed, strings.Join(h.Broken, "\n"), strings.Join(tail(h.Log, 40), "\n"))
	}
}

func tail(lines []string, n int) []string { return lines[max(0, len(lines)-n):] }
