package install

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/headway-rollouts/headway/test/kube"
)

var yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// page reads a page of docs.
func page(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(kube.Root(), "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestKustomizationsOfTheDocsRender(t *testing.T) {
	blocks := yamlBlock.FindAllStringSubmatch(page(t, "install.md"), -1)
	if len(blocks) < 3 {
		t.Fatalf("the page has %d examples: are they found?", len(blocks))
	}
	for _, block := range blocks {
		objects := overlay(t, strings.ReplaceAll(block[1], "../headway/config", "../config"))
		for _, obj := range objects {
			if obj.GetNamespace() != "team-a" {
				t.Errorf("%s %s is in %q, not in team-a:\n%s", obj.GetKind(), obj.GetName(), obj.GetNamespace(), block[1])
			}
		}
		for role, rules := range rulesOf(t, objects) {
			for _, what := range excess(rules) {
				t.Errorf("%s gives too much: %s", role, what)
			}
		}
	}
	last := overlay(t, strings.ReplaceAll(blocks[len(blocks)-1][1], "../headway/config", "../config"))
	for _, b := range convert[rbacv1.RoleBinding](t, last, "RoleBinding") {
		if b.Subjects[0].Namespace != "team-a" {
			t.Errorf("RoleBinding %s gives rights to a controller in %s", b.Name, b.Subjects[0].Namespace)
		}
	}
}

// The page's table of rights is what is installed, rule by rule.
func TestRightsOfTheDocsAreTheInstalledOnes(t *testing.T) {
	text := page(t, "operations.md")
	for _, rule := range rulesOf(t, render(t, "default"))["ClusterRole headway"] {
		row := "| " + strings.Join(rule.Resources, ", ") + " | " + strings.Join(rule.Verbs, " ") + " |"
		if !strings.Contains(text, row) {
			t.Errorf("docs/operations.md has no row %q", row)
		}
	}
}

func TestFilesThatTheDocsNameExist(t *testing.T) {
	named := regexp.MustCompile(`config/[a-z_/-]+(\.yaml)?`)
	for _, name := range []string{"install.md", "operations.md"} {
		paths := named.FindAllString(page(t, name), -1)
		slices.Sort(paths)
		for _, path := range slices.Compact(paths) {
			if _, err := os.Stat(filepath.Join(kube.Root(), path)); err != nil {
				t.Errorf("docs/%s names %s: %v", name, path, err)
			}
		}
	}
}
