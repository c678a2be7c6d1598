package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// Reasons of conditions, as the served API spells them.
const (
	ReasonInvalidSpec      = "InvalidSpec"
	ReasonAborted          = "RolloutAborted"
	ReasonPaused           = "RolloutPaused"
	ReasonDeadlineExceeded = "ProgressDeadlineExceeded"
	ReasonCreated          = "NewReplicaSetCreated"
	ReasonCreateError      = "ReplicaSetCreateError"
	ReasonUpdated          = "ReplicaSetUpdated"
	ReasonAvailable        = "NewReplicaSetAvailable"
	ReasonMinimumAvailable = "AvailableReason"
	ReasonCompleted        = "RolloutCompleted"
	ReasonHealthy          = "RolloutHealthy"
	ReasonReplicaFailure   = "FailedCreate"
)

// conditions are all conditions, each by one function of the world and the
// status under construction.
func conditions(w world, st v1alpha1.RolloutStatus) []v1alpha1.RolloutCondition {
	list := conditionList{now: w.Now, items: slices.Clone(w.old.Conditions)}
	list.remove(v1alpha1.RolloutInvalidSpec)
	list.set(progressing(w, st), w.progressed(st))
	list.set(available(w), false)
	list.set(completed(w, st), false)
	if healthy := w.settled(st.StableRS); healthy || list.has(v1alpha1.RolloutHealthy) {
		list.set(condition{Type: v1alpha1.RolloutHealthy, Reason: ReasonHealthy}.is(healthy, "Rollout is healthy", "Rollout is not healthy"), false)
	}
	if paused := isPaused(w, st); paused || list.has(v1alpha1.RolloutPaused) {
		list.set(condition{Type: v1alpha1.RolloutPaused, Reason: ReasonPaused}.is(paused, "Rollout is paused", "Rollout is not paused"), false)
	}
	if failure := w.current().Failure; failure != "" {
		list.set(condition{v1alpha1.RolloutReplicaFailure, corev1.ConditionTrue, ReasonReplicaFailure, failure}, false)
	} else {
		list.remove(v1alpha1.RolloutReplicaFailure)
	}
	return list.items
}

// condition is a condition without its times.
type condition struct {
	Type    v1alpha1.RolloutConditionType
	Status  corev1.ConditionStatus
	Reason  string
	Message string
}

// is completes a condition that either holds or does not.
func (c condition) is(holds bool, yes, no string) condition {
	if holds {
		c.Status, c.Message = corev1.ConditionTrue, yes
		return c
	}
	c.Status, c.Message = corev1.ConditionFalse, no
	return c
}

func available(w world) condition {
	return condition{Type: v1alpha1.RolloutAvailable, Reason: ReasonMinimumAvailable}.
		is(w.count.Available >= w.replicas, "Rollout has minimum availability", "Rollout does not have minimum availability")
}

func completed(w world, st v1alpha1.RolloutStatus) condition {
	return condition{Type: v1alpha1.RolloutCompleted, Reason: ReasonCompleted}.is(st.StableRS == w.Current, ReasonCompleted, ReasonCompleted)
}

func progressing(w world, st v1alpha1.RolloutStatus) condition {
	as := func(status corev1.ConditionStatus, reason, message string) condition {
		return condition{v1alpha1.RolloutProgressing, status, reason, message}
	}
	switch {
	case st.Abort:
		return as(corev1.ConditionFalse, ReasonAborted, abortMessage(w))
	case isPaused(w, st):
		return as(corev1.ConditionUnknown, ReasonPaused, "Rollout is paused")
	case w.settled(st.StableRS):
		return as(corev1.ConditionTrue, ReasonAvailable, fmt.Sprintf("ReplicaSet %q has successfully progressed.", w.currentName()))
	case !w.currentExists():
		return as(corev1.ConditionTrue, ReasonCreated, fmt.Sprintf("Created new replica set %q", w.currentName()))
	case w.deadlineExceeded():
		return as(corev1.ConditionFalse, ReasonDeadlineExceeded, w.deadlineMessage())
	default:
		return as(corev1.ConditionTrue, ReasonUpdated, fmt.Sprintf("ReplicaSet %q is progressing.", w.currentName()))
	}
}

// currentName is the name of the current ReplicaSet, which may not exist yet.
func (w world) currentName() string {
	return cmp.Or(w.current().Name, w.Rollout.Name+"-"+w.Current)
}

// abortMessage is written once: the facts it is made of may be gone later.
func abortMessage(w world) string {
	if w.old.Abort && progressReason(w.old) == ReasonAborted {
		return conditionOf(w.old, v1alpha1.RolloutProgressing).Message
	}
	message := abortPrefix(nextNumber(w))
	if w.abort.Reason != "" {
		message += ": " + w.abort.Reason
	}
	return message
}

func abortPrefix(revision int64) string {
	return fmt.Sprintf("Rollout aborted update to revision %d", revision)
}

// recordedAbortReason is the reason in the recorded abort message; empty when a person aborted.
func recordedAbortReason(st v1alpha1.RolloutStatus) string {
	if progressReason(st) != ReasonAborted {
		return ""
	}
	_, reason, _ := strings.Cut(conditionOf(st, v1alpha1.RolloutProgressing).Message, ": ")
	return reason
}

