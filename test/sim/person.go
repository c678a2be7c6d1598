package sim

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/rollout/plan"
	"github.com/headway-rollouts/headway/trafficrouting"
)

// What people and their tools do to a Rollout, with the wire protocol of the plugin.

// Deploy edits the pod template.
func (c *Cluster) Deploy(template string) {
	c.did("deploy " + template)
	if template != c.Template {
		again, stable := c.Revisions[template], c.Revisions[c.Rollout.Status.StableRS]
		c.memory.fast = again.Replicas > 0 && !again.Deadline.IsZero() && again.Created.Before(stable.Created)
		c.memory.agreed = false
	}
	c.Template = template
	c.Rollout.Generation++
}

// Promote ends a pause, or skips the current step.
func (c *Cluster) Promote() {
	c.did("promote")
	c.edit(false)
	st := &c.Rollout.Status
	c.memory.agreed = true
	if len(st.PauseConditions) > 0 {
		st.PauseConditions = nil
		return
	}
	if c.blueGreen() != nil {
		return
	}
	st.CurrentStepIndex = ptr.To(ptr.Deref(st.CurrentStepIndex, 0) + 1)
	c.memory.skip(c.Template)
}

// PassAnalysis goes past a step whose analysis ended without a verdict, as the
// plugin's promote does.
func (c *Cluster) PassAnalysis() {
	c.did("promote")
	st := &c.Rollout.Status
	st.PauseConditions, st.ControllerPause = nil, false
	st.CurrentStepIndex = ptr.To(ptr.Deref(st.CurrentStepIndex, 0) + 1)
	c.memory.agreed, c.memory.skipped = true, true
}

// PromoteFull skips everything that is left.
func (c *Cluster) PromoteFull() {
	if c.Rollout.Status.StableRS == c.Rollout.Status.CurrentPodHash {
		return // the plugin refuses
	}
	c.did("promote --full")
	c.Rollout.Status.PromoteFull = true
	c.memory.skip(c.Template)
}

// Abort takes the update back.
func (c *Cluster) Abort() {
	c.did("abort")
	c.Rollout.Status.Abort = true
}

// Retry tries an aborted update again.
func (c *Cluster) Retry() {
	c.did("retry")
	c.Rollout.Status.Abort = false
}

// Scale sets spec.replicas, as an autoscaler does.
func (c *Cluster) Scale(replicas int32) {
	c.did("scale")
	c.Rollout.Spec.Replicas = ptr.To(replicas)
	c.Rollout.Generation++
}

// Pause sets spec.paused.
func (c *Cluster) Pause(paused bool) {
	c.did("pause")
	c.edit(paused)
}

// Meddle changes the weight of the route by hand.
func (c *Cluster) Meddle(weight int32) {
	if c.Traffic.Exists {
		c.did("meddle")
		c.Traffic.CanaryWeight = weight
	}
}

// Recreate deletes a Service and makes it again, as tools do that know no pod
// template hash: it selects the pods of every revision.
func (c *Cluster) Recreate(role plan.Role) {
	c.did(fmt.Sprintf("recreate the %s service", role))
	if role == plan.StableRole {
		c.Services.Stable = plan.Selected{}
	} else {
		c.Services.Canary = plan.Selected{}
	}
}

// Remove deletes a Service that the Rollout names.
func (c *Cluster) Remove(role plan.Role) {
	c.Recreate(role)
	if role == plan.StableRole {
		c.Services.Stable.Missing = true
	} else {
		c.Services.Canary.Missing = true
	}
	c.Break("the " + string(role) + " Service is missing")
}

// Break makes the spec, or what it names, unusable.
func (c *Cluster) Break(what string) {
	c.Invalid = field.Invalid(field.NewPath("spec"), "web", what)
}

// LoseRoute deletes the canary route.
func (c *Cluster) LoseRoute() {
	c.did("delete the canary route")
	c.Traffic = trafficrouting.Observed{Verified: c.Verified}
}

// LoseRevision deletes the ReplicaSet of a revision with its pods.
func (c *Cluster) LoseRevision(hash string) {
	c.did("delete " + hash)
	delete(c.Revisions, hash)
	delete(c.running, hash)
	delete(c.pods.of, hash)
	delete(c.pods.unseen, hash)
}

// Restart asks for new pods in place of all that are there now, after a while or at once. It may end
// an earlier restart; what that one evicted was seen by then, since people are slow.
func (c *Cluster) Restart(in time.Duration) {
	c.did("restart")
	c.seeEvictions()
	c.Rollout.Spec.RestartAt = ptr.To(metav1.NewTime(c.Now.Add(in)))
	c.Rollout.Generation++
}

// Relabel changes the metadata of the two roles; nil is none.
func (c *Cluster) Relabel(canary, stable *v1alpha1.PodTemplateMetadata) {
	c.did("relabel")
	c.Rollout.Generation++
	if b := c.blueGreen(); b != nil {
		b.PreviewMetadata, b.ActiveMetadata = canary, stable
		return
	}
	strategy := c.Rollout.Spec.Strategy.Canary
	strategy.CanaryMetadata, strategy.StableMetadata = canary, stable
}

// Refuse makes the cluster refuse pods of a revision; no text ends that.
func (c *Cluster) Refuse(hash, failure string) {
	c.revise(hash, func(r *plan.Revision) { r.Failure = failure })
}

// Verify makes the data plane serve the weights that are set, or not yet.
func (c *Cluster) Verify(served bool) {
	if served || c.Traffic.Exists { // without routes nothing lags
		c.Verified, c.Traffic.Verified = &served, &served
	}
}

// EditSteps changes the steps.
func (c *Cluster) EditSteps(name string, steps []v1alpha1.CanaryStep) {
	if c.blueGreen() != nil {
		return
	}
	c.did("steps " + name)
	c.Steps = name
	c.Rollout.Spec.Strategy.Canary.Steps = steps
	c.Rollout.Generation++
}

func (c *Cluster) edit(paused bool) {
	if c.Rollout.Spec.Paused != paused {
		c.Rollout.Spec.Paused = paused
		c.Rollout.Generation++
	}
}

func (c *Cluster) did(what string) {
	c.logf("> %s", what)
	c.memory.points = [2]int{}
}
