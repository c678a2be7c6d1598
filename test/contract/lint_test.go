package contract

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

const (
	// repository is the root of this repository.
	repository = "../.."
	// lintConfig is the configuration of the linter, in the root.
	lintConfig = ".golangci.yml"
)

func TestTheLinterNamesEachSeededViolation(t *testing.T) {
	if testing.Short() {
		t.Skip("NOT CHECKED: that the linter reports violations (it has to be built first; run without -short)")
	}
	linter := buildLinter(t)
	folder := t.TempDir()
	config, err := os.ReadFile(filepath.Join(repository, lintConfig))
	if err != nil {
		t.Fatal(err)
	}
	writeFiles(t, folder, map[string]string{lintConfig: string(config)})
	writeFiles(t, folder, readArchive(t, "testdata/lint/clean.txtar"))
	if findings := lint(t, linter, folder); len(findings) > 0 {
		t.Fatalf("the clean module should have no findings: %q", findings)
	}

	violations := readArchive(t, "testdata/lint/violations.txtar")
	violations["controllers/rollout/funlen_too_many_lines.go"] = "package rollout\n\n// Long does nothing at length.\nfunc Long() {\n" + strings.Repeat("\t_ = 1\n", 61) + "}\n"
	violations["controllers/rollout/revive_file_too_long.go"] = "package rollout\n\n" + strings.Repeat("// A line.\n", 500)
	writeFiles(t, folder, violations)
	var want []string
	for name := range violations {
		linter, _, _ := strings.Cut(filepath.Base(name), "_")
		want = append(want, name+" "+linter)
	}
	slices.Sort(want)
	if diff := gocmp.Diff(want, lint(t, linter, folder)); diff != "" {
		t.Errorf("findings (-seeded +reported):\n%s", diff)
	}
}

func TestEachRoomHasItsImportRule(t *testing.T) {
	config, err := os.ReadFile(filepath.Join(repository, lintConfig))
	if err != nil {
		t.Fatal(err)
	}
	rooms := 0
	for _, parent := range []string{"controllers", "trafficrouting", "analysis/provider"} {
		entries, err := os.ReadDir(filepath.Join(repository, parent))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			if !entry.IsDir() || entry.Name() == "testdata" {
				continue
			}
			rooms++
			if pattern := fmt.Sprintf("**/%s/%s/**", parent, entry.Name()); !strings.Contains(string(config), pattern) {
				t.Errorf("%s/%s has no import rule: add one with files [%q] to %s", parent, entry.Name(), pattern, lintConfig)
			}
		}
	}
	if rooms == 0 {
		t.Error("no room was found")
	}
}

// buildLinter returns the linter of this repository, built once and kept.
func buildLinter(t *testing.T) string {
	t.Helper()
	build := exec.Command("make", "--no-print-directory", "linter")
	build.Dir = repository
	var stderr bytes.Buffer
	build.Stderr = &stderr
	out, err := build.Output()
	if err != nil {
		t.Fatalf("building the linter: %v\n%s%s", err, out, stderr.String())
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	path, err := filepath.Abs(filepath.Join(repository, lines[len(lines)-1]))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// finding is a line of the linter: file, position, text, name of the linter.
var finding = regexp.MustCompile(`(?m)^([^:\n]+):\d+(?::\d+)?: .* \((\w+)\)$`)

// lint returns the findings of a module as "file linter", sorted, each once.
func lint(t *testing.T, linter, folder string) []string {
	t.Helper()
	run := exec.Command(linter, "run", "--allow-parallel-runners", "--show-stats=false",
		"--output.text.path=stdout", "--output.text.print-issued-lines=false", "--output.text.colors=false", "./...")
	run.Dir = folder
	var stderr bytes.Buffer
	run.Stderr = &stderr
	out, err := run.Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		t.Fatalf("running the linter: %v\n%s%s", err, out, stderr.String())
	}
	set := map[string]bool{}
	for _, match := range finding.FindAllStringSubmatch(string(out), -1) {
		set[match[1]+" "+match[2]] = true
	}
	if len(set) == 0 && err != nil {
		t.Fatalf("the linter failed without a finding: %v\n%s%s", err, out, stderr.String())
	}
	return slices.Sorted(maps.Keys(set))
}

// readArchive reads files that each follow a line "-- name --".
func readArchive(t *testing.T, path string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	name := ""
	for line := range strings.Lines(string(data)) {
		if header, ok := strings.CutPrefix(line, "-- "); ok {
			name = strings.TrimSuffix(strings.TrimSpace(header), " --")
			continue
		}
		if name != "" {
			files[name] += line
		}
	}
	if len(files) < 5 {
		t.Fatalf("%s holds only %d files", path, len(files))
	}
	return files
}

func writeFiles(t *testing.T, folder string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
