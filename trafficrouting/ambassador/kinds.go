package ambassador

import "k8s.io/apimachinery/pkg/runtime/schema"

// Kinds are the kinds of Mappings, the one that Served prefers first.
func Kinds() []schema.GroupVersionKind {
	return []schema.GroupVersionKind{mapping.WithVersion("v3alpha1"), mapping.WithVersion("v2"), preview.WithVersion("v3alpha1")}
}
