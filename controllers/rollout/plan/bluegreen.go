package plan

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// asCanary is a blue-green strategy in the words of a canary: one without
// steps, whose stable Service is the active one and whose canary Service is the
// preview. What differs, the gates before and after the switch, is in this file.
func asCanary(b *v1alpha1.BlueGreenStrategy) v1alpha1.CanaryStrategy {
	return v1alpha1.CanaryStrategy{
		StableService:              b.ActiveService,
		CanaryService:              b.PreviewService,
		MaxUnavailable:             b.MaxUnavailable,
		ScaleDownDelaySeconds:      b.ScaleDownDelaySeconds,
		AbortScaleDownDelaySeconds: b.AbortScaleDownDelaySeconds,
		AntiAffinity:               b.AntiAffinity,
		CanaryMetadata:             b.PreviewMetadata,
		StableMetadata:             b.ActiveMetadata,

		ScaleDownDelayRevisionLimit: b.ScaleDownDelayRevisionLimit,
		TrafficRouting:              &v1alpha1.RolloutTrafficRouting{}, // by the active Service
	}
}

// wishBlueGreen keeps both revisions whole and moves the active Service when
// every gate is open. The preview Service shows the current revision, always.
func wishBlueGreen(w world) target {
	want := target{stable: w.stable, canary: w.Current, sizes: map[string]int32{}}
	switch {
	case !w.rolling():
		want.stable, want.sizes[w.Current] = w.Current, w.replicas
	case w.abort.Decided:
		want.sizes[w.stable] = w.replicas
	default:
		want.sizes[w.stable], want.sizes[w.Current] = w.replicas, w.previewSize()
		if w.switched() || w.maySwitch() {
			want.stable, want.sizes[w.Current] = w.Current, w.replicas
		}
	}
	return want
}

// switched reports whether the active Service was seen on the current revision.
func (w world) switched() bool { return w.Services.Stable.Hash == w.Current }

// previewSize is how many pods the current revision has before the switch: of
// previewReplicaCount until the gates were open once, then all.
func (w world) previewSize() int32 {
	if count := w.blueGreen.PreviewReplicaCount; count != nil && !w.skip && !w.checkPoint() {
		return *count
	}
	return w.replicas
}

// checkPoint reports whether the gates before the switch were open once: it is
// remembered, since the rest of the pods take a while.
func (w world) checkPoint() bool {
	return w.old.BlueGreen.ScaleUpPreviewCheckPoint && !w.changed && !w.retried
}

// maySwitch reports whether all that comes before the switch is done.
func (w world) maySwitch() bool {
	return w.gatesOpen() && w.capacity(w.Current) >= w.replicas && w.mayPromote()
}

// gatesOpen reports whether the preview is whole, measured and approved.
func (w world) gatesOpen() bool {
	return w.skip || w.checkPoint() || w.previewWhole() && w.prePromotionPassed() && w.switchApproved()
}

func (w world) previewWhole() bool {
	return w.currentExists() && w.current().Replicas >= w.previewSize() && w.capacity(w.Current) >= w.previewSize()
}

// fastRollback reports whether an update that begins goes back to a revision
// that served before and still has its pods: then it is promoted in full, with
// no gate. Its deadline tells, and stays until that is recorded.
func (w world) fastRollback() bool {
	current := w.current()
	return w.blueGreen != nil && w.changed && w.rolling() && current.Replicas > 0 && !current.Deadline.IsZero() && w.older()
}

// older reports whether the current revision was there before the stable one.
func (w world) older() bool {
	return w.currentExists() && w.current().Created.Before(w.Revisions[w.stable].Created)
}

func (w world) prePromotionPassed() bool {
	return w.blueGreen.PrePromotionAnalysis == nil || succeeded(w.latest(v1alpha1.RolloutTypePrePromotion, 0))
}

func (w world) postPromotionPassed() bool {
	return w.blueGreen.PostPromotionAnalysis == nil || w.skip || succeeded(w.latest(v1alpha1.RolloutTypePostPromotion, 0))
}

func succeeded(run *Analysis) bool {
	return run != nil && run.Phase == v1alpha1.AnalysisPhaseSuccessful
}

