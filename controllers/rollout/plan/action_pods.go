package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// This file has the actions on pods and on the templates that they are made of.

// Evict asks for a pod to end, which a PodDisruptionBudget may refuse for now.
type Evict struct {
	Pod, Revision string
	Why           string
}

// Label puts other metadata onto the pod template of a revision, and marks its pods as not done.
type Label struct {
	Revision string
	// Metadata takes the place of what was put there before; nil for none.
	Metadata *v1alpha1.PodTemplateMetadata
	Why      string
}

// LabelPod gives a pod the metadata of its revision.
type LabelPod struct {
	Pod, Revision string
	Why           string
}

// Labelled takes the mark off a revision whose pods are done.
type Labelled struct {
	Revision string
	Why      string
}

// Avoid makes the new pods of a revision avoid the nodes of another; of none when To is empty.
type Avoid struct {
	Revision string
	From, To string
	Why      string
}

func (Evict) action()    {}
func (Label) action()    {}
func (LabelPod) action() {}
func (Labelled) action() {}
func (Avoid) action()    {}

func (a Evict) String() string {
	return line(fmt.Sprintf("evict %s of %s", a.Pod, a.Revision), a.Why)
}

func (a Label) String() string {
	return line(fmt.Sprintf("label %s %s", a.Revision, metadataText(a.Metadata)), a.Why)
}

func (a LabelPod) String() string {
	return line(fmt.Sprintf("label pod %s of %s", a.Pod, a.Revision), a.Why)
}

func (a Labelled) String() string { return line("labelled "+a.Revision, a.Why) }

func (a Avoid) String() string {
	named := func(hash string) string {
		if hash == "" {
			return "none"
		}
		return hash
	}
	return line(fmt.Sprintf("avoid %s: %s -> %s", a.Revision, named(a.From), named(a.To)), a.Why)
}

// metadataText is the keys and values of labels, and of annotations after a slash; "-" when there are none.
func metadataText(m *v1alpha1.PodTemplateMetadata) string {
	if emptyMetadata(m) {
		return "-"
	}
	text := pairs(m.Labels)
	if len(m.Annotations) > 0 {
		text += "/" + pairs(m.Annotations)
	}
	return text
}

func pairs(values map[string]string) string {
	list := make([]string, 0, len(values))
	for _, key := range slices.Sorted(maps.Keys(values)) {
		list = append(list, key+"="+values[key])
	}
	return strings.Join(list, ",")
}
