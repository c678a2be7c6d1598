package view

import (
	"fmt"
	"strings"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// Explanation is why a rollout is where it is, with the causes behind it.
type Explanation struct {
	// APIVersion is the constant APIVersion.
	APIVersion string `json:"apiVersion"`
	// Kind is the constant ExplanationKind.
	Kind string `json:"kind"`
	// Name of the Rollout.
	Name string `json:"name"`
	// Namespace of the Rollout.
	Namespace string `json:"namespace"`
	// Phase of the Rollout.
	Phase v1alpha1.RolloutPhase `json:"phase"`
	// Why is the blocking reason; absent when nothing blocks.
	Why *WhyView `json:"why,omitempty"`
	// Analyses of the newest revision that ended badly or still run.
	Analyses []AnalysisRunView `json:"analyses,omitempty"`
	// Pods that are in trouble.
	Pods []PodView `json:"pods,omitempty"`
	// Weight is where the traffic goes.
	Weight *WeightView `json:"weight,omitempty"`
}

// Explain gathers the causes of a rollout's state.
func Explain(v RolloutView) Explanation {
	e := Explanation{
		APIVersion: APIVersion,
		Kind:       ExplanationKind,
		Name:       v.Name,
		Namespace:  v.Namespace,
		Phase:      v.Phase,
		Why:        v.Why,
		Weight:     v.Weight,
	}
	if len(v.Revisions) > 0 && v.Phase != v1alpha1.RolloutPhaseHealthy {
		for _, run := range v.Revisions[0].AnalysisRuns {
			if run.Phase != v1alpha1.AnalysisPhaseSuccessful {
				e.Analyses = append(e.Analyses, run)
			}
		}
	}
	for _, rev := range v.Revisions {
		for _, rs := range rev.ReplicaSets {
			for _, pod := range rs.Pods {
				if pod.Health == Degraded {
					e.Pods = append(e.Pods, pod)
				}
			}
		}
	}
	return e
}

// Why draws the explanation of a rollout: the reason, what was measured
// against which limit, where the traffic is, what comes next, how to go on.
func Why(v RolloutView, s Style) string {
	w := &whyWriter{view: v, style: s}
	e := Explain(v)
	w.headline()
	for _, run := range e.Analyses {
		w.run(run)
	}
	for _, pod := range e.Pods {
		w.fact("pod", fmt.Sprintf("%s %s", pod.Name, pod.trouble()))
	}
	w.traffic()
	w.ending()
	return trimRight(w.b.String())
}

type whyWriter struct {
	b     strings.Builder
	view  RolloutView
	style Style
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

func (w *whyWriter) headline() {
	v := w.view
	health := phaseHealth(v.Phase)
	text := fmt.Sprintf("%s is %s", v.Name, v.Phase)
	switch {
	case v.Why != nil:
		text += ": " + v.Why.Message
	case v.Message != "":
		text += ": " + v.Message
	case v.Complete:
		text += ": nothing blocks it"
	}
	for i, line := range wrap(w.style.state(health, text), w.style.Width) {
		if i == 0 {
			line = w.style.paint(health, line)
		}
		w.line("%s", line)
	}
	w.line("")
	if v.Why != nil && v.Why.Since != nil {
		w.fact("since", moment(*v.Why.Since, v.ObservedAt))
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
		w.metric(metric)
	}
}

func (w *whyWriter) metric(m MetricView) {
	health := analysisHealth(m.Phase)
	text := w.style.state(health, m.Name+" "+string(m.Phase))
	if rule := m.rule(); rule != "" {
		text += ", " + rule
	}
	w.fact("  metric", text+m.limits())
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

func (w *whyWriter) traffic() {
	weight := w.view.Weight
	if weight == nil || w.view.Replicas.Current == 0 {
		return
	}
	text := fmt.Sprintf("stable %d of %d, canary %d of %d", weight.Max-weight.Actual, weight.Max, weight.Actual, weight.Max)
	switch {
	case w.view.Complete:
		text = fmt.Sprintf("all of it goes to revision %d", w.view.Revision)
	case weight.Verified != nil && *weight.Verified:
		text += ", seen in the data plane"
	case weight.Verified != nil:
		text += ", not confirmed yet"
	}
	w.fact("traffic", text)
}

func (w *whyWriter) ending() {
	if w.view.Why == nil {
		return
	}
	next := w.view.next()
	switch {
	case next != "":
	case w.view.Phase == v1alpha1.RolloutPhaseHealthy:
		return
	case w.view.Phase == v1alpha1.RolloutPhaseProgressing:
		next = "it goes on by itself when that is done"
	default:
		next = "nothing happens by itself"
	}
	w.fact("next", next)
	if w.view.Why.Unblock != "" {
		w.fact("to go on", w.view.Why.Unblock)
	}
}
