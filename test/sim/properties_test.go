package sim

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/rollout/plan"
)

// TestBlueGreenIsACanaryOfOneStep plays the same random events on a blue-green
// Rollout and on a canary whose only step is all of the traffic, and compares
// them whenever they rest: the revisions and their pods, who serves, who is
// stable, and what is said of it.
func TestBlueGreenIsACanaryOfOneStep(t *testing.T) {
	for seed := range histories(t) / 4 {
		rng := rand.New(rand.NewPCG(seed, 3)) //nolint:gosec // A test needs the same numbers again.
		replicas := int32(1 + rng.IntN(6))
		bg := New(plain(replicas, v1alpha1.RolloutStrategy{BlueGreen: &v1alpha1.BlueGreenStrategy{ActiveService: "stable"}}), "v1")
		canary := New(plain(replicas, v1alpha1.RolloutStrategy{Canary: &v1alpha1.CanaryStrategy{
			StableService: "stable", CanaryService: "canary", Steps: []v1alpha1.CanaryStep{{SetWeight: ptr.To(int32(100))}},
			TrafficRouting: &v1alpha1.RolloutTrafficRouting{Nginx: &v1alpha1.NginxTrafficRouting{StableIngress: "web"}},
		}}), "v1")
		bg.Steps = "" // they have no steps of their own
		both := []*Cluster{bg, canary}
		for _, c := range both {
			c.untilRest(true)
		}
		for i := range 12 {
			event, ready := randomEvent(rng, canary), rng.IntN(4) > 0
			for _, c := range both {
				event(c)
				c.untilRest(ready)
			}
			if diff := cmp.Diff(bg.restsAt(), canary.restsAt()); diff != "" {
				t.Fatalf("seed %d, event %d (-blue-green +canary):\n%s\nblue-green:\n%v\ncanary:\n%v", seed, i, diff, strings.Join(tail(bg.Log, 40), "\n"), strings.Join(tail(canary.Log, 40), "\n"))
			}
		}
	}
}

func plain(replicas int32, strategy v1alpha1.RolloutStrategy) *v1alpha1.Rollout {
	ro := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", Generation: 1}}
	ro.Spec.Replicas, ro.Spec.Strategy = &replicas, strategy
	ro.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	return ro
}

// randomEvent is something that means the same to both strategies.
func randomEvent(rng *rand.Rand, at *Cluster) func(*Cluster) {
	template, replicas := fmt.Sprintf("v%d", 1+rng.IntN(4)), int32(1+rng.IntN(6))
	switch n := rng.IntN(10); {
	case n < 4:
		return func(c *Cluster) { c.Deploy(template) }
	case n < 5 && at.Rollout.Status.StableRS != at.Template:
		return (*Cluster).Abort
	case n < 6 && at.Rollout.Status.Abort:
		return (*Cluster).Retry
	case n < 7:
		return func(c *Cluster) { c.Scale(replicas) }
	default:
		return func(c *Cluster) { c.Now = c.Now.Add(40 * time.Second) }
	}
}

// untilRest lets the planner work until it has nothing more to do. Only where
// ready is set do pods become available.
func (c *Cluster) untilRest(ready bool) {
	for range 60 {
		before := len(c.Log)
		p := plan.Make(c.Snapshot())
		for _, a := range p.Actions {
			c.Act(a)
		}
		same := equalStatus(&p.Status, &c.Rollout.Status)
		c.Store(p)
		if ready {
			c.Settle()
		}
		if again := plan.Make(c.Snapshot()); same && len(c.Log) == before && len(again.Actions) == 0 && equalStatus(&again.Status, &p.Status) {
			return
		}
	}
	c.brokef("L1 it never rests")
}

// resting is what two strategies can be compared by.
type resting struct {
	Replicas       map[string]int32
	Serves, Stable string
	Abort          bool
	Phase          v1alpha1.RolloutPhase
	Broken         []string
}

func (c *Cluster) restsAt() resting {
	r := resting{Replicas: map[string]int32{}, Stable: c.Rollout.Status.StableRS, Abort: c.Rollout.Status.Abort, Phase: c.Rollout.Status.Phase, Broken: c.Broken}
	for hash, rev := range c.Revisions {
		if hash == c.Template || hash == r.Stable { // the canary Service keeps the pods it selects until another has some
			r.Replicas[hash] = rev.Replicas
		}
		if c.serves(hash, c.Services, c.Traffic.CanaryWeight) == c.maxWeight() {
			r.Serves = hash
		}
	}
	return r
}

