package services

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/trafficrouting"
)

// ReasonSwitch is the reason of a Service that was pointed at another hash.
const ReasonSwitch = "SwitchService"

// Ref names a Service and the Rollout that sets its selector.
type Ref struct {
	// Service is the namespace and name of the Service.
	Service types.NamespacedName
	// Rollout is the name of the Rollout, in the same namespace.
	Rollout string
}

// Point makes the Service select one pod template hash, and marks it. It returns the change to
// report, or none when the Service selects the hash already. A conflict is returned so that
// apierrors.IsConflict sees it: read again and decide again. It fails for a Service that does not
// exist, that another Rollout manages, and for an empty hash, which would leave it without pods.
func Point(ctx context.Context, c client.Client, ref Ref, hash string) ([]trafficrouting.Change, error) {
	if hash == "" || ref.Rollout == "" {
		return nil, errors.New("pointing a Service: the hash and the name of the Rollout cannot be empty")
	}
	var svc corev1.Service
	if err := c.Get(ctx, ref.Service, &svc); err != nil {
		return nil, fmt.Errorf("reading Service %s: %w", ref.Service, err)
	}
	if owner := ManagedBy(&svc); owner != "" && owner != ref.Rollout {
		return nil, fmt.Errorf("pointing Service %s: it is managed by Rollout %q, not %q", ref.Service, owner, ref.Rollout)
	}
	patch, needed := Patch(&svc, ref.Rollout, hash)
	if !needed {
		return nil, nil
	}
	// A fresh object, because the reply is written into it and the one that was read belongs to the cache.
	into := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: svc.Namespace, Name: svc.Name}}
	if err := c.Patch(ctx, into, client.RawPatch(types.MergePatchType, patch)); err != nil {
		return nil, fmt.Errorf("pointing Service %s at %s: %w", ref.Service, hash, err)
	}
	if Hash(&svc) == hash {
		return nil, nil // Only the mark was missing: no traffic moved, so there is nothing to report.
	}
	message := fmt.Sprintf("Switched selector for service '%s' from '%s' to '%s'", svc.Name, Hash(&svc), hash)
	return []trafficrouting.Change{{Reason: ReasonSwitch, Message: message}}, nil
}