func isPaused(w world, st v1alpha1.RolloutStatus) bool {
	return w.pausedByUser() || len(st.PauseConditions) > 0
}

// updating reports whether the progress deadline counts at all: some revision
// is on its way, and what it waits for now is neither a person nor a verdict.
func (w world) updating() bool {
	step := w.currentStep()
	waits := step.Pause != nil || step.Analysis != nil || step.Experiment != nil || w.measuring() != nil || w.initialRun() != nil
	return (w.rolling() && !waits || w.initial() || w.neverWhole()) && !w.pausedByUser() && !w.changed && !w.retried
}

// neverWhole reports whether the first revision is still on its way: it became
// stable with its first pod, and the deadline counts until all are there.
func (w world) neverWhole() bool {
	return !w.rolling() && w.count.Available < w.replicas && conditionOf(w.old, v1alpha1.RolloutHealthy) == nil
}

// deadlineExceeded reports whether nothing progressed for progressDeadlineSeconds.
func (w world) deadlineExceeded() bool {
	if !w.updating() || w.old.Abort || len(w.old.PauseConditions) > 0 || w.progressedPods() {
		return false
	}
	switch c := conditionOf(w.old, v1alpha1.RolloutProgressing); {
	case c == nil:
		return false
	case c.Reason == ReasonDeadlineExceeded:
		return true
	case c.Reason == ReasonCreated, c.Reason == ReasonUpdated, c.Reason == ReasonCreateError:
		return !w.Now.Before(c.LastUpdateTime.Add(w.Rollout.ProgressDeadline()))
	default:
		return false
	}
}

func (w world) deadlineMessage() string {
	return fmt.Sprintf("ReplicaSet %q has timed out progressing.", w.currentName())
}

// deadlineAt is when the progress deadline is over; zero when none is running.
func deadlineAt(w world, st v1alpha1.RolloutStatus) time.Time {
	c := conditionOf(st, v1alpha1.RolloutProgressing)
	if c == nil || c.Status != corev1.ConditionTrue || st.StableRS == w.Current && !w.neverWhole() || c.Reason == ReasonAvailable {
		return time.Time{}
	}
	return c.LastUpdateTime.Add(w.Rollout.ProgressDeadline())
}

// progressedPods reports whether pods or traffic moved on since the last status.
func (w world) progressedPods() bool {
	o, c := w.old, w.count
	routed := w.Traffic.Exists && o.Canary.Weights != nil && o.Canary.Weights.Canary.Weight != w.Traffic.CanaryWeight
	return routed || c.Updated != o.UpdatedReplicas || c.Replicas-c.Updated < o.Replicas-o.UpdatedReplicas ||
		c.Ready > o.ReadyReplicas || c.Available > o.AvailableReplicas
}

// progressed reports whether anything moved on since the last status.
func (w world) progressed(st v1alpha1.RolloutStatus) bool {
	o := w.old
	stepped := o.CurrentStepIndex == nil != (st.CurrentStepIndex == nil) ||
		st.CurrentStepIndex != nil && *o.CurrentStepIndex != *st.CurrentStepIndex
	return w.progressedPods() || stepped || o.StableRS != st.StableRS || w.changed || w.retried
}

// conditionList changes conditions and keeps their times where nothing changed.
type conditionList struct {
	now   time.Time
	items []v1alpha1.RolloutCondition
}

func (l *conditionList) find(kind v1alpha1.RolloutConditionType) int {
	return slices.IndexFunc(l.items, func(c v1alpha1.RolloutCondition) bool { return c.Type == kind })
}

func (l *conditionList) has(kind v1alpha1.RolloutConditionType) bool { return l.find(kind) >= 0 }

func (l *conditionList) remove(kind v1alpha1.RolloutConditionType) {
	if i := l.find(kind); i >= 0 {
		l.items = slices.Delete(l.items, i, i+1)
	}
}

// set stores a condition. Its times move when it changed; touch moves the update time anyway.
func (l *conditionList) set(c condition, touch bool) {
	now := metav1.NewTime(l.now)
	full := v1alpha1.RolloutCondition{
		Type: c.Type, Status: c.Status, Reason: c.Reason, Message: c.Message,
		LastUpdateTime: now, LastTransitionTime: now,
	}
	i := l.find(c.Type)
	if i < 0 {
		l.items = append(l.items, full)
		return
	}
	was := l.items[i]
	if was.Status == c.Status {
		full.LastTransitionTime = was.LastTransitionTime
		if was.Reason == c.Reason && was.Message == c.Message && !touch {
			full.LastUpdateTime = was.LastUpdateTime
		}
	}
	l.items[i] = full
}

func conditionOf(st v1alpha1.RolloutStatus, kind v1alpha1.RolloutConditionType) *v1alpha1.RolloutCondition {
	list := conditionList{items: st.Conditions}
	if i := list.find(kind); i >= 0 {
		return &st.Conditions[i]
	}
	return nil
}

// progressReason is the reason of the Progressing condition; empty when there is none.
func progressReason(st v1alpha1.RolloutStatus) string {
	if c := conditionOf(st, v1alpha1.RolloutProgressing); c != nil {
		return c.Reason
	}
	return ""
}
