package observer

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// rule is one invariant: what no change may do, from one state to the next.
type rule struct {
	number string
	check  func(*checker, state, state)
}

// rules are the invariants that a history can show. Two are not among them: that
// nothing is written without need, since the API server keeps no version of such
// a write, and that two controllers do no harm, since that is a fault and no rule.
var rules = []rule{
	{"S1", (*checker).weights},
	{"S2", (*checker).served},
	{"S3", (*checker).floor},
	{"S4", (*checker).growth},
	{"S5", (*checker).shift},
	{"S6", (*checker).shrinking},
	{"S7", (*checker).behindStable},
	{"S8", (*checker).underWeight},
	{"S9", (*checker).steps},
	{"S10", (*checker).promotion},
	{"S11", (*checker).verdicts},
	{"S12", (*checker).aborted},
	{"S13", (*checker).backAndForth},
	{"S14", (*checker).once},
	{"S15", (*checker).narrow},
	{"S16", (*checker).foreign},
}

// Check replays a history and lists what did not hold for a Rollout, by the
// number of the rule. It expects that nobody but the controller takes pods or
// traffic away.
func Check(h History, rollout string) []string {
	c := checker{name: rollout, created: map[string]int{}, skipped: map[int32]bool{}, asked: map[string]int{}}
	s := emptyState()
	for _, change := range h {
		next, err := s.after(change, rollout)
		if err != nil {
			return append(c.broken, err.Error())
		}
		c.at = change
		if next.canary() != nil {
			was := s
			if s.canary() == nil {
				was = next // The Rollout was made just now: nothing changed but that.
			}
			c.remember(was, next)
			for _, r := range rules {
				c.rule = r.number
				r.check(&c, was, next)
			}
		}
		s = next
	}
	return c.broken
}

// checker remembers what the present state does not tell.
type checker struct {
	name   string
	rule   string
	at     Change
	broken []string

	created map[string]int // how often each ReplicaSet was created, by hash
	attempt int            // which try of which update this is
	asked   map[string]int // the attempt that made an AnalysisRun
	moves   [2]int         // how often the stable and the canary Service moved in this attempt
	skipped map[int32]bool // steps of this attempt that a person skipped
	forward int            // how often the update went forward against a bad verdict
}

func (c *checker) say(format string, args ...any) {
	where := fmt.Sprintf("%s: version %d, %s %s: %s ", c.name, c.at.Version, c.at.Kind, c.at.Name, c.rule)
	c.broken = append(c.broken, where+fmt.Sprintf(format, args...))
}

// remember takes note of a change before the rules look at it.
func (c *checker) remember(was, is state) {
	old, now := was.rollout.Status, is.rollout.Status
	if !sameAttempt(old, now) {
		c.moves, c.skipped = [2]int{}, map[int32]bool{}
		c.attempt++
	}
	if was.stableHash() != is.stableHash() {
		c.moves[0]++
	}
	if was.canaryHash() != is.canaryHash() {
		c.moves[1]++
	}
	from, to := stepOf(old), stepOf(now)
	if to > from && c.byPerson("f:status", "f:currentStepIndex") {
		for i := from; i < to; i++ {
			c.skipped[i] = true
		}
	}
}

// sameAttempt reports whether two statuses are about one attempt at one update:
// a new template, new steps, an abort and a retry each begin another.
func sameAttempt(a, b v1alpha1.RolloutStatus) bool {
	return a.CurrentPodHash == b.CurrentPodHash && a.CurrentStepHash == b.CurrentStepHash && a.Abort == b.Abort
}

// ByController reports whether a name is one by which the controller writes: that of its process, and
// that of its routes.
func ByController(manager string) bool {
	return strings.HasPrefix(manager, "headway") || manager == "rollouts-controller"
}

// byController reports whether the controller ever wrote to the object that
// changed. One that does not tell is taken for the controller's.
func (c *checker) byController() bool {
	entries := c.at.Object.GetManagedFields()
	return len(entries) == 0 || slices.ContainsFunc(entries, func(e metav1.ManagedFieldsEntry) bool {
		return ByController(e.Manager)
	})
}

// byPerson reports whether somebody else wrote the value that a field has now.
func (c *checker) byPerson(path ...string) bool {
	person := false
	for _, entry := range c.at.Object.GetManagedFields() {
		if entry.FieldsV1 == nil || !holds(entry.FieldsV1.GetRawBytes(), path) {
			continue
		}
		if ByController(entry.Manager) {
			return false
		}
		person = true
	}
	return person
}

// holds reports whether a set of fields, as managedFields has it, holds a path.
func holds(raw []byte, path []string) bool {
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil {
		return false
	}
	inner, ok := fields[path[0]]
	if !ok || len(path) == 1 {
		return ok
	}
	return holds(inner, path[1:])
}
