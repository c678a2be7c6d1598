package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/rollout/plan"
)

// pods are the single pods of the revisions. Those that answer come first.
type pods struct {
	of     map[string][]pod
	serial int
	// unseen are the evictions that a ReplicaSet has not seen yet.
	unseen map[string]int32
	// known is the metadata that a ReplicaSet gives to new pods.
	known map[string]*v1alpha1.PodTemplateMetadata
}

type pod struct {
	name     string
	created  time.Time
	metadata *v1alpha1.PodTemplateMetadata
}

func newPods() pods {
	return pods{of: map[string][]pod{}, unseen: map[string]int32{}, known: map[string]*v1alpha1.PodTemplateMetadata{}}
}

// podsOf are the facts about the pods of some revisions.
func (c *Cluster) podsOf(hashes []string) []plan.Pod {
	var out []plan.Pod
	for _, hash := range hashes {
		for i, p := range c.pods.of[hash] {
			answers := int32(i) < c.running[hash]
			out = append(out, plan.Pod{
				Name: p.name, Revision: hash, Created: p.created, Ready: answers, Available: answers,
				Outdated: !same(p.metadata, c.Revisions[hash].Metadata),
			})
		}
	}
	return out
}

func same(a, b *v1alpha1.PodTemplateMetadata) bool {
	none := v1alpha1.PodTemplateMetadata{}
	if a == nil {
		a = &none
	}
	if b == nil {
		b = &none
	}
	return equality.Semantic.DeepEqual(a, b)
}

// refill makes the pods of a revision as many as it asks for.
func (c *Cluster) refill(hash string) {
	r := c.Revisions[hash]
	list := c.pods.of[hash]
	list = list[:min(len(list), int(r.Replicas))]
	for int32(len(list)) < r.Replicas {
		c.pods.serial++
		list = append(list, pod{fmt.Sprintf("%s-%d", hash, c.pods.serial), c.Now, c.pods.known[hash]})
	}
	c.pods.of[hash] = list
	c.pods.unseen[hash] = 0
}

// learn lets a ReplicaSet see its template.
func (c *Cluster) learn(hash string) {
	c.pods.known[hash] = c.Revisions[hash].Metadata
	c.revise(hash, func(r *plan.Revision) { r.Observed = true })
}

// onPods carries out the actions on pods and on what they are made of.
func (c *Cluster) onPods(a plan.Action) {
	switch a := a.(type) {
	case plan.Evict:
		c.evict(a)
	case plan.Label:
		c.revise(a.Revision, func(r *plan.Revision) { r.Metadata, r.Labelling, r.Observed = a.Metadata, true, false })
	case plan.LabelPod:
		c.labelPod(a)
	case plan.Labelled:
		c.revise(a.Revision, func(r *plan.Revision) { r.Labelling = false })
	case plan.Avoid:
		c.revise(a.Revision, func(r *plan.Revision) { r.Avoids = a.To })
	default:
		c.brokef("%s is no action on pods", a)
	}
}

func (c *Cluster) evict(a plan.Evict) {
	i := c.indexOf(a.Pod, a.Revision)
	if i < 0 {
		return
	}
	c.pods.of[a.Revision] = slices.Delete(c.pods.of[a.Revision], i, i+1)
	if int32(i) < c.running[a.Revision] {
		c.running[a.Revision]--
	}
	if c.Slow {
		c.pods.unseen[a.Revision]++
		return
	}
	c.revise(a.Revision, func(r *plan.Revision) {
		r.Pods = max(0, r.Pods-1)
		r.Ready, r.Available = min(r.Ready, c.running[a.Revision]), min(r.Available, c.running[a.Revision])
	})
}

// seeEvictions lets the ReplicaSets count the pods that are gone.
func (c *Cluster) seeEvictions() {
	for hash, n := range c.pods.unseen {
		if n > 0 {
			c.revise(hash, func(r *plan.Revision) {
				r.Pods, r.Ready, r.Available = max(0, r.Pods-n), min(r.Ready, c.running[hash]), min(r.Available, c.running[hash])
			})
		}
	}
	c.pods.unseen = map[string]int32{}
}

// indexOf is where a pod is among those of its revision; -1 when it is gone.
func (c *Cluster) indexOf(name, hash string) int {
	return slices.IndexFunc(c.pods.of[hash], func(p pod) bool { return p.name == name })
}

func (c *Cluster) labelPod(a plan.LabelPod) {
	if i := c.indexOf(a.Pod, a.Revision); i >= 0 {
		c.pods.of[a.Revision][i].metadata = c.Revisions[a.Revision].Metadata
	}
}

// left is how many pods a ReplicaSet has when it was told to have fewer: it
// takes away as many as it believes to be too many.
func (c *Cluster) left(a plan.Scale) int32 {
	has := int32(len(c.pods.of[a.Revision]))
	return has - min(has, max(0, has+c.pods.unseen[a.Revision]-a.To))
}

// shrink takes pods away: those that do not answer first.
func (c *Cluster) shrink(a plan.Scale) {
	left := c.left(a)
	c.running[a.Revision] = min(c.running[a.Revision], left)
	c.pods.of[a.Revision] = c.pods.of[a.Revision][:left]
}

