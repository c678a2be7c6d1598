package view

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// Version and kinds of the JSON that the plugin prints. A field is only ever
// added within a version; it is never renamed and never changes its meaning.
const (
	// APIVersion is the version of RolloutView and WhyView documents.
	APIVersion = "view.headway/v1"
	// RolloutKind is the kind of a RolloutView.
	RolloutKind = "RolloutView"
	// ListKind is the kind of a RolloutViewList.
	ListKind = "RolloutViewList"
	// ExplanationKind is the kind of an Explanation.
	ExplanationKind = "Explanation"
)

// Owned is what belongs to a Rollout or an Experiment. Objects of other owners are ignored.
type Owned struct {
	// ReplicaSets that may belong to it.
	ReplicaSets []appsv1.ReplicaSet
	// Pods that may belong to one of the ReplicaSets.
	Pods []corev1.Pod
	// AnalysisRuns that may belong to it.
	AnalysisRuns []v1alpha1.AnalysisRun
	// Notes say what could not be read, one sentence each.
	Notes []string
}

// Strategy is how a Rollout replaces its pods.
type Strategy string

// The strategies. A Rollout with neither has an invalid spec and shows no strategy.
const (
	Canary    Strategy = "Canary"
	BlueGreen Strategy = "BlueGreen"
)

// Health is how an object does; it selects the glyph and the colour.
type Health string

// The healths of objects.
const (
	Healthy     Health = "Healthy"
	Progressing Health = "Progressing"
	Paused      Health = "Paused"
	Degraded    Health = "Degraded"
	Warning     Health = "Warning"
	Unknown     Health = "Unknown"
	ScaledDown  Health = "ScaledDown"
)

// RolloutView is a Rollout as people and scripts see it. Times are absolute,
// so that only observedAt changes while nothing happens.
type RolloutView struct {
	// APIVersion is the constant APIVersion.
	APIVersion string `json:"apiVersion"`
	// Kind is the constant RolloutKind.
	Kind string `json:"kind"`
	// Name of the Rollout.
	Name string `json:"name"`
	// Namespace of the Rollout.
	Namespace string `json:"namespace"`
	// CreatedAt is when the Rollout was created.
	CreatedAt time.Time `json:"createdAt,omitzero"`
	// ObservedAt is when the view was made; ages count up to it.
	ObservedAt time.Time `json:"observedAt"`
	// Revision is the number of the newest revision; 0 before the first.
	Revision int64 `json:"revision,omitempty"`
	// Phase in one word, after allowing for what the controller has not seen yet.
	Phase v1alpha1.RolloutPhase `json:"phase"`
	// Message says why the phase is what it is.
	Message string `json:"message,omitempty"`
	// Aborted is true from an abort until a retry or a new revision.
	Aborted bool `json:"aborted,omitempty"`
	// Complete is true when the newest revision is the stable one and all its pods are available.
	Complete bool `json:"complete"`
	// Strategy of the Rollout.
	Strategy Strategy `json:"strategy,omitempty"`
	// Step the canary works on; absent without steps.
	Step *StepView `json:"step,omitempty"`
	// Weight of the canary; absent for blue-green.
	Weight *WeightView `json:"weight,omitempty"`
	// Pause is what the update waits for; absent when it does not wait.
	Pause *PauseView `json:"pause,omitempty"`
	// Images in use and the roles of the revisions that use them.
	Images []ImageView `json:"images,omitempty"`
	// Replicas counts the pods.
	Replicas ReplicasView `json:"replicas"`
	// Why is the one reason the Rollout is not further; absent when it is done.
	Why *WhyView `json:"why,omitempty"`
	// Revisions, newest first.
	Revisions []RevisionView `json:"revisions,omitempty"`
	// Notes say what the view could not include.
	Notes []string `json:"notes,omitempty"`
}

// StepView is the step a canary works on.
type StepView struct {
	// Index of the step, from 0; equal to Count when all are done.
	Index int32 `json:"index"`
	// Count is the number of steps.
	Count int32 `json:"count"`
	// Text says what the step does; empty when all are done.
	Text string `json:"text,omitempty"`
}

