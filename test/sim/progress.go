package sim

import (
	"slices"

	"k8s.io/utils/ptr"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/rollout/plan"
)

// This file checks how an update goes on: its steps, its verdicts and its promotion.

// checkFrozen checks that onFailure: freeze stops the step at a failure until a person resumes.
func (c *Cluster) checkFrozen(st v1alpha1.RolloutStatus) {
	old := c.Rollout.Status
	frozen := slices.ContainsFunc(old.PauseConditions, func(p v1alpha1.PauseCondition) bool { return p.Reason == v1alpha1.PauseReasonFailure })
	if frozen && !old.PromoteFull && !st.Abort && ptr.Deref(st.CurrentStepIndex, 0) > ptr.Deref(old.CurrentStepIndex, 0) && !c.inWindow() {
		c.brokef("S11 the update goes on while a failure freezes it")
	}
}

// checkStep checks S9: the step moves by one, and back only by abort or retry.
func (c *Cluster) checkStep(st v1alpha1.RolloutStatus) {
	old := c.Rollout.Status
	was, is := ptr.Deref(old.CurrentStepIndex, 0), ptr.Deref(st.CurrentStepIndex, 0)
	if st.StableRS == st.CurrentPodHash || old.PromoteFull || retried(old) || c.inWindow() {
		return
	}
	if is > was+1 {
		c.brokef("S9 the step went from %d to %d at once", was, is)
	}
	if is < was && !st.Abort && was <= int32(len(c.canary().Steps)) {
		c.brokef("S9 the step went back from %d to %d", was, is)
	}
}

// inWindow reports whether the rollback window lets the update skip its gates.
func (c *Cluster) inWindow() bool {
	window := c.Rollout.Spec.RollbackWindow
	current, exists := c.Revisions[c.Template]
	stable := c.Revisions[c.Rollout.Status.StableRS]
	if window == nil || !exists || !current.Created.Before(stable.Created) {
		return false
	}
	var between int32
	for _, r := range c.Revisions {
		if r.Created.After(current.Created) && r.Created.Before(stable.Created) {
			between++
		}
	}
	return between < window.Revisions
}

// checkVerdicts checks S11: an update that goes on has no failed analysis that gates it.
func (c *Cluster) checkVerdicts() {
	old := c.Rollout.Status
	for _, run := range c.Analyses {
		failed := run.Phase == v1alpha1.AnalysisPhaseFailed || run.Phase == v1alpha1.AnalysisPhaseError
		past := (run.Kind == v1alpha1.RolloutTypeStep || run.Kind == plan.KindExperiment) && run.Step != ptr.Deref(old.CurrentStepIndex, 0) // a person promoted past it
		if failed && !past && recorded(old, run) && c.Rollout.Spec.OnFailure != v1alpha1.FailureFreeze {
			c.brokef("S11 %s is %s and the update goes on", run.Name, run.Phase)
		}
	}
}

// recorded reports whether a status names an AnalysisRun.
func recorded(st v1alpha1.RolloutStatus, run plan.Analysis) bool {
	if run.Kind == plan.KindExperiment {
		return st.Canary.CurrentExperiment == run.Name
	}
	return slices.ContainsFunc([]*v1alpha1.RolloutAnalysisRunStatus{
		st.Canary.CurrentStepAnalysisRunStatus, st.Canary.CurrentBackgroundAnalysisRunStatus,
		st.BlueGreen.PrePromotionAnalysisRunStatus, st.BlueGreen.PostPromotionAnalysisRunStatus,
	}, func(named *v1alpha1.RolloutAnalysisRunStatus) bool { return named != nil && named.Name == run.Name })
}

func retried(old v1alpha1.RolloutStatus) bool {
	for _, cond := range old.Conditions {
		if cond.Type == v1alpha1.RolloutProgressing {
			return cond.Reason == plan.ReasonAborted && !old.Abort
		}
	}
	return false
}

// checkFirst checks S10 for the first revision: it becomes stable, and the stable
// Service is pointed to it, when its analysis passed. Where the Service selects
// pods already, of whatever revision, it is no first deploy.
func (c *Cluster) checkFirst(hash string) {
	old := c.Rollout.Status
	first := old.StableRS == "" && !c.memory.again && c.Rollout.Spec.InitialAnalysis != nil && !old.PromoteFull && c.Revisions[c.Services.Stable.Hash].Replicas == 0
	if first && !c.passedKind(v1alpha1.RolloutTypeInitial, hash) {
		c.brokef("S10 %s takes over as the first revision without its analysis", hash)
	}
}

// checkPromotion checks S10: a revision becomes stable when its analyses passed and its traffic was seen on it.
func (c *Cluster) checkPromotion(st v1alpha1.RolloutStatus) {
	old := c.Rollout.Status
	if st.StableRS == old.StableRS || old.StableRS == "" || st.StableRS == "" {
		return
	}
	if !c.tookOver(st) {
		c.brokef("S6 %s became stable before its traffic was seen on it", st.StableRS)
	}
	late := st.StableRS != st.CurrentPodHash && c.memory.excused[st.StableRS]
	if !c.memory.skipped && !c.memory.fast && !old.PromoteFull && !c.inWindow() && !late {
		c.checkMeasured(st)
	}
}

func (c *Cluster) checkMeasured(st v1alpha1.RolloutStatus) {
	if b := c.blueGreen(); b != nil && b.PostPromotionAnalysis != nil && !c.passedKind(v1alpha1.RolloutTypePostPromotion, st.StableRS) {
		c.brokef("S10 %s became stable without the analysis after the switch", st.StableRS)
	}
	for i, step := range c.canary().Steps {
		if (step.Analysis != nil || step.Experiment != nil) && !c.passed(st.StableRS, int32(i)) {
			c.brokef("S10 %s became stable without the analysis of step %d", st.StableRS, i)
		}
	}
}

// tookOver reports whether the revision that becomes stable serves: by the stable
// Service or, where pods alone split the traffic, by pods enough.
func (c *Cluster) tookOver(st v1alpha1.RolloutStatus) bool {
	if c.canary().PingPong != nil {
		return c.serves(st.StableRS, c.Services, c.Traffic.CanaryWeight) == c.maxWeight()
	}
	if !c.byPods() {
		return c.Services.Stable.Hash == st.StableRS && c.Traffic.CanaryWeight == 0
	}
	// A promotion whose record was lost is recorded late, when its revision is no longer current.
	late := st.StableRS != st.CurrentPodHash && c.Revisions[c.Rollout.Status.StableRS].Replicas == 0
	return late || c.Revisions[st.StableRS].Available >= c.replicas() ||
		c.canary().ReplicaProgressThreshold != nil || c.Rollout.Status.CurrentPodHash != st.CurrentPodHash
}

func (c *Cluster) passedKind(kind, hash string) bool {
	return slices.ContainsFunc(c.Analyses, func(run plan.Analysis) bool {
		return run.Kind == kind && run.Hash == hash && run.Phase == v1alpha1.AnalysisPhaseSuccessful && !run.Stopping
	})
}

func (c *Cluster) passed(hash string, step int32) bool {
	return slices.ContainsFunc(c.Analyses, func(run plan.Analysis) bool {
		return run.Step == step && run.Hash == hash && run.StepHash == c.Steps && (run.Kind == v1alpha1.RolloutTypeStep || run.Kind == plan.KindExperiment) && run.Phase == v1alpha1.AnalysisPhaseSuccessful && !run.Stopping
	})
}
