package v1alpha1

import (
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RolloutPhase summarises the conditions in one word.
type RolloutPhase string

// Phases of a Rollout.
const (
	RolloutPhaseHealthy     RolloutPhase = "Healthy"
	RolloutPhaseDegraded    RolloutPhase = "Degraded"
	RolloutPhaseProgressing RolloutPhase = "Progressing"
	RolloutPhasePaused      RolloutPhase = "Paused"
)

// RolloutStatus is what the controller saw, plus the little it must remember.
type RolloutStatus struct {
	// The update was aborted; traffic goes to the stable revision. Set it to abort, clear it to retry.
	// +optional
	Abort bool `json:"abort,omitempty"`
	// When the update was aborted.
	// +optional
	AbortedAt *metav1.Time `json:"abortedAt,omitempty"`
	// Why the update is paused, and since when. Clear it to resume.
	// +optional
	PauseConditions []PauseCondition `json:"pauseConditions,omitempty"`
	// The controller paused the update; without pauseConditions it means that a person resumed it.
	// +optional
	ControllerPause bool `json:"controllerPause,omitempty"`
	// Pod template hash of the newest revision.
	// +optional
	CurrentPodHash string `json:"currentPodHash,omitempty"`
	// Hash of the steps the index counts in.
	// +optional
	CurrentStepHash string `json:"currentStepHash,omitempty"`
	// Pods of all revisions.
	// +optional
	Replicas int32 `json:"replicas,omitempty"`
	// Pods of the newest revision.
	// +optional
	UpdatedReplicas int32 `json:"updatedReplicas,omitempty"`
	// Ready pods of all revisions.
	// +optional
	ReadyReplicas int32 `json:"readyReplicas,omitempty"`
	// Pods of all revisions that were ready for at least minReadySeconds.
	// +optional
	AvailableReplicas int32 `json:"availableReplicas,omitempty"`
	// Index of the step being worked on; the number of steps when all are done.
	// +optional
	CurrentStepIndex *int32 `json:"currentStepIndex,omitempty"`
	// How often a pod template hash was already taken by another ReplicaSet.
	// +optional
	CollisionCount *int32 `json:"collisionCount,omitempty"`
	// Generation of the spec this status is about, as a decimal string.
	// +optional
	ObservedGeneration string `json:"observedGeneration,omitempty"`
	// Conditions of the Rollout.
	// +optional
	Conditions []RolloutCondition `json:"conditions,omitempty"`
	// Status of a canary.
	// +optional
	Canary CanaryStatus `json:"canary,omitempty"`
	// Status of a blue-green update.
	// +optional
	BlueGreen BlueGreenStatus `json:"blueGreen,omitempty"`
	// Pods an autoscaler sees.
	// +optional
	HPAReplicas int32 `json:"HPAReplicas,omitempty"`
	// Label selector of the pods an autoscaler sees.
	// +optional
	Selector string `json:"selector,omitempty"`
	// Pod template hash of the stable revision.
	// +optional
	StableRS string `json:"stableRS,omitempty"`
	// Value of spec.restartAt when all pods were last restarted.
	// +optional
	RestartedAt *metav1.Time `json:"restartedAt,omitempty"`
	// Skips all remaining steps, pauses and analysis of the update.
	// +optional
	PromoteFull bool `json:"promoteFull,omitempty"`
	// Healthy, Progressing, Paused or Degraded.
	// +optional
	Phase RolloutPhase `json:"phase,omitempty"`
	// Why the phase is what it is.
	// +optional
	Message string `json:"message,omitempty"`
	// Generation of the referenced workload this status is about, as a decimal string.
	// +optional
	WorkloadObservedGeneration string `json:"workloadObservedGeneration,omitempty"`
	// Load balancer of the Ingress.
	// +optional
	ALB *ALBStatus `json:"alb,omitempty"`
	// Load balancers of several Ingresses.
	// +optional
	ALBs []ALBStatus `json:"albs,omitempty"`
	// When the update began and ended.
	// +optional
	Duration *RolloutDuration `json:"duration,omitempty"`
	// AnalysisRun of spec.initialAnalysis, until the first revision is stable.
	// +optional
	InitialAnalysisRunStatus *RolloutAnalysisRunStatus `json:"initialAnalysisRunStatus,omitempty"`
	// The one reason the Rollout is not further, what happens next and how to unblock it.
	// +optional
	Why *Why `json:"why,omitempty"`
}

// Why is the blocking reason of a Rollout, an AnalysisRun or an Experiment. It
// holds nothing that ticks: times are absolute.
type Why struct {
	// Stable code for machines, one word.
	Code WhyCode `json:"code"`
	// One sentence for people, with the measured number and the limit where there is one.
	Message string `json:"message"`
	// Since when this is the reason.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`
	// The next thing that happens by itself.
	// +optional
	Next *WhyNext `json:"next,omitempty"`
	// What a person can do.
	// +optional
	Unblock string `json:"unblock,omitempty"`
}

// WhyCode is a blocking reason in one word.
type WhyCode string

// WhyNext is the next automatic event.
type WhyNext struct {
	// When, if that is known.
	// +optional
	At *metav1.Time `json:"at,omitempty"`
	// What happens.
	Event string `json:"event"`
}

// PauseReason says why an update is paused.
type PauseReason string

// Reasons for a pause.
const (
	PauseReasonInconclusiveAnalysis   PauseReason = "InconclusiveAnalysisRun"
	PauseReasonInconclusiveExperiment PauseReason = "InconclusiveExperiment"
	PauseReasonCanaryPauseStep        PauseReason = "CanaryPauseStep"
	PauseReasonBlueGreenPause         PauseReason = "BlueGreenPause"
	// PauseReasonFailure is that of an update that spec.onFailure freezes. Additive to the served API.
	PauseReasonFailure PauseReason = "FailedAnalysis"
)

// PauseCondition is one reason for a pause.
type PauseCondition struct {
	// Why.
	Reason PauseReason `json:"reason"`
	// Since when.
	StartTime metav1.Time `json:"startTime"`
}

// CanaryStatus is the status of a canary.
type CanaryStatus struct {
	// AnalysisRun of the current step.
	// +optional
	CurrentStepAnalysisRunStatus *RolloutAnalysisRunStatus `json:"currentStepAnalysisRunStatus,omitempty"`
	// AnalysisRun beside the steps.
	// +optional
	CurrentBackgroundAnalysisRunStatus *RolloutAnalysisRunStatus `json:"currentBackgroundAnalysisRunStatus,omitempty"`
	// Experiment of the current step.
	// +optional
	CurrentExperiment string `json:"currentExperiment,omitempty"`
	// The traffic split that was last applied.
	// +optional
	Weights *TrafficWeights `json:"weights,omitempty"`
	// ping or pong: which Service is stable.
	// +optional
	StablePingPong PingPongType `json:"stablePingPong,omitempty"`
	// State of step plugins.
	// +optional
	StepPluginStatuses []StepPluginStatus `json:"stepPluginStatuses,omitempty"`
}

// PingPongType names one of the two Services of a ping-pong canary.
type PingPongType string

// Services of a ping-pong canary.
const (
	PPPing PingPongType = "ping"
	PPPong PingPongType = "pong"
)

// RolloutAnalysisRunStatus is the state of an AnalysisRun a Rollout started.
type RolloutAnalysisRunStatus struct {
	// Name of the AnalysisRun.
	Name string `json:"name"`
	// Its phase.
	Status AnalysisPhase `json:"status"`
	// Its message.
	// +optional
	Message string `json:"message,omitempty"`
}

// TrafficWeights is a traffic split as it was last applied.
type TrafficWeights struct {
	// The canary side.
	Canary WeightDestination `json:"canary"`
	// The stable side.
	Stable WeightDestination `json:"stable"`
	// Sides of Experiments.
	// +optional
	Additional []WeightDestination `json:"additional,omitempty"`
	// Whether the data plane was seen to serve it; absent for routers that cannot tell.
	// +optional
	Verified *bool `json:"verified,omitempty"`
}

// WeightDestination is one side of a traffic split.
type WeightDestination struct {
	// Its share of maxTrafficWeight.
	Weight int32 `json:"weight"`
	// Its Service.
	// +optional
	ServiceName string `json:"serviceName,omitempty"`
	// Its revision.
	// +optional
	PodTemplateHash string `json:"podTemplateHash,omitempty"`
}

// StepPluginStatus is the state of one call of a step plugin.
type StepPluginStatus struct {
	// Index of the step.
	Index int32 `json:"index"`
	// Name of the plugin.
	Name string `json:"name"`
	// What the plugin last said.
	// +optional
	Message string `json:"message,omitempty"`
	// Phase of the call.
	// +optional
	Phase StepPluginPhase `json:"phase,omitempty"`
	// When the call started.
	// +optional
	StartedAt *metav1.Time `json:"startedAt,omitempty"`
	// When the status was last updated.
	// +optional
	UpdatedAt *metav1.Time `json:"updatedAt,omitempty"`
	// When the call ended.
	// +optional
	FinishedAt *metav1.Time `json:"finishedAt,omitempty"`
	// Run, Terminate or Abort.
	Operation StepPluginOperation `json:"operation"`
	// Time to wait before the next call, a duration.
	// +optional
	Backoff DurationString `json:"backoff,omitempty"`
	// How often it was called.
	// +optional
	Executions int32 `json:"executions,omitempty"`
	// The plugin is switched off.
	// +optional
	Disabled bool `json:"disabled,omitempty"`
	// State the plugin keeps for itself.
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	Status json.RawMessage `json:"status,omitempty"`
}

// StepPluginPhase is the phase of a step plugin call.
type StepPluginPhase string

// StepPluginOperation is what a step plugin was asked to do.
type StepPluginOperation string

// BlueGreenStatus is the status of a blue-green update.
type BlueGreenStatus struct {
	// Revision the preview Service selects.
	// +optional
	PreviewSelector string `json:"previewSelector,omitempty"`
	// Revision the active Service selects.
	// +optional
	ActiveSelector string `json:"activeSelector,omitempty"`
	// The new revision may grow from previewReplicaCount to spec.replicas.
	// +optional
	ScaleUpPreviewCheckPoint bool `json:"scaleUpPreviewCheckPoint,omitempty"`
	// AnalysisRun before the switch.
	// +optional
	PrePromotionAnalysisRunStatus *RolloutAnalysisRunStatus `json:"prePromotionAnalysisRunStatus,omitempty"`
	// AnalysisRun after the switch.
	// +optional
	PostPromotionAnalysisRunStatus *RolloutAnalysisRunStatus `json:"postPromotionAnalysisRunStatus,omitempty"`
}

// ALBStatus is the load balancer of an Ingress and its target groups.
type ALBStatus struct {
	// The load balancer.
	// +optional
	LoadBalancer AwsResourceRef `json:"loadBalancer,omitempty"`
	// Target group of the canary.
	// +optional
	CanaryTargetGroup AwsResourceRef `json:"canaryTargetGroup,omitempty"`
	// Target group of the stable revision.
	// +optional
	StableTargetGroup AwsResourceRef `json:"stableTargetGroup,omitempty"`
	// The Ingress.
	// +optional
	Ingress string `json:"ingress,omitempty"`
}

// AwsResourceRef names an AWS resource.
type AwsResourceRef struct {
	// Its name.
	Name string `json:"name"`
	// Its ARN.
	ARN string `json:"arn"`
	// The part of its ARN that metrics use.
	// +optional
	FullName string `json:"fullName,omitempty"`
}

// CompletionStatus says how an update ended.
type CompletionStatus string

// How an update ended.
const (
	CompletionPromoted       CompletionStatus = "Promoted"
	CompletionFastPromoted   CompletionStatus = "FastPromoted"
	CompletionAborted        CompletionStatus = "Aborted"
	CompletionSuperseded     CompletionStatus = "Superseded"
	CompletionRolledBack     CompletionStatus = "RolledBack"
	CompletionFastRolledBack CompletionStatus = "FastRolledBack"
)

// RolloutDuration is when an update began and ended.
type RolloutDuration struct {
	// When it began.
	// +optional
	RolloutStartedAt *metav1.Time `json:"rolloutStartedAt,omitempty"`
	// When the pause that is waiting for a person began.
	// +optional
	ManualPauseStartedAt *metav1.Time `json:"manualPauseStartedAt,omitempty"`
	// Seconds spent waiting for a person.
	// +optional
	TotalManualPauseDurationSeconds *int64 `json:"totalManualPauseDurationSeconds,omitempty"`
	// When it ended.
	// +optional
	FinishedAt *metav1.Time `json:"finishedAt,omitempty"`
	// How it ended.
	// +optional
	CompletionStatus CompletionStatus `json:"completionStatus,omitempty"`
}

// RolloutConditionType is the type of a condition.
type RolloutConditionType string

// Types of conditions.
const (
	RolloutProgressing    RolloutConditionType = "Progressing"
	RolloutAvailable      RolloutConditionType = "Available"
	RolloutCompleted      RolloutConditionType = "Completed"
	RolloutHealthy        RolloutConditionType = "Healthy"
	RolloutPaused         RolloutConditionType = "Paused"
	RolloutReplicaFailure RolloutConditionType = "ReplicaFailure"
	RolloutInvalidSpec    RolloutConditionType = "InvalidSpec"
)

// RolloutCondition is one fact about a Rollout.
type RolloutCondition struct {
	// What it is about.
	Type RolloutConditionType `json:"type"`
	// True, False or Unknown.
	Status corev1.ConditionStatus `json:"status"`
	// When it was last updated.
	LastUpdateTime metav1.Time `json:"lastUpdateTime"`
	// When its status last changed.
	LastTransitionTime metav1.Time `json:"lastTransitionTime"`
	// One word for machines.
	Reason string `json:"reason"`
	// A sentence for people.
	Message string `json:"message"`
}