// WeightView is the share of traffic of the canary.
type WeightView struct {
	// Set is what the steps ask for.
	Set int32 `json:"set"`
	// Actual is what was last applied, or follows from the pods without a router.
	Actual int32 `json:"actual"`
	// Max is the weight that means all traffic; 100 unless maxTrafficWeight says otherwise.
	Max int32 `json:"max"`
	// Verified says whether the data plane was seen to serve it; absent when the router cannot tell.
	Verified *bool `json:"verified,omitempty"`
}

// PauseView is what a paused update waits for.
type PauseView struct {
	// Reason of the pause in one word; UserPause for spec.paused.
	Reason string `json:"reason"`
	// Since when it waits.
	Since *time.Time `json:"since,omitempty"`
	// Until is when it goes on by itself; absent when it does not.
	Until *time.Time `json:"until,omitempty"`
	// Person is true when only a person can end the pause.
	Person bool `json:"person"`
}

// ImageView is a container image and who runs it.
type ImageView struct {
	// Image as the pods name it.
	Image string `json:"image"`
	// Roles of the revisions that run it, for example stable.
	Roles []string `json:"roles,omitempty"`
	// Templates of the Experiment that run it.
	Templates []string `json:"templates,omitempty"`
}

// ReplicasView counts pods.
type ReplicasView struct {
	// Desired pods of the spec.
	Desired int32 `json:"desired"`
	// Current pods of all revisions.
	Current int32 `json:"current"`
	// Updated pods: those of the newest revision.
	Updated int32 `json:"updated"`
	// Ready pods of all revisions.
	Ready int32 `json:"ready"`
	// Available pods of all revisions.
	Available int32 `json:"available"`
}

// WhyView is the blocking reason.
type WhyView struct {
	// Code is the reason in one stable word.
	Code string `json:"code"`
	// Message is the reason in one sentence.
	Message string `json:"message"`
	// Since when it is the reason.
	Since *time.Time `json:"since,omitempty"`
	// NextAt is when the next thing happens by itself, where that is known.
	NextAt *time.Time `json:"nextAt,omitempty"`
	// NextEvent is the next thing that happens by itself; empty when nothing does.
	NextEvent string `json:"nextEvent,omitempty"`
	// Unblock is what a person can do.
	Unblock string `json:"unblock,omitempty"`
	// Source is controller when the Rollout's status says so, plugin when it was concluded here.
	Source string `json:"source"`
}

// RevisionView is one pod template and what runs it.
type RevisionView struct {
	// Number of the revision.
	Number int64 `json:"number"`
	// ReplicaSets of the revision; normally one.
	ReplicaSets []ReplicaSetView `json:"replicaSets,omitempty"`
	// AnalysisRuns that gate the revision, oldest first.
	AnalysisRuns []AnalysisRunView `json:"analysisRuns,omitempty"`
}

// ReplicaSetView is a ReplicaSet and its pods.
type ReplicaSetView struct {
	// Name of the ReplicaSet.
	Name string `json:"name"`
	// Hash of its pod template.
	Hash string `json:"hash,omitempty"`
	// Roles of the revision: stable, canary, active, preview.
	Roles []string `json:"roles,omitempty"`
	// Template of the Experiment that it runs; empty for a revision.
	Template string `json:"template,omitempty"`
	// Health of the ReplicaSet.
	Health Health `json:"health"`
	// Message says why it could not create pods.
	Message string `json:"message,omitempty"`
	// CreatedAt is when it was created.
	CreatedAt time.Time `json:"createdAt,omitzero"`
	// Desired is the number of pods asked for.
	Desired int32 `json:"desired"`
	// Ready is the number of ready pods.
	Ready int32 `json:"ready"`
	// Available is the number of available pods.
	Available int32 `json:"available"`
	// Images of its containers.
	Images []string `json:"images,omitempty"`
	// ScaleDownAt is when its pods are removed; absent when they are in use.
	ScaleDownAt *time.Time `json:"scaleDownAt,omitempty"`
	// Pods of the ReplicaSet, oldest first.
	Pods []PodView `json:"pods,omitempty"`
}

