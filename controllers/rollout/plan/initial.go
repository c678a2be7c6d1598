package plan

import (
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// This file is the gate of the very first revision: spec.initialAnalysis. Until
// it passed, the revision is not stable and no Service is pointed to it. Should
// it fail, its pods go, unless onFailure is freeze: there is nothing to roll
// back to.

// gated reports whether the first revision waits for its analysis. Once any
// revision was stable there is no gate, also when its ReplicaSet is lost, and
// none where the stable Service selects pods of one already: it serves.
func (w world) gated() bool {
	serves := w.Revisions[w.Services.Stable.Hash].Replicas > 0
	return w.initial() && w.old.StableRS == "" && w.Rollout.Spec.InitialAnalysis != nil && !w.full && !serves
}

// initialRun is the AnalysisRun of the first revision; nil when there is none yet.
func (w world) initialRun() *Analysis {
	if !w.gated() {
		return nil
	}
	return w.latest(v1alpha1.RolloutTypeInitial, 0)
}

// initialPassed reports whether nothing keeps the first revision from being stable.
func (w world) initialPassed() bool {
	return !w.gated() || succeeded(w.initialRun()) && !w.abort.Decided
}

// initialDue reports whether the analysis of the first revision should start:
// all of its pods are there.
func (w world) initialDue() bool {
	return w.gated() && !w.abort.Decided && w.numbered() &&
		w.current().Replicas >= w.replicas && w.enough(w.replicas) && w.wantsRun(w.initialRun())
}

// wishGated keeps the Services as they are. A revision that failed has no pods.
func (w world) wishGated() target {
	want := target{stable: w.Services.Stable.Hash, canary: w.Services.Canary.Hash, sizes: map[string]int32{}}
	for hash := range w.Revisions {
		if w.byPods() {
			want.sizes[hash] = 0 // one that came before goes as fast as the guard lets it
		}
	}
	want.sizes[w.Current] = w.replicas
	if w.abort.Decided {
		want.sizes[w.Current] = 0
	}
	return want
}

// tried reports whether something is under way that an abort can take back.
func (w world) tried() bool { return w.rolling() || w.gated() }
