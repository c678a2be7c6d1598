package view

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// ExperimentTree draws one experiment: the header rows and the tree of what it owns.
func ExperimentTree(v ExperimentView, s Style) string {
	if s.glyphs() == GlyphsPlain {
		return plainExperiment(v)
	}
	head := experimentHeader(v, s)
	return treeRows{style: s, now: v.ObservedAt}.draw(head, experimentNode(v, s, true), "more")
}

func experimentHeader(v ExperimentView, s Style) []string {
	h := &header{style: s}
	h.row("Name:", v.Name)
	h.row("Namespace:", v.Namespace)
	health := analysisHealth(v.Phase)
	h.lines = append(h.lines, fmt.Sprintf("%-*s%s", label, "Status:", s.paint(health, s.state(health, string(v.Phase)))))
	if v.Message != "" {
		h.prose("Message:", v.Message)
	}
	h.why(v.Why, v.ObservedAt)
	if v.Rollout != "" {
		h.row("Rollout:", v.Rollout)
	}
	if text := v.durationText(); text != "" {
		h.row("Duration:", text)
	}
	h.images(v.Images)
	for _, note := range v.Notes {
		h.prose("Note:", note)
	}
	return h.lines
}

// durationText is how long the experiment runs, and how much of that is left.
func (v ExperimentView) durationText() string {
	if left := v.remaining(); left > 0 {
		return fmt.Sprintf("%s, %s left", v.Duration, span(left))
	}
	return v.Duration
}

// remaining is how much of the duration is left; 0 when that is not known or not so.
func (v ExperimentView) remaining() time.Duration {
	if v.EndsAt == nil || v.Phase.Completed() {
		return 0
	}
	return max(v.EndsAt.Sub(v.ObservedAt), 0)
}

func experimentNode(v ExperimentView, s Style, metrics bool) node {
	root := node{kind: kindExperiment, name: v.Name, health: analysisHealth(v.Phase), status: string(v.Phase), created: v.CreatedAt}
	for _, t := range v.Templates {
		root.children = append(root.children, templateNodes(t, s, v.ObservedAt)...)
	}
	for _, run := range v.AnalysisRuns {
		root.children = append(root.children, runNode(run, s, metrics))
	}
	return root
}

// templateNodes are the ReplicaSets of a template, or a row for a template that has none.
func templateNodes(t TemplateView, s Style, now time.Time) []node {
	if len(t.ReplicaSets) == 0 {
		return []node{{kind: kindTemplate, name: t.Name, health: templateHealth(t.Status), status: t.state(), info: t.Message}}
	}
	nodes := make([]node, 0, len(t.ReplicaSets))
	for _, rs := range t.ReplicaSets {
		nodes = append(nodes, replicaSetNode(rs, s, now))
	}
	return nodes
}

// state is the status in one word, also before there is one.
func (t TemplateView) state() string { return cmp.Or(string(t.Status), "Pending") }

func templateHealth(status v1alpha1.TemplateStatusCode) Health {
	switch status {
	case v1alpha1.TemplateStatusSuccessful, v1alpha1.TemplateStatusRunning:
		return Healthy
	case v1alpha1.TemplateStatusFailed:
		return Degraded
	case v1alpha1.TemplateStatusError:
		return Warning
	case v1alpha1.TemplateStatusProgressing, "":
		return Progressing
	}
	return Unknown
}

// ExperimentSummary is one line about an experiment for logs: it changes exactly
// when something a reader cares about changes, and holds nothing that ticks.
func ExperimentSummary(v ExperimentView) string {
	parts := []string{string(v.Phase)}
	var desired, available int32
	for _, t := range v.Templates {
		desired, available = desired+t.Desired, available+t.Available
	}
	parts = append(parts, fmt.Sprintf("%d/%d pods", available, desired))
	for _, run := range v.AnalysisRuns {
		parts = append(parts, fmt.Sprintf("%s %s", run.Analysis, run.Phase))
	}
	line := strings.Join(parts, ", ")
	if reason := v.reason(); reason != "" {
		line += " - " + reason
	}
	return line
}

// reason is the sentence of why, else the message of the phase.
func (v ExperimentView) reason() string {
	if v.Why != nil {
		return v.Why.Message
	}
	return v.Message
}
