package plan

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// status is what to report of an Experiment that has not ended before this
// pass. Refusals are what the cluster refused in this pass.
func status(w world, refusals []Refusal) v1alpha1.ExperimentStatus {
	st := v1alpha1.ExperimentStatus{AvailableAt: w.old.AvailableAt, Conditions: w.old.Conditions}
	for i := range w.spec.Templates {
		st.TemplateStatuses = append(st.TemplateStatuses, templateStatus(w, i, refusals))
	}
	for _, analysis := range w.spec.Analyses {
		if run, known := runStatus(w, analysis.Name, refusals); known {
			st.AnalysisRuns = append(st.AnalysisRuns, run)
		}
	}
	if st.AvailableAt == nil && worstTemplate(st).Status == v1alpha1.TemplateStatusRunning && !w.attemptTaken() {
		st.AvailableAt = &metav1.Time{Time: w.availableAt()}
	}
	st.Phase, st.Message = phase(w, st)
	if st.Phase.Completed() {
		endTemplates(w, &st)
	}
	st.Conditions = conditions(w, st)
	return st
}

// templateStatus is what to report of the pods of one template.
func templateStatus(w world, i int, refusals []Refusal) v1alpha1.TemplateStatus {
	st := counted(w, w.Sets[i], w.serviceName(i))
	was := w.recordedTemplate(st.Name)
	if was != nil && was.Status.Completed() {
		st.Status, st.Message = was.Status, was.Message
		return st
	}
	st.Status, st.Message = assess(w, i, st)
	for _, refused := range refusals {
		if refused.Template != st.Name || st.Status.Completed() {
			continue
		}
		st.Message = refused.Message
		if refused.Final {
			st.Status = v1alpha1.TemplateStatusError
		}
	}
	if was == nil || was.Status != st.Status {
		st.LastTransitionTime = &metav1.Time{Time: w.Now}
	}
	return st
}

// counted is the status of a template with its counts, and with its state as it
// was reported before.
func counted(w world, set Set, service string) v1alpha1.TemplateStatus {
	st := v1alpha1.TemplateStatus{
		Name:     set.Template,
		Replicas: set.Pods, UpdatedReplicas: set.Pods, ReadyReplicas: set.Ready, AvailableReplicas: set.Available,
		CollisionCount: set.Collisions,
	}
	if set.Exists {
		st.PodTemplateHash = set.Hash
	}
	if w.hasService(service) {
		st.ServiceName = service
	}
	was := w.recordedTemplate(st.Name)
	if was == nil {
		st.LastTransitionTime = &metav1.Time{Time: w.Now}
		return st
	}
	st.Status, st.Message, st.LastTransitionTime = was.Status, was.Message, was.LastTransitionTime
	if was.LastTransitionTime == nil || was.Replicas != st.Replicas || was.ReadyReplicas != st.ReadyReplicas || was.AvailableReplicas != st.AvailableReplicas {
		st.LastTransitionTime = &metav1.Time{Time: w.Now}
	}
	return st
}

// assess is the state of the pods of a template that has not ended. Its
// deadline is decided by what is seen now; one that is missed stays missed.
func assess(w world, i int, st v1alpha1.TemplateStatus) (v1alpha1.TemplateStatusCode, string) {
	switch {
	case w.whole(i) && w.over():
		return v1alpha1.TemplateStatusSuccessful, ""
	case w.whole(i):
		return v1alpha1.TemplateStatusRunning, ""
	}
	why := w.lacks(i)
	if st.Status == v1alpha1.TemplateStatusRunning { // It begins to lack pods now.
		return v1alpha1.TemplateStatusProgressing, why
	}
	deadline := w.Experiment.ProgressDeadline()
	if w.Now.Before(st.LastTransitionTime.Add(deadline)) {
		return v1alpha1.TemplateStatusProgressing, why
	}
	message := fmt.Sprintf("template %q exceeded its progressDeadlineSeconds (%d)", st.Name, int64(deadline.Seconds()))
	if why == "" {
		why = st.Message // what was refused last
	}
	if why != "" {
		message += ": " + why
	}
	return v1alpha1.TemplateStatusFailed, message
}

