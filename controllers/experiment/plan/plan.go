// Package plan decides what an Experiment needs next.
//
// It is a function of its Snapshot and of nothing else: it holds no client,
// clock, context or logger, so equal snapshots give equal plans. The shell in
// controllers/experiment observes the cluster, calls Make and carries the plan out.
//
//	read ──► judge ──► diff          + status, events, wake
//	attempt  pods and  which actions
//	         verdicts  get there
//
// An end that was decided is recorded before anything is taken down: what led
// to it may look different a moment later, the record does not.
package plan

import (
	"time"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// Plan is what to do now and what to report.
//
// Every action is safe by what the snapshot saw, not by what an earlier action
// is hoped to do, so any prefix and any subset of Actions is safe: a crash
// between two of them loses nothing, the next snapshot yields the rest.
type Plan struct {
	Actions []Action
	Status  v1alpha1.ExperimentStatus
	// Events are what became true with Status; they are sent once Status is stored.
	Events []Event
	// Wake asks for another reconciliation after this long; 0 means on the next event.
	Wake time.Duration
}

// Event is a Kubernetes Event about the Experiment, with a reason of the served API.
type Event struct {
	Type    string
	Reason  string
	Message string
	// Rollout sends it to the Rollout as well that the Experiment is a step of.
	Rollout bool
}

// Make plans one reconciliation.
func Make(s Snapshot) Plan {
	w := read(s)
	switch {
	case w.ended():
		st := explained(w, endedStatus(w))
		return Plan{Actions: takeDown(w), Status: st, Events: events(w, st), Wake: wake(w, st)}
	case w.Invalid != nil:
		st := explained(w, invalidStatus(w))
		return Plan{Status: st, Events: events(w, st)}
	}
	if left := leftovers(w); len(left) > 0 {
		return Plan{Actions: left, Status: s.Experiment.Status}
	}
	return concluded(w, status(w, nil))
}

// NeedsTemplates reports whether a plan depends on what is Unusable: analyses
// may still be started.
func NeedsTemplates(s Snapshot) bool {
	w := read(s)
	return w.Invalid == nil && !w.ended() && !w.spec.Terminate
}

// concluded is the plan for a status that was computed.
func concluded(w world, st v1alpha1.ExperimentStatus) Plan {
	st = explained(w, st)
	p := Plan{Status: st, Events: events(w, st), Wake: wake(w, st)}
	if !st.Phase.Completed() {
		p.Actions = diff(w)
	}
	return p
}

// Refusal is an action that the cluster refused.
type Refusal struct {
	// Template or Analysis is what it was about, by its name in the spec.
	Template, Analysis string
	Message            string
	// Final says that trying again cannot help.
	Final bool
}

// Refused is the plan after some of its actions were refused: the status says
// why, and one for which there is no hope ends the Experiment. The actions are
// those that were tried.
func Refused(s Snapshot, p Plan, refusals []Refusal) Plan {
	w := read(s)
	if len(refusals) == 0 || w.ended() || w.Invalid != nil || len(leftovers(w)) > 0 {
		return p
	}
	after := concluded(w, status(w, refusals))
	after.Actions = p.Actions
	if after.Wake == 0 || after.Wake > retry {
		after.Wake = retry
	}
	return after
}

// retry is how soon to try again what was refused, or to look again at a name
// that somebody else has: nothing tells when that passes.
const retry = 10 * time.Second

// wake is when something may happen without an event.
func wake(w world, st v1alpha1.ExperimentStatus) time.Duration {
	var next time.Time
	for _, at := range alarms(w, st) {
		if at.After(w.Now) && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	if next.IsZero() {
		return 0
	}
	return next.Sub(w.Now)
}

func alarms(w world, st v1alpha1.ExperimentStatus) []time.Time {
	var at []time.Time
	if w.ended() {
		for _, set := range w.allSets() {
			if set.Replicas > 0 {
				at = append(at, w.keptUntil(set))
			}
		}
		return at
	}
	if st.Phase.Completed() {
		return nil // the event of its own status comes
	}
	if st.AvailableAt != nil {
		at = append(at, w.endsAt(st.AvailableAt.Time))
	} else if w.attemptTaken() {
		at = append(at, w.Now.Add(time.Second))
	}
	for i, t := range st.TemplateStatuses {
		if t.Status == v1alpha1.TemplateStatusProgressing {
			at = append(at, t.LastTransitionTime.Add(w.Experiment.ProgressDeadline()))
		}
		if w.Sets[i].Taken != "" {
			at = append(at, w.Now.Add(retry))
		}
	}
	return at
}
