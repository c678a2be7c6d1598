package docs

import (
	"path"
	"regexp"
	"strings"
	"testing"
)

// A difference that has no reason is a mistake.
func TestEveryDifferenceHasItsReason(t *testing.T) {
	_, section, _ := strings.Cut(read(t, "docs/compatibility.md"), "\n## What differs\n")
	seen := 0
	for _, row := range rows(section) {
		seen++
		if len(row) != 3 || row[0] == "" || row[1] == "" || row[2] == "" {
			t.Errorf("it is not a difference with its reason: %q", row)
		}
	}
	if seen < 50 {
		t.Errorf("only %d differences are found", seen)
	}
}

// rows are the cells of the tables of a text, without the heads of the tables.
func rows(text string) [][]string {
	var all [][]string
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		isHead := i+1 < len(lines) && strings.HasPrefix(lines[i+1], "|---")
		if !strings.HasPrefix(line, "| ") || isHead {
			continue
		}
		var cells []string
		for _, cell := range strings.Split(strings.Trim(line, "|"), "|") {
			cells = append(cells, strings.TrimSpace(cell))
		}
		all = append(all, cells)
	}
	return all
}

// The map of the house names every folder that has Go files: itself, or as a
// part of a smaller room. A room that lists its parts names all of them.
func TestTheMapNamesEveryRoom(t *testing.T) {
	_, table, _ := strings.Cut(read(t, "docs/architecture.md"), "\n## Rooms\n")
	table, _, _ = strings.Cut(table, "\n## ")
	rooms, parts := map[string]bool{}, map[string]bool{}
	for _, row := range rows(table) {
		for _, room := range span.FindAllStringSubmatch(row[0], -1) {
			rooms[room[1]] = true
			for _, part := range span.FindAllStringSubmatch(row[1], -1) {
				parts[room[1]+"/"+strings.TrimSuffix(part[1], "/")] = true
			}
		}
	}
	folders := goFolders(t)
	for _, folder := range folders {
		within := rooms[folder]
		for part := range parts {
			within = within || strings.HasPrefix(folder+"/", part+"/")
		}
		if !within {
			t.Errorf("docs/architecture.md does not name %s", folder)
		}
	}
	if len(folders) < 20 {
		t.Errorf("only %d folders with Go files are found", len(folders))
	}
}

// goFolders are the folders that hold Go files.
func goFolders(t *testing.T) []string {
	t.Helper()
	inFolder := regexp.MustCompile(`^(.+)/[^/]+\.go$`)
	seen := map[string]bool{}
	var folders []string
	for _, file := range repository(t) {
		if m := inFolder.FindStringSubmatch(file); m != nil && !seen[m[1]] && !strings.Contains(file, "testdata/") {
			seen[m[1]] = true
			folders = append(folders, m[1])
		}
	}
	return folders
}

// A provider is small, since what several need has a room of its own.
func TestEveryFolderOfAProviderIsSmall(t *testing.T) {
	const limit = 150
	lines := map[string]int{}
	for _, file := range repository(t) {
		folder := path.Dir(file)
		if strings.HasPrefix(folder, "analysis/provider/") && folder != "analysis/provider/providertest" &&
			strings.HasSuffix(file, ".go") && !strings.HasSuffix(file, "_test.go") {
			lines[folder] += strings.Count(read(t, file), "\n")
		}
	}
	for folder, n := range lines {
		if n >= limit {
			t.Errorf("%s has %d lines; fewer than %d are wanted: give a part of it a room of its own", folder, n, limit)
		}
	}
	if len(lines) < 11 {
		t.Errorf("only %d folders of providers are found", len(lines))
	}
}
