package gatewayapi

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Accepted reports whether the gateways serve a route as it is now, and if not, why. It is nil for a
// route about which no gateway has written anything: a controller that writes no status must not hold
// a release for ever. What was written about a parent that the route no longer names does not count.
func Accepted(route *unstructured.Unstructured) (accepted *bool, why string) {
	spec := child(route.Object, "spec")
	told := false
	for _, element := range list(child(route.Object, "status"), "parents") {
		parent, _ := element.(map[string]any)
		ref := child(parent, "parentRef")
		if !slices.ContainsFunc(list(spec, "parentRefs"), func(named any) bool {
			has, _ := named.(map[string]any)
			return parentOf(has, route.GetNamespace()) == parentOf(ref, route.GetNamespace())
		}) {
			continue
		}
		told = true
		if reason := waitsFor(parent, route.GetGeneration()); reason != "" {
			no := false
			return &no, fmt.Sprintf("%s %s: %s %s %s", route.GetKind(), route.GetName(),
				text(ref, "kind", "Gateway"), text(ref, "name", ""), reason)
		}
	}
	if !told {
		return nil, ""
	}
	return &told, ""
}

// parentOf names the parent of a route: two references with the same name are the same.
func parentOf(ref map[string]any, namespace string) string {
	return fmt.Sprintf("%s/%s/%s/%s/%s/%v", text(ref, "group", group), text(ref, "kind", "Gateway"),
		text(ref, "namespace", namespace), text(ref, "name", ""), text(ref, "sectionName", ""), ref["port"])
}

// waitsFor says what is missing until a parent serves a route of that generation; nothing when it does.
// A condition that does not name its generation counts as it is, and so does one that is not there,
// unless it is Accepted, which every gateway sets.
func waitsFor(parent map[string]any, generation int64) string {
	conditions := map[string]map[string]any{}
	for _, element := range list(parent, "conditions") {
		condition, _ := element.(map[string]any)
		conditions[text(condition, "type", "")] = condition
	}
	for _, name := range []string{"Accepted", "ResolvedRefs"} {
		condition, there := conditions[name]
		observed, counted := condition["observedGeneration"].(int64)
		switch {
		case !there && name == "Accepted":
			return "has not accepted it yet"
		case !there:
		case counted && observed > 0 && observed < generation:
			return fmt.Sprintf("has seen its generation %d, not %d", observed, generation)
		case text(condition, "status", "") != "True":
			return fmt.Sprintf("says %s is %s: %s: %s", name, text(condition, "status", "Unknown"),
				text(condition, "reason", "no reason"), text(condition, "message", "no message"))
		}
	}
	return ""
}
