package plan

import (
	"maps"
	"time"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// This file gives pods the labels and annotations of the role that their
// revision has. The template comes first, so that new pods are right; when its
// ReplicaSet was seen to know it, the pods that are there follow.

const (
	// podsAtOnce is how many pods are changed in one pass.
	podsAtOnce = 10
	// labelPause is how soon the next pods are changed: nobody watches pods.
	labelPause = 100 * time.Millisecond
)

// metadata is what the pods of a revision carry for its role; nil for none.
func (w world) metadata(hash string) *v1alpha1.PodTemplateMetadata {
	switch {
	case hash == w.Current && w.rolling():
		return w.canary.CanaryMetadata
	case hash == w.Current, hash == w.stable:
		return w.canary.StableMetadata
	default:
		return nil
	}
}

// labels brings the metadata of revisions and pods in line with their roles.
func labels(w world) []Action {
	var actions []Action
	pods := podsAtOnce
	for _, r := range sorted(w) {
		want := w.metadata(r.Hash)
		switch {
		case !sameMetadata(r.Metadata, want):
			actions = append(actions, Label{r.Hash, want, w.whyMetadata(r.Hash)})
		case r.Labelling && r.Observed:
			outdated := w.outdated(r.Hash)
			if len(outdated) == 0 {
				actions = append(actions, Labelled{r.Hash, "all of its pods carry the metadata of their role"})
			}
			for _, pod := range outdated[:min(len(outdated), pods)] {
				actions = append(actions, LabelPod{pod.Name, r.Hash, w.whyMetadata(r.Hash)})
				pods--
			}
		}
	}
	return actions
}

func (w world) whyMetadata(hash string) string {
	switch {
	case hash == w.Current && w.rolling():
		return "it is the revision being tried"
	case hash == w.Current, hash == w.stable:
		return "it is the stable revision"
	default:
		return "it has no role"
	}
}

// outdated are the pods of a revision that do not carry its metadata yet. Those
// that are about to go are left alone.
func (w world) outdated(hash string) []Pod {
	var pods []Pod
	for _, pod := range w.Pods {
		if pod.Revision == hash && pod.Outdated && !pod.Going {
			pods = append(pods, pod)
		}
	}
	return pods
}

// nextLabel is when to look at pods again whose metadata was changed; zero when none was.
func nextLabel(w world) time.Time {
	for _, r := range w.Revisions {
		if r.Labelling && r.Observed && len(w.outdated(r.Hash)) > 0 {
			return w.Now.Add(labelPause)
		}
	}
	return time.Time{}
}

func sameMetadata(a, b *v1alpha1.PodTemplateMetadata) bool {
	if emptyMetadata(a) || emptyMetadata(b) {
		return emptyMetadata(a) == emptyMetadata(b)
	}
	return maps.Equal(a.Labels, b.Labels) && maps.Equal(a.Annotations, b.Annotations)
}

func emptyMetadata(m *v1alpha1.PodTemplateMetadata) bool {
	return m == nil || len(m.Labels) == 0 && len(m.Annotations) == 0
}

// avoids is the revision whose nodes new pods of the current one should avoid;
// empty when there is none, or the strategy does not ask for it.
func (w world) avoids() string {
	if w.canary.AntiAffinity == nil || !w.rolling() {
		return ""
	}
	return w.stable
}

// avoid corrects whose nodes are avoided while an update goes on. What is there
// when it ends stays: to take it away would change the template for nothing.
func avoid(w world) []Action {
	r := w.current()
	if !w.currentExists() || !w.rolling() || r.Avoids == w.avoids() {
		return nil
	}
	return []Action{Avoid{r.Hash, r.Avoids, w.avoids(), "it keeps away from the stable revision"}}
}
