package istio

import "k8s.io/apimachinery/pkg/runtime/schema"

// Kinds are the kinds that the router reads, in each version, the best one first.
func Kinds() []schema.GroupVersionKind {
	var all []schema.GroupVersionKind
	for _, kind := range []schema.GroupKind{VirtualServiceKind, DestinationRuleKind} {
		for _, version := range Versions() {
			all = append(all, kind.WithVersion(version))
		}
	}
	return all
}
