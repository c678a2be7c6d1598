package view

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// Explanation is why an object is where it is, with the causes behind it.
type Explanation struct {
	// APIVersion is the constant APIVersion.
	APIVersion string `json:"apiVersion"`
	// Kind is the constant ExplanationKind.
	Kind string `json:"kind"`
	// Object is the kind of what is explained: Rollout, Experiment or AnalysisRun.
	Object string `json:"object"`
	// Name of the object.
	Name string `json:"name"`
	// Namespace of the object.
	Namespace string `json:"namespace"`
	// ObservedAt is when the object was looked at.
	ObservedAt time.Time `json:"observedAt"`
	// Phase of the object.
	Phase string `json:"phase"`
	// Message says why the phase is what it is.
	Message string `json:"message,omitempty"`
	// Why is the blocking reason; absent when nothing blocks.
	Why *WhyView `json:"why,omitempty"`
	// Analyses of a Rollout's newest revision or of an Experiment that ended badly or still run; an AnalysisRun itself.
	Analyses []AnalysisRunView `json:"analyses,omitempty"`
	// Pods that are in trouble.
	Pods []PodView `json:"pods,omitempty"`
	// Weight is where the traffic of a Rollout goes.
	Weight *WeightView `json:"weight,omitempty"`
}

// Explain gathers the causes of a rollout's state.
func Explain(v RolloutView) Explanation {
	e := Explanation{
		APIVersion: APIVersion,
		Kind:       ExplanationKind,
		Object:     kindRollout,
		Name:       v.Name,
		Namespace:  v.Namespace,
		ObservedAt: v.ObservedAt,
		Phase:      string(v.Phase),
		Message:    v.Message,
		Why:        v.Why,
		Weight:     v.Weight,
	}
	if len(v.Revisions) > 0 && v.Phase != v1alpha1.RolloutPhaseHealthy {
		e.Analyses = unsuccessful(v.Revisions[0].AnalysisRuns)
	}
	for _, rev := range v.Revisions {
		e.addPods(rev.ReplicaSets)
	}
	return e
}

// ExplainExperiment gathers the causes of an experiment's state.
func ExplainExperiment(v ExperimentView) Explanation {
	e := Explanation{
		APIVersion: APIVersion,
		Kind:       ExplanationKind,
		Object:     kindExperiment,
		Name:       v.Name,
		Namespace:  v.Namespace,
		ObservedAt: v.ObservedAt,
		Phase:      string(v.Phase),
		Message:    v.Message,
		Why:        v.Why,
	}
	if v.Phase != v1alpha1.AnalysisPhaseSuccessful {
		e.Analyses = unsuccessful(v.AnalysisRuns)
	}
	for _, t := range v.Templates {
		e.addPods(t.ReplicaSets)
	}
	return e
}

func unsuccessful(runs []AnalysisRunView) []AnalysisRunView {
	var out []AnalysisRunView
	for _, run := range runs {
		if run.Phase != v1alpha1.AnalysisPhaseSuccessful {
			out = append(out, run)
		}
	}
	return out
}

func (e *Explanation) addPods(replicaSets []ReplicaSetView) {
	for _, rs := range replicaSets {
		for _, pod := range rs.Pods {
			if pod.Health == Degraded {
				e.Pods = append(e.Pods, pod)
			}
		}
	}
}

// headline is the phase and its reason in one sentence.
func (e Explanation) headline() string {
	text := fmt.Sprintf("%s is %s", e.Name, e.Phase)
	switch {
	case e.Why != nil && e.Why.Message != "":
		return text + ": " + e.Why.Message
	case e.Message != "":
		return text + ": " + e.Message
	}
	return text
}

// Why draws the explanation of a rollout: the reason, what was measured
// against which limit, where the traffic is, what comes next, how to go on.
func Why(v RolloutView, s Style) string {
	e := Explain(v)
	w := &whyWriter{style: s, now: v.ObservedAt}
	text := e.headline()
	if v.Complete && v.Why == nil && v.Message == "" {
		text += ": nothing blocks it"
	}
	w.headline(phaseHealth(v.Phase), text, v.Why)
	w.causes(e)
	w.traffic(v)
	switch v.Phase {
	case v1alpha1.RolloutPhaseHealthy:
		w.ending(v.Why, "")
	case v1alpha1.RolloutPhaseProgressing:
		w.ending(v.Why, "it goes on by itself when that is done")
	case v1alpha1.RolloutPhasePaused, v1alpha1.RolloutPhaseDegraded:
		w.ending(v.Why, "nothing happens by itself")
	default:
		w.ending(v.Why, "nothing happens by itself")
	}
	return trimRight(w.b.String())
}

