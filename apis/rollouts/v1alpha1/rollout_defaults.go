package v1alpha1

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"
)

// Defaults of fields that are not set. They are not written into the object:
// what a user did not say stays unsaid.
const (
	// DefaultReplicas is the number of pods of a Rollout or of a template of an Experiment.
	DefaultReplicas int32 = 1
	// DefaultProgressDeadline is the time within which an update must make progress.
	DefaultProgressDeadline = 600 * time.Second
	// DefaultRevisionHistoryLimit is the number of old ReplicaSets kept for rollback.
	DefaultRevisionHistoryLimit int32 = 10
	// DefaultRunHistoryLimit is the number of successful and of unsuccessful runs kept.
	DefaultRunHistoryLimit int32 = 5
	// DefaultScaleDownDelay is the time pods that lost their traffic are kept.
	DefaultScaleDownDelay = 30 * time.Second
	// DefaultMaxTrafficWeight is the total of all weights.
	DefaultMaxTrafficWeight int32 = 100
	// DefaultNginxAnnotationPrefix is the prefix of the annotations of the NGINX ingress controller.
	DefaultNginxAnnotationPrefix = "nginx.ingress.kubernetes.io"
)

// DesiredReplicas is the number of pods the user wants. Default 1.
func (ro *Rollout) DesiredReplicas() int32 { return valueOr(ro.Spec.Replicas, DefaultReplicas) }

// MinReady is the time a pod must be ready before it counts as available. Default 0.
func (ro *Rollout) MinReady() time.Duration { return seconds(ro.Spec.MinReadySeconds) }

// ProgressDeadline is the time without progress after which an update has failed. Default 10 minutes.
func (ro *Rollout) ProgressDeadline() time.Duration {
	return secondsOr(ro.Spec.ProgressDeadlineSeconds, DefaultProgressDeadline)
}

// RevisionsKept is the number of old ReplicaSets kept for rollback. Default 10.
func (ro *Rollout) RevisionsKept() int32 {
	return valueOr(ro.Spec.RevisionHistoryLimit, DefaultRevisionHistoryLimit)
}

// SuccessfulRunsKept is the number of successful AnalysisRuns, and of Experiments, that are kept. Default 5.
func (ro *Rollout) SuccessfulRunsKept() int32 {
	if ro.Spec.Analysis == nil {
		return DefaultRunHistoryLimit
	}
	return valueOr(ro.Spec.Analysis.SuccessfulRunHistoryLimit, DefaultRunHistoryLimit)
}

// UnsuccessfulRunsKept is the number of failed, errored and inconclusive
// AnalysisRuns, and of Experiments, that are kept. Default 5.
func (ro *Rollout) UnsuccessfulRunsKept() int32 {
	if ro.Spec.Analysis == nil {
		return DefaultRunHistoryLimit
	}
	return valueOr(ro.Spec.Analysis.UnsuccessfulRunHistoryLimit, DefaultRunHistoryLimit)
}

// ScaleDownDelay is the time the previous stable revision keeps its pods after
// promotion: 30 seconds with traffic routing unless set, none without. The
// delay gives proxies time to notice; without routing the pods are the traffic.
func (c *CanaryStrategy) ScaleDownDelay() time.Duration {
	if c.TrafficRouting == nil {
		return 0
	}
	return secondsOr(c.ScaleDownDelaySeconds, DefaultScaleDownDelay)
}

// AbortScaleDownDelay is the time the canary keeps its pods after an abort;
// keep means for ever. Default 30 seconds with traffic routing. There is no
// delay without traffic routing, nor with dynamicStableScale unless one is
// set, since then the canary shrinks as its traffic does.
func (c *CanaryStrategy) AbortScaleDownDelay() (delay time.Duration, keep bool) {
	switch {
	case c.TrafficRouting == nil:
		return 0, false
	case c.DynamicStableScale && c.AbortScaleDownDelaySeconds == nil:
		return 0, false
	}
	return abortDelay(c.AbortScaleDownDelaySeconds)
}

// DelayedRevisions is the number of old revisions that may wait for their
// delay at once; the oldest lose their pods first. Default unlimited.
func (c *CanaryStrategy) DelayedRevisions() int32 {
	return valueOr(c.ScaleDownDelayRevisionLimit, math.MaxInt32)
}

// MaxTrafficWeight is the total of all weights. Default 100, also for a value
// below 1: validation refuses it, and what was made before still has to be undone.
func (c *CanaryStrategy) MaxTrafficWeight() int32 {
	if c.TrafficRouting == nil {
		return DefaultMaxTrafficWeight
	}
	if total := valueOr(c.TrafficRouting.MaxTrafficWeight, DefaultMaxTrafficWeight); total > 0 {
		return total
	}
	return DefaultMaxTrafficWeight
}

// CanaryServices are the names of the Services of a canary by the role they
// have now: two that swap roles are told by the status, ping first. Empty where
// the spec names none.
func (ro *Rollout) CanaryServices() (stable, canary string) {
	switch c := ro.Spec.Strategy.Canary; {
	case c == nil:
		return "", ""
	case c.PingPong == nil:
		return c.StableService, c.CanaryService
	case ro.Status.Canary.StablePingPong == PPPong:
		return c.PingPong.PongService, c.PingPong.PingService
	default:
		return c.PingPong.PingService, c.PingPong.PongService
	}
}

