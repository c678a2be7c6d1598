package plan

import (
	"fmt"
	"slices"
	"time"
)

// diff is the actions that lead an Experiment that has not ended to what its
// spec asks for: pods first, since they take longest.
func diff(w world) []Action {
	actions := sets(w)
	actions = append(actions, services(w)...)
	return append(actions, analyses(w)...)
}

// sets gives each template its pods, and takes those of templates that are gone.
func sets(w world) []Action {
	var actions []Action
	for i, set := range w.Sets {
		want := w.spec.Templates[i].DesiredReplicas()
		why := fmt.Sprintf("template %s asks for %d", set.Template, want)
		switch {
		case set.Taken != "":
		case !set.Exists:
			actions = append(actions, CreateSet{set.Template, want, why})
		case set.Replicas != want:
			actions = append(actions, Scale{Set: set.Name, From: set.Replicas, To: want, Why: why})
		case !set.Deadline.IsZero():
			actions = append(actions, Keep{set.Name, "its pods are used again"})
		}
	}
	for _, set := range w.Strays {
		if set.Replicas > 0 {
			actions = append(actions, Scale{Set: set.Name, From: set.Replicas, To: 0, Why: "its template is no longer in the spec"})
		}
	}
	return actions
}

// services gives each template that asks for one its Service, and takes others.
func services(w world) []Action {
	var actions []Action
	wanted := map[string]bool{}
	for i, set := range w.Sets {
		name := w.serviceName(i)
		wanted[name] = true
		if name != "" && set.Exists && !w.hasService(name) {
			actions = append(actions, CreateService{name, set.Template, "template " + set.Template + " asks for a Service"})
		}
	}
	for _, service := range w.Services {
		if !wanted[service.Name] {
			actions = append(actions, DeleteService{service.Name, "no template asks for it any more"})
		}
	}
	return actions
}

// analyses starts those that have no run once all pods were seen available, and
// that was recorded. It stops runs that count for nothing.
func analyses(w world) []Action {
	var actions []Action
	asked := map[string]bool{}
	for _, analysis := range w.spec.Analyses {
		run := w.runOf(analysis.Name)
		if run != nil {
			asked[run.Name] = true
			continue
		}
		if w.old.AvailableAt != nil && w.Unusable[analysis.Name] == "" && !w.recordedRun(analysis.Name).Phase.Completed() {
			actions = append(actions, StartAnalysis{w.runName(analysis.Name), analysis.Name, "all pods are available"})
		}
	}
	return append(actions, stop(w, func(run Run) bool { return !asked[run.Name] }, "it is not of this attempt, or the spec names its analysis no more")...)
}

// stop asks runs to end.
func stop(w world, which func(Run) bool, why string) []Action {
	var actions []Action
	for _, run := range w.Runs {
		if !run.Phase.Completed() && !run.Stopping && which(run) {
			actions = append(actions, StopAnalysis{run.Name, w.analysisOf(run), why})
		}
	}
	return actions
}

// analysisOf is the analysis that a run is of, as far as that is known.
func (w world) analysisOf(run Run) string {
	for _, recorded := range w.old.AnalysisRuns {
		if recorded.AnalysisRun == run.Name {
			return recorded.Name
		}
	}
	return run.Analysis
}

// runName is `<experiment>-<analysis>`, with `.1`, `.2`, … when the name was used before.
func (w world) runName(analysis string) string {
	base := w.Experiment.Name + "-" + analysis
	name := base
	for i := 1; slices.ContainsFunc(w.Runs, func(run Run) bool { return run.Name == name }); i++ {
		name = fmt.Sprintf("%s.%d", base, i)
	}
	return name
}

// leftovers removes, before an attempt begins, the pods of an earlier one that
// were made of another template: a ReplicaSet cannot change its template.
func leftovers(w world) []Action {
	if !w.begins() || w.spec.Terminate {
		return nil
	}
	var actions []Action
	for _, set := range w.Sets {
		if set.Exists && set.Outdated {
			actions = append(actions, DeleteSet{set.Name, "it was made of an earlier template"})
		}
	}
	return actions
}

// takeDown is what is left to do after the end: runs are stopped, pods go when
// their delay is over, and a Service goes when nothing is behind it.
func takeDown(w world) []Action {
	actions := stop(w, func(Run) bool { return true }, "the Experiment has ended")
	for _, set := range w.allSets() {
		until := w.keptUntil(set)
		switch {
		case set.Replicas == 0:
		case !w.Now.Before(until):
			actions = append(actions, Scale{Set: set.Name, From: set.Replicas, To: 0, KeepDeadline: true, Why: "the Experiment has ended"})
		case set.Deadline.Before(until):
			actions = append(actions, Delay{set.Name, until, fmt.Sprintf("the Experiment has ended; its pods stay for %s", w.Experiment.ScaleDownDelay())})
		}
	}
	for _, service := range w.Services {
		if w.emptied(service.Template) {
			actions = append(actions, DeleteService{service.Name, "no pod is behind it any more"})
		}
	}
	return actions
}

// keptUntil is until when pods stay after the end: for the delay, or until a
// later deadline that somebody has set. An earlier deadline is that of an
// attempt before this one.
func (w world) keptUntil(set Set) time.Time {
	end, delay := w.endedAt(), w.Experiment.ScaleDownDelay()
	switch {
	case !end.IsZero() && end.Add(delay).After(set.Deadline):
		return end.Add(delay)
	case end.IsZero() && set.Deadline.IsZero():
		return w.Now.Add(delay)
	default:
		return set.Deadline
	}
}

// emptied reports whether no pod of a template is available, or will be.
func (w world) emptied(template string) bool {
	for _, set := range w.allSets() {
		if set.Template == template {
			return set.Replicas == 0 && set.Settled && set.Available == 0
		}
	}
	return true
}
