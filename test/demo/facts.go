package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// facts are what the story tells of, as the watches last said.
type facts struct {
	// Tag is the release that the spec asks for.
	Tag string
	// Seen is false until the controller has looked at that spec.
	Seen    bool
	Phase   v1alpha1.RolloutPhase
	Message string
	Aborted bool
	// Promoted says that the newest revision is the stable one.
	Promoted bool
	// Percent of the live traffic that goes to the release, and whether all of the
	// traffic has pods that answer.
	Percent  int
	Answered bool
	// Measurements of the release, oldest first.
	Measurements []measurement
}

// measurement is one value that was measured, and what was wanted.
type measurement struct {
	Metric string
	Value  string
	Wants  string
	Phase  v1alpha1.AnalysisPhase
}

// factsOf reduces the objects to what the story tells of.
func factsOf(ro *v1alpha1.Rollout, runs []v1alpha1.AnalysisRun, split []share) facts {
	f := facts{
		Tag:      tagOf(ro.Spec.Template.Spec.Containers),
		Seen:     ro.Status.ObservedGeneration == strconv.FormatInt(ro.Generation, 10),
		Phase:    ro.Status.Phase,
		Message:  ro.Status.Message,
		Aborted:  ro.Status.Abort,
		Promoted: ro.Status.StableRS != "" && ro.Status.StableRS == ro.Status.CurrentPodHash,
		Answered: true,
	}
	for _, s := range split {
		if s.Revision.Tag == f.Tag {
			f.Percent += s.Percent
		}
		f.Answered = f.Answered && (s.Ready || s.Percent == 0)
	}
	if f.Seen {
		f.Measurements = measurementsOf(ro.Status.CurrentPodHash, runs)
	}
	return f
}

// measurementsOf collects what was measured about a revision. Its runs follow each
// other, one for each analysis step.
func measurementsOf(hash string, runs []v1alpha1.AnalysisRun) []measurement {
	var ours []v1alpha1.AnalysisRun
	for i := range runs {
		if runs[i].Labels[v1alpha1.PodTemplateHashLabel] == hash {
			ours = append(ours, runs[i])
		}
	}
	slices.SortFunc(ours, func(a, b v1alpha1.AnalysisRun) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
	})
	var out []measurement
	for i := range ours {
		for _, result := range ours[i].Status.MetricResults {
			for _, m := range result.Measurements {
				if m.Phase.Completed() {
					out = append(out, measurement{Metric: result.Name, Value: m.Value, Wants: wants(&ours[i], result.Name), Phase: m.Phase})
				}
			}
		}
	}
	return out
}

// wants is the condition of a metric.
func wants(run *v1alpha1.AnalysisRun, metric string) string {
	for i := range run.Spec.Metrics {
		if run.Spec.Metrics[i].Name == metric {
			return run.Spec.Metrics[i].SuccessCondition
		}
	}
	return ""
}

// servesAll says that the release is stable, alone, and well.
func (f facts) servesAll() bool {
	return f.Seen && f.Phase == v1alpha1.RolloutPhaseHealthy && f.Promoted && f.Percent == 100 && f.Answered
}

// rolledBack says that the release was aborted and gets nothing.
func (f facts) rolledBack() bool {
	return f.Seen && f.Phase == v1alpha1.RolloutPhaseDegraded && f.Aborted && f.Percent == 0
}

// over says that the release has ended, either way.
func (f facts) over() bool { return f.servesAll() || f.rolledBack() }

// failed counts the bad measurements.
func (f facts) failed() int {
	n := 0
	for _, m := range f.Measurements {
		if m.Phase != v1alpha1.AnalysisPhaseSuccessful {
			n++
		}
	}
	return n
}

// describe says how things are, for an error message.
func (f facts) describe() string {
	return fmt.Sprintf("release %s: phase %q %q, aborted %t, promoted %t, %d %% of the traffic, %d measurements of which %d bad",
		f.Tag, f.Phase, f.Message, f.Aborted, f.Promoted, f.Percent, len(f.Measurements), f.failed())
}

// news says what has changed, one line each.
func news(before, now facts) []string {
	var lines []string
	known := len(before.Measurements)
	if before.Tag != now.Tag || known > len(now.Measurements) {
		known = 0
	}
	// A weight changes because of what was measured before.
	for _, m := range now.Measurements[known:] {
		lines = append(lines, m.sentence())
	}
	if before.Percent != now.Percent {
		lines = append(lines, fmt.Sprintf("%-11s%3d %% %s", "weight", now.Percent, bar(now.Percent)))
	}
	return lines
}

// sentence is a measurement with its number and its limit.
func (m measurement) sentence() string {
	mark := "✖"
	if m.Phase == v1alpha1.AnalysisPhaseSuccessful {
		mark = "✔"
	}
	return fmt.Sprintf("%-11s%s %s, wants %s %s", "measured", m.Metric, short(m.Value), m.Wants, mark)
}

// short cuts the single number of a Prometheus vector to three digits.
func short(value string) string {
	n, err := strconv.ParseFloat(strings.Trim(value, "[]"), 64)
	if err != nil {
		return value
	}
	return strconv.FormatFloat(n, 'f', 3, 64)
}
