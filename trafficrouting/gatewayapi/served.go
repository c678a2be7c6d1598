package gatewayapi

import "k8s.io/apimachinery/pkg/runtime/schema"

// Kinds are the kinds of routes, in each version, the newest first.
func Kinds() []schema.GroupVersionKind {
	var all []schema.GroupVersionKind
	for _, k := range kinds {
		for _, version := range k.versions {
			all = append(all, k.groupKind().WithVersion(version))
		}
	}
	return all
}
