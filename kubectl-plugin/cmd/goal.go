package cmd

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/kubectl-plugin/view"
)

// goalKind is what status waits for.
type goalKind string

// The goals of --for.
const (
	goalHealthy  goalKind = "healthy"
	goalPaused   goalKind = "paused"
	goalComplete goalKind = "complete"
	goalDegraded goalKind = "degraded"
	goalStep     goalKind = "step"
)

// goal is a parsed --for.
type goal struct {
	kind goalKind
	// step is how many steps are done, as the header of `get rollout` counts; only with goalStep.
	step int32
}

func parseGoal(text string) (goal, error) {
	kind, number, isStep := strings.Cut(text, "=")
	switch goalKind(kind) {
	case goalStep:
		n, err := strconv.ParseInt(number, 10, 32)
		if !isStep || err != nil || n < 0 {
			return goal{}, usage(fmt.Sprintf("--for is %q, which has no number of steps", text), "for example --for=step=2")
		}
		return goal{kind: goalStep, step: int32(n)}, nil
	case goalHealthy, goalPaused, goalComplete, goalDegraded:
		if !isStep {
			return goal{kind: goalKind(kind)}, nil
		}
	}
	return goal{}, usage(fmt.Sprintf("--for is %q", text), "use one of healthy, paused, complete, step=N, degraded")
}

// met reports whether a rollout is where the goal wants it.
func (g goal) met(v view.RolloutView) bool {
	switch g.kind {
	case goalHealthy:
		return v.Phase == v1alpha1.RolloutPhaseHealthy
	case goalPaused:
		return v.Phase == v1alpha1.RolloutPhasePaused
	case goalDegraded:
		return v.Phase == v1alpha1.RolloutPhaseDegraded
	case goalComplete:
		return v.Complete && v.Phase != v1alpha1.RolloutPhaseDegraded
	case goalStep:
		return v.Phase != v1alpha1.RolloutPhaseDegraded && (v.Complete || v.Step != nil && v.Step.Index >= g.step)
	}
	return false
}

// outcome is what a look at a rollout means for a command that waits.
type outcome string

// The outcomes of a look.
const (
	outcomeWaiting    outcome = "waiting"
	outcomeMet        outcome = "met"
	outcomeDegraded   outcome = "degraded"
	outcomePerson     outcome = "person"
	outcomeSuperseded outcome = "superseded"
)

// judge compares a rollout with what was asked for. A pinned revision of 0 is
// whichever is newest.
func judge(v view.RolloutView, g goal, pinned int64) outcome {
	switch {
	case pinned > 0 && v.Revision > pinned:
		return outcomeSuperseded
	case pinned > 0 && v.Revision < pinned:
		return outcomeWaiting
	case g.met(v):
		return outcomeMet
	case v.Phase == v1alpha1.RolloutPhaseDegraded:
		return outcomeDegraded
	case v.Phase == v1alpha1.RolloutPhasePaused && v.Pause != nil && v.Pause.Person:
		return outcomePerson
	}
	return outcomeWaiting
}
