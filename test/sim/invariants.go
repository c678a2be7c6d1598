package sim

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/utils/ptr"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/rollout/plan"
	"github.com/headway-rollouts/headway/trafficrouting"
)

// memory is what the observer of invariants must remember.
type memory struct {
	points  [2]int // how often each Service moved since a person or a verdict moved something
	skipped bool   // a person skipped steps of this update
	agreed  bool   // a person promoted this update
	fast    bool   // the update goes back to pods that still run
	again   bool   // the Rollout was applied again over the pods of a former one
	// excused are revisions whose steps a person skipped: they may be recorded as stable late, in another update.
	excused map[string]bool
}

// skip notes that a person skipped steps of the update to a revision.
func (m *memory) skip(hash string) {
	if m.excused == nil {
		m.excused = map[string]bool{}
	}
	m.skipped, m.excused[hash] = true, true
}

func (c *Cluster) replicas() int32 { return ptr.Deref(c.Rollout.Spec.Replicas, 1) }

// canary is the canary strategy; empty when the Rollout is blue-green.
func (c *Cluster) canary() *v1alpha1.CanaryStrategy {
	if canary := c.Rollout.Spec.Strategy.Canary; canary != nil {
		return canary
	}
	return &v1alpha1.CanaryStrategy{}
}

func (c *Cluster) blueGreen() *v1alpha1.BlueGreenStrategy { return c.Rollout.Spec.Strategy.BlueGreen }

func (c *Cluster) maxWeight() int32 { return c.canary().MaxTrafficWeight() }

// serves is the weight a revision gets when the canary Service has this weight.
func (c *Cluster) serves(hash string, services plan.Services, weight int32) (sum int32) {
	if services.Canary.Hash == hash {
		sum += weight
	}
	if services.Stable.Hash == hash {
		sum += c.maxWeight() - weight
	}
	return sum
}

// byPods reports whether the numbers of pods split the traffic.
func (c *Cluster) byPods() bool {
	return c.blueGreen() == nil && c.canary().TrafficRouting == nil
}

func (c *Cluster) check(a plan.Action) {
	c.checkOwner(a)
	switch a := a.(type) {
	case plan.Route:
		c.checkRoute(a)
	case plan.Point:
		c.checkPoint(a)
	case plan.Scale:
		c.checkScale(a)
	case plan.StartAnalysis:
		c.checkStart(a, plan.Analysis{Name: a.Name, Kind: a.Kind, Step: a.Step})
	case plan.StartExperiment:
		c.checkStart(a, plan.Analysis{Name: a.Name, Kind: plan.KindExperiment, Step: a.Step})
	case plan.DeleteRevision:
		c.checkDelete(a)
	case plan.CreateRevision:
		if _, exists := c.Revisions[a.Hash]; exists {
			c.brokef("S14 %s: it exists", a)
		}
	case plan.ScaleWorkload:
		c.checkWorkload(a)
	case plan.Evict:
		c.checkEvict(a)
	case plan.Labelled:
		c.checkLabelled(a)
	case plan.Delay, plan.Keep, plan.Number, plan.Renumber, plan.Sync, plan.StopAnalysis, plan.DeleteAnalysis, plan.StopExperiment, plan.DeleteExperiment, plan.Adopt, plan.Release, plan.Label, plan.LabelPod, plan.Avoid:
		// they move neither pods nor traffic
	}
}

func (c *Cluster) checkDelete(a plan.DeleteRevision) {
	hash := a.Revision
	if c.Revisions[hash].Pods > 0 || c.serves(hash, c.Services, c.Traffic.CanaryWeight) > 0 || hash == c.Rollout.Status.StableRS || hash == c.Template {
		c.brokef("S2 %s: it has pods, traffic or a role", a)
	}
}

// checkOwner checks S16: what is not the Rollout's is not changed, but for becoming so.
func (c *Cluster) checkOwner(a plan.Action) {
	hash, adopts := "", false
	switch a := a.(type) {
	case plan.Adopt:
		hash, adopts = a.Revision, true
	case plan.Scale:
		hash = a.Revision
	case plan.Delay:
		hash = a.Revision
	case plan.Keep:
		hash = a.Revision
	case plan.Renumber:
		hash = a.Revision
	case plan.Sync:
		hash = a.Revision
	case plan.Label:
		hash = a.Revision
	case plan.Labelled:
		hash = a.Revision
	case plan.Avoid:
		hash = a.Revision
	case plan.DeleteRevision:
		hash = a.Revision
	default:
		return
	}
	if c.Revisions[hash].Orphan != adopts {
		c.brokef("S16 %s: whose it is decides what may be done", a)
	}
}

