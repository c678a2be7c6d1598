package plan

import "slices"

// This file is the part of the guard that counts pods where no route says who
// gets traffic: a Service reaches all of them, so all of them carry it.
//
//	floor   = replicas - maxUnavailable   available pods there must be
//	ceiling = replicas + maxSurge         pods there may be, by what was asked for
//
// 10 replicas by default: never fewer than 8 available, never more than 13.

// surge is how many pods there may be above the replicas.
func (w world) surge() int32 { return surge(w.canary.MaxSurge, w.replicas) }

// floor is how many pods must be available. When neither a pod more nor a pod
// less is allowed, after rounding, one less is, or nothing could ever move.
func (w world) floor() int32 {
	missing := tolerated(w.canary.MaxUnavailable, w.replicas)
	if missing == 0 && w.surge() == 0 {
		missing = min(1, w.replicas)
	}
	return w.replicas - missing
}

// withinBudget weakens sizes until reaching them is safe now, whichever of the
// writes are made: what grows counts against the ceiling as if nothing shrank,
// and what shrinks against the floor as if nothing grew.
// What the stable Service selects, or is about to, keeps a pod.
func withinBudget(w world, want, safe target) map[string]int32 {
	sizes := map[string]int32{}
	order := w.shrinkingOrder()
	available := int32(0)
	for _, r := range order {
		available += w.capacity(r.Hash)
	}
	asked := int32(0)
	for _, r := range order {
		asked += r.Replicas
		size, wanted := want.sizes[r.Hash]
		if !wanted || size >= r.Replicas {
			continue
		}
		has := w.capacity(r.Hash)
		least := min(has, max(0, w.floor()-(available-has)))
		if r.Hash == w.Services.Stable.Hash || r.Hash == safe.stable {
			least = max(least, min(has, 1, w.floor()))
		}
		sizes[r.Hash] = min(r.Replicas, max(size, least))
		available -= has - min(has, sizes[r.Hash])
	}
	room := w.replicas + w.surge() - asked
	for _, hash := range []string{w.stable, w.Current} { // the revision that is known to work first
		size, wanted := want.sizes[hash]
		if has := w.Revisions[hash].Replicas; wanted && size >= has && sizes[hash] == 0 {
			grown := min(size, has+max(0, room))
			room -= grown - has
			sizes[hash] = grown
		}
	}
	return sizes
}

// shrinkingOrder is the order in which pods are given up: those of revisions
// without work first, oldest first, then the larger number.
func (w world) shrinkingOrder() []Revision {
	all := sorted(w)
	slices.Reverse(all)
	slices.SortStableFunc(all, func(a, b Revision) int { return rank(w, a) - rank(w, b) })
	return all
}

func rank(w world, r Revision) int {
	if r.Hash == w.stable || r.Hash == w.Current {
		return 1
	}
	return 0
}
