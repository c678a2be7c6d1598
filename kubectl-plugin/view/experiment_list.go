package view

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// SortExperiments puts experiments in the order of namespace and name.
func SortExperiments(views []ExperimentView) {
	slices.SortFunc(views, func(a, b ExperimentView) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
}

// ExperimentList draws one row for each experiment, in the given order.
func ExperimentList(views []ExperimentView, s Style, with ListColumns) string {
	if s.glyphs() == GlyphsPlain {
		var b strings.Builder
		for _, v := range views {
			b.WriteString(v.Namespace + "/" + v.Name + ": " + ExperimentSummary(v) + "\n")
		}
		return b.String()
	}
	t := table{columns: with.inFront()}
	t.columns = append(
		t.columns,
		column{title: "NAME", least: 14, cut: 2, middle: true},
		column{title: "STATUS"},
		column{title: "DURATION", drop: 2},
		column{title: "REMAINING", drop: 3},
		column{title: "AGE", drop: 1},
	)
	t.columns = append(t.columns, with.atEnd()...)
	for _, v := range views {
		t.rows = append(t.rows, experimentRow(v, s, with))
	}
	return t.list(s, with)
}

func experimentRow(v ExperimentView, s Style, with ListColumns) []cell {
	var row cells
	if with.Timestamp {
		row.text(seenAt(v.ObservedAt))
	}
	if with.Namespace {
		row.text(v.Namespace)
	}
	row.text(v.Name)
	row.state(analysisHealth(v.Phase), string(v.Phase), s)
	row.text(v.length())
	left := ""
	if d := v.remaining(); d > 0 {
		left = span(d)
	}
	row.text(left)
	row.text(age(v.CreatedAt, v.ObservedAt))
	if with.Why {
		row.text(v.reason())
	}
	return row
}

// length is the duration as ages are written; empty without one.
func (v ExperimentView) length() string {
	d, err := time.ParseDuration(v.Duration)
	if err != nil {
		return v.Duration
	}
	return span(d)
}