// TestAPlanInHalvesIsThePlan carries out a part of a plan, plans again and goes
// on, and compares where that ends with where the whole plan ends.
func TestAPlanInHalvesIsThePlan(t *testing.T) {
	halved := 0
	for seed := range histories(t) / 5 {
		h := NewHistory(seed)
		for range 30 {
			h.event()
			p := plan.Make(h.Snapshot())
			if len(p.Actions) > 1 {
				halved++
				whole, half := h.copied(), h.copied()
				for _, c := range []*Cluster{whole, half} { // one must not miss its deadline by a moment, and the other not
					c.Rollout.Spec.ProgressDeadlineSeconds = ptr.To(int32(86400))
					c.Verify(true) // nor one wait for the data plane, and the other not
				}
				for _, a := range p.Actions[:len(p.Actions)/2] {
					half.Act(a)
				}
				for _, c := range []*Cluster{whole, half} {
					for range 4 { // past every delay: those depend on what was recorded first
						c.untilRest(true)
						c.Now = c.Now.Add(2 * time.Minute)
					}
				}
				if diff := cmp.Diff(whole.endsAt(), half.endsAt()); diff != "" {
					t.Fatalf("seed %d: after %d of %d actions (-whole +half):\n%s\nwhole:\n%v\nhalf:\n%v",
						seed, len(p.Actions)/2, len(p.Actions), diff, strings.Join(tail(whole.Log, 30), "\n"), strings.Join(tail(half.Log, 30), "\n"))
				}
			}
			h.reconcile()
		}
	}
	t.Logf("%d plans in halves", halved)
	if halved < int(histories(t)/2) {
		t.Errorf("only %d plans had two actions: the histories test little", halved)
	}
}

// copied is a cluster of its own with the same contents.
func (c *Cluster) copied() *Cluster {
	other := *c
	other.Rollout = c.Rollout.DeepCopy()
	other.Revisions, other.Writes, other.running = maps.Clone(c.Revisions), maps.Clone(c.Writes), maps.Clone(c.running)
	if c.Workload != nil {
		other.Workload = ptr.To(*c.Workload)
	}
	other.pods.of, other.pods.unseen, other.pods.known = map[string][]pod{}, maps.Clone(c.pods.unseen), maps.Clone(c.pods.known)
	for hash, list := range c.pods.of {
		other.pods.of[hash] = slices.Clone(list)
	}
	other.Analyses, other.Log, other.Broken = slices.Clone(c.Analyses), slices.Clone(c.Log), nil
	return &other
}

// ending is a cluster without what depends on how often the planner was asked.
type ending struct {
	Revisions map[string]plan.Revision
	Services  plan.Services
	Weight    int32
	Runs      []string
	Status    []string
}

// again is the name of a run that was started once more.
var again = regexp.MustCompile(`(web-[a-z0-9-]+)\.[0-9]+`)

func (c *Cluster) endsAt() ending {
	st := c.Rollout.Status
	e := ending{Revisions: map[string]plan.Revision{}, Services: c.Services, Weight: c.Traffic.CanaryWeight}
	canary := c.Rollout.Spec.Strategy.Canary
	if idle := canary != nil && canary.PingPong != nil && st.StableRS == st.CurrentPodHash; e.Weight == 0 && (idle || c.Revisions[st.CurrentPodHash].Replicas == 0) {
		e.Services.Canary = plan.Selected{} // it is idle, or waits for a pod, and keeps what it selected
	}
	for hash, r := range c.Revisions {
		r.Deadline = time.Time{} // what is left of one that is over
		e.Revisions[hash] = r
	}
	for _, run := range c.Analyses {
		name, _, _ := strings.Cut(run.Name, ".") // a pass more or less may have stopped one and started it again
		e.Runs = append(e.Runs, name)
	}
	e.Status = []string{
		"stable " + st.StableRS, "current " + st.CurrentPodHash, fmt.Sprint("step ", ptr.Deref(st.CurrentStepIndex, -1)),
		fmt.Sprint("abort ", st.Abort, " full ", st.PromoteFull), fmt.Sprint(st.Phase, " ", st.Message), fmt.Sprint(st.Why.Code, " ", st.Why.Message),
	}
	for _, p := range st.PauseConditions {
		e.Status = append(e.Status, "paused "+string(p.Reason))
	}
	for _, cond := range st.Conditions {
		if cond.Type == v1alpha1.RolloutHealthy && cond.Status == corev1.ConditionFalse {
			continue // it is absent until it was true for a moment
		}
		e.Status = append(e.Status, fmt.Sprint(cond.Type, " ", cond.Status, " ", cond.Reason))
	}
	for i := range e.Status {
		e.Status[i] = again.ReplaceAllString(e.Status[i], "$1")
	}
	slices.Sort(e.Runs)
	e.Runs = slices.Compact(e.Runs)
	slices.Sort(e.Status) // conditions are in the order in which they were first set
	return e
}
