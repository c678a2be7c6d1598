package rollout

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/rollout/plan"
	"github.com/headway-rollouts/headway/controllers/rollout/resources"
)

// identify finds the revision that the template asks for, and the hash of the
// steps. What the last status says about an unchanged spec is believed before
// any hash is computed again: hashes depend on the libraries compiled in, and a
// new one must never redeploy what did not change.
func (r *Reconciler) identify(ctx context.Context, seen *observed) error {
	ro := seen.Rollout
	steps, err := resources.StepHash(ro.Spec.Strategy.Canary)
	if err != nil {
		return fmt.Errorf("hashing the steps: %w", err)
	}
	seen.StepHash, seen.CollisionCount = steps, ro.Status.CollisionCount
	_, exists := seen.Revisions[ro.Status.CurrentPodHash]
	unchanged := ro.Status.ObservedGeneration == strconv.FormatInt(ro.Generation, 10) && !wasInvalid(ro)
	if unchanged && ro.Status.CurrentStepHash != "" {
		seen.StepHash = ro.Status.CurrentStepHash
	}
	if exists && unchanged && seen.sameWorkload() || seen.unresolved || ro.Spec.Template.Malformed != "" {
		seen.Current = ro.Status.CurrentPodHash
		return nil
	}
	if seen.Current, err = resources.TemplateHash(ro.Spec.Template, seen.CollisionCount); err != nil {
		return fmt.Errorf("hashing the template: %w", err)
	}
	if _, exists := seen.Revisions[seen.Current]; exists {
		return nil
	}
	if same, err := r.sameTemplate(ctx, seen); same != "" || err != nil {
		seen.Current = same
		return err
	}
	return r.freeName(ctx, seen)
}

// sameWorkload reports whether the last status is about the template that the
// workload has now. A workload that was deleted and made again counts its
// generations anew; it is younger than the revision that the status is about.
func (s *observed) sameWorkload() bool {
	if s.workload == nil {
		return s.Rollout.Status.WorkloadObservedGeneration == ""
	}
	made := s.Revisions[s.Rollout.Status.CurrentPodHash].Created
	return s.Rollout.Status.WorkloadObservedGeneration == strconv.FormatInt(s.workload.Generation, 10) &&
		s.workload.CreationTimestamp.Time.Before(made)
}

func wasInvalid(ro *v1alpha1.Rollout) bool {
	return slices.ContainsFunc(ro.Status.Conditions, func(c v1alpha1.RolloutCondition) bool { return c.Type == v1alpha1.RolloutInvalidSpec })
}

// sameTemplate finds a revision whose template is the wanted one in other
// words. Only the API server knows what it fills in, so it is asked, by a dry
// run, for the rare template that an existing one might be equal to.
func (r *Reconciler) sameTemplate(ctx context.Context, seen *observed) (string, error) {
	for _, hash := range slices.Sorted(maps.Keys(seen.replicaSets)) {
		rs := seen.replicaSets[hash]
		may, err := resources.MayMatch(seen.Rollout.Spec.Template, rs)
		if err != nil {
			return "", fmt.Errorf("comparing with ReplicaSet %s: %w", rs.Name, err)
		}
		if !may {
			continue
		}
		filled := resources.ReplicaSet(seen.Rollout, plan.CreateRevision{Hash: hash})
		filled.GenerateName, filled.Name = filled.Name+"-", ""
		err = r.Client.Create(ctx, filled, client.DryRunAll)
		if refused := apierrors.IsForbidden(err) || apierrors.IsInvalid(err); refused && hash == seen.Rollout.Status.CurrentPodHash {
			return hash, nil // what cannot be told is not taken for a change: an abort must not wait for a policy
		} else if refused {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("asking the API server to complete the template: %w", err)
		}
		if resources.SameTemplate(filled.Spec.Template, resources.Template(rs)) {
			return hash, nil
		}
	}
	return "", nil
}

// freeName moves on to another hash while the name of the ReplicaSet is taken by somebody else's.
func (r *Reconciler) freeName(ctx context.Context, seen *observed) error {
	for {
		taken, err := r.taken(ctx, seen.Rollout, resources.ReplicaSetName(seen.Rollout.Name, seen.Current))
		if !taken || err != nil {
			return err
		}
		seen.CollisionCount = ptr.To(ptr.Deref(seen.CollisionCount, 0) + 1)
		if seen.Current, err = resources.TemplateHash(seen.Rollout.Spec.Template, seen.CollisionCount); err != nil {
			return fmt.Errorf("hashing the template: %w", err)
		}
	}
}
