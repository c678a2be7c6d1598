// Package plan decides what a Rollout needs next.
//
// It is a function of its Snapshot and of nothing else: it holds no client,
// clock, context or logger, so equal snapshots give equal plans. The shell in
// controllers/rollout observes the cluster, calls Make and carries the plan out.
//
//	read ──► strategy ──► guard ──► diff          + status, why, events, wake
//	name     where to     what is    which actions
//	roles    be           safe now   get there
package plan

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// Plan is what to do now and what to report.
//
// Every action is safe by what the snapshot saw, not by what an earlier action
// is hoped to do, so any prefix and any subset of Actions is safe: a crash
// between two of them loses nothing, the next snapshot yields the rest.
type Plan struct {
	Actions []Action
	Status  v1alpha1.RolloutStatus
	// Events are what became true with Status; they are sent once Status is stored.
	Events []Event
	// Wake asks for another reconciliation after this long; 0 means on the next event.
	Wake time.Duration
}

// Event is a Kubernetes Event about the Rollout, with a reason of the served API.
type Event struct {
	Type    string
	Reason  string
	Message string
}

// Make plans one reconciliation.
func Make(s Snapshot) Plan {
	w := read(s)
	if w.Invalid != nil {
		return invalid(w)
	}
	safe := whileRestarting(w, guard(w, wish(w)))
	st := status(w)
	return Plan{
		Actions: diff(w, safe),
		Status:  st,
		Events:  events(w, st),
		Wake:    wake(w, st),
	}
}

// invalidRetry is how soon an invalid Rollout is looked at again. What it names
// is watched; this is for what is not.
const invalidRetry = 20 * time.Second

// invalid reports why the spec cannot be followed. It does nothing else, with
// one exception: an abort still brings the traffic home, since an abort must be
// possible from every state.
func invalid(w world) Plan {
	p := Plan{Status: invalidStatus(w), Wake: invalidRetry}
	if w.abort.Decided && w.leads() {
		safe := guard(w, wish(w))
		p.Actions = append(trafficMoves(w, safe), growHome(w, safe)...)
	}
	if was := conditionOf(w.old, v1alpha1.RolloutInvalidSpec); was == nil || was.Message != w.invalidMessage() {
		p.Events = []Event{{corev1.EventTypeWarning, string(v1alpha1.RolloutInvalidSpec), w.invalidMessage()}}
	}
	if w.abort.Decided && progressReason(w.old) != ReasonAborted {
		p.Events = append(p.Events, Event{corev1.EventTypeWarning, ReasonAborted, abortMessage(w)})
	}
	return p
}

// wake is when something may happen without an event.
func wake(w world, st v1alpha1.RolloutStatus) time.Duration {
	var next time.Time
	for _, at := range []time.Time{pauseEnds(w, st), deadlineAt(w, st), nextRetirement(w), nextRestart(w, st), nextLabel(w)} {
		if at.After(w.Now) && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	if next.IsZero() {
		return 0
	}
	return next.Sub(w.Now)
}
