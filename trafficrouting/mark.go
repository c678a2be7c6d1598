package trafficrouting

import (
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// A Mark is what a router leaves on an object that users made, with the first write that gives the
// canary anything: whose routes they are, and what it takes to bring their traffic home when no
// spec tells any more. It goes when the object is released.
type Mark struct {
	// Rollout is the namespace and name of the Rollout, as Key writes them.
	Rollout string `json:"rollout"`
	// Stable and Canary are the two sides, as this kind of object names them: Services, or subsets.
	Stable string `json:"stable"`
	Canary string `json:"canary"`
	// Routes are the managed routes that were added, where the object itself does not name them.
	Routes []string `json:"routes,omitempty"`
}

// MarkIndex answers which objects carry the mark of a Rollout, by Key. The cache that routers read
// from has it, with MarkKeys as its function, for every kind of object that users make and routers change.
const MarkIndex = "headway/routed-by"

// Key names a Rollout in marks and in their index.
func Key(rollout metav1.Object) string { return rollout.GetNamespace() + "/" + rollout.GetName() }

// MarkKeys is the Rollout whose mark an object carries; nothing without one that can be read.
func MarkKeys(obj metav1.Object) []string {
	if mark, ok := MarkOf(obj); ok {
		return []string{mark.Rollout}
	}
	return nil
}

// MarkOf reads the mark of an object; false for one that has none, or none that can be read.
func MarkOf(obj metav1.Object) (Mark, bool) {
	text, ok := obj.GetAnnotations()[v1alpha1.RoutedByAnnotation]
	if !ok {
		return Mark{}, false
	}
	var mark Mark
	if err := json.Unmarshal([]byte(text), &mark); err != nil || mark.Rollout == "" {
		return Mark{}, false
	}
	return mark, true
}

// String is the value of the annotation v1alpha1.RoutedByAnnotation.
func (m Mark) String() string {
	text, err := json.Marshal(m)
	if err != nil {
		panic(fmt.Sprintf("encoding a mark of strings: %v", err)) // cannot be
	}
	return string(text)
}

// Taken reports whether an object carries the mark of another Rollout, and whose. An object that two
// Rollouts name obeys neither.
func Taken(obj metav1.Object, rollout metav1.Object) (by string, taken bool) {
	mark, ok := MarkOf(obj)
	return mark.Rollout, ok && mark.Rollout != Key(rollout)
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
