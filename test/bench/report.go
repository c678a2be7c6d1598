package main

import (
	"encoding/json"
	"fmt"
	"io"
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
	Floor       figures   `json:"floor"`
	Controllers []column  `json:"controllers"`
}

// column is what one controller needed.
type column struct {
	subject
	Figures figures `json:"figures"`
}

func newReport(o options) *report {
	return &report{Date: time.Now().UTC().Truncate(time.Second), CPUs: runtime.NumCPU(), Rollouts: o.n, Idle: o.idle}
}

// titles say what the scenarios are.
var titles = map[string]string{
	"one":     "One canary: five setWeight steps, 2 replicas, NGINX",
	"many":    "%d such canaries at once",
	"idle":    "%d healthy Rollouts, nothing to do",
	"restore": "A bad measurement, analysis every second",
	"floor":   "Floor: a bare client on the same cluster",
}

func (r *report) title(scenario string) string {
	switch scenario {
	case "many":
		return fmt.Sprintf(titles[scenario], r.Rollouts)
	case "idle":
		return fmt.Sprintf(titles[scenario], r.Idle)
	}
	return titles[scenario]
}

// print writes the table: a row for each figure, a column for each controller, and
// how the first compares with each other one.
func (r *report) print(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight|tabwriter.DiscardEmptyColumns)
	if _, err := io.WriteString(table, strings.Join(r.lines(), "\n")+"\n"); err != nil {
		return fmt.Errorf("printing the table: %w", err)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("printing the table: %w", err)
	}
	return nil
}

// lines are the table, its cells ended by tabs.
func (r *report) lines() []string {
	lines := []string{r.header()}
	scenario := ""
	for _, row := range r.rows() {
		if row.Scenario != scenario {
			scenario = row.Scenario
			lines = append(lines, "", r.title(scenario))
		}
		lines = append(lines, r.row(row))
	}
	if len(r.Floor) > 0 {
		lines = append(lines, "", titles["floor"])
	}
	for _, f := range r.Floor {
		lines = append(lines, cells(label(f), number(f.Value), f.Unit))
	}
	return lines
}

func (r *report) header() string {
	names := []string{label(figure{})}
	for _, c := range r.Controllers {
		names = append(names, c.Name)
	}
	names = append(names, "")
	for _, c := range r.others() {
		names = append(names, "/ "+c.Name)
	}
	return cells(names...)
}

func (r *report) row(of figure) string {
	row := []string{label(of)}
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
	return cells(row...)
}

// others are the controllers that the first is compared with.
func (r *report) others() []column { return r.Controllers[min(1, len(r.Controllers)):] }

func cells(text ...string) string { return strings.Join(text, "\t") + "\t" }

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

// label pads names to one width: the table aligns to the right, names do not.
func label(f figure) string { return fmt.Sprintf("%-48s", f.Name) }

func number(v float64) string {
	if v == float64(int64(v)) {
		return strconv.FormatInt(int64(v), 10)
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
