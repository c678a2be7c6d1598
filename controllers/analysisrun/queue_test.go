package analysisrun

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// ask makes tickets for measurements of a run that all wait.
func ask(ctx context.Context, q *queue, namespace, name string, n int) {
	s := &seat{ctx: ctx}
	for i := range n {
		q.add(ticket{
			seat: s, run: &v1alpha1.AnalysisRun{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}},
			task: analysis.Task{Index: i},
		})
	}
}

// taken counts tickets by namespace and run.
func taken(tickets []ticket) map[string]int {
	out := map[string]int{}
	for _, t := range tickets {
		out[t.run.Namespace+"/"+t.run.Name]++
	}
	return out
}

func TestNobodyTakesAllPlaces(t *testing.T) {
	cases := []struct {
		name   string
		places int
		asked  map[string][]int // how many measurements each run of a namespace asks for
		want   map[string]int
	}{
		{"few are all taken", 128, map[string][]int{"a": {3, 2}}, map[string]int{"a/0": 3, "a/1": 2}},
		{"a run has 16 places", 128, map[string][]int{"a": {100}}, map[string]int{"a/0": 16}},
		{"a namespace has 32 places", 128, map[string][]int{"a": {20, 20, 20}}, map[string]int{"a/0": 16, "a/1": 16}},
		{"there is room for others", 128, map[string][]int{"a": {20, 20, 20}, "b": {1}}, map[string]int{"a/0": 16, "a/1": 16, "b/0": 1}},
		{"there are no more places than there are", 10, map[string][]int{"a": {20}}, map[string]int{"a/0": 10}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			q := newQueue(c.places)
			for _, namespace := range []string{"a", "b"} {
				for i, n := range c.asked[namespace] {
					ask(t.Context(), q, namespace, fmt.Sprint(i), n)
				}
			}
			if diff := cmp.Diff(c.want, taken(q.next())); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAPlaceThatIsFreeGoesToTheOldestThatMayHaveIt(t *testing.T) {
	q := newQueue(17)
	ask(t.Context(), q, "a", "greedy", 20)
	ask(t.Context(), q, "b", "modest", 2)
	first := q.next()
	if diff := cmp.Diff(map[string]int{"a/greedy": 16, "b/modest": 1}, taken(first)); diff != "" {
		t.Fatal(diff)
	}
	q.leave(first[0])
	if diff := cmp.Diff(map[string]int{"a/greedy": 1}, taken(q.next())); diff != "" {
		t.Error(diff)
	}
	q.leave(first[len(first)-1])
	if diff := cmp.Diff(map[string]int{"b/modest": 1}, taken(q.next())); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsGivenUpTakesNoPlace(t *testing.T) {
	q := newQueue(1)
	gone, cancel := context.WithCancel(t.Context())
	ask(gone, q, "a", "gone", 5)
	ask(t.Context(), q, "a", "here", 1)
	cancel()
	got := q.next()
	if diff := cmp.Diff(map[string]int{"a/here": 1}, taken(got)); diff != "" || len(q.waiting) > 0 {
		t.Errorf("%d still wait, %s", len(q.waiting), diff)
	}
	q.leave(got[0])
	if q.busy != 0 || len(q.namespaces) != 0 {
		t.Errorf("%d places and %v are still taken", q.busy, q.namespaces)
	}
}
