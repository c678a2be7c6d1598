package install

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// excess says which rights of the rules nobody should give a controller.
func excess(rules []rbacv1.PolicyRule) []string {
	var found []string
	for _, r := range rules {
		for _, word := range slices.Concat(r.APIGroups, r.Resources, r.Verbs, r.NonResourceURLs) {
			if strings.Contains(word, "*") {
				found = append(found, fmt.Sprintf("wildcard %q in %v %v", word, r.Resources, r.Verbs))
			}
		}
		if slices.ContainsFunc(r.Verbs, escalates) {
			found = append(found, fmt.Sprintf("escalation by %v on %v", r.Verbs, r.Resources))
		}
		if slices.Contains(r.Resources, "pods") && slices.ContainsFunc(r.Verbs, func(verb string) bool { return verb != "list" && verb != "patch" }) {
			found = append(found, fmt.Sprintf("pods by %v: they are listed and patched alone", r.Verbs))
		}
		if slices.Contains(r.Resources, "secrets") && !slices.Equal(r.Verbs, []string{"get"}) {
			found = append(found, fmt.Sprintf("Secrets by %v instead of get", r.Verbs))
		}
	}
	return found
}

func escalates(verb string) bool {
	return slices.Contains([]string{"escalate", "bind", "impersonate"}, verb)
}

func rulesOf(t *testing.T, objects []*unstructured.Unstructured) map[string][]rbacv1.PolicyRule {
	t.Helper()
	out := map[string][]rbacv1.PolicyRule{}
	for _, r := range convert[rbacv1.ClusterRole](t, objects, "ClusterRole") {
		out["ClusterRole "+r.Name] = r.Rules
	}
	for _, r := range convert[rbacv1.Role](t, objects, "Role") {
		out["Role "+r.Name] = r.Rules
	}
	return out
}

// withJobs is how a user lets analyses of one namespace run Jobs.
const withJobs = `
namespace: team-a
components: [../config/components/metric-jobs]
`

// withSecrets is how a user lets the controller read the Secrets of one namespace.
const withSecrets = `
namespace: team-a
components: [../config/components/metric-secrets]
`

func TestNoRoleGivesTooMuch(t *testing.T) {
	for name, objects := range map[string][]*unstructured.Unstructured{
		"default":    render(t, "default"),
		"namespaced": render(t, "namespaced"),
		"secrets":    overlay(t, withSecrets),
		"jobs":       overlay(t, withJobs),
	} {
		t.Run(name, func(t *testing.T) {
			roles := rulesOf(t, objects)
			if len(roles) == 0 {
				t.Fatal("no role was rendered, so nothing was checked")
			}
			for role, rules := range roles {
				for _, what := range excess(rules) {
					t.Errorf("%s gives too much: %s", role, what)
				}
				for resource, component := range map[string]string{"secrets": "secrets", "jobs": "jobs"} {
					reaches := slices.ContainsFunc(rules, func(r rbacv1.PolicyRule) bool { return slices.Contains(r.Resources, resource) })
					if reaches != (name == component) {
						t.Errorf("%s reaches %s: %t, and only config/components/metric-%s is to", role, resource, reaches, component)
					}
				}
			}
		})
	}
}

// The control of TestNoRoleGivesTooMuch: each seeded rule is found.
func TestASeededRightIsFound(t *testing.T) {
	rule := func(group, resource, verb string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: []string{verb}}
	}
	for name, seeded := range map[string]rbacv1.PolicyRule{
		"every verb":         rule("apps", "replicasets", "*"),
		"every resource":     rule("apps", "*", "get"),
		"every subresource":  rule("apps", "*/scale", "get"),
		"every group":        rule("*", "replicasets", "get"),
		"every URL":          {NonResourceURLs: []string{"/metrics/*"}, Verbs: []string{"get"}},
		"listing Secrets":    rule("", "secrets", "list"),
		"watching Secrets":   rule("", "secrets", "watch"),
		"changing Secrets":   rule("", "secrets", "patch"),
		"watching pods":      rule("", "pods", "watch"),
		"deleting pods":      rule("", "pods", "delete"),
		"impersonating":      rule("", "users", "impersonate"),
		"giving other roles": rule("rbac.authorization.k8s.io", "roles", "bind"),
	} {
		t.Run(name, func(t *testing.T) {
			rules := append(rulesOf(t, render(t, "default"))["ClusterRole headway"], seeded)
			if len(excess(rules)) != 1 {
				t.Errorf("want one finding, got %q", excess(rules))
			}
		})
	}
}

func TestOneNamespaceNeedsTheRightsOfAClusterAndNoMore(t *testing.T) {
	cluster := rulesOf(t, render(t, "default"))["ClusterRole headway"]
	for i := range cluster {
		cluster[i].Resources = slices.DeleteFunc(cluster[i].Resources, func(r string) bool {
			return r == "clusteranalysistemplates" || r == "customresourcedefinitions"
		})
	}
	cluster = slices.DeleteFunc(cluster, func(r rbacv1.PolicyRule) bool { return len(r.Resources) == 0 })
	objects := render(t, "namespaced")
	if diff := cmp.Diff(cluster, rulesOf(t, objects)["Role headway"]); diff != "" {
		t.Errorf("config/rbac and config/namespaced differ (-cluster +namespaced):\n%s", diff)
	}
	for _, obj := range objects {
		if strings.HasPrefix(obj.GetKind(), "Cluster") || obj.GetKind() == "Namespace" || obj.GetKind() == "CustomResourceDefinition" {
			t.Errorf("a namespaced install contains %s %s, which belongs to the cluster", obj.GetKind(), obj.GetName())
		}
	}
}

func TestAComponentNamesOneNamespace(t *testing.T) {
	for name, kustomization := range map[string]string{"secrets": withSecrets, "jobs": withJobs} {
		t.Run(name, func(t *testing.T) {
			objects := overlay(t, kustomization)
			bindings := convert[rbacv1.RoleBinding](t, objects, "RoleBinding")
			if len(bindings) != 1 || len(objects) != 2 {
				t.Fatalf("want one Role and one RoleBinding, got %d objects", len(objects))
			}
			b := bindings[0]
			if b.Namespace != "team-a" || len(b.Subjects) != 1 || b.Subjects[0].Namespace != "headway-system" || b.Subjects[0].Name != "headway" {
				t.Errorf("want a binding in team-a of headway-system/headway, got %+v", b)
			}
		})
	}
}