// whole reports whether a template has all that it asks for: its pods, and its Service.
func (w world) whole(i int) bool {
	set, service := w.Sets[i], w.serviceName(i)
	want := w.spec.Templates[i].DesiredReplicas()
	return set.Exists && set.Settled && set.Replicas == want && set.Available >= want && (service == "" || w.hasService(service))
}

// lacks is what is known to keep a template from having its pods; empty when nothing is.
func (w world) lacks(i int) string {
	if w.Sets[i].Taken != "" {
		return w.Sets[i].Taken
	}
	return w.Sets[i].Failure
}

// runStatus is what to report of an analysis; known is false when there is nothing yet.
func runStatus(w world, analysis string, refusals []Refusal) (st v1alpha1.ExperimentAnalysisRunStatus, known bool) {
	was := w.recordedRun(analysis)
	if was.Phase.Completed() {
		return was, true
	}
	if run := w.runOf(analysis); run != nil {
		return seenRun(analysis, *run), true
	}
	if why := w.Unusable[analysis]; why != "" && !w.spec.Terminate {
		was.AnalysisRun, was.Phase, was.Message = "", v1alpha1.AnalysisPhaseError, why
		return was, true
	}
	for _, refused := range refusals {
		if refused.Analysis == analysis && refused.Final {
			was.AnalysisRun, was.Phase, was.Message = "", v1alpha1.AnalysisPhaseError, refused.Message
			return was, true
		}
	}
	return was, false
}

func seenRun(analysis string, run Run) v1alpha1.ExperimentAnalysisRunStatus {
	st := v1alpha1.ExperimentAnalysisRunStatus{Name: analysis, AnalysisRun: run.Name, Phase: run.Phase, Message: run.Message}
	if st.Phase == "" {
		st.Phase = v1alpha1.AnalysisPhasePending
	}
	return st
}

// endTemplates ends the templates that did not end by themselves.
func endTemplates(w world, st *v1alpha1.ExperimentStatus) {
	for i := range st.TemplateStatuses {
		if t := &st.TemplateStatuses[i]; !t.Status.Completed() {
			t.Status, t.Message = v1alpha1.TemplateStatusSuccessful, ""
			t.LastTransitionTime = &metav1.Time{Time: w.Now}
		}
	}
}

// endedStatus is what to report of an Experiment whose end is recorded: its
// verdict stays, and what is left of its pods and runs is counted.
func endedStatus(w world) v1alpha1.ExperimentStatus {
	st := *w.old.DeepCopy()
	sets := map[string]Set{}
	for _, set := range w.allSets() {
		sets[set.Template] = set
	}
	for i := range st.TemplateStatuses {
		name := st.TemplateStatuses[i].Name
		set := sets[name]
		set.Template = name
		if !set.Exists {
			set.Collisions = st.TemplateStatuses[i].CollisionCount
		}
		st.TemplateStatuses[i] = counted(w, set, st.TemplateStatuses[i].ServiceName)
	}
	for i, was := range st.AnalysisRuns {
		if run := w.runOf(was.Name); run != nil && !was.Phase.Completed() {
			st.AnalysisRuns[i] = seenRun(was.Name, *run)
		}
	}
	return st
}

// invalidStatus ends an Experiment whose spec cannot be followed. It begins
// anew when the spec is corrected.
func invalidStatus(w world) v1alpha1.ExperimentStatus {
	st := *w.old.DeepCopy()
	st.Phase, st.Message = v1alpha1.AnalysisPhaseError, invalidMessage(w)
	endTemplates(w, &st)
	st.Conditions = conditions(w, st)
	return st
}

func invalidMessage(w world) string {
	return fmt.Sprintf("The Experiment %q is invalid: %s", w.Experiment.Name, w.Invalid.Error())
}
