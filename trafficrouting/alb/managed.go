package alb

import (
	"encoding/json"
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headway-rollouts/headway/trafficrouting"
)

const (
	// ManagedAnnotation of the served API says, as JSON, which annotations of an Ingress each Rollout
	// manages. Several Rollouts may share an Ingress when each has an action of its own.
	ManagedAnnotation = "rollouts.argoproj.io/managed-alb-annotations"
	// legacyAnnotation said the same in versions of the served API before it.
	legacyAnnotation = "rollouts.argoproj.io/managed-alb-actions"
	// maxManaged is the longest managed annotation that is read; all annotations together have 256 KiB.
	maxManaged = 256 << 10
)

// Keys are the Rollouts that an Ingress carries something of, as trafficrouting.Key names them: by
// their mark, and by what the managed annotation says, which is all that another controller left
// behind. It is the function of trafficrouting.MarkIndex for Ingresses.
func Keys(ingress metav1.Object) []string {
	keys := trafficrouting.MarkKeys(ingress)
	for _, name := range slices.Sorted(maps.Keys(managedOf(ingress).entries)) {
		if key := ingress.GetNamespace() + "/" + name; !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys
}

// managed is the content of the managed annotation: by the name of a Rollout, a list of annotations.
type managed struct {
	entries map[string]json.RawMessage
	// readable is false for an annotation that is no such content. It has no entries.
	readable bool
}

func managedOf(ingress metav1.Object) managed {
	text, ok := ingress.GetAnnotations()[ManagedAnnotation]
	if !ok {
		return managed{readable: true}
	}
	var entries map[string]json.RawMessage
	if len(text) > maxManaged || json.Unmarshal([]byte(text), &entries) != nil {
		return managed{}
	}
	return managed{entries, true}
}

// of lists the annotations of one Rollout; nothing without an entry that can be read.
func (m managed) of(rollout string) []string {
	var keys []string
	if err := json.Unmarshal(m.entries[rollout], &keys); err != nil {
		return nil
	}
	return keys
}

// with is the text in which one Rollout has these annotations, and every other what it has; empty
// when nobody has any.
func (m managed) with(rollout string, keys []string) string {
	entries := maps.Clone(m.entries)
	if entries == nil {
		entries = map[string]json.RawMessage{}
	}
	delete(entries, rollout)
	if len(keys) > 0 {
		entries[rollout] = json.RawMessage(encode(keys))
	}
	if len(entries) == 0 {
		return ""
	}
	return encode(entries)
}

// says reports whether one Rollout has exactly these annotations, in whatever order.
func (m managed) says(rollout string, keys []string) bool {
	has := m.of(rollout)
	slices.Sort(has)
	return m.readable && slices.Equal(has, slices.Sorted(slices.Values(keys)))
}

// besides lists the annotations of all other Rollouts.
func (m managed) besides(rollout string) []string {
	var keys []string
	for _, other := range slices.Sorted(maps.Keys(m.entries)) {
		if other != rollout {
			keys = append(keys, m.of(other)...)
		}
	}
	return keys
}
