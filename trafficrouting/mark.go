package trafficrouting

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// A Mark is what a router leaves on an object that users made, with the first write that gives the
// canary anything: whose routes they are, and what it takes to bring their traffic home when no
// spec tells any more. It goes when the object is released.
//
// An object may carry the marks of several Rollouts: a VirtualService, an HTTPRoute or an Ingress
// with routes to many Services is often the routes of many teams.
type Mark struct {
	// Rollout is the namespace and name of the Rollout, as Key writes them.
	Rollout string `json:"rollout"`
	// Stable and Canary are the two sides, as this kind of object names them: Services, or subsets.
	Stable string `json:"stable"`
	Canary string `json:"canary"`
	// Routes is what else this kind of object needs: the managed routes that were added, where the object
	// does not name them, or the rules that carry the weights.
	Routes []string `json:"routes,omitempty"`
}

// MarkIndex answers which objects carry the mark of a Rollout, by Key. The cache that routers read
// from has it, with MarkKeys as its function, for every kind of object that users make and routers change.
const MarkIndex = "headway/routed-by"

// Key names a Rollout in marks and in their index.
func Key(rollout metav1.Object) string { return rollout.GetNamespace() + "/" + rollout.GetName() }

// MarkKeys are the Rollouts whose marks an object carries; nothing without one that can be read.
func MarkKeys(obj metav1.Object) []string {
	var keys []string
	for _, mark := range marks(obj) {
		keys = append(keys, mark.Rollout)
	}
	return keys
}

// maxMarks is how long the annotation may be that is read, in bytes. The API server stores 256 KiB for all of them.
const maxMarks = 64 << 10

// marks are those on an object, by Rollout: one, or a list.
func marks(obj metav1.Object) []Mark {
	text := obj.GetAnnotations()[v1alpha1.RoutedByAnnotation]
	if text == "" || len(text) > maxMarks {
		return nil
	}
	var all []Mark
	if text[0] != '[' {
		text = "[" + text + "]"
	}
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return nil
	}
	return slices.DeleteFunc(all, func(m Mark) bool { return m.Rollout == "" })
}

// MarkFor reads the mark of a Rollout on an object; false when there is none, or none that can be read.
func MarkFor(obj, rollout metav1.Object) (Mark, bool) {
	for _, mark := range marks(obj) {
		if mark.Rollout == Key(rollout) {
			return mark, true
		}
	}
	return Mark{}, false
}

// Beside is the value of the annotation v1alpha1.RoutedByAnnotation that gives an object this mark and leaves
// it those of other Rollouts.
func (m Mark) Beside(obj metav1.Object) string {
	return written(append(others(obj, m.Rollout), m))
}

// Without is the value of that annotation without the mark of a Rollout; empty when no other is left.
func Without(obj, rollout metav1.Object) string {
	return written(others(obj, Key(rollout)))
}

// MarksBeside are the marks of other Rollouts on an object.
func MarksBeside(obj, rollout metav1.Object) []Mark { return others(obj, Key(rollout)) }

func others(obj metav1.Object, rollout string) []Mark {
	return slices.DeleteFunc(marks(obj), func(m Mark) bool { return m.Rollout == rollout })
}

func written(all []Mark) string {
	switch len(all) {
	case 0:
		return ""
	case 1:
		return all[0].String()
	}
	slices.SortFunc(all, func(a, b Mark) int { return cmp.Compare(a.Rollout, b.Rollout) })
	text, err := json.Marshal(all)
	if err != nil {
		panic(fmt.Sprintf("encoding marks of strings: %v", err)) // cannot be
	}
	return string(text)
}

// Taken reports whether another Rollout has marked an object for one of the sides, and which. Two that
// lead the same Service or subset would never agree.
func Taken(obj, rollout metav1.Object, sides ...string) (by string, taken bool) {
	for _, mark := range others(obj, Key(rollout)) {
		for _, side := range sides {
			if side != "" && (side == mark.Stable || side == mark.Canary) {
				return mark.Rollout, true
			}
		}
	}
	return "", false
}

// String is the value of the annotation v1alpha1.RoutedByAnnotation.
func (m Mark) String() string {
	text, err := json.Marshal(m)
	if err != nil {
		panic(fmt.Sprintf("encoding a mark of strings: %v", err)) // cannot be
	}
	return string(text)
}

// Releases reports whether an object that carries the mark of a Rollout, and that its spec does not
// name any more, may be released: its traffic goes home at once where other routes carry the weight,
// and otherwise waits until the planner brings it home, since there is no other traffic to move.
func Releases(ro *v1alpha1.Rollout, weight int32) bool {
	return weight == 0 || Routed(ro)
}

// Routed reports whether the spec of a Rollout names any router.
func Routed(ro *v1alpha1.Rollout) bool {
	canary := ro.Spec.Strategy.Canary
	return canary != nil && canary.TrafficRouting != nil && len(canary.TrafficRouting.Routers()) > 0
}
