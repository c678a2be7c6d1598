package trafficrouting

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// OwnerIndex answers which objects a Rollout controls, by its UID. The cache that routers read from
// has it, with OwnerKeys as its function, for every kind that a router makes: that is how a router
// finds what it made for a spec that says something else by now.
const OwnerIndex = "headway/owner"

// OwnerKeys is the UID of the Rollout that controls an object; nothing when no Rollout does.
func OwnerKeys(obj metav1.Object) []string {
	ref := metav1.GetControllerOf(obj)
	if ref == nil || ref.Kind != v1alpha1.RolloutKind.Kind || ref.APIVersion != v1alpha1.GroupVersion.String() {
		return nil
	}
	return []string{string(ref.UID)}
}