func (c *Cluster) checkRoute(a plan.Route) {
	to, all := a.Split.Canary.Weight, a.Split.Stable.Weight+a.Split.Canary.Weight
	for _, side := range a.Split.Additional {
		all += side.Weight
		if !c.experimenting(side) {
			c.brokef("S2 %s: no experiment that runs has %s", a, side.Service)
		}
	}
	if to < 0 || to > c.maxWeight() || a.Split.Stable.Weight < 0 || all != c.maxWeight() {
		c.brokef("S1 %s: weights must be within 0 and %d and sum to it", a, c.maxWeight())
	}
	if to > 0 && (c.byPods() || c.blueGreen() != nil) {
		c.brokef("S15 %s: there is nothing to route by", a)
	}
	c.checkManaged(a)
	c.checkSelection(a)
	from := c.Traffic.CanaryWeight
	if c.abortHolds() && to > from {
		c.brokef("S12 %s: the update is aborted", a)
	}
	if to > from {
		c.checkForward(a)
	}
	c.checkShift(fmt.Sprint(a), c.Services, to)
}

// checkManaged checks that requests are chosen for the canary only where it
// answers them, that only the update that is tried chooses any, and that an
// aborted one chooses no more.
func (c *Cluster) checkManaged(a plan.Route) {
	for _, route := range a.Split.Routes {
		added := !slices.ContainsFunc(c.Traffic.Routes, func(has trafficrouting.ManagedRoute) bool {
			return trafficrouting.EqualRoutes([]trafficrouting.ManagedRoute{has}, []trafficrouting.ManagedRoute{route})
		})
		behind := c.Services.Canary.Hash
		switch {
		case added && c.abortHolds():
			c.brokef("S12 %s: the update is aborted", a)
		case added && behind != c.Template:
			c.brokef("S8 %s: it leads to %q", a, behind)
		case added && c.replicas() > 0 && c.running[behind] == 0:
			c.brokef("S2 %s: %q has no available pod", a, behind)
		}
	}
}

// choose reports whether a managed route sends requests to the canary by their headers.
func (c *Cluster) choose() bool {
	return slices.ContainsFunc(c.Traffic.Routes, func(r trafficrouting.ManagedRoute) bool { return !r.Mirrors() })
}

// checkSelection checks what routes that select revisions move, as if Services moved.
func (c *Cluster) checkSelection(a plan.Route) {
	if !c.bySubsets() {
		return
	}
	if to := a.Split.Stable.Hash; to != "" && to != c.Services.Stable.Hash {
		c.checkPoint(plan.Point{Role: plan.StableRole, From: c.Services.Stable.Hash, To: to, Why: a.Why})
	}
	if to := a.Split.Canary.Hash; to != "" && to != c.Services.Canary.Hash {
		c.checkPoint(plan.Point{Role: plan.CanaryRole, From: c.Services.Canary.Hash, To: to, Why: a.Why})
	}
}

// experimenting reports whether a side belongs to an Experiment that runs.
func (c *Cluster) experimenting(side trafficrouting.Backend) bool {
	return slices.ContainsFunc(c.Analyses, func(run plan.Analysis) bool {
		_, named := run.Sides[strings.TrimPrefix(side.Service, run.Name+"-")]
		return named && run.Phase == v1alpha1.AnalysisPhaseRunning
	})
}

// checkForward checks law 6: traffic goes forward only when the side it leaves
// can carry what stays, so that a canary never stands in for missing pods. Of
// a side without any pod nothing gets worse.
func (c *Cluster) checkForward(a plan.Route) {
	front := c.Services.Stable.Hash
	if c.replicas() == 0 || front == c.Services.Canary.Hash && front != "" {
		return
	}
	need := c.replicas() * (c.maxWeight() - a.Split.Canary.Weight) / c.maxWeight()
	if has := c.running[front]; front == "" || has > 0 && has < need {
		c.brokef("S5 %s: the stable Service selects %q, which has %d of %d pods for the rest", a, front, has, need)
	}
}

func (c *Cluster) checkPoint(a plan.Point) {
	after := c.Services
	if a.Role == plan.StableRole || a.Role == plan.ActiveRole {
		after.Stable = plan.Selected{Hash: a.To}
		c.checkFirst(a.To)
		c.memory.points[0]++
	} else {
		after.Canary = plan.Selected{Hash: a.To}
		c.memory.points[1]++
		if c.Traffic.CanaryWeight > 0 {
			c.brokef("S8 %s: the canary route has weight %d", a, c.Traffic.CanaryWeight)
		}
		if c.choose() {
			c.brokef("S8 %s: a managed route leads to the canary", a)
		}
	}
	if after.Stable.Hash == c.Template && after.Stable != c.Services.Stable {
		c.checkSwitch(a)
	}
	if c.memory.points[0] > 2 || c.memory.points[1] > 2 {
		c.brokef("S13 %s: a Service moves back and forth", a)
	}
	c.checkShift(fmt.Sprint(a), after, c.Traffic.CanaryWeight)
	if c.byPods() && c.replicas() > 0 && c.running[a.To] == 0 {
		c.brokef("S2 %s: it has no available pod", a)
	}
}

