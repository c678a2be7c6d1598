package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/headway-rollouts/headway/test/demo/process"
	"github.com/headway-rollouts/headway/test/kube"
)

// mostWrites is what a canary of five setWeight steps may cost besides Events; the
// floor of 3N+6 is 21.
const mostWrites = 24

// small is a run for a test: short waits, few objects.
var small = options{
	n: 10, idle: 20, idleFor: 15 * time.Second, samples: 3, restores: 1, scaleDownDelay: 2, timeout: 5 * time.Minute,
	runs: 40, queries: 4, runsFor: 2 * measuredEvery, answerIn: 5 * time.Millisecond, churn: 60,
}

func TestFloor(t *testing.T) {
	b := newBench(t)
	rows, err := b.limited(t.Context(), b.floor)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		if row.Value <= 0 {
			t.Errorf("%s = %v", row.Name, row.Value)
		}
	}
	if len(rows) != 4 {
		t.Errorf("the floor has %d rows, want 4: %v", len(rows), rows)
	}
}

func TestCanaryStaysNearTheFloorOfWrites(t *testing.T) {
	rows := played(t, "one")
	if got := value(t, rows, "writes besides Events"); got > mostWrites || got < 15 {
		t.Errorf("a canary of five steps cost %v writes besides Events, wants at most %d:\n%s", got, mostWrites, describe(rows))
	}
	if got := value(t, rows, "writes refused"); got != 0 {
		t.Errorf("%v writes were refused:\n%s", got, describe(rows))
	}
	// It may be 0: on a busy machine the ReplicaSet is told of before the reply to the change comes.
	if got := value(t, rows, "spec change to new ReplicaSet p50"); got < 0 {
		t.Errorf("a reaction took %v ms:\n%s", got, describe(rows))
	}
}

func TestIdleControllerWritesNothing(t *testing.T) {
	rows := played(t, "idle")
	for _, name := range []string{"writes while idle", "Events while idle", "writes after a restart", "Events after a restart"} {
		if got := value(t, rows, name); got != 0 {
			t.Errorf("%s = %v, want 0:\n%s", name, got, describe(rows))
		}
	}
}

func TestBadMeasurementRestoresTheRoute(t *testing.T) {
	rows := played(t, "restore")
	if got := value(t, rows, "bad measurement to route on stable p50"); got <= 0 {
		t.Errorf("not timed:\n%s", describe(rows))
	}
}

func TestRunsThatAskTheSameShareAnswersAndLeaveNothingBehind(t *testing.T) {
	rows := played(t, "analyses")
	if got := value(t, rows, "measurements that failed"); got != 0 {
		t.Errorf("%v measurements failed:\n%s", got, describe(rows))
	}
	if got := value(t, rows, "measurements per query"); got < 2 {
		t.Errorf("%v measurements of 10 that ask the same used the same answer:\n%s", got, describe(rows))
	}
	if got := value(t, rows, "live heap of those gone, after / before"); got > 1.5 {
		t.Errorf("the heap grew %v times with runs that are gone:\n%s", got, describe(rows))
	}
	for _, name := range []string{"measurements per second", "writes per second", "late p50", "late, one source hangs p50"} {
		if got := value(t, rows, name); got <= 0 {
			t.Errorf("%s = %v:\n%s", name, got, describe(rows))
		}
	}
}

func TestFloorOfStatusWrites(t *testing.T) {
	b := newBench(t)
	rows, err := b.limited(t.Context(), b.writeFloor)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 1 || rows[0].Value <= 0 {
		t.Errorf("the floor is %v, wants one row above 0", rows)
	}
}

// newBench is a bench on a cluster of the test's own.
func newBench(t *testing.T) *bench {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a cluster: not with -short")
	}
	b, stop, err := begin(t.Context(), small)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return b
}

// played plays one scenario with Headway itself.
func played(t *testing.T, scenario string) figures {
	t.Helper()
	b := newBench(t)
	if err := process.Build(t.Context(), kube.Root(), func(string) {}, "headway"); err != nil {
		t.Fatal(err)
	}
	rows, err := b.limited(t.Context(), func(ctx context.Context) (figures, error) {
		return b.play(ctx, scenario, headway(kube.Root()))
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func value(t *testing.T, rows figures, name string) float64 {
	t.Helper()
	for _, row := range rows {
		if row.Name == name {
			return row.Value
		}
	}
	t.Fatalf("no figure %q in\n%s", name, describe(rows))
	return 0
}

func describe(rows figures) string {
	var out strings.Builder
	r := report{Controllers: []column{{subject{Name: "headway"}, rows}}}
	_ = r.print(&out)
	return out.String()
}
