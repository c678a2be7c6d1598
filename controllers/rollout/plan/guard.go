package plan

import "time"

// guard weakens a target until acting on it is safe now. It is the only place
// that knows the safety rules, and every strategy passes through it:
//
//   - traffic moves forward only to a split that both sides have the pods to carry, or away
//     from a stable side that has none;
//   - traffic moves back as far as the stable side can carry it, the last fifth at once if that side
//     was whole before, and
//     all the way from a dead side;
//   - a Service moves only to pods that can carry what comes with it, and never under weight or managed routes;
//   - requests are sent to the canary by their headers only while it has pods, and only to the
//     revision that is meant;
//   - one of the two moves at a time, since each is judged by where the other was seen;
//   - a revision keeps the pods that the traffic it is seen to get needs, and all of its pods
//     while the data plane is not seen to serve the weights yet;
//   - without routes, pods are replaced within maxSurge and maxUnavailable;
//   - a Deployment that is replaced loses no more pods than the Rollout serves with.
//
// The rules speak of revisions, not of roles: mid-way through a third revision
// the canary Service still selects the second one.
func guard(w world, want target) target {
	safe := want
	if w.byPods() {
		safe.canary = safeCanaryService(w, want.canary)
		safe.stable = safeStableService(w, want)
		safe.sizes = withinBudget(w, want, safe)
		safe.workload = safeWorkload(w, want, safe)
		safe.hold = want.hold || w.canaryServes() // pods count for nothing while old routes split the traffic
		return safe
	}
	safe.weight, safe.routes = safeWeight(w, want), safeRoutes(w, want)
	safe.canary = safeCanaryService(w, want.canary)
	safe.stable = safeStableService(w, want)
	if safe.stable != w.Services.Stable.Hash {
		// One move at a time: each was judged by where the other stands.
		safe.weight, safe.routes = w.Traffic.CanaryWeight, w.Traffic.Routes
	}
	safe.sizes = map[string]int32{}
	for hash, size := range want.sizes {
		safe.sizes[hash] = max(size, keepPods(w, hash, safe.serves(w, hash)))
	}
	safe.workload = safeWorkload(w, want, safe)
	return safe
}

// serves is the weight that a revision gets once the moves to the target are made.
func (t target) serves(w world, hash string) (weight int32) {
	if t.canary == hash {
		weight += t.weight
	}
	if t.stable == hash {
		weight += w.total - t.weight
	}
	return weight
}

// safeWeight is the canary weight to ask for now.
func safeWeight(w world, want target) int32 {
	now := w.Traffic.CanaryWeight
	goal := want.weight
	front, behind := w.Services.Stable.Hash, w.Services.Canary.Hash
	if behind != want.canary && goal > 0 {
		goal = 0 // the weight would go to another revision than the one it is meant for
	}
	switch {
	case w.Services.Stable.Missing:
		return now
	case front == behind && front != "": // one revision on both sides: any split is the same
		return goal
	case w.dead(behind, now) && w.capacity(front) > 0:
		return 0
	case goal == now:
		return now
	case goal > now:
		return forward(w, goal)
	default:
		return back(w, goal)
	}
}

// dead reports whether a revision gets traffic and has no pod to answer it.
func (w world) dead(hash string, weight int32) bool {
	return weight > 0 && w.replicas > 0 && w.capacity(hash) == 0
}

// forward is the weight when more is to go to the canary: all of it or none. A
// stable side without any pod holds nothing up: what answers now is the canary alone.
func forward(w world, goal int32) int32 {
	now := w.Traffic.CanaryWeight
	front, behind := w.Services.Stable.Hash, w.Services.Canary.Hash
	has := w.capacity(front)
	if front != "" && w.replicas == 0 && w.Revisions[front].Replicas == 0 {
		return goal // nobody answers, and nobody is asked for
	}
	if front == "" || w.capacity(behind) < w.carries(goal) ||
		has > 0 && has < fullShare(w.replicas, w.total-goal, w.total) {
		return now
	}
	return goal
}

// back is the weight when traffic returns: at once when the stable side has its
// pods, give or take maxUnavailable; otherwise as much as they can carry, so
// that they are not drowned. With dynamicStableScale the missing pods are on
// their way, always, and the last of the weight waits for them too.
func back(w world, goal int32) int32 {
	now, front := w.Traffic.CanaryWeight, w.Services.Stable.Hash
	pods := w.capacity(front)
	if front == "" { // it selects the pods of every revision
		pods = w.count.Available
	}
	switch {
	case w.replicas == 0:
		return goal
	case pods == 0:
		return now
	}
	if now*4 <= w.total-now && !w.canary.DynamicStableScale { // it adds a quarter to what the stable pods carry: bad answers are worse
		return goal
	}
	carried := carriedWeight(pods+tolerated(w.canary.MaxUnavailable, w.replicas), w.replicas, w.total)
	return min(now, max(goal, w.total-carried))
}

// safeCanaryService is the revision the canary Service may select now. While it
// gets requests it stays: pointing it elsewhere would move them in one leap.
func safeCanaryService(w world, want string) string {
	has := w.Services.Canary
	if has.Missing || has.Hash == want || w.canaryServes() || !w.ready(has, want, 0) {
		return has.Hash
	}
	return want
}

