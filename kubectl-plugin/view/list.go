package view

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// ListColumns says which columns a list has besides the usual ones.
type ListColumns struct {
	// Namespace adds the namespace in front.
	Namespace bool
	// Timestamp adds the time of the view in front.
	Timestamp bool
	// Why adds the blocking reason at the end.
	Why bool
	// NoHeader leaves the titles out, for the rows that follow in a watch.
	NoHeader bool
}

// Sort puts rollouts in the order of namespace and name.
func Sort(views []RolloutView) {
	slices.SortFunc(views, func(a, b RolloutView) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
}

// List draws one row for each rollout, in the given order.
func List(views []RolloutView, s Style, with ListColumns) string {
	if s.glyphs() == GlyphsPlain {
		return plainList(views)
	}
	t := listTable(with)
	for _, v := range views {
		t.rows = append(t.rows, listRow(v, s, with))
	}
	out := t.render(s)
	if with.NoHeader {
		_, out, _ = strings.Cut(out, "\n")
	}
	return out
}

func listTable(with ListColumns) table {
	var t table
	if with.Timestamp {
		t.columns = append(t.columns, column{title: "TIMESTAMP", drop: 7})
	}
	if with.Namespace {
		t.columns = append(t.columns, column{title: "NAMESPACE", least: 10, cut: 3, middle: true})
	}
	t.columns = append(
		t.columns,
		column{title: "NAME", least: 14, cut: 2, middle: true},
		column{title: "STRATEGY", drop: 4},
		column{title: "STATUS"},
		column{title: "STEP"},
		column{title: "SET-WEIGHT", drop: 5},
		column{title: "READY", drop: 6},
		column{title: "DESIRED", drop: 3},
		column{title: "UP-TO-DATE", drop: 2},
		column{title: "AVAILABLE", drop: 1},
	)
	if with.Why {
		t.columns = append(t.columns, column{title: "WHY", least: 16, cut: 1, drop: 8})
	}
	return t
}

func listRow(v RolloutView, s Style, with ListColumns) []cell {
	var row []cell
	text := func(t string) { row = append(row, cell{text: cmp.Or(t, "-")}) }
	if with.Timestamp {
		text(v.ObservedAt.Format("2006-01-02T15:04:05Z"))
	}
	if with.Namespace {
		text(v.Namespace)
	}
	text(v.Name)
	text(string(v.Strategy))
	health := phaseHealth(v.Phase)
	status := string(v.Phase)
	if s.Signs {
		status = s.state(health, status)
	}
	row = append(row, cell{text: status, health: health, signed: true})
	text(v.stepText())
	text(v.weightText())
	text(fmt.Sprintf("%d/%d", v.Replicas.Ready, v.Replicas.Current))
	text(fmt.Sprint(v.Replicas.Desired))
	text(fmt.Sprint(v.Replicas.Updated))
	text(fmt.Sprint(v.Replicas.Available))
	if with.Why {
		text(v.reason())
	}
	return row
}

func (v RolloutView) stepText() string {
	if v.Step == nil {
		return ""
	}
	return fmt.Sprintf("%d/%d", v.Step.Index, v.Step.Count)
}

func (v RolloutView) weightText() string {
	if v.Weight == nil {
		return ""
	}
	return fmt.Sprint(v.Weight.Set)
}

// reason is the sentence of why, else the message of the phase.
func (v RolloutView) reason() string {
	if v.Why != nil {
		return v.Why.Message
	}
	return v.Message
}

func plainList(views []RolloutView) string {
	var b strings.Builder
	for _, v := range views {
		b.WriteString(v.Namespace + "/" + v.Name + ": " + Summary(v) + "\n")
	}
	return b.String()
}

// Summary is one line about a rollout for logs: it changes exactly when
// something a reader cares about changes, and holds nothing that ticks.
func Summary(v RolloutView) string {
	parts := []string{string(v.Phase)}
	if v.Revision > 0 {
		parts = append(parts, fmt.Sprintf("revision %d", v.Revision))
	}
	if v.Step != nil {
		parts = append(parts, fmt.Sprintf("step %d/%d", v.Step.Index, v.Step.Count))
	}
	if v.Weight != nil {
		parts = append(parts, fmt.Sprintf("weight %d of %d", v.Weight.Actual, v.Weight.Max))
	}
	parts = append(parts, fmt.Sprintf("%d/%d updated pods", v.Replicas.Updated, v.Replicas.Desired))
	line := strings.Join(parts, ", ")
	if reason := v.reason(); reason != "" {
		line += " - " + reason
	}
	return line
}
