package plan

// target is where a strategy wants the rollout to be, or, after the guard, as
// near to it as is safe now. It says nothing about how to get there.
type target struct {
	// weight is the share of the total for the canary Service.
	weight int32
	// stable and canary are the revisions the Services select; empty leaves a Service alone.
	stable, canary string
	// sizes are the pods of the revisions that have work; all others retire.
	sizes map[string]int32
	// hold leaves the size of every revision as it is.
	hold bool
}

// wish is the canary strategy: the stable revision is kept whole, so that an
// abort needs no scaling, and the canary is as large as its weight.
func wish(w world) target {
	want := wishTraffic(w)
	want.hold = w.pausedByUser()
	return want
}

func wishTraffic(w world) target {
	switch {
	case !w.rolling(): // initial, promoted or returned to stable
		return target{stable: w.Current, canary: w.Current, sizes: map[string]int32{w.Current: w.replicas}}
	case w.abort.Decided:
		return target{stable: w.stable, canary: w.stable, sizes: map[string]int32{w.stable: w.replicas}}
	case w.stepsDone():
		return wishPromotion(w)
	default:
		return target{
			weight: w.stepWeight(),
			stable: w.stable,
			canary: w.Current,
			sizes: map[string]int32{
				w.stable:  w.replicas,
				w.Current: share(w.replicas, w.stepWeight(), w.total),
			},
		}
	}
}

// wishPromotion grows the current revision to full size and then moves the
// stable Service to it. The weight stays where the last step left it until the
// stable Service has moved: raising it to 100 first would only add a write,
// and leave ingress controllers that need an endpoint behind the stable
// Service without one.
func wishPromotion(w world) target {
	want := target{
		weight: w.Traffic.CanaryWeight,
		stable: w.stable,
		canary: w.Current,
		sizes:  map[string]int32{w.stable: w.replicas, w.Current: w.replicas},
	}
	switch {
	case w.Services.Stable.Hash == w.Current: // moved: never move back and forth
		want.stable, want.weight = w.Current, 0
	case w.capacity(w.Current) >= w.replicas && !w.pausedByUser():
		want.stable = w.Current
	}
	return want
}