// FirstStep is the index of the step from which a background analysis runs. Default 0.
func (a *RolloutAnalysisBackground) FirstStep() int32 { return valueOr(a.StartingStep, 0) }

// Length is how long the pause lasts; timed is false for a pause that only a
// person ends. The error says why the duration cannot be understood.
func (p *RolloutPause) Length() (length time.Duration, timed bool, err error) {
	if p.Duration == nil {
		return 0, false, nil
	}
	length, err = pauseLength(*p.Duration)
	if err != nil {
		return 0, true, err
	}
	if length < 0 {
		return 0, true, fmt.Errorf("duration %s is negative", p.Duration.String())
	}
	return length, true, nil
}

// pauseLength reads a number of seconds, a number of seconds as text, or a duration.
func pauseLength(duration intstr.IntOrString) (time.Duration, error) {
	if duration.Type == intstr.Int {
		return seconds(duration.IntVal), nil
	}
	if number, err := strconv.ParseInt(duration.StrVal, 10, 64); err == nil {
		if number > math.MaxInt32 || number < math.MinInt32 {
			return 0, fmt.Errorf("duration %q is above the limit of %d seconds", duration.StrVal, math.MaxInt32)
		}
		return time.Duration(number) * time.Second, nil
	}
	length, err := time.ParseDuration(duration.StrVal)
	if err != nil {
		return 0, fmt.Errorf("duration %q is neither a number of seconds nor a duration such as 90s, 5m or 1h30m", duration.StrVal)
	}
	return length, nil
}

// Percent is the percentage of the matched requests that is copied. Default 100.
func (r *SetMirrorRoute) Percent() int32 { return valueOr(r.Percentage, 100) }

// Prefix is the prefix of the annotations. Default nginx.ingress.kubernetes.io.
func (n *NginxTrafficRouting) Prefix() string {
	if n.AnnotationPrefix == "" {
		return DefaultNginxAnnotationPrefix
	}
	return n.AnnotationPrefix
}

// Ingresses are the names of the stable Ingresses, whichever field names them.
func (n *NginxTrafficRouting) Ingresses() []string {
	if n.StableIngress != "" {
		return []string{n.StableIngress}
	}
	return n.StableIngresses
}

// AutoPromotes reports whether the Service is switched without a person. Default true.
func (b *BlueGreenStrategy) AutoPromotes() bool { return valueOr(b.AutoPromotionEnabled, true) }

// AutoPromotionDelay is the time to wait before switching without a person. Default 0.
func (b *BlueGreenStrategy) AutoPromotionDelay() time.Duration {
	return seconds(b.AutoPromotionSeconds)
}

// ScaleDownDelay is the time the old revision keeps its pods after the switch. Default 30 seconds.
func (b *BlueGreenStrategy) ScaleDownDelay() time.Duration {
	return secondsOr(b.ScaleDownDelaySeconds, DefaultScaleDownDelay)
}

// AbortScaleDownDelay is the time the new revision keeps its pods after an
// abort; keep means for ever. Default 30 seconds.
func (b *BlueGreenStrategy) AbortScaleDownDelay() (delay time.Duration, keep bool) {
	return abortDelay(b.AbortScaleDownDelaySeconds)
}

// DelayedRevisions is the number of old revisions that may wait for their
// delay at once; the oldest lose their pods first. Default unlimited.
func (b *BlueGreenStrategy) DelayedRevisions() int32 {
	return valueOr(b.ScaleDownDelayRevisionLimit, math.MaxInt32)
}

// DesiredReplicas is the number of pods of the template. Default 1.
func (t *TemplateSpec) DesiredReplicas() int32 { return valueOr(t.Replicas, DefaultReplicas) }

// DesiredReplicas is the number of pods of the template. Default 1.
func (t *RolloutExperimentTemplate) DesiredReplicas() int32 {
	return valueOr(t.Replicas, DefaultReplicas)
}

// ProgressDeadline is the time within which all pods must become available. Default 10 minutes.
func (e *Experiment) ProgressDeadline() time.Duration {
	return secondsOr(e.Spec.ProgressDeadlineSeconds, DefaultProgressDeadline)
}

// ScaleDownDelay is the time the pods are kept after the Experiment ends. Default 30 seconds.
func (e *Experiment) ScaleDownDelay() time.Duration {
	return secondsOr(e.Spec.ScaleDownDelaySeconds, DefaultScaleDownDelay)
}

// Length is how long the Experiment runs once all its pods are available; timed
// is false for one that only its analyses or a person end. A length that cannot
// be understood, which validation refuses, is none.
func (e *Experiment) Length() (length time.Duration, timed bool) {
	if e.Spec.Duration == "" {
		return 0, false
	}
	length, err := e.Spec.Duration.Duration()
	return length, err == nil
}

// abortDelay reads a delay after an abort, of which 0 means for ever.
func abortDelay(given *int32) (delay time.Duration, keep bool) {
	if given != nil && *given == 0 {
		return 0, true
	}
	return secondsOr(given, DefaultScaleDownDelay), false
}

func valueOr[T any](given *T, otherwise T) T {
	if given == nil {
		return otherwise
	}
	return *given
}

func secondsOr(given *int32, otherwise time.Duration) time.Duration {
	if given == nil {
		return otherwise
	}
	return seconds(*given)
}

func seconds(n int32) time.Duration { return time.Duration(n) * time.Second }
