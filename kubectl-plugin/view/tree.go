package view

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Kinds of the rows of a tree.
const (
	kindRollout    = "Rollout"
	kindRevision   = "Revision"
	kindReplicaSet = "ReplicaSet"
	kindPod        = "Pod"
	kindExperiment = "Experiment"
	kindTemplate   = "Template"
	kindRun        = "AnalysisRun"
	kindMetric     = "Metric"
)

// node is one row of the tree.
type node struct {
	kind     string
	name     string
	health   Health
	status   string
	created  time.Time
	info     string
	children []node
}

// Tree draws one rollout: the header rows and the tree of what it owns. A tree
// that is higher than the style's height is folded: first pods that are well,
// then all pods, then metrics, then old revisions; never the header.
func Tree(v RolloutView, s Style) string {
	if s.glyphs() == GlyphsPlain {
		return plainTree(v)
	}
	head := headerOf(v, s)
	return treeRows{style: s, now: v.ObservedAt}.draw(head, rolloutNode(v, s), "older revisions")
}

func (t *table) add(rows [][]cell) { t.rows = append(t.rows, rows...) }

// treeRows turns nodes into rows.
type treeRows struct {
	style Style
	now   time.Time
}

// draw puts a tree below the rows of its header. What is folded last are branches of the root, by their name.
func (r treeRows) draw(head []string, root node, branches string) string {
	if r.style.Height > 0 {
		root = fold(root, r.style.Height-len(head)-2, branches)
	}
	t := table{columns: []column{
		{title: "NAME", least: 26, cut: 1, middle: true},
		{title: "KIND", drop: 1},
		{title: "STATUS", least: 18, cut: 3},
		{title: "AGE", drop: 2},
		{title: "INFO", least: 10, cut: 2},
	}}
	t.add(r.of(root, "", ""))
	return strings.Join(head, "\n") + "\n\n" + t.render(r.style)
}

func (r treeRows) of(n node, own, below string) [][]cell {
	row := []cell{
		{prefix: own + r.style.kindSign(n.kind) + " ", text: n.name},
		{text: n.kind},
		{},
		{text: age(n.created, r.now)},
		{text: n.info},
	}
	switch n.kind {
	case kindRevision:
		row = []cell{{prefix: own + r.style.kindSign(n.kind) + " ", text: n.name}, {}, {}, {}, {text: n.info}}
	case kindMetric:
		row[3] = cell{}
	}
	if n.status != "" {
		row[2] = cell{text: r.style.state(n.health, n.status), health: n.health, signed: true}
	}
	rows := [][]cell{row}
	mid, end, bar := "├──", "└──", "│  "
	if r.style.Glyphs == GlyphsASCII {
		mid, end, bar = "|--", "`--", "|  "
	}
	for i, child := range n.children {
		if i == len(n.children)-1 {
			rows = append(rows, r.of(child, below+end, below+"   ")...)
			continue
		}
		rows = append(rows, r.of(child, below+mid, below+bar)...)
	}
	return rows
}

func rolloutNode(v RolloutView, s Style) node {
	root := node{kind: kindRollout, name: v.Name, health: phaseHealth(v.Phase), status: string(v.Phase), created: v.CreatedAt}
	for i, rev := range v.Revisions {
		n := node{kind: kindRevision, name: fmt.Sprintf("revision:%d", rev.Number)}
		for _, rs := range rev.ReplicaSets {
			n.children = append(n.children, replicaSetNode(rs, s, v.ObservedAt))
		}
		for _, run := range rev.AnalysisRuns {
			n.children = append(n.children, runNode(run, s, i == 0))
		}
		root.children = append(root.children, n)
	}
	return root
}

func replicaSetNode(rs ReplicaSetView, s Style, now time.Time) node {
	info := slices.Clone(rs.Roles)
	if rs.Template != "" {
		info = append(info, s.templateTag(rs.Template))
	}
	if rs.ScaleDownAt != nil && rs.ScaleDownAt.After(now) {
		info = append(info, "delay:"+span(rs.ScaleDownAt.Sub(now)))
	}
	n := node{
		kind:    kindReplicaSet,
		name:    rs.Name,
		health:  rs.Health,
		status:  string(rs.Health),
		created: rs.CreatedAt,
		info:    strings.Join(info, ","),
	}
	if rs.Message != "" {
		n.info = strings.TrimPrefix(n.info+" "+rs.Message, " ")
	}
	for _, pod := range rs.Pods {
		n.children = append(n.children, podNode(pod))
	}
	return n
}

func podNode(pod PodView) node {
	n := node{
		kind:    kindPod,
		name:    pod.Name,
		health:  pod.Health,
		status:  pod.Status,
		created: pod.CreatedAt,
		info:    fmt.Sprintf("ready:%d/%d", pod.Ready, pod.Total),
	}
	if pod.Restarts > 0 {
		n.info += fmt.Sprintf(",restarts:%d", pod.Restarts)
	}
	if pod.Message != "" {
		n.info += " " + pod.Message
	}
	return n
}

// runNode shows the metrics only of runs that gate the newest revision; the
// runs of older ones are history.
func runNode(run AnalysisRunView, s Style, metrics bool) node {
	n := node{
		kind:    kindRun,
		name:    run.Name,
		health:  analysisHealth(run.Phase),
		status:  string(run.Phase),
		created: run.CreatedAt,
		info:    run.Counts.text(s),
	}
	if !metrics {
		return n
	}
	for _, metric := range run.Metrics {
		n.children = append(n.children, node{
			kind:   kindMetric,
			name:   metric.Name,
			health: analysisHealth(metric.Phase),
			status: string(metric.Phase),
			info:   metric.info(s),
		})
	}
	return n
}

// text is the counts as the AnalysisRun row shows them, zeros left out.
func (c CountsView) text(s Style) string {
	var parts []string
	for _, count := range []struct {
		n      int32
		health Health
	}{{c.Successful, Healthy}, {c.Failed, Degraded}, {c.Inconclusive, Unknown}, {c.Error, Warning}} {
		if count.n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", s.sign(count.health), count.n))
		}
	}
	return strings.Join(parts, ",")
}

// info is the latest value, its rule and its past.
func (m MetricView) info(s Style) string {
	var parts []string
	if m.Last != nil {
		if m.Last.Value != "" {
			parts = append(parts, m.Last.Value)
		} else if m.Last.Message != "" {
			parts = append(parts, m.Last.Message)
		}
	}
	if rule := m.rule(); rule != "" {
		parts = append(parts, rule)
	}
	if line := s.spark(m.Measurements); line != "" {
		parts = append(parts, line)
	}
	if m.DryRun {
		parts = append(parts, "dry run")
	}
	return strings.Join(parts, "  ")
}