// extra is how many pods there are for a restart alone.
func (c *Cluster) extra() (n int32) {
	for _, r := range c.Revisions {
		if r.Extra {
			n++
		}
	}
	return n
}

// reached reports whether requests depend on the pods of this very revision.
func (c *Cluster) reached(hash string) bool {
	return c.serves(hash, c.Services, c.Traffic.CanaryWeight) > 0 || c.Services.Canary.Hash == hash || c.Services.Stable.Hash == hash
}

// isSpare reports whether a pod is started beside the only one, which is restarted.
func (c *Cluster) isSpare(a plan.Scale) bool {
	return a.Extra && a.From == 1 && a.To == 2 && (a.Revision != c.Template || !c.abortHolds())
}

// checkUnseen checks S3 for a ReplicaSet that shrinks when it has not seen what
// was evicted: it would take pods away that the restart counts on.
func (c *Cluster) checkUnseen(a plan.Scale) {
	if a.To < c.Revisions[a.Revision].Replicas && c.left(a) < min(a.To, c.running[a.Revision]) && (c.reached(a.Revision) || c.byPods()) {
		c.brokef("S3 %s: its ReplicaSet has not seen %d evictions", a, c.pods.unseen[a.Revision])
	}
}

// checkEvict checks S2 and S3 for a restart: the last pod that answers stays,
// and no more are missing than maxUnavailable allows, or one.
func (c *Cluster) checkEvict(a plan.Evict) {
	i := c.indexOf(a.Pod, a.Revision)
	if i < 0 {
		c.brokef("S14 %s: there is no such pod", a)
		return
	}
	if at := c.Rollout.Spec.RestartAt; at == nil || c.Now.Before(at.Time) || !c.pods.of[a.Revision][i].created.Before(at.Time) {
		c.brokef("S14 %s: nobody asked for it", a)
	}
	if int32(i) < c.running[a.Revision] { // it answers
		c.checkMissing(a)
	}
}

// checkMissing checks that a pod that answers may be missing.
func (c *Cluster) checkMissing(a plan.Evict) {
	above, below := c.budget()
	below = max(1, below)
	has, asked, total := c.running[a.Revision], c.Revisions[a.Revision].Replicas, int32(0)
	for hash := range c.Revisions {
		total += c.running[hash]
	}
	alone := total == 1 && above > 0
	switch {
	case c.reached(a.Revision) && has == 1 && (above > 0 || asked > 1):
		c.brokef("S2 %s: it is the last one", a)
	case c.reached(a.Revision) && has-1 < asked-below:
		c.brokef("S3 %s: %d of %d pods are available, %d may be missing", a, has, asked, below)
	case c.byPods() && (total-1 < c.replicas()-below || alone):
		c.brokef("S3 %s: %d pods of %d are available, %d may be missing", a, total, c.replicas(), below)
	}
}

// checkLabelled checks that no pod is forgotten.
func (c *Cluster) checkLabelled(a plan.Labelled) {
	for _, p := range c.pods.of[a.Revision] {
		if !same(p.metadata, c.Revisions[a.Revision].Metadata) {
			c.brokef("S17 %s: %s does not carry it", a, p.name)
		}
	}
}

// checkPods checks that a restart came to its end and that pods carry the
// metadata of the stable role.
func (h *History) checkPods() {
	want := h.canary().StableMetadata
	if b := h.blueGreen(); b != nil {
		want = b.ActiveMetadata
	}
	at := h.Rollout.Spec.RestartAt
	due := at != nil && !h.Now.Before(at.Time)
	if due && !at.Equal(h.Rollout.Status.RestartedAt) {
		h.brokef("L2 the restart did not end: why %+v", h.Rollout.Status.Why)
	}
	for _, p := range h.pods.of["last"] {
		if due && p.created.Before(at.Time) {
			h.brokef("L2 %s was not restarted", p.name)
		}
		if !same(p.metadata, want) {
			h.brokef("L3 %s carries %+v", p.name, p.metadata)
		}
	}
	for hash, r := range h.Revisions {
		if hash != "last" && !same(r.Metadata, nil) {
			h.brokef("L3 %s has no role and carries %+v", hash, r.Metadata)
		}
	}
}

// troublePods is a person who restarts, changes metadata, or guards pods.
func (h *History) troublePods() {
	switch h.rng.IntN(4) {
	case 0:
		h.guarded = !h.guarded
	case 1:
		h.Relabel(randomMetadata(h.rng), randomMetadata(h.rng))
	case 2:
		h.Restart(time.Duration(h.rng.IntN(90)) * time.Second)
	default:
		h.Restart(0)
	}
}

// randomMetadata are labels of pods, or none.
func randomMetadata(rng *rand.Rand) *v1alpha1.PodTemplateMetadata {
	if rng.IntN(3) == 0 {
		return nil
	}
	return &v1alpha1.PodTemplateMetadata{Labels: map[string]string{"role": fmt.Sprintf("r%d", rng.IntN(3))}}
}

// randomAffinity keeps the pods of the two revisions apart, or not.
func randomAffinity(rng *rand.Rand) *v1alpha1.AntiAffinity {
	if rng.IntN(4) > 0 {
		return nil
	}
	return &v1alpha1.AntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &v1alpha1.RequiredDuringSchedulingIgnoredDuringExecution{}}
}