// pausesBeforeSwitch reports whether the strategy waits for a person or for a time.
func (w world) pausesBeforeSwitch() bool {
	return !w.blueGreen.AutoPromotes() || w.blueGreen.AutoPromotionSeconds > 0
}

// switchApproved reports whether a person resumed, or the time is over.
func (w world) switchApproved() bool {
	if !w.pausesBeforeSwitch() {
		return true
	}
	if began := w.paused(v1alpha1.PauseReasonBlueGreenPause); began != nil {
		ends := w.blueGreenPauseEnds(began)
		return !ends.IsZero() && !w.Now.Before(ends)
	}
	return w.resumed() && !w.wasInconclusive()
}

// wasInconclusive reports whether what a person resumed from last was an analysis without a verdict.
func (w world) wasInconclusive() bool {
	run := w.old.BlueGreen.PrePromotionAnalysisRunStatus
	return run != nil && run.Status == v1alpha1.AnalysisPhaseInconclusive
}

// blueGreenPauseEnds is when the pause is over by itself; zero when only a person ends it.
func (w world) blueGreenPauseEnds(began *v1alpha1.PauseCondition) time.Time {
	if !w.blueGreen.AutoPromotes() || w.blueGreen.AutoPromotionSeconds <= 0 {
		return time.Time{}
	}
	return began.StartTime.Add(w.blueGreen.AutoPromotionDelay())
}

// waitsToSwitch reports whether the update pauses between the preview and the
// switch. A pause that began goes on when pods come and go.
func (w world) waitsToSwitch() bool {
	if w.blueGreen == nil || !w.pausesBeforeSwitch() || w.switched() || w.gatesOpen() {
		return false
	}
	return w.paused(v1alpha1.PauseReasonBlueGreenPause) != nil || w.previewWhole() && w.prePromotionPassed() && !w.switchApproved()
}

// approvalPends reports whether a person approved a switch that waits for pods.
func (w world) approvalPends() bool {
	return w.blueGreen != nil && w.pausesBeforeSwitch() && !w.switched() && !w.gatesOpen() &&
		w.prePromotionPassed() && w.switchApproved()
}

// active is the revision behind the active Service, which is all that counts as
// serving; false before there is one, and for a canary.
func (w world) active() (Revision, bool) {
	r, exists := w.Revisions[w.Services.Stable.Hash]
	return r, exists && w.blueGreen != nil
}

// selector selects the pods an autoscaler looks at: with blue-green those
// behind the active Service and not the preview.
func (w world) selector() string {
	selector := w.Rollout.Spec.Selector
	if active, ok := w.active(); ok {
		selector = metav1.AddLabelToSelector(selector.DeepCopy(), v1alpha1.PodTemplateHashLabel, active.Hash)
	}
	if w.countsStable() && w.stable != "" {
		selector = metav1.AddLabelToSelector(selector.DeepCopy(), v1alpha1.PodTemplateHashLabel, w.stable)
	}
	return metav1.FormatLabelSelector(selector)
}

// measuring reports whether the update waits for a verdict before or after the switch.
func (w world) measuring() *Analysis {
	if w.blueGreen == nil || w.skip {
		return nil
	}
	for _, kind := range []string{v1alpha1.RolloutTypePrePromotion, v1alpha1.RolloutTypePostPromotion} {
		if run := w.latest(kind, 0); run != nil && !run.Phase.Completed() {
			return run
		}
	}
	return nil
}

// blueGreenStatus is what only this strategy reports.
func blueGreenStatus(w world) v1alpha1.BlueGreenStatus {
	if w.blueGreen == nil {
		return v1alpha1.BlueGreenStatus{}
	}
	st := w.old.BlueGreen
	st.ActiveSelector, st.PreviewSelector = w.Services.Stable.Hash, w.Services.Canary.Hash
	st.ScaleUpPreviewCheckPoint = w.rolling() && !w.abort.Decided && !w.promoted() && !w.skip && (w.checkPoint() || w.gatesOpen())
	st.PrePromotionAnalysisRunStatus = runStatus(w, w.latest(v1alpha1.RolloutTypePrePromotion, 0), st.PrePromotionAnalysisRunStatus)
	st.PostPromotionAnalysisRunStatus = runStatus(w, w.latest(v1alpha1.RolloutTypePostPromotion, 0), st.PostPromotionAnalysisRunStatus)
	return st
}
