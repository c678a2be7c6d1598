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
	if v.Why != nil {
		say("why: %s", v.Why.Message)
		sayIf(say, "next: %s", v.next())
		sayIf(say, "to go on: %s", v.Why.Unblock)
	}
	sayIf(say, "strategy: %s", string(v.Strategy))
	if v.Step != nil {
		say("step: %d of %d done", v.Step.Index, v.Step.Count)
	}
	if v.Weight != nil {
		say("weight: %d asked, %s actual", v.Weight.Set, v.Weight.text())
	}
	for _, image := range v.Images {
		say("image: %s", image.text())
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

func sayIf(say func(string, ...any), format, text string) {
	if text != "" {
		say(format, text)
	}
}

func plainRevision(say func(string, ...any), rev RevisionView, now time.Time) {
	for _, rs := range rev.ReplicaSets {
		roles := ""
		if len(rs.Roles) > 0 {
			roles = ", " + strings.Join(rs.Roles, " and ")
		}
		say("revision %d replicaset %s%s: %s, %d of %d ready, age %s", rev.Number, rs.Name, roles, rs.Health, rs.Ready, rs.Desired, age(rs.CreatedAt, now))
		for _, pod := range rs.Pods {
			say("revision %d pod %s: %s, %d of %d ready, %d restarts, age %s",
				rev.Number, pod.Name, pod.trouble(), pod.Ready, pod.Total, pod.Restarts, age(pod.CreatedAt, now))
		}
	}
	for _, run := range rev.AnalysisRuns {
		say("revision %d analysisrun %s: %s", rev.Number, run.Name, run.Phase)
		for _, m := range run.Metrics {
			say("revision %d metric %s: %s%s", rev.Number, m.Name, m.Phase, m.lastValue())
		}
	}
}
