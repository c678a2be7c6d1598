package view

import (
	"fmt"
	"strings"
	"time"
)

// plainTree is the tree for ears: no signs, no columns, one fact a line, each
// line complete without the one above.
func plainTree(v RolloutView) string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	say("rollout %s in namespace %s", v.Name, v.Namespace)
	say("status: %s", v.Phase)
	sayIf(say, "message: %s", v.Message)
	plainWhy(say, v.Why, v.ObservedAt)
	sayIf(say, "strategy: %s", string(v.Strategy))
	if v.Step != nil {
		say("step: %d of %d done", v.Step.Index, v.Step.Count)
	}
	if v.Weight != nil {
		say("weight: %d asked, %s actual", v.Weight.Set, v.Weight.text())
	}
	for _, image := range v.Images {
		say("image: %s", image.text(Style{Glyphs: GlyphsPlain}))
	}
	r := v.Replicas
	say("replicas: %d desired, %d current, %d updated, %d ready, %d available", r.Desired, r.Current, r.Updated, r.Ready, r.Available)
	for _, note := range v.Notes {
		say("note: %s", note)
	}
	for _, rev := range v.Revisions {
		plainRevision(say, rev, v.ObservedAt)
	}
	return b.String()
}

func plainWhy(say func(string, ...any), why *WhyView, now time.Time) {
	if why == nil {
		return
	}
	say("why: %s", why.Message)
	sayIf(say, "next: %s", why.next(now))
	sayIf(say, "to go on: %s", why.Unblock)
}

func sayIf(say func(string, ...any), format, text string) {
	if text != "" {
		say(format, text)
	}
}

func plainRevision(say func(string, ...any), rev RevisionView, now time.Time) {
	part := fmt.Sprintf("revision %d", rev.Number)
	for _, rs := range rev.ReplicaSets {
		plainReplicaSet(say, part, rs, now)
	}
	for _, run := range rev.AnalysisRuns {
		plainRun(say, part, run)
	}
}

// plainReplicaSet says what a ReplicaSet and its pods are, and of which part of the whole.
func plainReplicaSet(say func(string, ...any), part string, rs ReplicaSetView, now time.Time) {
	roles := ""
	if len(rs.Roles) > 0 {
		roles = ", " + strings.Join(rs.Roles, " and ")
	}
	say("%s replicaset %s%s: %s, %d of %d ready, age %s", part, rs.Name, roles, rs.Health, rs.Ready, rs.Desired, age(rs.CreatedAt, now))
	for _, pod := range rs.Pods {
		say("%s pod %s: %s, %d of %d ready, %d restarts, age %s", part, pod.Name, pod.trouble(), pod.Ready, pod.Total, pod.Restarts, age(pod.CreatedAt, now))
	}
}

func plainRun(say func(string, ...any), part string, run AnalysisRunView) {
	say("%s analysisrun %s: %s", part, run.Name, run.Phase)
	for _, m := range run.Metrics {
		say("%s metric %s: %s%s", part, m.Name, m.Phase, m.lastValue())
	}
}

// plainExperiment is the tree of an Experiment for ears.
func plainExperiment(v ExperimentView) string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	say("experiment %s in namespace %s", v.Name, v.Namespace)
	say("status: %s", v.Phase)
	sayIf(say, "message: %s", v.Message)
	plainWhy(say, v.Why, v.ObservedAt)
	sayIf(say, "rollout: %s", v.Rollout)
	sayIf(say, "duration: %s", v.durationText())
	for _, image := range v.Images {
		say("image: %s", image.text(Style{Glyphs: GlyphsPlain}))
	}
	for _, note := range v.Notes {
		say("note: %s", note)
	}
	for _, t := range v.Templates {
		part := "template " + t.Name
		say("%s: %s, %d of %d available", part, t.state(), t.Available, t.Desired)
		sayIf(say, part+" message: %s", t.Message)
		for _, rs := range t.ReplicaSets {
			plainReplicaSet(say, part, rs, v.ObservedAt)
		}
	}
	for _, run := range v.AnalysisRuns {
		plainRun(say, "analysis "+run.Analysis, run)
	}
	return b.String()
}
