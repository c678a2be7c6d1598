package plan

import (
	"cmp"
	"fmt"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// world is a Snapshot with its roles named and its questions answered once.
type world struct {
	Snapshot

	// pointed is what the Services select. Services of the Snapshot are in here what the two sides
	// select, which is the same but for routes that select by themselves.
	pointed Services
	// canary is the strategy; a blue-green one in the words of a canary.
	canary v1alpha1.CanaryStrategy
	// blueGreen is the strategy when it is that one; nil otherwise.
	blueGreen *v1alpha1.BlueGreenStrategy
	old       v1alpha1.RolloutStatus // what was reported last
	replicas  int32
	total     int32 // what all weights sum to
	stable    string
	// changed: the template or the steps are not those the status is about.
	changed bool
	// retried: a person took the abort back.
	retried bool
	// full: the rest of the steps is skipped because a person said so.
	full bool
	// skip: it is skipped for that reason, or because of where the update leads.
	skip  bool
	abort abort
	step  int32
	count counts
}

// abort says whether the update goes back, and why.
type abort struct {
	Decided bool
	// Reason is empty when a person aborted.
	Reason string
}

// failurePrefix is how the served API begins the reason of an abort by an analysis.
var failurePrefix = map[string]string{
	v1alpha1.RolloutTypeStep:          "Step-based analysis phase error/failed: ",
	v1alpha1.RolloutTypeBackground:    "Background analysis phase error/failed: ",
	v1alpha1.RolloutTypePrePromotion:  "",
	v1alpha1.RolloutTypePostPromotion: "",
	v1alpha1.RolloutTypeInitial:       "Initial analysis phase error/failed: ",
	KindExperiment:                    "",
}

// counts are the pods of all revisions. Scaled is what an autoscaler sees.
type counts struct {
	Replicas, Updated, Ready, Available, Scaled int32
}

// read names the roles in a snapshot.
func read(s Snapshot) world {
	pointed := s.Services
	s.Services = sides(s)
	w := world{Snapshot: s, pointed: pointed, old: s.Rollout.Status, replicas: valueOr(s.Rollout.Spec.Replicas, 1), total: 100}
	switch strategy := s.Rollout.Spec.Strategy; {
	case strategy.Canary != nil:
		w.canary, w.total = *strategy.Canary, strategy.Canary.MaxTrafficWeight()
		w.canary.StableService, w.canary.CanaryService = s.Rollout.CanaryServices()
	case strategy.BlueGreen != nil:
		w.canary, w.blueGreen = asCanary(strategy.BlueGreen), strategy.BlueGreen
	}
	if w.Invalid == nil {
		w.Invalid = unserved(s.Rollout)
	}
	if w.Invalid != nil && w.old.CurrentPodHash != "" {
		// An invalid spec asks for nothing: the update under way is the recorded one, and can be aborted.
		w.Current, w.StepHash = w.old.CurrentPodHash, w.old.CurrentStepHash
	}
	w.Revisions = seenLive(s)
	w.count = countPods(w)
	w.Revisions = withoutExtra(w.Revisions)
	w.changed = w.Current != w.old.CurrentPodHash || w.StepHash != w.old.CurrentStepHash
	w.stable = knownStable(w)
	w.retried = !w.changed && !w.old.Abort && progressReason(w.old) == ReasonAborted
	w.full = w.old.PromoteFull && !w.changed && !w.abortedSince() || w.fastRollback()
	w.skip = w.full || w.inWindow()
	w.step = startStep(w)
	w.abort = decideAbort(w)
	return w
}

// sides are what the stable and the canary side select.
func sides(s Snapshot) Services {
	by := s.Traffic.Selects
	if by == nil {
		return s.Services
	}
	return Services{
		Stable: Selected{Hash: by.Stable, Adopted: by.Stable != ""},
		Canary: Selected{Hash: by.Canary, Adopted: by.Canary != ""},
	}
}

// abortedSince reports whether a person aborted an update that was promoted in
// full: the later of the two counts, and an abort that was seen before is recorded.
func (w world) abortedSince() bool {
	return w.old.Abort && progressReason(w.old) != ReasonAborted
}

// knownStable is the stable revision, or empty when there is none to go back
// to: before the first one has a pod, or when somebody deleted its ReplicaSet.
//
// A promotion whose record was lost is believed when it shows: the stable
// Service serves a revision and the recorded one has no pod left. That can be
// where pods alone split the traffic; a routed one keeps its pods until it is
// recorded, and has none when it was scaled to nothing.
func knownStable(w world) string {
	stable, served := w.old.StableRS, w.Services.Stable.Hash
	if w.old.CurrentPodHash == "" {
		return unrecordedStable(w.Snapshot)
	}
	if lost := served != w.Current && w.Revisions[served].Available > 0 && w.Revisions[stable].Replicas == 0; lost && w.byPods() && stable != "" && stable != w.Current {
		return served
	}
	if _, exists := w.Revisions[stable]; exists || stable == w.Current {
		return stable
	}
	return ""
}

// unrecordedStable is the stable revision of a Rollout without a status that
// finds pods all the same, as one does that was deleted without them and
// applied again: what the stable Service serves or, without one, the revision
// with the most pods beside the current one. Its update begins anew.
func unrecordedStable(s Snapshot) string {
	switch served := s.Services.Stable.Hash; {
	case served == s.Current:
		return "" // as on a first deploy: it is stable with its first pod
	case s.Revisions[served].Available > 0:
		return served
	case s.Rollout.Spec.InitialAnalysis != nil:
		return "" // who serves nothing may never have been measured
	}
	best := Revision{}
	for hash, r := range s.Revisions {
		if hash == s.Current || !r.Deadline.IsZero() || r.Replicas == 0 || r.Available == 0 {
			continue
		}
		if order := cmp.Or(cmp.Compare(r.Available, best.Available), cmp.Compare(best.Hash, hash)); order > 0 {
			best = r
		}
	}
	return best.Hash
}

func countPods(w world) counts {
	var c counts
	for _, r := range w.Revisions {
		c.Replicas += r.Pods
		c.Ready += r.Ready
		c.Available += r.Available
	}
	c.Updated, c.Scaled = w.current().Pods, c.Replicas
	if active, ok := w.active(); ok {
		c.Ready, c.Available, c.Scaled = active.Ready, active.Available, active.Pods
	}
	if stable, ok := w.Revisions[knownStable(w)]; ok && w.countsStable() {
		c.Scaled = stable.Pods
	}
	return c
}

// countsStable reports whether an autoscaler sees the stable revision alone.
func (w world) countsStable() bool {
	return w.blueGreen == nil && w.Rollout.Spec.ScaleAccounting == v1alpha1.ScaleStable
}

// startStep is the step the recorded status stands at, after what resets it.
func startStep(w world) int32 {
	last := int32(len(w.canary.Steps))
	switch {
	case !w.rolling(), w.skip:
		return last
	case w.changed, w.retried, w.old.CurrentStepIndex == nil:
		return 0
	default:
		return min(max(0, *w.old.CurrentStepIndex), last)
	}
}

// decideAbort is asked before anything else, so that an abort is possible from
// every state. It follows from facts that stay: should the status that records
// it be lost, the next snapshot decides the same.
func decideAbort(w world) abort {
	if !w.tried() || w.changed || w.full {
		return abort{}
	}
	if w.old.Abort {
		return abort{Decided: true, Reason: recordedAbortReason(w.old)}
	}
	for _, run := range w.gatingRuns() {
		if failed(run.Phase) && !w.freezes() {
			said := cmp.Or(run.Message, fmt.Sprintf("%s is %s", run.Name, run.Phase)) // no reason would be a person
			return abort{Decided: true, Reason: failurePrefix[run.Kind] + said}
		}
	}
	if w.Rollout.Spec.ProgressDeadlineAbort && w.deadlineExceeded() {
		return abort{Decided: true, Reason: w.deadlineMessage()}
	}
	return abort{}
}

// freezes reports whether a failure leaves the update where it is.
func (w world) freezes() bool { return w.Rollout.Spec.OnFailure == v1alpha1.FailureFreeze }

// rolling reports whether there is a stable revision and it is not the current one.
func (w world) rolling() bool { return w.stable != "" && w.stable != w.Current }

// initial reports whether no revision was ever stable.
func (w world) initial() bool { return w.stable == "" }

func (w world) current() Revision { return w.Revisions[w.Current] }

func (w world) currentExists() bool {
	_, ok := w.Revisions[w.Current]
	return ok
}

// stepsDone reports whether nothing but the promotion is left.
func (w world) stepsDone() bool { return w.step >= int32(len(w.canary.Steps)) }

func (w world) currentStep() v1alpha1.CanaryStep {
	if w.stepsDone() {
		return v1alpha1.CanaryStep{}
	}
	return w.canary.Steps[w.step]
}

// stepWeight is the weight in effect at a step: that of the last setWeight at or before it.
func (w world) stepWeight() int32 {
	if w.stepsDone() {
		return w.total
	}
	if i := w.weightStep(); i >= 0 {
		return *w.canary.Steps[i].SetWeight
	}
	return 0
}

// weightStep is the last setWeight at or before the current step; -1 when there is none.
func (w world) weightStep() int32 {
	for i := min(w.step, int32(len(w.canary.Steps))-1); i >= 0; i-- {
		if w.canary.Steps[i].SetWeight != nil {
			return i
		}
	}
	return -1
}

// whyWeight says where the weight in effect comes from.
func (w world) whyWeight() string {
	if i := w.weightStep(); i >= 0 {
		return fmt.Sprintf("%s sets weight %d", w.stepName(i), w.stepWeight())
	}
	return "no step has set a weight yet"
}

// capacity is how many pods of a revision can be counted on: those that are
// available and are not about to be removed.
func (w world) capacity(hash string) int32 {
	r := w.Revisions[hash]
	return min(r.Available, r.Replicas)
}

// servedWeight is the weight that a revision may be getting now.
func (w world) servedWeight(hash string) (weight int32) {
	if w.Services.Canary.Hash == hash {
		weight += w.Traffic.CanaryWeight
	}
	if w.Services.Stable.Hash == hash {
		weight += w.total - w.Traffic.CanaryWeight
	}
	return weight
}

// selected reports whether a Service selects the revision, with or without
// weight. What a preview Service selects is not in use.
func (w world) selected(hash string) bool {
	tried := w.blueGreen == nil && !w.idle()
	return w.Services.Canary.Hash == hash && tried || w.Services.Stable.Hash == hash
}

// idle reports whether the canary Service of a ping-pong canary has nothing to
// do: it keeps the revision that was stable before until the next update.
func (w world) idle() bool {
	return w.canary.PingPong != nil && !w.rolling() && w.Traffic.CanaryWeight == 0
}

// idleCanary is what the canary Service selects while nothing is tried: the
// stable revision, or, of two Services that swap roles, whatever it does.
func (w world) idleCanary(stable string) string {
	if w.canary.PingPong != nil {
		return w.Services.Canary.Hash
	}
	return stable
}

// pausedByUser reports whether the spec asks to stop where it is.
func (w world) pausedByUser() bool { return w.Rollout.Spec.Paused }

// routeAgrees reports whether every route is known to carry its weight.
func (w world) routeAgrees() bool {
	return w.Traffic.Exists && w.Traffic.InSync && w.verified()
}

// verified reports whether the data plane serves the weights that the routes
// ask for, as far as the routers can tell.
func (w world) verified() bool { return valueOr(w.Traffic.Verified, true) }

// routed reports whether routes split the traffic.
func (w world) routed() bool { return w.canary.TrafficRouting != nil && w.blueGreen == nil }

// byPods reports whether the numbers of pods split the traffic.
func (w world) byPods() bool { return w.canary.TrafficRouting == nil }

// promoted reports whether all traffic was seen on the current revision, by way
// of the stable Service, or, without routes, by pods enough for all of it.
func (w world) promoted() bool {
	return w.rolling() && !w.abort.Decided && w.stepsDone() && w.currentExists() && w.tookOver()
}

// tookOver reports whether the current revision serves all there is to serve.
func (w world) tookOver() bool {
	switch {
	case w.blueGreen != nil:
		return w.switched() && w.postPromotionPassed()
	case w.canary.PingPong != nil:
		return w.servedBy(w.Services.Canary, w.total) && !w.dead(w.Current, w.total)
	case w.routed():
		return w.servedBy(w.Services.Stable, 0)
	default:
		return w.enough(w.replicas) && (w.canary.StableService == "" || w.switched())
	}
}

// servedBy reports whether a Service selects the current revision and the routes carry the weight.
func (w world) servedBy(service Selected, weight int32) bool {
	return service.Hash == w.Current && w.Traffic.CanaryWeight == weight && w.routeAgrees()
}

// firstStable reports whether the first revision can be gone back to from now on.
func (w world) firstStable() bool {
	return w.initial() && w.currentExists() && w.initialPassed() && (w.current().Available > 0 || w.replicas == 0)
}

// settled reports whether the current revision is stable, whole and alone. With
// blue-green it is alone when no Service selects another.
func (w world) settled(stable string) bool {
	c := w.count
	alone := c.Replicas == w.replicas
	if w.blueGreen != nil {
		alone = w.switched() && (w.canary.CanaryService == "" || w.Services.Canary.Hash == w.Current)
	}
	return stable == w.Current && c.Updated == w.replicas && c.Available == w.replicas && alone
}

// valueOr is what a pointer points to, or a default.
func valueOr[T any](p *T, missing T) T {
	if p == nil {
		return missing
	}
	return *p
}
