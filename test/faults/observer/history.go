package observer

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Kind is a kind that is watched.
type Kind string

// The kinds that are watched.
const (
	Rollout     Kind = "Rollout"
	ReplicaSet  Kind = "ReplicaSet"
	Service     Kind = "Service"
	Ingress     Kind = "Ingress"
	Pod         Kind = "Pod"
	AnalysisRun Kind = "AnalysisRun"
)

// Change is one version of one object.
type Change struct {
	// Version is the resource version, which grows over all kinds.
	Version uint64
	Kind    Kind
	Name    string
	// Deleted says that the object is gone with this version.
	Deleted bool
	Object  *unstructured.Unstructured
}

// History is what happened to a namespace, oldest first.
type History []Change

// ordered sorts changes as they happened. A change that was told twice is kept once.
func ordered(changes []Change) History {
	out := slices.Clone(changes)
	slices.SortStableFunc(out, func(a, b Change) int {
		return cmp.Or(cmp.Compare(a.Version, b.Version), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	return slices.CompactFunc(out, func(a, b Change) bool {
		return a.Version == b.Version && a.Kind == b.Kind && a.Name == b.Name && a.Deleted == b.Deleted
	})
}

// Of is the part of the history that is about one kind.
func (h History) Of(kind Kind) History {
	return slices.DeleteFunc(slices.Clone(h), func(c Change) bool { return c.Kind != kind })
}

// Since is the part of the history after a version.
func (h History) Since(version uint64) History {
	return slices.DeleteFunc(slices.Clone(h), func(c Change) bool { return c.Version <= version })
}

// Last is the newest version in the history; 0 when it is empty.
func (h History) Last() uint64 {
	if len(h) == 0 {
		return 0
	}
	return h[len(h)-1].Version
}
