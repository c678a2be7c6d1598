package view

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// ExplainRun says why an AnalysisRun has not passed, and what it does next.
func ExplainRun(run *v1alpha1.AnalysisRun, now time.Time) Explanation {
	now = now.UTC().Truncate(time.Second)
	v := analysisRunOf(run)
	e := Explanation{
		APIVersion: APIVersion,
		Kind:       ExplanationKind,
		Object:     "AnalysisRun",
		Name:       v.Name,
		Namespace:  clean(run.Namespace),
		ObservedAt: now,
		Phase:      string(v.Phase),
		Message:    v.Message,
		Analyses:   []AnalysisRunView{v},
	}
	e.Why = whyOfRun(run, v, now)
	return e
}

// WhyRun draws the explanation of an AnalysisRun: its metrics against their limits, and what comes next.
func WhyRun(e Explanation, s Style) string {
	w := &whyWriter{style: s, now: e.ObservedAt}
	var health Health
	for _, run := range e.Analyses {
		health = analysisHealth(run.Phase)
	}
	text := e.headline()
	if e.Why == nil && e.Message == "" {
		text += ": every metric passed"
	}
	w.headline(health, text, e.Why)
	for _, run := range e.Analyses {
		for _, metric := range run.Metrics {
			w.metric("metric", metric)
		}
	}
	w.ending(e.Why, "nothing happens by itself")
	return trimRight(w.b.String())
}

// whyOfRun is why a run has not passed; nil when it has. What the controller
// reports of a run that goes on comes first; the rest is concluded from what is
// there, such as whose run it is.
func whyOfRun(run *v1alpha1.AnalysisRun, v AnalysisRunView, now time.Time) *WhyView {
	var why *WhyView
	switch {
	case v.Phase == v1alpha1.AnalysisPhaseSuccessful:
		return nil
	case v.Phase.Completed():
		why = endedRun(run, v, now)
	case run.Spec.Terminate:
		why = terminating()
	case run.Status.Why != nil && v.Phase == run.Status.Phase:
		why = reported(run.Status.Why)
		why.Unblock = cmp.Or(why.Unblock, endRun(run, v))
		return why
	default:
		why = openRun(run, v, now)
	}
	why.Source = sourcePlugin
	return why
}

// endRun says how a person ends a run.
func endRun(run *v1alpha1.AnalysisRun, v AnalysisRunView) string {
	return "end it with: " + commandLine("terminate analysisrun", v.Name, clean(run.Namespace))
}

// endedRun is why a run ended badly.
func endedRun(run *v1alpha1.AnalysisRun, v AnalysisRunView, now time.Time) *WhyView {
	why := &WhyView{Code: "Analysis" + string(v.Phase), Message: v.Message, Since: timeOf(run.Status.CompletedAt)}
	if metric, ok := v.culprit(); ok {
		why.Message = metric.verdict()
	}
	if at := analysis.Expiry(run); at.After(now) {
		at = at.UTC()
		why.NextAt, why.NextEvent = &at, "it is deleted"
	}
	if owner := metav1.GetControllerOf(run); owner != nil {
		why.Unblock = fmt.Sprintf("it belongs to %s %s; see: %s", owner.Kind, clean(owner.Name), ownerCommand(owner, clean(run.Namespace)))
	}
	return why
}

// ownerCommand explains the object that started a run.
func ownerCommand(owner *metav1.OwnerReference, namespace string) string {
	verb := "why"
	if owner.Kind == v1alpha1.ExperimentKind.Kind {
		verb = "why experiment"
	}
	return commandLine(verb, clean(owner.Name), namespace)
}

// culprit is the metric that ended a run badly.
func (v AnalysisRunView) culprit() (MetricView, bool) {
	for _, metric := range v.Metrics {
		if bad(metric.Phase) && !metric.DryRun {
			return metric, true
		}
	}
	return MetricView{}, false
}

// openRun is what a run waits for. When it measures next is asked of the rules its controller follows.
func openRun(run *v1alpha1.AnalysisRun, v AnalysisRunView, now time.Time) *WhyView {
	why := &WhyView{Code: "Measuring", Since: timeOf(run.Status.StartedAt), Unblock: endRun(run, v)}
	if why.Message = v.progress(); v.Counts.total() == 0 {
		why.Code = "NotMeasured"
	}
	status, schedule := analysis.Next(run, nil, now)
	switch {
	case status.Phase == v1alpha1.AnalysisPhaseError:
		why.Code, why.Message, why.NextEvent = "InvalidSpec", clean(status.Message), "it ends in Error"
	case len(schedule.Tasks) > 0:
		why.NextEvent = "a measurement is due now, or is being taken"
	case !schedule.Wake.IsZero():
		at := schedule.Wake.UTC()
		why.NextAt, why.NextEvent = &at, "the next measurement"
	}
	return why
}

// progress says how far the metrics are that are not done.
func (v AnalysisRunView) progress() string {
	var open []string
	for _, metric := range v.Metrics {
		if !metric.Phase.Completed() {
			open = append(open, fmt.Sprintf("metric %s has %s", metric.Name, metric.taken()))
		}
	}
	if len(open) == 0 {
		return cmp.Or(v.Message, "all metrics are done, and the controller has not ended it yet")
	}
	return strings.Join(open, ", ")
}

// taken is how many measurements there are, of how many.
func (m MetricView) taken() string {
	done := m.Counts.total() - m.Counts.Error
	if m.Planned > 0 {
		return fmt.Sprintf("%d of %d measurements", done, m.Planned)
	}
	return counted(int(done), "measurement so far", "measurements so far")
}
