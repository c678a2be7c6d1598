package observer

import (
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// stepOf is the step a status stands at; -1 when it names none.
func stepOf(st v1alpha1.RolloutStatus) int32 { return ptr.Deref(st.CurrentStepIndex, -1) }

// stepped reports from where to where the step of one revision moved; false when it did not.
func stepped(was, is state) (from, to int32, moved bool) {
	old, now := was.rollout.Status, is.rollout.Status
	from, to = stepOf(old), stepOf(now)
	same := old.CurrentPodHash == now.CurrentPodHash && old.CurrentStepHash == now.CurrentStepHash && old.CurrentPodHash != ""
	return from, to, same && from >= 0 && to >= 0 && from != to
}

// full reports whether a person skipped the rest, or nothing is left.
func full(was, is state) bool {
	return was.rollout.Status.PromoteFull || is.rollout.Status.StableRS == is.rollout.Status.CurrentPodHash
}

// steps is S9: a step at a time, and never back. A person may skip.
func (c *checker) steps(was, is state) {
	from, to, moved := stepped(was, is)
	switch {
	case !moved:
	case to > from+1 && !full(was, is) && !c.skipped[from]:
		c.say("the step went from %d to %d", from, to)
	case to < from && !is.rollout.Status.Abort && !was.rollout.Status.Abort:
		c.say("the step went back from %d to %d", from, to)
	}
}

// promotion is S10: a revision becomes stable when all traffic is on it and
// every analysis of it was good.
func (c *checker) promotion(was, is state) {
	old, now := was.rollout.Status, is.rollout.Status
	if old.StableRS == now.StableRS || old.StableRS == "" || was.owned()[old.StableRS] == nil {
		return // The first one, and the one that is left when the stable one is deleted, need no permission.
	}
	weight, _ := is.weight()
	switch {
	case now.StableRS != now.CurrentPodHash:
		c.say("%s became stable and %s is current", now.StableRS, now.CurrentPodHash)
	case is.stableHash() != now.StableRS || weight != 0:
		c.say("%s became stable with the stable Service on %s and weight %d", now.StableRS, is.stableHash(), weight)
	}
	if old.PromoteFull {
		return
	}
	for i, step := range is.canary().Steps {
		if step.Analysis != nil && !c.skipped[int32(i)] && !is.passed(now.StableRS, int32(i)) {
			c.say("%s became stable without a good analysis of step %d", now.StableRS, i)
		}
	}
	if run := is.background(now.StableRS); bad(run) {
		c.say("%s became stable and its analysis %s is %s", now.StableRS, run.Name, run.Status.Phase)
	}
}

// verdicts is S11: a step of analysis is left with a good verdict only, and an
// update does not go on against a bad one.
func (c *checker) verdicts(was, is state) {
	hash := is.rollout.Status.CurrentPodHash
	from, to, moved := stepped(was, is)
	ahead := moved && to > from && !c.skipped[from] && !full(was, is)
	if steps := is.canary().Steps; ahead && int(from) < len(steps) && steps[from].Analysis != nil && !was.passed(hash, from) {
		c.say("step %d was left without a good verdict", from)
	}
	c.against(was, is, ahead)
}

// against counts how often an update went on against the analysis beside its
// steps. One move may cross with the verdict.
func (c *checker) against(was, is state, ahead bool) {
	run := was.background(is.rollout.Status.CurrentPodHash)
	if !bad(run) || is.rollout.Status.PromoteFull || !sameAttempt(was.rollout.Status, is.rollout.Status) {
		c.forward = 0
		return
	}
	before, _ := was.weight()
	if now, _ := is.weight(); now > before || ahead {
		c.forward++
	}
	if c.forward > 1 {
		c.say("the update went forward against %s, which is %s", run.Name, run.Status.Phase)
		c.forward = 0
	}
}

// aborted is S12: what is aborted stays so.
func (c *checker) aborted(was, is state) {
	old, now := was.rollout.Status, is.rollout.Status
	if old.StableRS != now.StableRS && old.StableRS != "" && old.Abort && !old.PromoteFull && old.CurrentPodHash == now.CurrentPodHash {
		c.say("%s became stable while the update is aborted", now.StableRS)
	}
	if from, to, moved := stepped(was, is); moved && to > from && now.Abort {
		c.say("the step went from %d to %d while the update is aborted", from, to)
	}
	if old.Abort && now.Abort && !now.PromoteFull && toldAbort(old) {
		c.raised(was, is)
	}
}

// raised says whether an aborted update gets more. It is asked from where the
// controller has said that it knows, since a write may cross with a person's.
func (c *checker) raised(was, is state) {
	before, _ := was.weight()
	if weight, _ := is.weight(); weight > before {
		c.say("the weight rose from %d to %d while the update is aborted", before, weight)
	}
	hash := is.rollout.Status.CurrentPodHash
	if before, now := size(was.owned()[hash]), size(is.owned()[hash]); hash != is.rollout.Status.StableRS && now > before {
		c.say("%s grew from %d to %d while the update is aborted", hash, before, now)
	}
}

func toldAbort(st v1alpha1.RolloutStatus) bool {
	for _, condition := range st.Conditions {
		if condition.Type == v1alpha1.RolloutProgressing {
			return condition.Reason == "RolloutAborted"
		}
	}
	return false
}

// passed reports whether a step of analysis was answered well for a revision.
func (s state) passed(hash string, step int32) bool {
	for _, run := range s.runs {
		if s.gates(run, hash, v1alpha1.RolloutTypeStep) && run.Labels[v1alpha1.StepIndexLabel] == strconv.Itoa(int(step)) &&
			run.Status.Phase == v1alpha1.AnalysisPhaseSuccessful {
			return true
		}
	}
	return false
}

// background is the newest analysis beside the steps of a revision; nil when there is none.
func (s state) background(hash string) (newest *v1alpha1.AnalysisRun) {
	for _, run := range s.runs {
		if !s.gates(run, hash, v1alpha1.RolloutTypeBackground) {
			continue
		}
		if newest == nil || newest.CreationTimestamp.Before(&run.CreationTimestamp) ||
			newest.CreationTimestamp.Equal(&run.CreationTimestamp) && newest.Name < run.Name {
			newest = run
		}
	}
	return newest
}

func (s state) gates(run *v1alpha1.AnalysisRun, hash, kind string) bool {
	return metav1.IsControlledBy(run, s.rollout) &&
		run.Labels[v1alpha1.PodTemplateHashLabel] == hash && run.Labels[v1alpha1.RolloutTypeLabel] == kind
}

// bad reports whether a run ended with anything but a good verdict. One that was
// stopped says nothing.
func bad(run *v1alpha1.AnalysisRun) bool {
	return run != nil && !run.Spec.Terminate && run.Status.Phase.Completed() && run.Status.Phase != v1alpha1.AnalysisPhaseSuccessful
}
