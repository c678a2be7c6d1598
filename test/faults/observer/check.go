package observer

import (
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/utils/ptr"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// Check replays a history and lists what did not hold for a Rollout, by the
// numbers of the invariants in docs of the project: S1 and so on. It expects
// that nobody but the controller takes pods or traffic away.
func Check(h History, rollout string) []string {
	c := checker{name: rollout, created: map[string]int{}}
	s := emptyState()
	for _, change := range h {
		next, err := s.after(change, rollout)
		if err != nil {
			return append(c.broken, err.Error())
		}
		c.at = change
		if next.canary() != nil {
			c.born(s, next)
			c.check(s, next)
		}
		s = next
	}
	return c.broken
}

// checker remembers what the present state does not tell.
type checker struct {
	name    string
	at      Change
	broken  []string
	created map[string]int // ReplicaSets by hash
	moves   [2]int         // how often each Service moved in this revision
}

func (c *checker) say(format string, args ...any) {
	where := fmt.Sprintf("%s: version %d, %s %s: ", c.name, c.at.Version, c.at.Kind, c.at.Name)
	c.broken = append(c.broken, where+fmt.Sprintf(format, args...))
}

func (c *checker) check(was, is state) {
	if _, err := is.weight(); err != nil {
		c.say("S1 %v", err)
		return
	}
	c.checkWeight(was, is)
	c.checkServed(was, is)
	if was.canary() == nil {
		return // It was made just now.
	}
	c.checkShift(was, is)
	c.checkSizes(was, is)
	c.checkSelectors(was, is)
	c.checkSteps(was, is)
	c.checkStable(was, is)
	c.checkForeign(was, is)
}

// born counts ReplicaSets: S14.
func (c *checker) born(was, is state) {
	before := was.replicaSets
	for hash, rs := range is.owned() {
		if before[rs.Name] != nil {
			continue
		}
		c.created[hash]++
		if c.created[hash] > 1 {
			c.say("S14 the ReplicaSet of %s was created %d times", hash, c.created[hash])
		}
	}
}

// checkWeight checks S1 and S12.
func (c *checker) checkWeight(was, is state) {
	weight, _ := is.weight()
	if weight < 0 || weight > is.canary().MaxTrafficWeight() {
		c.say("S1 the weight is %d", weight)
	}
	if was.canary() == nil {
		return
	}
	before, _ := was.weight()
	if st := is.rollout.Status; weight > before && st.Abort && !st.PromoteFull && was.rollout.Status.Abort {
		c.say("S12 the weight rose from %d to %d while the update is aborted", before, weight)
	}
}

// checkServed checks S2 and S7: whoever gets traffic has a pod to answer.
func (c *checker) checkServed(was, is state) {
	if is.replicas() == 0 || is.rollout.Status.StableRS == "" {
		return
	}
	for _, hash := range []string{is.stableHash(), is.canaryHash()} {
		if hash == "" || is.available(hash) > 0 {
			continue
		}
		if weight := is.serves(hash); weight > 0 && (was.canary() == nil || was.available(hash) > 0 || was.serves(hash) == 0) {
			c.say("S2 %s gets %d and has no available pod", hash, weight)
		}
	}
}

// checkShift checks S5: whoever gets more traffic has the pods for it.
func (c *checker) checkShift(was, is state) {
	if is.replicas() == 0 || c.at.Kind == Pod || c.at.Kind == Rollout {
		return
	}
	for hash := range is.owned() {
		before, now := was.serves(hash), is.serves(hash)
		if now <= before || was.stableHash() == "" {
			continue
		}
		if has, need := is.available(hash), is.needs(now); has < need || has == 0 {
			c.say("S5 %s gets %d instead of %d and has %d of %d pods", hash, now, before, has, need)
		}
	}
}

// checkSizes checks S6, S7 and S4: nobody is shrunk below what the traffic
// needs, and nobody grows above what was asked for.
func (c *checker) checkSizes(was, is state) {
	if c.at.Kind != ReplicaSet {
		return
	}
	before := was.owned()
	for hash, rs := range is.owned() {
		old, size := int32(0), ptr.Deref(rs.Spec.Replicas, 1)
		if before[hash] != nil {
			old = ptr.Deref(before[hash].Spec.Replicas, 1)
		}
		switch need := is.needs(is.serves(hash)); {
		case size > old && size > is.replicas():
			c.say("S4 %s grew from %d to %d of %d pods", hash, old, size, is.replicas())
		case size >= old:
		case size < need:
			c.say("S6 %s shrank from %d to %d and needs %d for its traffic", hash, old, size, need)
		case size == 0 && is.replicas() > 0 && is.serves(hash) > 0:
			c.say("S2 %s shrank to nothing and gets %d", hash, is.serves(hash))
		case hash == is.rollout.Status.StableRS && size < is.replicas():
			c.say("S6 %s is stable and shrank from %d to %d of %d", hash, old, size, is.replicas())
		}
	}
	c.checkDeleted(was, is)
}

func (c *checker) checkDeleted(was, is state) {
	after := is.owned()
	for hash, rs := range was.owned() {
		if after[hash] == nil && (was.serves(hash) > 0 || ptr.Deref(rs.Spec.Replicas, 1) > 0) {
			c.say("S6 %s was deleted with pods or traffic", hash)
		}
	}
}

// checkSelectors checks S8 and S13: the canary Service moves without weight,
// and no Service moves back and forth.
func (c *checker) checkSelectors(was, is state) {
	if was.rollout.Status.CurrentPodHash != is.rollout.Status.CurrentPodHash || was.rollout.Status.Abort != is.rollout.Status.Abort {
		c.moves = [2]int{}
	}
	if was.stableHash() != is.stableHash() {
		c.moves[0]++
	}
	if was.canaryHash() != is.canaryHash() {
		c.moves[1]++
		if weight, _ := was.weight(); weight > 0 && was.canaryHash() != "" {
			c.say("S8 the canary Service moved from %s to %s under weight %d", was.canaryHash(), is.canaryHash(), weight)
		}
	}
	// One for a first Service without a revision, one for the update.
	if c.at.Kind == Service && (c.moves[0] > 2 || c.moves[1] > 2) {
		c.say("S13 a Service moves back and forth")
	}
}

// checkSteps checks S9: a step at a time, and never back.
func (c *checker) checkSteps(was, is state) {
	old, now := was.rollout.Status, is.rollout.Status
	same := old.CurrentPodHash == now.CurrentPodHash && old.CurrentStepHash == now.CurrentStepHash && old.CurrentPodHash != ""
	if !same || old.CurrentStepIndex == nil || now.CurrentStepIndex == nil {
		return
	}
	full := old.PromoteFull || now.StableRS == now.CurrentPodHash
	switch from, to := *old.CurrentStepIndex, *now.CurrentStepIndex; {
	case to > from+1 && !full:
		c.say("S9 the step went from %d to %d", from, to)
	case to < from && !now.Abort && !old.Abort:
		c.say("S9 the step went back from %d to %d", from, to)
	case to > from && now.Abort:
		c.say("S11 the step went from %d to %d while the update is aborted", from, to)
	}
}

// checkStable checks S10: a revision becomes stable when all traffic is on it.
func (c *checker) checkStable(was, is state) {
	old, now := was.rollout.Status, is.rollout.Status
	if old.StableRS == now.StableRS || old.StableRS == "" {
		return
	}
	weight, _ := is.weight()
	switch {
	case now.StableRS != now.CurrentPodHash:
		c.say("S10 %s became stable and %s is current", now.StableRS, now.CurrentPodHash)
	case is.stableHash() != now.StableRS || weight != 0:
		c.say("S10 %s became stable with the stable Service on %s and weight %d", now.StableRS, is.stableHash(), weight)
	case now.Abort || old.Abort && !old.PromoteFull && now.CurrentPodHash == old.CurrentPodHash:
		c.say("S12 %s became stable while the update is aborted", now.StableRS)
	}
}

// checkForeign checks S15: what is not the controller's stays as it was.
func (c *checker) checkForeign(was, is state) {
	stable := is.canary().TrafficRouting.Nginx.StableIngress
	if c.at.Kind == Ingress && c.at.Name == stable {
		before, now := was.ingresses[stable], is.ingresses[stable]
		same := before == nil || now == nil ||
			equality.Semantic.DeepEqual(before.Spec, now.Spec) && maps.Equal(before.Annotations, now.Annotations)
		if !same {
			c.say("S15 the stable Ingress was changed")
		}
	}
	if c.at.Kind != Service {
		return
	}
	before, now := was.services[c.at.Name], is.services[c.at.Name]
	if before == nil || now == nil || !slices.Contains([]string{is.canary().StableService, is.canary().CanaryService}, c.at.Name) {
		return
	}
	a, b := before.Spec.DeepCopy(), now.Spec.DeepCopy()
	delete(a.Selector, v1alpha1.PodTemplateHashLabel)
	delete(b.Selector, v1alpha1.PodTemplateHashLabel)
	if !equality.Semantic.DeepEqual(a, b) {
		c.say("S15 more than the hash in the selector was changed")
	}
}
