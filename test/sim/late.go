package sim

import (
	"github.com/headway-rollouts/headway/controllers/rollout/plan"
)

// whenLate are the invariants that hold even for a plan made from what was true
// before the last event. The others cannot: nobody knows of a pod that died a
// moment ago. What such a plan did must be made good by the next ones.
var whenLate = []string{"S1", "S14", "S15"}

// reconcileLate is a pass of a controller whose cache has not seen the last
// event. It has seen its own writes: the shell waits for those. The API server
// refuses what names a version that is no more: what destroys, what raises a
// weight, and the status.
func (h *History) reconcileLate(before plan.Snapshot) {
	h.logf("(late)")
	h.late = true
	defer func() { h.late = false }()
	p := plan.Make(before)
	for _, a := range p.Actions {
		if !h.refused(before, a) {
			h.Act(a)
		}
	}
	h.memory.points = [2]int{}
	if now := h.Snapshot(); now.Rollout.Generation == before.Rollout.Generation && equalStatus(&now.Rollout.Status, &before.Rollout.Status) &&
		now.Current == before.Current && now.StepHash == before.StepHash {
		h.Store(p)
	}
}

// refused reports whether the API server would refuse an action that was
// decided on an older state.
func (h *History) refused(before plan.Snapshot, a plan.Action) bool {
	switch a := a.(type) {
	case plan.CreateRevision:
		_, exists := h.Revisions[a.Hash]
		return exists || h.Template != before.Current
	case plan.Scale:
		return h.gone(a.Revision) || a.To < a.From && h.Revisions[a.Revision] != before.Revisions[a.Revision]
	case plan.DeleteRevision:
		return h.Revisions[a.Revision] != before.Revisions[a.Revision]
	case plan.Evict:
		other := !before.Rollout.Spec.RestartAt.Equal(h.Rollout.Spec.RestartAt) // somebody asked for another restart meanwhile
		return other || h.indexOf(a.Pod, a.Revision) < 0
	case plan.Route:
		return a.Split.Canary.Weight > before.Traffic.CanaryWeight && h.Traffic.CanaryWeight != before.Traffic.CanaryWeight
	case plan.Point:
		return h.missing(a.Role)
	case plan.StartAnalysis, plan.StartExperiment:
		return h.Template != before.Current || h.Steps != before.StepHash // it is made for what was current
	default:
		return false
	}
}

func (h *History) missing(role plan.Role) bool {
	if role == plan.StableRole || role == plan.ActiveRole {
		return h.Services.Stable.Missing
	}
	return h.Services.Canary.Missing
}

func (h *History) gone(hash string) bool {
	_, exists := h.Revisions[hash]
	return !exists
}
