package plan

import (
	"fmt"
	"slices"
	"time"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

const numberAnnotation = v1alpha1.RevisionAnnotation

// tidy removes what the history limits no longer keep.
func tidy(w world) []Action {
	gone := oldRevisions(w)
	actions := make([]Action, 0, len(gone))
	for _, r := range gone {
		actions = append(actions, DeleteRevision{r.Hash, fmt.Sprintf("revisionHistoryLimit is %d", w.Rollout.RevisionsKept())})
	}
	for _, experiments := range []bool{false, true} {
		for _, run := range oldRuns(w, gone, experiments) {
			actions = append(actions, forget(run))
		}
	}
	return actions
}

// oldRevisions are the revisions beyond the history limit, oldest first. Only
// those without pods and without traffic may go.
func oldRevisions(w world) []Revision {
	var idle []Revision
	for _, r := range sorted(w) {
		if r.Hash != w.Current && r.Hash != w.stable && r.Hash != w.old.StableRS {
			idle = append(idle, r)
		}
	}
	keep := int(max(0, w.Rollout.RevisionsKept()))
	if len(idle) <= keep {
		return nil
	}
	beyond := slices.DeleteFunc(idle[keep:], func(r Revision) bool {
		return r.Replicas > 0 || r.Pods > 0 || w.selected(r.Hash)
	})
	slices.Reverse(beyond)
	return beyond
}

// oldRuns are the finished AnalysisRuns, or Experiments, of revisions that are
// gone, and those beyond the two run history limits.
func oldRuns(w world, gone []Revision, experiments bool) []Analysis {
	var old []Analysis
	good, bad := w.Rollout.SuccessfulRunsKept(), w.Rollout.UnsuccessfulRunsKept()
	for _, run := range slices.Backward(w.Analyses) { // newest first
		_, kept := w.Revisions[run.Hash]
		kept = (kept || run.Hash == w.Current) && !slices.ContainsFunc(gone, func(r Revision) bool { return r.Hash == run.Hash })
		switch {
		case run.experiment() != experiments || !run.Phase.Completed() || w.recorded(run) || w.explains(run):
			continue
		case run.Phase == v1alpha1.AnalysisPhaseSuccessful:
			good--
			kept = kept && good >= 0
		default:
			bad--
			kept = kept && bad >= 0
		}
		if !kept {
			old = append(old, run)
		}
	}
	return old
}

// explains reports whether an AnalysisRun belongs to the update under way: it
// stays until that is over, whatever the limits, since it tells why.
func (w world) explains(run Analysis) bool {
	return w.tried() && w.ofUpdate(run)
}

// recorded reports whether the status names the AnalysisRun or Experiment.
func (w world) recorded(run Analysis) bool {
	if run.experiment() {
		return run.Name == w.old.Canary.CurrentExperiment
	}
	for _, st := range runStatuses(w.old) {
		if st != nil && st.Name == run.Name {
			return true
		}
	}
	return false
}

// runStatuses are what a status says of the AnalysisRuns under way; nil where it says nothing.
func runStatuses(st v1alpha1.RolloutStatus) []*v1alpha1.RolloutAnalysisRunStatus {
	return []*v1alpha1.RolloutAnalysisRunStatus{
		st.Canary.CurrentStepAnalysisRunStatus, st.Canary.CurrentBackgroundAnalysisRunStatus,
		st.BlueGreen.PrePromotionAnalysisRunStatus, st.BlueGreen.PostPromotionAnalysisRunStatus, st.InitialAnalysisRunStatus,
	}
}

// nextRetirement is the earliest time at which a revision may lose its pods.
func nextRetirement(w world) (next time.Time) {
	for _, r := range w.Revisions {
		at := r.Deadline
		if delay := w.formerStable(r); delay > 0 {
			at = w.Now.Add(delay).Truncate(time.Second)
		}
		if r.Replicas > 0 && at.After(w.Now) && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}