// checkSwitch checks S10 for blue-green: the active Service moves when the
// preview was measured and, where the strategy says so, a person agreed.
func (c *Cluster) checkSwitch(a plan.Point) {
	b := c.blueGreen()
	if b == nil || !c.stableExists() || c.Rollout.Status.StableRS == c.Template || c.Services.Stable.Hash == "" ||
		c.memory.skipped || c.memory.fast || c.Rollout.Status.PromoteFull || c.inWindow() {
		return
	}
	if b.PrePromotionAnalysis != nil && !c.passedKind(v1alpha1.RolloutTypePrePromotion, c.Template) {
		c.brokef("S10 %s: the preview was not measured", a)
	}
	if b.AutoPromotionEnabled != nil && !*b.AutoPromotionEnabled && !c.memory.agreed {
		c.brokef("S10 %s: nobody agreed", a)
	}
}

// checkShift checks S2 and S5: whoever gets more traffic has the pods for it, or
// gets no more than a quarter on top of what it carries,
// or is the better of two evils: the stable side of an update that goes back,
// or any side when the other has no pod at all.
func (c *Cluster) checkShift(what string, services plan.Services, weight int32) {
	if c.replicas() == 0 || c.byPods() {
		return
	}
	for hash := range c.Revisions {
		was, is := c.serves(hash, c.Services, c.Traffic.CanaryWeight), c.serves(hash, services, weight)
		if is <= was {
			continue
		}
		if c.running[hash] == 0 {
			c.brokef("S2 %s: %s gets %d and has no available pod", what, hash, is)
		}
		need := c.replicas() * is / c.maxWeight()
		if hash == c.Template && c.scaledByHand() {
			need = 1
		}
		little := (is-was)*4 <= was && !c.canary().DynamicStableScale
		if has := c.running[hash]; has < need && !little && !c.lesserEvil(hash, need, services) {
			c.brokef("S5 %s: %s gets %d and has %d of %d pods", what, hash, is, has, need)
		}
	}
}

// scaledByHand reports whether the user said how many pods of the current
// revision are enough, whatever its weight.
func (c *Cluster) scaledByHand() bool {
	if c.canary().ReplicaProgressThreshold != nil {
		return true
	}
	index := min(int(ptr.Deref(c.Rollout.Status.CurrentStepIndex, 0))+1, len(c.canary().Steps))
	return slices.ContainsFunc(c.canary().Steps[:index], func(s v1alpha1.CanaryStep) bool { return s.SetCanaryScale != nil })
}

// lesserEvil reports whether a revision short of pods may get more all the same:
// the stable Service selects it and maxUnavailable covers what is missing, or nobody
// else who gets traffic has a pod.
func (c *Cluster) lesserEvil(hash string, need int32, after plan.Services) bool {
	if left := c.Services.Stable.Hash; left != "" && left != hash && after.Stable.Hash == hash && c.running[left] == 0 {
		return true // what it leaves answers nothing
	}
	for other := range c.Revisions {
		if other != hash && c.serves(other, c.Services, c.Traffic.CanaryWeight) > 0 && c.running[other] > 0 {
			// A quarter of the pods may be missing, as maxUnavailable says by default.
			return c.running[hash]+c.replicas()/4 >= need && hash == after.Stable.Hash
		}
	}
	return true
}

func (c *Cluster) checkScale(a plan.Scale) {
	if c.checkUnseen(a); c.isSpare(a) {
		return
	}
	most := c.replicas()
	if b := c.blueGreen(); b != nil {
		most = max(most, ptr.Deref(b.PreviewReplicaCount, 0))
	}
	if a.Revision == c.Template && c.scaledByHand() {
		most = max(most, a.To) // setCanaryScale is not bounded
	}
	if a.To < 0 || a.To > most && a.To > a.From {
		c.brokef("S4 %s: not between zero and spec.replicas", a)
	}
	if c.abortHolds() && a.Revision == c.Template && a.To > a.From {
		c.brokef("S12 %s: the update is aborted", a)
	}
	if c.byPods() {
		c.checkBudget(a)
		return
	}
	if a.To < a.From {
		c.checkShrink(a)
		c.checkChosen(a)
	}
}

