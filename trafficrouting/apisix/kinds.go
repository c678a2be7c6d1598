package apisix

import "k8s.io/apimachinery/pkg/runtime/schema"

// Kinds are the kinds that the router reads and writes.
func Kinds() []schema.GroupVersionKind { return []schema.GroupVersionKind{kind.WithVersion("v2")} }