// safeStableService is the revision the stable Service may select now: one
// with the pods for the weight that comes with it.
func safeStableService(w world, want target) string {
	has := w.Services.Stable
	if has.Missing || has.Hash == want.stable {
		return has.Hash
	}
	need := w.podsFor(want.stable)
	switch {
	case w.abort.Decided || w.capacity(has.Hash) == 0 && has.Hash != "":
		need = max(0, need-tolerated(w.canary.MaxUnavailable, w.replicas))
		if w.capacity(has.Hash) == 0 && has.Hash != "" {
			need = 0 // whatever is there beats nothing
		}
	case has.Hash == "" && w.rolling(): // it reaches the pods of both: as soon as most of them are there
		need = max(0, need-tolerated(w.canary.MaxUnavailable, w.replicas))
	case want.stable == w.Current && w.rolling():
		need = w.podsToPromote() // it brings the rest of the traffic, and soon all of it
	}
	if !w.ready(has, want.stable, need) {
		return has.Hash
	}
	return want.stable
}

// podsFor is how many pods a revision needs to take over from the stable Service.
func (w world) podsFor(hash string) int32 {
	if w.byPods() {
		return min(w.floor(), w.Revisions[hash].Replicas)
	}
	return fullShare(w.replicas, w.total-w.Traffic.CanaryWeight+w.servedWeight(hash), w.total)
}

// podsToPromote is how many pods the current revision needs to become stable.
// Without routes the last pods of the old one make room for the last of the new
// one, and they stay while the stable Service selects them.
func (w world) podsToPromote() int32 {
	if w.byPods() {
		return w.floor()
	}
	return w.required(w.replicas)
}

// ready reports whether a Service may move to a revision that needs so many
// pods. A Service that no Rollout pointed before still reaches every pod, so
// it waits until the revision is whole; during an update it waits for no more
// than another, since it reaches the pods of both revisions by no weight.
func (w world) ready(has Selected, to string, need int32) bool {
	if w.replicas == 0 {
		return true
	}
	if !has.Adopted && (!w.rolling() || has.Hash != "" || to == w.Current) {
		need = max(need, w.Revisions[to].Replicas)
	}
	return w.capacity(to) >= max(1, need)
}

// keepPods is how many pods a revision may not go below: what the weight needs
// that it is seen to get, or is about to get. It is never more than the revision has.
func keepPods(w world, hash string, soon int32) int32 {
	if !w.verified() {
		return w.Revisions[hash].Replicas
	}
	weight := max(soon, w.servedWeight(hash))
	need := share(w.replicas, weight, w.total)
	if hash == w.Current && hash != w.Services.Stable.Hash && !w.abort.Decided {
		need = min(need, w.carries(weight))
	}
	if chosen(w.Traffic.Routes) && hash == w.Services.Canary.Hash {
		need = max(need, 1)
	}
	return min(w.Revisions[hash].Replicas, need)
}

// drain is how long a revision that was never promoted keeps its pods once no
// Service selects it: proxies still hold its endpoints for a moment.
const drain = 2 * time.Second

// retirement is what becomes of a revision that has no more work.
type retirement struct {
	// Until is when its pods may go; zero when there is no time set yet.
	Until time.Time
	// Stay keeps the pods: traffic or a Service still reaches it, or the user asked for it.
	Stay bool
	// Delay is how long its pods stay from now on, when no time is set yet.
	Delay time.Duration
}

// retire decides what becomes of a revision with pods and no more work.
func retire(w world, r Revision) retirement {
	delay, forEver := retireDelay(w, r)
	return retirement{
		Stay:  w.selected(r.Hash) || w.servedWeight(r.Hash) > 0 || !w.verified() || forEver,
		Until: r.Deadline,
		Delay: delay,
	}
}

// formerStable is how long the stable revision keeps its pods when this very
// snapshot shows that its traffic is gone; 0 for any other revision. Its
// deadline may be set before the promotion is recorded, its pods may not go:
// should that record be lost, an abort still needs them.
func (w world) formerStable(r Revision) time.Duration {
	if r.Hash != w.stable || !w.promoted() || !r.Deadline.IsZero() {
		return 0
	}
	return w.scaleDownDelay()
}

func retireDelay(w world, r Revision) (delay time.Duration, forEver bool) {
	switch {
	case w.abort.Decided && r.Hash == w.Current && w.canary.DynamicStableScale && w.canary.AbortScaleDownDelaySeconds == nil:
		return drain, false
	case w.abort.Decided && r.Hash == w.Current:
		return w.canary.AbortScaleDownDelay()
	case r.Available == 0:
		return 0, false // nothing to drain
	case w.rolling() || w.initial(): // it was never promoted
		return min(drain, w.scaleDownDelay()), false
	default:
		return w.scaleDownDelay(), false
	}
}

// scaleDownDelay is how long a revision that was promoted once keeps its pods.
// With dynamicStableScale its pods went as its traffic did, and the last of
// them just drain.
func (w world) scaleDownDelay() time.Duration {
	if w.canary.DynamicStableScale {
		return drain
	}
	return w.canary.ScaleDownDelay()
}
