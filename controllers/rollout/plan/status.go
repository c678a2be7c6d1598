package plan

import (
	"cmp"
	"slices"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// status is the whole status, computed from the world. What it remembers moves
// only on what was observed, so losing a status loses no more than a moment.
func status(w world) v1alpha1.RolloutStatus {
	st := *w.old.DeepCopy()
	st.ObservedGeneration, st.WorkloadObservedGeneration = strconv.FormatInt(w.Rollout.Generation, 10), observedWorkload(w)
	st.CurrentPodHash, st.CurrentStepHash, st.CollisionCount = w.Current, w.StepHash, w.CollisionCount
	st.Replicas, st.UpdatedReplicas, st.HPAReplicas = w.count.Replicas, w.count.Updated, w.count.Scaled
	st.ReadyReplicas, st.AvailableReplicas = w.count.Ready, w.count.Available
	st.Selector = w.selector()
	st.StableRS = nextStable(w)
	st.CurrentStepIndex = nextStep(w)
	st.PauseConditions, st.ControllerPause = pauses(w, valueOr(st.CurrentStepIndex, 0))
	st.PromoteFull = w.full && st.StableRS != w.Current
	st.Abort, st.AbortedAt = w.abort.Decided, abortedAt(w)
	st.RestartedAt = restartedAt(w)
	st.Canary, st.BlueGreen = canaryStatus(w), blueGreenStatus(w)
	st.ALB, st.ALBs = balancers(w)
	st.InitialAnalysisRunStatus = initialStatus(w)
	st.Duration = duration(w, st)
	st.Conditions = conditions(w, st)
	st.Phase, st.Message = phase(w, st)
	st.Why = keepSince(w, why(w.at(st), st))
	return st
}

// balancers are the load balancers that were last asked what they serve, while the routes are theirs.
func balancers(w world) (*v1alpha1.ALBStatus, []v1alpha1.ALBStatus) {
	switch {
	case !w.routed() || w.canary.TrafficRouting.ALB == nil:
		return nil, nil
	case w.Balancers == nil || len(w.Balancers.ALBs) == 0:
		return w.old.ALB, w.old.ALBs
	}
	return w.Balancers.ALB, w.Balancers.ALBs
}

// at is the world at the step that a status records, for whoever speaks of that step.
func (w world) at(st v1alpha1.RolloutStatus) world {
	w.step = valueOr(st.CurrentStepIndex, w.step)
	return w
}

func nextStable(w world) string {
	if w.firstStable() || w.promoted() {
		return w.Current
	}
	return w.stable
}

// nextStep is the index to record: it moves by one, on what was observed, or
// jumps where the served API says so.
func nextStep(w world) *int32 {
	last := int32(len(w.canary.Steps))
	switch {
	case last == 0:
		return nil
	case w.abort.Decided:
		return new(int32(0))
	case w.pausedByUser() || w.inconclusive() || !w.numbered() || !w.stepDone(): // no analysis starts before it has its number
		return new(w.step)
	default:
		return new(w.step + 1)
	}
}

func abortedAt(w world) *metav1.Time {
	switch {
	case w.abort.Decided && (progressReason(w.old) != ReasonAborted || w.old.AbortedAt == nil):
		return new(metav1.NewTime(w.Now))
	case w.changed:
		return nil
	default:
		return w.old.AbortedAt
	}
}

func canaryStatus(w world) v1alpha1.CanaryStatus {
	st := w.old.Canary
	st.CurrentStepAnalysisRunStatus = runStatus(w, w.stepAnalysis(), st.CurrentStepAnalysisRunStatus)
	st.CurrentBackgroundAnalysisRunStatus = runStatus(w, w.backgroundRun(), st.CurrentBackgroundAnalysisRunStatus)
	st.StablePingPong, st.CurrentExperiment = stablePingPong(w), currentExperiment(w)
	switch {
	case !w.routed() || !w.Traffic.Exists:
		st.Weights = nil
	default:
		st.Weights = weights(w)
	}
	return st
}

// stablePingPong is which of two Services that swap roles is the stable one:
// ping at first, the other one after each promotion.
func stablePingPong(w world) v1alpha1.PingPongType {
	now := w.old.Canary.StablePingPong
	switch {
	case w.canary.PingPong == nil:
		return ""
	case w.promoted() && now == v1alpha1.PPPing:
		return v1alpha1.PPPong
	case w.promoted() || now == "" && nextStable(w) != "":
		return v1alpha1.PPPing
	default:
		return now
	}
}

// runStatus is what to say of an AnalysisRun. After an abort the one that is
// recorded stays, since it tells why.
func runStatus(w world, run *Analysis, recorded *v1alpha1.RolloutAnalysisRunStatus) *v1alpha1.RolloutAnalysisRunStatus {
	if w.abort.Decided && recorded != nil {
		run = cmp.Or(w.runNamed(recorded.Name), run)
	}
	if run == nil || !w.rolling() || w.promoted() {
		return nil
	}
	return &v1alpha1.RolloutAnalysisRunStatus{Name: run.Name, Status: run.Phase, Message: run.Message}
}

// initialStatus is what to say of the analysis of the first revision.
func initialStatus(w world) *v1alpha1.RolloutAnalysisRunStatus {
	run := w.initialRun()
	if recorded := w.old.InitialAnalysisRunStatus; w.abort.Decided && recorded != nil {
		run = cmp.Or(w.runNamed(recorded.Name), run)
	}
	if run == nil || !w.gated() || w.firstStable() {
		return nil
	}
	return &v1alpha1.RolloutAnalysisRunStatus{Name: run.Name, Status: run.Phase, Message: run.Message}
}

// runNamed is the AnalysisRun of a name; nil when there is none.
func (w world) runNamed(name string) *Analysis {
	i := slices.IndexFunc(w.Analyses, func(run Analysis) bool { return run.Name == name && !run.experiment() })
	if i < 0 {
		return nil
	}
	return &w.Analyses[i]
}

// weights are the weights the routes ask for, by the revisions the Services select.
func weights(w world) *v1alpha1.TrafficWeights {
	canary, stable := w.Current, w.stable
	if w.Traffic.CanaryWeight > 0 && w.Services.Canary.Hash != "" {
		canary = w.Services.Canary.Hash
	}
	if w.Services.Stable.Hash != "" {
		stable = w.Services.Stable.Hash
	}
	both := &v1alpha1.TrafficWeights{
		Canary:   v1alpha1.WeightDestination{Weight: w.Traffic.CanaryWeight, ServiceName: w.canary.CanaryService, PodTemplateHash: canary},
		Stable:   v1alpha1.WeightDestination{Weight: w.total - w.Traffic.CanaryWeight - sum(w.Traffic.Additional), ServiceName: w.canary.StableService, PodTemplateHash: stable},
		Verified: w.Traffic.Verified,
	}
	for _, side := range w.Traffic.Additional {
		both.Additional = append(both.Additional, v1alpha1.WeightDestination{Weight: side.Weight, ServiceName: side.Service, PodTemplateHash: side.Hash})
	}
	if w.canary.PingPong != nil && w.promoted() {
		both.Canary, both.Stable = both.Stable, both.Canary // it is recorded together with who is who
	}
	return both
}

// duration tells when the update began, ended, and waited for a person.
func duration(w world, st v1alpha1.RolloutStatus) *v1alpha1.RolloutDuration {
	d := w.old.Duration.DeepCopy()
	now := new(metav1.NewTime(w.Now))
	again := w.old.Abort && w.full // promoted in full after an abort
	if d == nil || w.retried || again || w.changed && (st.StableRS != w.Current || w.old.StableRS != w.old.CurrentPodHash) {
		d = &v1alpha1.RolloutDuration{RolloutStartedAt: now}
	}
	if end := completion(w, st); end != "" && d.FinishedAt == nil {
		d.FinishedAt, d.CompletionStatus = now, end
	}
	waiting := d.FinishedAt == nil && waitsForPerson(w, st)
	switch {
	case waiting && d.ManualPauseStartedAt == nil:
		d.ManualPauseStartedAt = now
	case !waiting && d.ManualPauseStartedAt != nil:
		d.TotalManualPauseDurationSeconds = new(valueOr(d.TotalManualPauseDurationSeconds, 0) + int64(w.Now.Sub(d.ManualPauseStartedAt.Time).Seconds()))
		d.ManualPauseStartedAt = nil
	}
	return d
}

// completion is how the update ended; empty while it has not.
func completion(w world, st v1alpha1.RolloutStatus) v1alpha1.CompletionStatus {
	switch {
	case st.Abort:
		return v1alpha1.CompletionAborted
	case st.StableRS != w.Current:
		return ""
	case w.full && w.rolling() && w.older():
		return v1alpha1.CompletionFastRolledBack
	case w.full:
		return v1alpha1.CompletionFastPromoted
	case !w.initial() && !w.rolling() && w.changed && w.old.CurrentPodHash != w.Current:
		return v1alpha1.CompletionFastRolledBack
	default:
		return v1alpha1.CompletionPromoted
	}
}

// waitsForPerson reports whether only a person ends the pause.
func waitsForPerson(w world, st v1alpha1.RolloutStatus) bool {
	return w.pausedByUser() || len(st.PauseConditions) > 0 && pauseEnds(w, st).IsZero()
}
