package sim

import (
	"k8s.io/utils/ptr"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/rollout/plan"
)

// This file is the Deployment that a Rollout replaces, and the Rollout that is
// deleted without its pods and applied again.

// Replace gives the Rollout a Deployment to take its place, with all its pods.
func (c *Cluster) Replace(replicas int32, scaleDown string) {
	c.Rollout.Spec.WorkloadRef = &v1alpha1.ObjectRef{APIVersion: "apps/v1", Kind: "Deployment", Name: "web", ScaleDown: scaleDown}
	c.Workload = &plan.Workload{Name: "web", Generation: 1, Replicas: replicas, Available: replicas}
}

// ScaleDeployment is a person who scales the Deployment.
func (c *Cluster) ScaleDeployment(replicas int32) {
	c.did("scale the deployment")
	c.Workload.Replicas = replicas
	c.Workload.Available = min(c.Workload.Available, replicas)
	c.Workload.Generation++
}

// scaleWorkload takes the pods that answer first, which is the worst that a Deployment may do.
func (c *Cluster) scaleWorkload(a plan.ScaleWorkload) {
	d := c.Workload
	d.Had = max(d.Had, a.From)
	d.Replicas, d.Available = a.To, c.answersAfter(a)
	d.Generation++
	if a.To == 0 {
		d.Had, d.Kept = 0, true
	}
}

// answersAfter are the pods of the Deployment that answer after an action, at the worst.
func (c *Cluster) answersAfter(a plan.ScaleWorkload) int32 {
	return max(0, c.Workload.Available-max(0, a.From-a.To))
}

// checkWorkload checks S3 over both owners of pods, and that nobody's decision is undone.
func (c *Cluster) checkWorkload(a plan.ScaleWorkload) {
	d := c.Workload
	had := max(d.Had, a.From)
	serving := int32(0)
	for hash, pods := range c.running {
		if c.Services.Stable.Hash == "" || c.Services.Stable.Hash == hash {
			serving += pods
		}
	}
	needed := min(max(had, c.replicas()), d.Available+serving)
	switch {
	case d.Kept || a.From == 0 || a.From != d.Replicas:
		c.brokef("S16 %s: it is not the Rollout's to scale", a)
	case d.Had == 0 && c.Revisions[c.Template].Number > 1:
		c.brokef("S16 %s: the migration was over with the first revision", a)
	case a.To > had:
		c.brokef("S4 %s: it never had more than %d", a, had)
	case a.To < a.From && c.answersAfter(a)+serving < needed:
		c.brokef("S3 %s: %d of its pods and %d of the Rollout are left, %d are needed", a, c.answersAfter(a), serving, needed)
	}
}

// migrated reports whether a migration that began has come to its end, where it can.
func (c *Cluster) migrated() bool {
	d := c.Workload
	return d == nil || d.Kept || d.Had == 0 || d.Replicas == 0 || c.replicas() < max(d.Had, d.Replicas)
}

// Reapply deletes the Rollout without its pods and routes, and applies it again.
func (c *Cluster) Reapply() {
	c.did("delete the rollout without its pods and apply it again")
	c.Rollout.Status, c.Rollout.Annotations, c.Rollout.Generation = v1alpha1.RolloutStatus{}, nil, 1
	c.Rollout.Spec.Replicas = ptr.To(c.replicas())
	c.Analyses = nil
	c.memory = memory{excused: c.memory.excused}
	for hash := range c.Revisions {
		c.revise(hash, func(r *plan.Revision) { r.Orphan = true })
		c.memory.skip(hash) // Its verdicts are gone.
	}
	c.Analyses = nil
	c.memory = memory{again: true}
	if c.Workload != nil {
		c.Workload.Kept = false // It was about the other Rollout of that name.
	}
}
