package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// report is all that was measured in one run.
type report struct {
	Date        time.Time `json:"date"`
	CPUs        int       `json:"cpus"`
	Rollouts    int       `json:"rollouts"`
	Idle        int       `json:"idleRollouts"`
	Runs        int       `json:"analysisRuns"`
	Queries     int       `json:"queries"`
	Floor       figures   `json:"floor"`
	Controllers []column  `json:"controllers"`
}

// column is what one controller needed.
type column struct {
	subject
	Figures figures `json:"figures"`
}

func newReport(o options) *report {
	return &report{Date: time.Now().UTC().Truncate(time.Second), CPUs: runtime.NumCPU(), Rollouts: o.n, Idle: o.idle, Runs: o.runs, Queries: o.queries}
}

// titles say what the scenarios are.
var titles = map[string]string{
	"one":      "One canary: five setWeight steps, 2 replicas, NGINX",
	"many":     "%d such canaries at once",
	"idle":     "%d healthy Rollouts, nothing to do",
	"restore":  "A bad measurement, analysis every second",
	"analyses": "%d AnalysisRuns every 10 s, %d queries",
	"floor":    "Floor: a bare client on the same cluster",
}

func (r *report) title(scenario string) string {
	switch scenario {
	case "many":
		return fmt.Sprintf(titles[scenario], r.Rollouts)
	case "idle":
		return fmt.Sprintf(titles[scenario], r.Idle)
	case "analyses":
		return fmt.Sprintf(titles[scenario], r.Runs, r.Queries)
	}
	return titles[scenario]
}

// print writes the table: a row for each figure, a column for each controller, and
// how the first compares with each other one.
func (r *report) print(w io.Writer) error {
	var aligned bytes.Buffer
	table := tabwriter.NewWriter(&aligned, 0, 0, columnGap, ' ', tabwriter.AlignRight)
	for _, row := range r.lines() {
		// Every line has every cell: one without would start another table.
		row = append(row, make([]string, r.width()-len(row))...)
		row[0] = fmt.Sprintf("%-*s", labelWidth, row[0]) // numbers align to the right, names do not
		if _, err := io.WriteString(table, strings.Join(row, "\t")+"\t\n"); err != nil {
			return fmt.Errorf("aligning the table: %w", err)
		}
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("aligning the table: %w", err)
	}
	for line := range strings.Lines(aligned.String()) {
		// The padding of the first column and behind the last is of no use.
		if _, err := io.WriteString(w, strings.TrimRight(line[columnGap:], " \n")+"\n"); err != nil {
			return fmt.Errorf("printing the table: %w", err)
		}
	}
	return nil
}

// columnGap is the space between columns.
const columnGap = 2

// labelWidth holds the longest name of a row.
const labelWidth = 52

// width is the number of cells of a line: the name, the controllers, the unit, and
// the comparisons.
func (r *report) width() int { return 2 + max(len(r.Controllers), 1) + len(r.others()) }

// lines are the cells of the table.
func (r *report) lines() [][]string {
	lines := [][]string{r.header()}
	scenario := ""
	for _, row := range r.rows() {
		if row.Scenario != scenario {
			scenario = row.Scenario
			lines = append(lines, []string{""}, []string{r.title(scenario)})
		}
		lines = append(lines, r.row(row))
	}
	if len(r.Floor) > 0 {
		lines = append(lines, []string{""}, []string{titles["floor"]})
	}
	for _, f := range r.Floor {
		lines = append(lines, []string{f.Name, number(f.Value), f.Unit})
	}
	return lines
}

func (r *report) header() []string {
	names := []string{""}
	for _, c := range r.Controllers {
		names = append(names, c.Name)
	}
	names = append(names, "")
	for _, c := range r.others() {
		names = append(names, "/ "+c.Name)
	}
	return names
}

func (r *report) row(of figure) []string {
	row := []string{of.Name}
	for _, c := range r.Controllers {
		value, ok := c.value(of)
		row = append(row, numberIf(value, ok))
	}
	row = append(row, of.Unit)
	for _, c := range r.others() {
		ours, have := r.Controllers[0].value(of)
		theirs, ok := c.value(of)
		row = append(row, ratio(ours, theirs, have && ok))
	}
	return row
}

// others are the controllers that the first is compared with.
func (r *report) others() []column { return r.Controllers[min(1, len(r.Controllers)):] }

// rows is each figure that any controller has, in the order of its scenario.
func (r *report) rows() figures {
	var all figures
	for _, c := range r.Controllers {
		at := 0
		for _, f := range c.Figures {
			if i := slices.IndexFunc(all, f.same); i >= 0 {
				at = i + 1
				continue
			}
			all = slices.Insert(all, at, f)
			at++
		}
	}
	return all
}

// same reports whether the figures are of one row.
func (f figure) same(other figure) bool { return f.Scenario == other.Scenario && f.Name == other.Name }

func (c column) value(of figure) (float64, bool) {
	i := slices.IndexFunc(c.Figures, of.same)
	if i < 0 {
		return 0, false
	}
	return c.Figures[i].Value, true
}

// number has two decimals where they say something.
func number(v float64) string {
	switch {
	case v == math.Trunc(v):
		return strconv.FormatFloat(v, 'f', 0, 64)
	case math.Abs(v) < 10:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'f', 1, 64)
}

func numberIf(v float64, ok bool) string {
	if !ok {
		return "-"
	}
	return number(v)
}

// ratio is ours over theirs; there is none to zero.
func ratio(ours, theirs float64, ok bool) string {
	if !ok || theirs == 0 {
		return "-"
	}
	return strconv.FormatFloat(ours/theirs, 'f', 2, 64)
}

// save writes the report as JSON.
func (r *report) save(path string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the figures: %w", err)
	}
	if err := os.WriteFile(path, append(data, '\n'), 0o644); err != nil { //nolint:gosec // figures are not secret
		return fmt.Errorf("writing the figures: %w", err)
	}
	return nil
}
