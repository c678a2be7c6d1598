package rollout

import (
	"context"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/rollout/plan"
	"github.com/headway-rollouts/headway/controllers/rollout/resources"
)

// taken is a cluster in which ReplicaSets of some names are there, by who owns them.
type taken struct {
	client.Client

	owners map[string]*v1alpha1.Rollout
}

func (c taken) Get(_ context.Context, key client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
	owner, there := c.owners[key.Name]
	if !there {
		return apierrors.NewNotFound(schema.GroupResource{Group: "apps", Resource: "replicasets"}, key.Name)
	}
	if owner != nil {
		obj.(*appsv1.ReplicaSet).OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(owner, v1alpha1.RolloutKind)}
	}
	return nil
}

func TestANameThatIsTakenIsACollision(t *testing.T) {
	ro := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", UID: "u1"}}
	ro.Spec.Template.Spec.Containers = []corev1.Container{{Name: "app", Image: "app:v1"}}
	names := make([]string, 3)
	hashes := make([]string, 3)
	for i := range names {
		var count *int32
		if i > 0 {
			count = ptr.To(int32(i))
		}
		var err error
		if hashes[i], err = resources.TemplateHash(ro.Spec.Template, count); err != nil {
			t.Fatal(err)
		}
		names[i] = resources.ReplicaSetName("web", hashes[i])
	}
	for _, c := range []struct {
		name       string
		owners     map[string]*v1alpha1.Rollout
		hash       string
		collisions int32
	}{
		{"a free name", nil, hashes[0], 0},
		{"one's own ReplicaSet", map[string]*v1alpha1.Rollout{names[0]: ro}, hashes[0], 0},
		{"somebody else's", map[string]*v1alpha1.Rollout{names[0]: nil}, hashes[1], 1},
		{"two of somebody else's", map[string]*v1alpha1.Rollout{names[0]: nil, names[1]: {ObjectMeta: metav1.ObjectMeta{UID: "u2"}}}, hashes[2], 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := New(Options{Client: taken{owners: c.owners}, Live: taken{owners: c.owners}})
			seen := &observed{}
			seen.Snapshot = plan.Snapshot{Rollout: ro}
			if err := r.identify(t.Context(), seen); err != nil {
				t.Fatal(err)
			}
			if seen.Current != c.hash || ptr.Deref(seen.CollisionCount, 0) != c.collisions {
				t.Errorf("revision %s after %d collisions, want %s after %d", seen.Current, ptr.Deref(seen.CollisionCount, 0), c.hash, c.collisions)
			}
		})
	}
}
