package plan

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// world is a Snapshot with its questions answered once.
type world struct {
	Snapshot

	spec *v1alpha1.ExperimentSpec
	// old is what was reported last about this attempt; empty at its start.
	old v1alpha1.ExperimentStatus
}

// read names the attempt in a snapshot. A person begins another one by setting
// the status to null, or by correcting a spec that was invalid.
func read(s Snapshot) world {
	w := world{Snapshot: s, spec: &s.Experiment.Spec, old: s.Experiment.Status}
	if s.Invalid == nil && wasInvalid(w.old) {
		w.old = v1alpha1.ExperimentStatus{}
	}
	return w
}

func wasInvalid(st v1alpha1.ExperimentStatus) bool {
	return slices.ContainsFunc(st.Conditions, func(c v1alpha1.ExperimentCondition) bool { return c.Type == v1alpha1.ExperimentInvalidSpec })
}

// ended reports that the end of this attempt is recorded.
func (w world) ended() bool { return w.old.Phase.Completed() }

// endedAt is when the end was recorded; zero when another controller recorded it otherwise.
func (w world) endedAt() time.Time {
	for _, c := range w.old.Conditions {
		if c.Type == v1alpha1.ExperimentProgressing && c.Status == corev1.ConditionFalse {
			return c.LastTransitionTime.Time
		}
	}
	return time.Time{}
}

// begins reports that nothing is recorded about this attempt yet.
func (w world) begins() bool { return w.old.Phase == "" }

// allSets are the ReplicaSets that exist, also those of templates that are gone.
func (w world) allSets() []Set {
	return slices.DeleteFunc(slices.Concat(w.Sets, w.Strays), func(set Set) bool { return !set.Exists })
}

// endsAt is when the duration is over; zero when there is none.
func (w world) endsAt(available time.Time) time.Time {
	length, timed := w.Experiment.Length()
	if !timed {
		return time.Time{}
	}
	return available.Add(length)
}

// over reports that the Experiment has run for its duration.
func (w world) over() bool {
	if w.old.AvailableAt == nil {
		return false
	}
	end := w.endsAt(w.old.AvailableAt.Time)
	return !end.IsZero() && !w.Now.Before(end)
}

// availableAt is the time to record as the one at which all pods were available.
func (w world) availableAt() time.Time { return w.Now.Truncate(time.Second) }

// attemptTaken reports that an earlier attempt became available within this
// very second. Times have whole seconds, and runs are told by them, so the new
// attempt waits for the next second.
func (w world) attemptTaken() bool {
	return slices.ContainsFunc(w.Runs, func(run Run) bool { return !run.Attempt.Before(w.availableAt()) })
}

// ofAttempt reports whether a run belongs to this attempt. One that another
// controller made is known only by its record.
func (w world) ofAttempt(run Run) bool {
	if i := slices.IndexFunc(w.old.AnalysisRuns, func(r v1alpha1.ExperimentAnalysisRunStatus) bool { return r.AnalysisRun == run.Name }); i >= 0 {
		return true
	}
	return w.old.AvailableAt != nil && run.Attempt.Equal(w.old.AvailableAt.Time)
}

// runOf is the run of an analysis in this attempt; nil when there is none.
func (w world) runOf(analysis string) *Run {
	recorded := w.recordedRun(analysis)
	for i := range w.Runs {
		run := &w.Runs[i]
		if run.Name == recorded.AnalysisRun || run.Analysis == analysis && w.ofAttempt(*run) {
			return run
		}
	}
	return nil
}

// recordedRun is what was reported of an analysis; empty when nothing was.
func (w world) recordedRun(analysis string) v1alpha1.ExperimentAnalysisRunStatus {
	for _, run := range w.old.AnalysisRuns {
		if run.Name == analysis {
			return run
		}
	}
	return v1alpha1.ExperimentAnalysisRunStatus{Name: analysis}
}

// recordedTemplate is what was reported of a template; nil when nothing was.
func (w world) recordedTemplate(name string) *v1alpha1.TemplateStatus {
	for i := range w.old.TemplateStatuses {
		if w.old.TemplateStatuses[i].Name == name {
			return &w.old.TemplateStatuses[i]
		}
	}
	return nil
}

// serviceName is that of the Service that a template asks for; empty when it asks for none.
func (w world) serviceName(i int) string {
	switch service := w.spec.Templates[i].Service; {
	case service == nil:
		return ""
	case service.Name == "":
		return w.Sets[i].Name
	default:
		return service.Name
	}
}

func (w world) hasService(name string) bool {
	return slices.ContainsFunc(w.Services, func(s Service) bool { return s.Name == name })
}
