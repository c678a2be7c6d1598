package view

import (
	"slices"
	"strings"
)

// column is a column of a table and how it gives way when the table is wider
// than the terminal. A row is never wrapped.
type column struct {
	title string
	// least is the width the column can be cut to.
	least int
	// cut is the turn in which the column is cut; 0 is never.
	cut int
	// drop is the turn in which the column goes when cutting is not enough; 0 is never.
	drop int
	// middle cuts in the middle instead of at the end.
	middle bool
}

// cell is the text of one column of a row. The prefix is never cut.
type cell struct {
	prefix string
	text   string
	health Health
	signed bool
}

type table struct {
	columns []column
	rows    [][]cell
}

const gap = "  "

func (t table) render(s Style) string {
	widths := t.fit(s.Width)
	var b strings.Builder
	for i, c := range t.columns {
		if widths[i] > 0 {
			b.WriteString(s.bold(pad(s.tail(c.title, widths[i]), widths[i])) + gap)
		}
	}
	b.WriteByte('\n')
	for _, row := range t.rows {
		for i, c := range row {
			if widths[i] > 0 {
				b.WriteString(t.draw(s, i, c, widths[i]) + gap)
			}
		}
		b.WriteByte('\n')
	}
	return trimRight(b.String())
}

func (t table) natural() []int {
	widths := make([]int, len(t.columns))
	for i, c := range t.columns {
		widths[i] = length(c.title)
	}
	for _, row := range t.rows {
		for i, c := range row {
			widths[i] = max(widths[i], length(c.prefix)+length(c.text))
		}
	}
	return widths
}

// turns is the number of turns of cutting and dropping.
const turns = 9

// fit is the width of each column, 0 for a dropped one: as few columns as
// needed are dropped, and those that stay are cut.
func (t table) fit(limit int) []int {
	natural := t.natural()
	widths := t.cut(natural, limit)
	for turn := 1; turn <= turns && limit > 0 && total(widths) > limit; turn++ {
		for i, c := range t.columns {
			if c.drop == turn {
				natural[i] = 0
			}
		}
		widths = t.cut(natural, limit)
	}
	return widths
}

func (t table) cut(natural []int, limit int) []int {
	widths := slices.Clone(natural)
	for turn := 1; turn <= turns && limit > 0; turn++ {
		for i, c := range t.columns {
			if over := total(widths) - limit; over > 0 && c.cut == turn {
				widths[i] = max(min(c.least, widths[i]), widths[i]-over)
			}
		}
	}
	return widths
}

func total(widths []int) int {
	sum := -len(gap)
	for _, w := range widths {
		if w > 0 {
			sum += w + len(gap)
		}
	}
	return sum
}

func (t table) draw(s Style, at int, c cell, width int) string {
	room := width - length(c.prefix)
	text := s.tail(c.text, room)
	if t.columns[at].middle {
		text = s.middle(c.text, room)
	}
	if room <= 0 {
		return s.tail(c.prefix, width)
	}
	drawn := text
	if c.signed {
		drawn = s.paint(c.health, text)
	}
	return c.prefix + drawn + strings.Repeat(" ", max(room-length(text), 0))
}
