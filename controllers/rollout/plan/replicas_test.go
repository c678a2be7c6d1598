package plan

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"
)

func TestPodsByWeight(t *testing.T) {
	for _, c := range []struct {
		replicas, weight int32
		surge            bool
		stable, canary   int32
	}{
		{10, 10, false, 9, 1},
		{10, 10, true, 9, 1},
		{10, 0, true, 10, 0},
		{10, 100, true, 0, 10},
		{0, 50, true, 0, 0},
		{4, 10, true, 4, 1},  // 20 % is nearer than 25 %
		{4, 10, false, 3, 1}, // a canary with traffic has a pod
		{5, 20, true, 4, 1},
		{5, 50, true, 3, 3}, // 3 of 6 is exact
		{5, 50, false, 2, 3},
		{1, 10, true, 1, 1}, // with surge neither goes without
		{1, 90, true, 1, 1},
		{1, 10, false, 1, 0}, // 0 % is nearer than 100 %
		{1, 60, false, 0, 1},
		{1, 50, false, 0, 1}, // a tie goes to the canary
		{2, 99, false, 1, 1}, // the stable revision keeps one
		{2, 75, false, 1, 1}, // even when the tie would take it
		{2, 1, false, 1, 1},
		{3, 50, true, 2, 2},
		{100, 33, true, 67, 33},
		{7, 40, true, 5, 3},
	} {
		t.Run(fmt.Sprintf("%d of %d, surge %t", c.weight, c.replicas, c.surge), func(t *testing.T) {
			if got, want := byWeight(c.replicas, c.weight, c.surge), (pair{c.stable, c.canary}); got != want {
				t.Errorf("got %d + %d, want %d + %d", got.stable, got.canary, want.stable, want.canary)
			}
		})
	}
}

func TestPodsByWeightAlwaysSum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		replicas, weight, surge := rapid.Int32Range(0, 2000).Draw(t, "replicas"), rapid.Int32Range(0, 100).Draw(t, "weight"), rapid.Bool().Draw(t, "surge")
		p := byWeight(replicas, weight, surge)
		most := replicas
		if surge {
			most++
		}
		if p.total() < replicas || p.total() > most || p.stable < 0 || p.canary < 0 {
			t.Fatalf("%d replicas at %d: %+v", replicas, weight, p)
		}
		if both := replicas > 1 || replicas == 1 && surge; both && weight > 0 && weight < 100 && (p.stable == 0 || p.canary == 0) {
			t.Fatalf("%d replicas at %d: %+v leaves a revision without a pod", replicas, weight, p)
		}
		if bigger := byWeight(replicas, min(100, weight+1), surge); bigger.stable > 0 && bigger.offBy(weight)*int64(p.total()) < p.offBy(weight)*int64(bigger.total()) {
			t.Fatalf("%d replicas at %d: %+v is farther off than %+v", replicas, weight, p, bigger)
		}
	})
}

func TestSurgeAndUnavailable(t *testing.T) {
	percent := func(s string) *intstr.IntOrString { v := intstr.FromString(s); return &v }
	number := func(n int32) *intstr.IntOrString { v := intstr.FromInt32(n); return &v }
	for _, c := range []struct {
		name           string
		given          *intstr.IntOrString
		replicas       int32
		surge, missing int32
	}{
		{"a quarter by default", nil, 5, 2, 1},
		{"a quarter of four", nil, 4, 1, 1},
		{"a percentage rounds up for surge and down for the rest", percent("10%"), 15, 2, 1},
		{"a string is a percentage even without its sign", percent("50"), 10, 5, 5},
		{"a number is a number", number(3), 10, 3, 3},
		{"more than all is all that can be missing", number(30), 10, 30, 10},
		{"of nothing is nothing", nil, 0, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := surge(c.given, c.replicas); got != c.surge {
				t.Errorf("surge %d, want %d", got, c.surge)
			}
			if got := tolerated(c.given, c.replicas); got != c.missing {
				t.Errorf("tolerated %d, want %d", got, c.missing)
			}
		})
	}
}
