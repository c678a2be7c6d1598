package plan

import "github.com/headway-rollouts/headway/trafficrouting"

// target is where a strategy wants the rollout to be, or, after the guard, as
// near to it as is safe now. It says nothing about how to get there.
type target struct {
	// weight is the share of the total for the canary Service.
	weight int32
	// routes are the managed routes beside the weight.
	routes []trafficrouting.ManagedRoute
	// stable and canary are the revisions the Services select; empty leaves a Service alone.
	stable, canary string
	// sizes are the pods of the revisions that have work; all others retire.
	sizes map[string]int32
	// workload are the pods of the Deployment that the Rollout replaces.
	workload int32
	// hold leaves the size of every revision as it is.
	hold bool
}

// wish is where the strategy of the Rollout wants it to be.
func wish(w world) target {
	want := strategy(w)(w)
	// A side that nothing in the spec names is left alone.
	if w.canary.StableService == "" && w.Traffic.Selects == nil {
		want.stable = ""
	}
	if w.canary.CanaryService == "" && w.Traffic.Selects == nil {
		want.canary = ""
	}
	// An abort needs the pods of the stable revision, whoever paused.
	want.hold = !w.abort.Decided && (w.pausedByUser() || w.byPods() && w.inconclusive())
	want.workload = wishWorkload(w)
	return want
}

func strategy(w world) func(world) target {
	switch {
	case w.gated() && !w.initialPassed():
		return world.wishGated
	case w.blueGreen != nil:
		return wishBlueGreen
	case w.byPods():
		return wishBasic
	default:
		return wishRouted
	}
}

// wishRouted is the canary with traffic routing: the stable revision is kept
// whole, so that an abort needs no scaling, unless dynamicStableScale says
// otherwise, and the canary is as large as its weight.
func wishRouted(w world) target {
	switch {
	case !w.rolling(): // initial, promoted or returned to stable
		return target{stable: w.Current, canary: w.idleCanary(w.Current), sizes: map[string]int32{w.Current: w.replicas}}
	case w.abort.Decided:
		return w.wishAbort()
	case w.stepsDone():
		return wishPromotion(w)
	default:
		weight, routes := w.stepWeight(), w.stepRoutes()
		if w.inconclusive() { // a person has to look first
			weight, routes = min(weight, w.Traffic.CanaryWeight), w.Traffic.Routes
		}
		return target{
			weight: weight,
			routes: routes,
			stable: w.stable,
			canary: w.Current,
			sizes:  map[string]int32{w.stable: w.stableSize(w.stepWeight()), w.Current: w.untouched(w.canarySize(w.stepWeight()))},
		}
	}
}

// wishAbort brings everything home. Where the stable revision had shrunk, the
// canary shrinks as its traffic leaves, unless the spec says how long it stays.
func (w world) wishAbort() target {
	want := target{stable: w.stable, canary: w.stable, sizes: map[string]int32{w.stable: w.replicas}}
	if now := w.servedWeight(w.Current); w.canary.DynamicStableScale && w.canary.AbortScaleDownDelaySeconds == nil && now > 0 {
		want.sizes[w.Current] = min(w.current().Replicas, share(w.replicas, now, w.total))
	}
	return want
}

// untouched is the size of the canary while the stable Service selects no
// revision, and so would send requests to its pods by no weight: no more than now.
func (w world) untouched(size int32) int32 {
	if w.Services.Stable.Hash == "" && !w.Services.Stable.Missing {
		return min(size, w.current().Replicas)
	}
	return size
}

// wishPromotion grows the current revision to full size and then moves the
// stable Service to it. The weight stays where the last step left it until the
// stable Service has moved: raising it to 100 first would only add a write,
// and leave ingress controllers that need an endpoint behind the stable
// Service without one.
func wishPromotion(w world) target {
	want := target{
		weight: w.Traffic.CanaryWeight,
		routes: w.Traffic.Routes,
		stable: w.stable,
		canary: w.Current,
		sizes:  map[string]int32{w.stable: w.stableSize(w.Traffic.CanaryWeight), w.Current: w.replicas},
	}
	if w.canary.PingPong != nil {
		if w.mayPromote() {
			want.weight, want.routes = w.total, nil // the two Services then change their names, and nothing is pointed
		}
		return want
	}
	switch {
	case w.Services.Stable.Hash == w.Current: // moved: never move back and forth
		want.stable, want.weight, want.routes = w.Current, 0, nil
	case w.mayPromote():
		want.stable = w.Current
	}
	return want
}

// mayPromote reports whether nobody has to be asked before the stable Service moves.
func (w world) mayPromote() bool { return !w.pausedByUser() && !w.inconclusive() }

// wishBasic is the canary without traffic routing: a Service reaches the pods
// of both revisions, so their numbers are the weight. What is neither stable nor
// current goes at once, as fast as the guard lets it.
func wishBasic(w world) target {
	want := target{stable: w.stable, canary: w.Current, sizes: map[string]int32{}}
	for hash := range w.Revisions {
		want.sizes[hash] = 0
	}
	switch p := w.pair(); {
	case !w.rolling():
		want.stable, want.sizes[w.Current] = w.Current, w.replicas
	default:
		want.sizes[w.stable], want.sizes[w.Current] = p.stable, p.canary
	}
	switch {
	case w.rolling() && w.abort.Decided:
		want.canary = w.stable
	case w.rolling() && w.stepsDone() && (w.mayPromote() || w.Services.Stable.Hash == w.Current): // once moved, never back and forth
		want.stable = w.Current
	}
	return want
}

// pair is how many pods the stable and the current revision should have without traffic routing.
func (w world) pair() pair {
	weight := w.stepWeight()
	if w.abort.Decided {
		weight = 0
	}
	p := byWeight(w.replicas, weight, w.surge() > 0)
	if held := w.rolling() && w.Services.Stable.Hash == w.stable; held && p.stable == 0 && w.floor() > 0 {
		// The stable Service selects it: its last pod stays until the Service has moved.
		return pair{stable: 1, canary: min(w.replicas, w.replicas+w.surge()-1)}
	}
	return p
}