// checkBudget checks S3 and S4 where pods alone split the traffic: never more
// than maxSurge allows, never fewer than maxUnavailable allows.
func (c *Cluster) checkBudget(a plan.Scale) {
	above, below := c.budget()
	asked, available := a.To-a.From, int32(0)
	for hash, r := range c.Revisions {
		asked += r.Replicas
		if hash != a.Revision {
			available += c.running[hash]
		}
	}
	has := c.running[a.Revision]
	switch {
	case a.To > a.From && asked > c.replicas()+above+c.extra():
		c.brokef("S4 %s: %d pods of %d and %d above", a, asked, c.replicas(), above)
	case a.To < has && available+a.To < c.replicas()-below:
		c.brokef("S3 %s: %d available pods of %d, %d may be missing", a, available+a.To, c.replicas(), below)
	case a.To == 0 && c.replicas() > below && has > 0 && c.Services.Stable.Hash == a.Revision:
		c.brokef("S7 %s: the stable Service selects it", a)
	}
}

// budget is how many pods there may be above the replicas, and how many may be missing.
func (c *Cluster) budget() (above, below int32) {
	canary := c.canary()
	above, below = (c.replicas()+3)/4, c.replicas()/4
	if canary.MaxSurge != nil {
		above, below = canary.MaxSurge.IntVal, min(canary.MaxUnavailable.IntVal, c.replicas())
	}
	if above == 0 && below == 0 {
		below = 1
	}
	return above, below
}

func (c *Cluster) checkShrink(a plan.Scale) {
	weight := c.serves(a.Revision, c.Services, c.Traffic.CanaryWeight)
	if !ptr.Deref(c.Traffic.Verified, true) {
		c.brokef("S6 %s: the data plane is not seen to serve the weights", a)
	}
	switch need := c.replicas() * weight / c.maxWeight(); {
	case a.To < need && (a.Revision != c.Template || !c.scaledByHand()):
		c.brokef("S6 %s: it gets %d and needs %d pods", a, weight, need)
	case weight > 0 && a.To == 0 && c.replicas() > 0:
		c.brokef("S2 %s: it gets %d", a, weight)
	case a.Revision == c.Rollout.Status.StableRS && a.To < c.replicas() && !c.canary().DynamicStableScale:
		c.brokef("S6 %s: the stable revision is kept whole", a)
	case a.To == 0 && c.replicas() > 0 && c.Services.Stable.Hash == a.Revision:
		c.brokef("S7 %s: the stable Service selects it", a)
	}
}

// checkChosen checks that requests that are chosen for the canary find a pod.
func (c *Cluster) checkChosen(a plan.Scale) {
	if c.choose() && a.Revision == c.Services.Canary.Hash && a.To == 0 && c.replicas() > 0 {
		c.brokef("S2 %s: a managed route leads to it", a)
	}
}

// abortHolds reports whether the update of the current template and steps is
// aborted and nothing has ended that: a retry, another template, promote --full.
func (c *Cluster) abortHolds() bool {
	st := c.Rollout.Status
	return st.Abort && !st.PromoteFull && c.stableExists() && st.StableRS != c.Template &&
		c.Template == st.CurrentPodHash && c.Steps == st.CurrentStepHash
}

// stableExists reports whether there is a revision to go back to: one was
// recorded, and nobody deleted it.
func (c *Cluster) stableExists() bool {
	_, exists := c.Revisions[c.Rollout.Status.StableRS]
	return exists
}

func (c *Cluster) checkStart(a plan.Action, start plan.Analysis) {
	for _, run := range c.Analyses {
		if run.Name == start.Name && (run.Kind == plan.KindExperiment) == (start.Kind == plan.KindExperiment) {
			c.brokef("S14 %s: the name is taken", a)
		}
		if run.Kind == start.Kind && run.Step == start.Step && run.Hash == c.Template && run.StepHash == c.Steps && run.Revision == c.Revisions[c.Template].Number && !run.Phase.Completed() && !run.Stopping {
			c.brokef("S14 %s: %s is still running", a, run.Name)
		}
	}
}

func (c *Cluster) checkStatus(st v1alpha1.RolloutStatus) {
	old := c.Rollout.Status
	same := old.CurrentPodHash == st.CurrentPodHash && old.CurrentStepHash == st.CurrentStepHash && old.CurrentPodHash != ""
	if !same {
		// It counts how old the revision was when the update began, should somebody delete its ReplicaSet.
		c.memory.skipped, c.memory.agreed = c.inWindow(), false
		c.memory.points = [2]int{}
		return
	}
	if !c.stableExists() {
		if old.StableRS == "" && st.StableRS != "" && c.Services.Stable.Hash == "" {
			c.checkFirst(st.StableRS)
		}
		return // what there is becomes stable
	}
	c.checkStep(st)
	c.checkFrozen(st)
	if !retried(old) && !old.PromoteFull && !st.Abort && st.StableRS != st.CurrentPodHash {
		c.checkVerdicts()
	}
	c.checkPromotion(st)
}
