package analysisrun

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// ask makes tickets for measurements of a run that all wait, each for a source of its own.
func ask(ctx context.Context, q *queue, namespace, name string, n int) []*ticket {
	s := &seat{ctx: ctx}
	var out []*ticket
	for i := range n {
		t := &ticket{
			seat: s, run: &v1alpha1.AnalysisRun{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}},
			task: analysis.Task{Index: i}, question: analysis.Question{Source: fmt.Sprint(namespace, name, i)},
			since: noon, tired: time.NewTimer(time.Hour),
		}
		q.add(t)
		out = append(out, t)
	}
	return out
}

// taken counts tickets by namespace and run.
func taken(tickets []*ticket) map[string]int {
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
			if diff := cmp.Diff(c.want, taken(q.next(noon))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAPlaceThatIsFreeGoesToTheOldestThatMayHaveIt(t *testing.T) {
	q := newQueue(17)
	ask(t.Context(), q, "a", "greedy", 20)
	ask(t.Context(), q, "b", "modest", 2)
	first := q.next(noon)
	if diff := cmp.Diff(map[string]int{"a/greedy": 16, "b/modest": 1}, taken(first)); diff != "" {
		t.Fatal(diff)
	}
	q.leave(first[0])
	if diff := cmp.Diff(map[string]int{"a/greedy": 1}, taken(q.next(noon))); diff != "" {
		t.Error(diff)
	}
	q.leave(first[len(first)-1])
	if diff := cmp.Diff(map[string]int{"b/modest": 1}, taken(q.next(noon))); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsGivenUpTakesNoPlace(t *testing.T) {
	q := newQueue(1)
	gone, cancel := context.WithCancel(t.Context())
	ask(gone, q, "a", "gone", 5)
	ask(t.Context(), q, "a", "here", 1)
	cancel()
	got := q.next(noon)
	if diff := cmp.Diff(map[string]int{"a/here": 1}, taken(got)); diff != "" || len(q.order) > 0 {
		t.Errorf("%v still wait, %s", q.order, diff)
	}
	q.leave(got[0])
	if q.busy != 0 || len(q.namespaces) != 0 || len(q.sources) != 0 {
		t.Errorf("%d places, %v and %v are still taken", q.busy, q.namespaces, q.sources)
	}
}

// about makes a ticket for a question that others ask too.
func about(t *testing.T, source string, key byte) *ticket {
	t.Helper()
	return &ticket{
		seat: &seat{ctx: t.Context()}, run: &v1alpha1.AnalysisRun{}, since: noon, tired: time.NewTimer(time.Hour),
		question: analysis.Question{Source: source, Key: [32]byte{key}, Shared: true, Interval: 10 * time.Second},
	}
}

func TestASourceThatNeverAnswersHoldsUpNoOther(t *testing.T) {
	q := newQueue(512)
	for i := range 200 {
		own := about(t, "slow", byte(i))
		own.run = &v1alpha1.AnalysisRun{ObjectMeta: metav1.ObjectMeta{Namespace: fmt.Sprint(i)}}
		q.add(own)
	}
	q.add(about(t, "quick", 255))
	got := map[string]int{}
	for _, own := range q.next(noon) {
		got[own.question.Source]++
	}
	if diff := cmp.Diff(map[string]int{"slow": perSource, "quick": 1}, got); diff != "" {
		t.Error(diff)
	}
}

func TestAQuestionUnderWayIsNotAskedAgain(t *testing.T) {
	q := newQueue(512)
	first, second, other, late := about(t, "s", 1), about(t, "s", 1), about(t, "s", 2), about(t, "s", 1)
	q.add(first)
	q.add(second)
	q.add(other)
	if got := q.next(noon); len(got) != 2 || got[0] != first || got[1] != other {
		t.Fatalf("%d get a place", len(got))
	}
	if second.tired.Stop() {
		t.Error("a measurement that follows another still waits for a place")
	}
	late.since = noon.Add(time.Second) // due after the question was asked
	q.add(late)
	if got := q.next(noon.Add(time.Second)); len(got) != 1 || got[0] != late {
		t.Fatalf("%d get a place", len(got))
	}
	if got := q.leave(late); len(got) != 0 {
		t.Errorf("%d follow one that does not lead", len(got))
	}
	if got := q.leave(first); len(got) != 1 || got[0] != second {
		t.Errorf("%d follow", len(got))
	}
}

func TestWhichAnswersAreFresh(t *testing.T) {
	second := func(n float64) time.Time { return noon.Add(time.Duration(n * float64(time.Second))) }
	cases := []struct {
		name             string
		last, asked, now float64 // seconds; the measurement is due at 20, and last 0 is none
		interval         time.Duration
		fresh            bool
	}{
		{"asked when it is due", 0, 20, 20, 0, true},
		{"asked after it was due", 0, 21, 22, 0, true},
		{"asked before it was due, for the first measurement", 0, 19, 20, 10 * time.Second, false},
		{"asked since the last one, within the interval", 10, 15, 20, 10 * time.Second, true},
		{"used by the last one", 15, 15, 20, 10 * time.Second, false},
		{"older than the last one", 15, 14, 20, 10 * time.Second, false},
		{"older than the interval", 1, 9, 20, 10 * time.Second, false},
		{"older than ten seconds, within a long interval", 1, 9, 20, time.Minute, false},
		{"younger than ten seconds, within a long interval", 1, 11, 20, time.Minute, true},
		{"older than a short interval", 10, 17, 20, 2 * time.Second, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			own := about(t, "s", 1)
			own.since, own.question.Interval = second(20), c.interval
			if c.last > 0 {
				own.last = second(c.last)
			}
			if got := own.fresh(second(c.asked), second(c.now)); got != c.fresh {
				t.Errorf("fresh: %t", got)
			}
			own.question.Shared = false
			if own.fresh(second(c.asked), second(c.now)) {
				t.Error("an answer of one's own is shared")
			}
		})
	}
}
