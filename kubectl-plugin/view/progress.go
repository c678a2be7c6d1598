package view

import (
	"fmt"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// userPause is the reason of a pause by spec.paused.
const userPause = "UserPause"

func stepOf(ro *v1alpha1.Rollout) *StepView {
	canary := ro.Spec.Strategy.Canary
	if canary == nil || len(canary.Steps) == 0 || ro.Status.CurrentStepIndex == nil {
		return nil
	}
	v := &StepView{Index: *ro.Status.CurrentStepIndex, Count: int32(len(canary.Steps))} //nolint:gosec // The API server bounds an object to a few MiB.
	if step := currentStep(ro); step != nil {
		v.Text = stepText(step)
	}
	return v
}

// currentStep is nil when there are no steps or all are done.
func currentStep(ro *v1alpha1.Rollout) *v1alpha1.CanaryStep {
	canary := ro.Spec.Strategy.Canary
	if canary == nil || len(canary.Steps) == 0 {
		return nil
	}
	index := 0
	if ro.Status.CurrentStepIndex != nil {
		index = int(*ro.Status.CurrentStepIndex)
	}
	if index < 0 || index >= len(canary.Steps) {
		return nil
	}
	return &canary.Steps[index]
}

func stepText(step *v1alpha1.CanaryStep) string {
	switch {
	case step.Pause != nil:
		return pauseText(step.Pause)
	case step.SetCanaryScale != nil:
		return "setCanaryScale"
	case step.SetWeight != nil:
		return fmt.Sprintf("setWeight %d", *step.SetWeight)
	case step.Experiment != nil:
		return "experiment"
	case step.Analysis != nil:
		return "analysis"
	case step.SetHeaderRoute != nil:
		return "setHeaderRoute " + clean(step.SetHeaderRoute.Name)
	case step.SetMirrorRoute != nil:
		return "setMirrorRoute " + clean(step.SetMirrorRoute.Name)
	case step.Plugin != nil:
		return "plugin " + clean(step.Plugin.Name)
	}
	return "unknown"
}

func pauseText(p *v1alpha1.RolloutPause) string {
	if p.Duration == nil {
		return "pause"
	}
	return "pause " + clean(p.Duration.String())
}

// pauseDuration reads seconds or a Go duration; ok is false for a text that is neither.
func pauseDuration(d intstr.IntOrString) (length time.Duration, ok bool) {
	if d.Type == intstr.Int {
		return time.Duration(d.IntVal) * time.Second, true
	}
	if seconds, err := strconv.ParseInt(d.StrVal, 10, 32); err == nil {
		return time.Duration(seconds) * time.Second, true
	}
	length, err := time.ParseDuration(d.StrVal)
	return length, err == nil
}

// pauseOf is the pause of the spec, else the first of the status.
func pauseOf(ro *v1alpha1.Rollout) *PauseView {
	if ro.Spec.Paused {
		return &PauseView{Reason: userPause, Person: true}
	}
	if len(ro.Status.PauseConditions) == 0 {
		return nil
	}
	first := ro.Status.PauseConditions[0]
	p := &PauseView{Reason: clean(string(first.Reason)), Since: timeOf(&first.StartTime), Person: true}
	if length, timed := pauseLength(ro, first.Reason); timed {
		until := first.StartTime.Add(length).UTC()
		p.Until, p.Person = &until, false
	}
	return p
}

// pauseLength is how long a pause lasts by itself; timed is false when it waits for a person.
func pauseLength(ro *v1alpha1.Rollout, reason v1alpha1.PauseReason) (length time.Duration, timed bool) {
	switch reason {
	case v1alpha1.PauseReasonCanaryPauseStep:
		step := currentStep(ro)
		if step == nil || step.Pause == nil || step.Pause.Duration == nil {
			return 0, false
		}
		return pauseDuration(*step.Pause.Duration)
	case v1alpha1.PauseReasonBlueGreenPause:
		bg := ro.Spec.Strategy.BlueGreen
		if bg == nil || bg.AutoPromotionSeconds <= 0 {
			return 0, false
		}
		return time.Duration(bg.AutoPromotionSeconds) * time.Second, true
	case v1alpha1.PauseReasonInconclusiveAnalysis, v1alpha1.PauseReasonInconclusiveExperiment, v1alpha1.PauseReasonFailure:
		return 0, false
	}
	return 0, false
}

func weightOf(ro *v1alpha1.Rollout, revisions []RevisionView) *WeightView {
	canary := ro.Spec.Strategy.Canary
	if canary == nil {
		return nil
	}
	w := &WeightView{Set: setWeight(ro), Max: canary.MaxTrafficWeight()}
	w.Actual = actualWeight(ro, revisions)
	if ro.Status.Canary.Weights != nil {
		w.Verified = ro.Status.Canary.Weights.Verified
	}
	return w
}

// setWeight is what the steps up to now ask for.
func setWeight(ro *v1alpha1.Rollout) int32 {
	canary := ro.Spec.Strategy.Canary
	if ro.Status.Abort {
		return 0
	}
	if currentStep(ro) == nil {
		return canary.MaxTrafficWeight()
	}
	index := int32(0)
	if ro.Status.CurrentStepIndex != nil {
		index = *ro.Status.CurrentStepIndex
	}
	for i := index; i >= 0; i-- {
		if canary.Steps[i].SetWeight != nil {
			return *canary.Steps[i].SetWeight
		}
	}
	return 0
}

// actualWeight is the applied weight with a router, else the share of available pods.
func actualWeight(ro *v1alpha1.Rollout, revisions []RevisionView) int32 {
	canary := ro.Spec.Strategy.Canary
	switch {
	case currentStep(ro) == nil && !ro.Status.Abort:
		return canary.MaxTrafficWeight()
	case ro.Status.AvailableReplicas <= 0:
		return 0
	case canary.TrafficRouting == nil:
		return canaryAvailable(revisions) * 100 / ro.Status.AvailableReplicas
	case ro.Status.Canary.Weights != nil:
		return ro.Status.Canary.Weights.Canary.Weight
	}
	return setWeight(ro)
}

func canaryAvailable(revisions []RevisionView) int32 {
	var sum int32
	for _, rev := range revisions {
		for _, rs := range rev.ReplicaSets {
			for _, role := range rs.Roles {
				if role == roleCanary {
					sum += rs.Available
				}
			}
		}
	}
	return sum
}
