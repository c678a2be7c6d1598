package plan_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// This file reads the tables that say which test shows what. In a column
// "shown by" stand, separated by semicolons,
//
//	good-release             a transcript in testdata
//	TestShare                a test anywhere in the repository
//	TestShare/all of it      a case of it, by its name
//	todo: what is missing    nothing shows it yet
//	elsewhere: where         it is no matter of the planner
//	unread                   nobody could find out what it is about
const (
	todo      = "todo: "
	elsewhere = "elsewhere: "
	unread    = "unread"
)

// claim is a line of such a table.
type claim struct {
	line    int
	columns []string // all but the last
	shownBy []string
}

// claims reads a table of so many columns.
func claims(t *testing.T, file string, columns int) []claim {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out []claim
	for i, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		cells := strings.Split(line, "\t")
		if len(cells) != columns {
			t.Errorf("%s:%d: %d columns, want %d", file, i+1, len(cells), columns)
			continue
		}
		out = append(out, claim{i + 1, cells[:columns-1], strings.Split(cells[columns-1], "; ")})
	}
	return out
}

// pending is what a line says of itself instead of naming a test; empty when it names one.
func (c claim) pending() string {
	if first := c.shownBy[0]; first == unread || strings.HasPrefix(first, todo) || strings.HasPrefix(first, elsewhere) {
		return first
	}
	return ""
}

// checkClaims checks that each test that a table names exists, and tells what it does not show yet.
func checkClaims(t *testing.T, file string, all []claim) {
	t.Helper()
	open := 0
	for _, c := range all {
		if pending := c.pending(); pending != "" {
			if !strings.HasPrefix(pending, elsewhere) {
				open++
				t.Logf("NOT SHOWN YET %s:%d: %s: %s", file, c.line, strings.Join(c.columns, ", "), pending)
			}
			continue
		}
		for _, name := range c.shownBy {
			if err := exists(name); err != nil {
				t.Errorf("%s:%d: %v", file, c.line, err)
			}
		}
	}
	if open > 0 {
		t.Logf("%d OF %d LINES OF %s ARE NOT SHOWN BY A TEST YET", open, len(all), file)
	}
}

// exists reports why there is no such test, or nil.
func exists(name string) error {
	if !strings.HasPrefix(name, "Test") {
		if _, err := os.Stat(filepath.Join("testdata", name+".txt")); err != nil {
			return fmt.Errorf("there is no transcript %q", name)
		}
		return nil
	}
	test, part, _ := strings.Cut(name, "/")
	files, err := testFiles()
	if err != nil {
		return err
	}
	for _, source := range files {
		if strings.Contains(source, "\nfunc "+test+"(") && (part == "" || strings.Contains(source, `"`+part+`"`)) {
			return nil
		}
	}
	return fmt.Errorf("there is no test %q", name)
}

// testFiles are the sources of all tests of the repository.
var testFiles = sync.OnceValues(func() ([]string, error) {
	var sources []string
	err := filepath.WalkDir("../../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		data, err := os.ReadFile(path)
		sources = append(sources, string(data))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the tests of the repository: %w", err)
	}
	return sources, nil
})

func TestANameThatIsNoTestIsNoticed(t *testing.T) {
	for name, want := range map[string]bool{
		"good-release":                              true,
		"bad-release-that-nobody-wrote":             false,
		"TestTranscripts":                           true,
		"TestThatNobody" + "Wrote":                  false,
		"TestShare/a fifth of four is one pod":      true,
		"TestShare/a fifth of four is two " + "pod": false,
	} {
		if err := exists(name); (err == nil) != want {
			t.Errorf("%s: exists is %t, want %t: %v", name, err == nil, want, err)
		}
	}
}