// PodView is a pod.
type PodView struct {
	// Name of the pod.
	Name string `json:"name"`
	// Status in one word, as kubectl get pods prints it.
	Status string `json:"status"`
	// Health that follows from the status.
	Health Health `json:"health"`
	// Message is what the kubelet or the scheduler says about the status.
	Message string `json:"message,omitempty"`
	// Ready is the number of ready containers.
	Ready int32 `json:"ready"`
	// Total is the number of containers.
	Total int32 `json:"total"`
	// Restarts of all containers.
	Restarts int32 `json:"restarts,omitempty"`
	// CreatedAt is when the pod was created.
	CreatedAt time.Time `json:"createdAt,omitzero"`
}

// CountsView counts measurements by their result.
type CountsView struct {
	// Successful measurements.
	Successful int32 `json:"successful,omitempty"`
	// Failed measurements.
	Failed int32 `json:"failed,omitempty"`
	// Inconclusive measurements.
	Inconclusive int32 `json:"inconclusive,omitempty"`
	// Error counts measurements that could not be taken.
	Error int32 `json:"error,omitempty"`
}

// AnalysisRunView is an AnalysisRun and its metrics.
type AnalysisRunView struct {
	// Name of the AnalysisRun.
	Name string `json:"name"`
	// Type says what it gates: Step, Background, PrePromotion or PostPromotion.
	Type string `json:"type,omitempty"`
	// Analysis of the Experiment that it takes; empty for a run of a Rollout.
	Analysis string `json:"analysis,omitempty"`
	// Required is true when the Experiment is not done before it is.
	Required bool `json:"required,omitempty"`
	// Phase of the run.
	Phase v1alpha1.AnalysisPhase `json:"phase"`
	// Message says why.
	Message string `json:"message,omitempty"`
	// CreatedAt is when it was created.
	CreatedAt time.Time `json:"createdAt,omitzero"`
	// Counts of the measurements of all metrics.
	Counts CountsView `json:"counts"`
	// Metrics in the order of the spec.
	Metrics []MetricView `json:"metrics,omitempty"`
}

// MetricView is a metric, its rules and its latest measurements.
type MetricView struct {
	// Name of the metric.
	Name string `json:"name"`
	// Phase of the metric.
	Phase v1alpha1.AnalysisPhase `json:"phase"`
	// Message says why.
	Message string `json:"message,omitempty"`
	// DryRun is true when the metric never decides the run.
	DryRun bool `json:"dryRun,omitempty"`
	// SuccessCondition a good measurement satisfies.
	SuccessCondition string `json:"successCondition,omitempty"`
	// FailureCondition a bad measurement satisfies.
	FailureCondition string `json:"failureCondition,omitempty"`
	// FailureLimit is the number of failed measurements that are still acceptable; -1 is no limit.
	FailureLimit int32 `json:"failureLimit"`
	// ErrorLimit is the number of errors in a row that are still acceptable.
	ErrorLimit int32 `json:"errorLimit"`
	// ConsecutiveErrors is the number of errors in a row so far.
	ConsecutiveErrors int32 `json:"consecutiveErrors,omitempty"`
	// Counts of the measurements.
	Counts CountsView `json:"counts"`
	// Planned is the number of measurements to take; 0 is endless.
	Planned int32 `json:"planned,omitempty"`
	// Last is the latest finished measurement.
	Last *MeasurementView `json:"last,omitempty"`
	// Measurements that are still kept, oldest first.
	Measurements []MeasurementView `json:"measurements,omitempty"`
}

// MeasurementView is one measurement.
type MeasurementView struct {
	// At is when it ended, or started while it is under way.
	At time.Time `json:"at,omitzero"`
	// Phase of the measurement.
	Phase v1alpha1.AnalysisPhase `json:"phase"`
	// Value as text.
	Value string `json:"value,omitempty"`
	// Number is the value when it is one finite number; the data of a sparkline.
	Number *float64 `json:"number,omitempty"`
	// Message says why it failed or could not be taken.
	Message string `json:"message,omitempty"`
}

// RolloutViewList is several rollouts.
type RolloutViewList struct {
	// APIVersion is the constant APIVersion.
	APIVersion string `json:"apiVersion"`
	// Kind is the constant ListKind.
	Kind string `json:"kind"`
	// Items in the order of namespace and name.
	Items []RolloutView `json:"items"`
}
