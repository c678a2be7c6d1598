package view

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
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
	return t.list(s, with)
}

// list renders a table as a list, of which a watch prints the titles once.
func (t table) list(s Style, with ListColumns) string {
	out := t.render(s)
	if with.NoHeader {
		_, out, _ = strings.Cut(out, "\n")
	}
	return out
}

// inFront are the columns before the name.
func (c ListColumns) inFront() []column {
	var out []column
	if c.Timestamp {
		out = append(out, column{title: "TIMESTAMP", drop: 7})
	}
	if c.Namespace {
		out = append(out, column{title: "NAMESPACE", least: 10, cut: 3, middle: true})
	}
	return out
}

// atEnd are the columns after the usual ones.
func (c ListColumns) atEnd() []column {
	if c.Why {
		return []column{{title: "WHY", least: 16, cut: 1, drop: 8}}
	}
	return nil
}

func listTable(with ListColumns) table {
	t := table{columns: with.inFront()}
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
	t.columns = append(t.columns, with.atEnd()...)
	return t
}

// cells is a row that is being written.
type cells []cell

// text adds a cell; a dash stands for nothing.
func (c *cells) text(t string) { *c = append(*c, cell{text: cmp.Or(t, "-")}) }

// state adds a word with its colour and, at a terminal, its sign.
func (c *cells) state(health Health, word string, s Style) {
	if s.Signs {
		word = s.state(health, word)
	}
	*c = append(*c, cell{text: word, health: health, signed: true})
}

// seenAt is the time of a view as scripts read it.
func seenAt(at time.Time) string { return at.Format("2006-01-02T15:04:05Z") }

func listRow(v RolloutView, s Style, with ListColumns) []cell {
	var row cells
	if with.Timestamp {
		row.text(seenAt(v.ObservedAt))
	}
	if with.Namespace {
		row.text(v.Namespace)
	}
	row.text(v.Name)
	row.text(string(v.Strategy))
	row.state(phaseHealth(v.Phase), string(v.Phase), s)
	row.text(v.stepText())
	row.text(v.weightText())
	row.text(fmt.Sprintf("%d/%d", v.Replicas.Ready, v.Replicas.Current))
	row.text(fmt.Sprint(v.Replicas.Desired))
	row.text(fmt.Sprint(v.Replicas.Updated))
	row.text(fmt.Sprint(v.Replicas.Available))
	if with.Why {
		row.text(v.reason())
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
