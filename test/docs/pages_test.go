// Package docs checks that the pages say what the code does: commands, flags,
// links, examples, codes and the list of what is not served. It has no code of
// its own; go test runs it.
package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/headway-rollouts/headway/test/kube"
)

// maxReadme is how many lines the first page may have.
const maxReadme = 200

// page is one Markdown file; name is its path in the repository.
type page struct {
	name, text string
}

// pages are all pages that users and contributors read.
func pages(t *testing.T) []page {
	t.Helper()
	names := []string{"README.md", "CONTRIBUTING.md", "CHANGELOG.md"}
	for _, pattern := range []string{"docs/*.md", "docs/*/*.md"} {
		found, err := filepath.Glob(filepath.Join(kube.Root(), pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			name, err := filepath.Rel(kube.Root(), path)
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, filepath.ToSlash(name))
		}
	}
	if len(names) < 10 {
		t.Fatalf("only %d pages are found: %q", len(names), names)
	}
	all := make([]page, 0, len(names))
	for _, name := range names {
		all = append(all, page{name, read(t, name)})
	}
	return all
}

// read reads a file of the repository.
func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(kube.Root(), filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var (
	fence = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")
	span  = regexp.MustCompile("`([^`\n]+)`")
)

// block is a fenced block of code.
type block struct {
	language, text string
}

func (p page) blocks() []block {
	found := fence.FindAllStringSubmatch(p.text, -1)
	out := make([]block, 0, len(found))
	for _, m := range found {
		out = append(out, block{m[1], m[2]})
	}
	return out
}

// prose is the page without its blocks of code.
func (p page) prose() string { return fence.ReplaceAllString(p.text, "") }

// command is one line that a reader may type, and the line shown below it.
type command struct {
	line, below string
}

// commands are the lines of code that begin with a program, in blocks of code,
// fenced or indented, and in the text.
func (p page) commands(program string) []command {
	var out []command
	add := func(line, below string) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "$ ")
		line, _, _ = strings.Cut(line, " #")
		if line == program || strings.HasPrefix(line, program+" ") {
			out = append(out, command{strings.TrimSpace(line), below})
		}
	}
	lines := func(text string) {
		all := strings.Split(text, "\n")
		for i, line := range all {
			below := ""
			if i+1 < len(all) {
				below = all[i+1]
			}
			add(line, below)
		}
	}
	for _, b := range p.blocks() {
		lines(b.text)
	}
	for _, line := range strings.Split(p.prose(), "\n") {
		if strings.HasPrefix(line, "    ") {
			add(line, "")
		}
	}
	for _, m := range span.FindAllStringSubmatch(p.prose(), -1) {
		add(m[1], "")
	}
	return out
}

func TestTheReadmeIsShortAndBeginsWithTheTwoCommands(t *testing.T) {
	readme := page{"README.md", read(t, "README.md")}
	if n := strings.Count(readme.text, "\n"); n >= maxReadme {
		t.Errorf("README.md has %d lines; it has fewer than %d", n, maxReadme)
	}
	first := readme.blocks()[0].text
	if !strings.HasPrefix(first, "make demo") || !strings.Contains(first, "\nmake test") {
		t.Errorf("the first block of README.md does not hold make demo and make test:\n%s", first)
	}
}

func TestEveryMakeTargetExists(t *testing.T) {
	targets := []string{""}
	for _, m := range regexp.MustCompile(`(?m)^([a-z-]+):`).FindAllStringSubmatch(read(t, "Makefile"), -1) {
		targets = append(targets, m[1])
	}
	seen := 0
	for _, p := range pages(t) {
		for _, c := range p.commands("make") {
			words := append(strings.Fields(c.line), "")
			seen++
			if !slices.Contains(targets, words[1]) {
				t.Errorf("%s: the Makefile has no target for %q", p.name, c.line)
			}
		}
	}
	if seen < 10 {
		t.Errorf("only %d make commands are found in the pages", seen)
	}
	help := exec.CommandContext(t.Context(), "make", "-C", kube.Root(), "help")
	if out, err := help.CombinedOutput(); err != nil || !strings.Contains(string(out), "make demo") {
		t.Errorf("make help: %v\n%s", err, out)
	}
}

var link = regexp.MustCompile(`\[[^\]\n]*\]\(([^)\s]+)\)`)

func TestEveryRelativeLinkResolves(t *testing.T) {
	seen := 0
	for _, p := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(span.ReplaceAllString(p.prose(), "x"), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			seen++
			if problem := p.follow(t, m[1]); problem != "" {
				t.Errorf("%s: link %s: %s", p.name, m[1], problem)
			}
		}
	}
	if seen < 30 {
		t.Errorf("only %d relative links are found in the pages", seen)
	}
}

// follow says what is wrong with a relative link; empty when it leads somewhere.
func (p page) follow(t *testing.T, target string) string {
	t.Helper()
	path, anchor, _ := strings.Cut(target, "#")
	name := p.name
	if path != "" {
		name = filepath.ToSlash(filepath.Join(filepath.Dir(p.name), path))
	}
	if _, err := os.Stat(filepath.Join(kube.Root(), name)); err != nil {
		return "there is no such file"
	}
	if anchor != "" && !slices.Contains(anchors(page{name, read(t, name)}), anchor) {
		return name + " has no such heading"
	}
	return ""
}

// anchors are the names of the headings of a page, as GitHub makes them.
func anchors(p page) []string {
	var out []string
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(p.prose(), -1) {
		out = append(out, strings.Map(func(r rune) rune {
			switch {
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			case r == ' ':
				return '-'
			default:
				return -1
			}
		}, m[1]))
	}
	return out
}

// Folders of the machine on which somebody wrote a page mean nothing to its reader.
func TestNoPageNamesAFolderOfSomebodysMachine(t *testing.T) {
	machine := regexp.MustCompile(`/work/|/root/|/home/[a-z]+/|/Users/`)
	temporary := regexp.MustCompile(`/tmp/`)
	for _, p := range pages(t) {
		if at := machine.FindString(p.text); at != "" {
			t.Errorf("%s names %s", p.name, at)
		}
		if at := temporary.FindString(p.prose()); at != "" {
			t.Errorf("%s names %s outside of an example", p.name, at)
		}
	}
}

// A page that names a file or a folder of the code names one that is there.
func TestFilesThatThePagesNameExist(t *testing.T) {
	files := repository(t)
	rooms := regexp.MustCompile(`^(analysis|apis|cmd|config|controllers|docs|kubectl-plugin|test|trafficrouting)/[\w./-]+$`)
	code := regexp.MustCompile(`^[\w/-]+\.go$`)
	seen := 0
	for _, p := range pages(t) {
		for _, m := range span.FindAllStringSubmatch(p.prose(), -1) {
			name := strings.TrimSuffix(m[1], "/")
			isCode := code.MatchString(name)
			if !isCode && !rooms.MatchString(name) {
				continue
			}
			seen++
			there := slices.ContainsFunc(files, func(file string) bool {
				return file == name || isCode && strings.HasSuffix(file, "/"+name)
			})
			if !there {
				t.Errorf("%s names %s, which does not exist", p.name, name)
			}
		}
	}
	if seen < 30 {
		t.Errorf("only %d files are named in the pages", seen)
	}
}

// repository is every file and folder of the repository.
func repository(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(kube.Root(), func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (entry.Name() == ".git" || entry.Name() == "bin") {
			return filepath.SkipDir
		}
		name, err := filepath.Rel(kube.Root(), path)
		files = append(files, filepath.ToSlash(name))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
