package plan

import (
	"fmt"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// This file says how many pods the two revisions of a routed Rollout should
// have, and how many of those of the canary are enough.

// scaleStep is the last setCanaryScale at or before the current step; -1 when
// there is none in force. It holds until another one, or until the steps are done.
func (w world) scaleStep() int32 {
	if w.stepsDone() {
		return -1
	}
	for i := w.step; i >= 0; i-- {
		if scale := w.canary.Steps[i].SetCanaryScale; scale != nil {
			if scale.MatchTrafficWeight || scale.Replicas == nil && scale.Weight == nil {
				return -1
			}
			return i
		}
	}
	return -1
}

// canarySize is how many pods the current revision should have at a weight.
// Scaled to nothing by hand it still has one for the requests that it gets.
func (w world) canarySize(weight int32) int32 {
	i, least := w.scaleStep(), int32(0)
	if w.replicas > 0 && w.asked(weight) {
		least = 1
	}
	if i < 0 || w.replicas == 0 {
		return w.withMinimum(max(least, share(w.replicas, weight, w.total)))
	}
	scale := w.canary.Steps[i].SetCanaryScale
	if scale.Replicas != nil {
		return max(least, *scale.Replicas)
	}
	return max(least, w.withMinimum(share(w.replicas, *scale.Weight, w.total)))
}

// stableSize is how many pods the stable revision should have while the canary
// is to get a weight. With dynamicStableScale that is what it carries now or is
// to carry, whichever is more: it grows before traffic returns and shrinks after
// traffic was seen to leave. One pod stays, since ingress controllers answer with
// errors for a Service without an endpoint, also at weight 0. 10 replicas at
// weight 60, seen at 20, are 8, and 4 once 60 is seen.
func (w world) stableSize(goal int32) int32 {
	tried := w.Services.Canary.Hash == w.Current || w.Traffic.CanaryWeight == 0
	switch front := w.Services.Stable.Hash; {
	case w.canary.DynamicStableScale && front == w.Current: // it has taken over all but in name
		return min(w.replicas, w.Revisions[w.stable].Replicas)
	case !w.canary.DynamicStableScale || front != w.stable || !tried:
		return w.replicas // all of the traffic, or that of an earlier revision, may have to come home
	}
	carried := max(w.total-goal, w.servedWeight(w.stable))
	return max(min(1, w.replicas), w.withMinimum(share(w.replicas, carried, w.total)))
}

// withMinimum raises a size to minPodsPerReplicaSet, but not above the replicas
// and not from nothing. A minimum of 2 makes 1 of 10 into 2, and of 1 into 1.
func (w world) withMinimum(size int32) int32 {
	if size == 0 {
		return 0
	}
	return max(size, min(valueOr(w.canary.MinPodsPerReplicaSet, 0), w.replicas))
}

// scaled reports whether the current revision has the pods that its step asks
// for, or those that its traffic keeps there.
func (w world) scaled() bool {
	size := w.canarySize(w.stepWeight())
	return w.replicas == 0 || w.current().Replicas == max(size, keepPods(w, w.Current, 0)) && w.enough(size)
}

// enough reports whether the current revision can do the work of so many pods.
func (w world) enough(size int32) bool { return w.capacity(w.Current) >= w.required(size) }

// required is how many of the pods of the current revision must be available
// before they count as all: all of them, or what replicaProgressThreshold says.
// 90 percent of 4 is 4, of 10 is 9; 5 pods of 4 are 4.
func (w world) required(size int32) int32 {
	t := w.canary.ReplicaProgressThreshold
	switch {
	case t == nil || t.Value < 0:
		return size
	case t.Type == v1alpha1.ProgressTypePods:
		return min(size, t.Value)
	default:
		return min(size, share(size, t.Value, 100))
	}
}

// carries is how many available pods of the current revision a weight needs. A
// person who scales the canary below its weight wants just that.
func (w world) carries(weight int32) int32 {
	need := share(w.replicas, weight, w.total)
	if w.scaleStep() >= 0 {
		need = min(need, w.canarySize(weight))
	}
	return max(min(1, weight), w.required(need))
}

func scaleText(s *v1alpha1.SetCanaryScale) string {
	switch {
	case s.MatchTrafficWeight:
		return "{matchTrafficWeight: true}"
	case s.Replicas != nil:
		return fmt.Sprintf("{replicas: %d}", *s.Replicas)
	case s.Weight != nil:
		return fmt.Sprintf("{weight: %d}", *s.Weight)
	default:
		return "{}"
	}
}

// inWindow reports whether the current revision is one that was stable so few
// revisions ago that rollbackWindow lets it return without steps and analysis.
func (w world) inWindow() bool {
	window := w.Rollout.Spec.RollbackWindow
	if window == nil || !w.rolling() || !w.older() {
		return false
	}
	between := int32(0)
	for _, r := range w.Revisions {
		if r.Created.After(w.current().Created) && r.Created.Before(w.Revisions[w.stable].Created) {
			between++
		}
	}
	return between < window.Revisions
}