// WhyExperiment draws the explanation of an experiment.
func WhyExperiment(v ExperimentView, s Style) string {
	e := ExplainExperiment(v)
	w := &whyWriter{style: s, now: v.ObservedAt}
	text := e.headline()
	if v.Phase == v1alpha1.AnalysisPhaseSuccessful && v.Message == "" {
		text += ": no analysis failed"
	}
	w.headline(analysisHealth(v.Phase), text, v.Why)
	w.causes(e)
	otherwise := "it goes on by itself when that is done"
	if v.Phase.Completed() {
		otherwise = "nothing happens by itself"
	}
	w.ending(v.Why, otherwise)
	return trimRight(w.b.String())
}

type whyWriter struct {
	b     strings.Builder
	style Style
	now   time.Time
}

func (w *whyWriter) line(format string, args ...any) {
	fmt.Fprintf(&w.b, format+"\n", args...)
}

// fact writes a labelled sentence, broken into lines.
func (w *whyWriter) fact(name, text string) {
	const indent = 12
	room := 0
	if w.style.Width > 0 {
		room = max(w.style.Width-indent, 20)
	}
	for _, line := range wrap(text, room) {
		w.line("  %-*s%s", indent-2, name, line)
		name = ""
	}
}

func (w *whyWriter) headline(health Health, text string, why *WhyView) {
	for i, line := range wrap(w.style.state(health, text), w.style.Width) {
		if i == 0 {
			line = w.style.paint(health, line)
		}
		w.line("%s", line)
	}
	w.line("")
	if why != nil && why.Since != nil {
		w.fact("since", moment(*why.Since, w.now))
	}
}

// causes are the analyses and the pods behind the reason.
func (w *whyWriter) causes(e Explanation) {
	for _, run := range e.Analyses {
		w.run(run)
	}
	for _, pod := range e.Pods {
		w.fact("pod", fmt.Sprintf("%s %s", pod.Name, pod.trouble()))
	}
}

func (w *whyWriter) run(run AnalysisRunView) {
	name := run.Name
	if run.Type != "" {
		name += " (" + run.Type + ")"
	}
	w.fact("analysis", name+" "+w.style.state(analysisHealth(run.Phase), string(run.Phase)))
	if run.Message != "" && len(run.Metrics) == 0 {
		w.fact("", run.Message)
	}
	for _, metric := range run.Metrics {
		w.metric("  metric", metric)
	}
}

func (w *whyWriter) metric(label string, m MetricView) {
	health := analysisHealth(m.Phase)
	text := w.style.state(health, m.Name+" "+string(m.Phase))
	if rule := m.rule(); rule != "" {
		text += ", " + rule
	}
	w.fact(label, text+m.limits())
	if !bad(m.Phase) {
		return
	}
	for _, measured := range m.Measurements {
		word := w.style.state(analysisHealth(measured.Phase), string(measured.Phase))
		value := measured.Value
		if value == "" {
			value = measured.Message
		}
		w.fact("", fmt.Sprintf("%s  %s  %s", measured.At.Format("15:04:05"), value, w.style.paint(analysisHealth(measured.Phase), word)))
	}
}

// limits is how many measurements went wrong, against how many may.
func (m MetricView) limits() string {
	switch {
	case m.Counts.total() == 0:
		return ", not measured yet"
	case m.Phase == v1alpha1.AnalysisPhaseError:
		return fmt.Sprintf(", %d errors in a row > limit %d", m.ConsecutiveErrors, m.ErrorLimit)
	case m.Counts.Failed > m.FailureLimit && m.FailureLimit >= 0:
		return fmt.Sprintf(", %d of %d measurements failed > limit %d", m.Counts.Failed, m.Counts.total(), m.FailureLimit)
	}
	return fmt.Sprintf(", %d of %d measurements failed, limit %d", m.Counts.Failed, m.Counts.total(), m.FailureLimit)
}

func (w *whyWriter) traffic(v RolloutView) {
	weight := v.Weight
	if weight == nil || v.Replicas.Current == 0 {
		return
	}
	text := fmt.Sprintf("stable %d of %d, canary %d of %d", weight.Max-weight.Actual, weight.Max, weight.Actual, weight.Max)
	switch {
	case v.Complete:
		text = fmt.Sprintf("all of it goes to revision %d", v.Revision)
	case weight.Verified != nil && *weight.Verified:
		text += ", seen in the data plane"
	case weight.Verified != nil:
		text += ", not confirmed yet"
	}
	w.fact("traffic", text)
}

// ending is what comes next, or otherwise a sentence in its place, and how to
// go on. Without either there is no ending.
func (w *whyWriter) ending(why *WhyView, otherwise string) {
	next := cmp.Or(why.next(w.now), otherwise)
	if why == nil || next == "" {
		return
	}
	w.fact("next", next)
	if why.Unblock != "" {
		w.fact("to go on", why.Unblock)
	}
}
