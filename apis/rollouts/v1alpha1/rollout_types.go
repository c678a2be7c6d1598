package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Rollout runs pods like a Deployment and updates them step by step, gated by analysis.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=rollouts,shortName=ro
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.replicas,statuspath=.status.HPAReplicas,selectorpath=.status.selector
// +kubebuilder:printcolumn:name="Desired",type="integer",JSONPath=".spec.replicas",description="Number of desired pods"
// +kubebuilder:printcolumn:name="Current",type="integer",JSONPath=".status.replicas",description="Total number of pods"
// +kubebuilder:printcolumn:name="Up-to-date",type="integer",JSONPath=".status.updatedReplicas",description="Number of pods of the newest revision"
// +kubebuilder:printcolumn:name="Available",type="integer",JSONPath=".status.availableReplicas",description="Number of pods ready for at least minReadySeconds"
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp"
type Rollout struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec RolloutSpec `json:"spec"`
	// +optional
	Status RolloutStatus `json:"status,omitempty"`
}

// RolloutList is a list of Rollouts.
//
// +kubebuilder:object:root=true
type RolloutList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Rollout `json:"items"`
}

// RolloutSpec is what the user wants.
type RolloutSpec struct {
	// How many times a rollback to a recent revision may skip steps and analysis.
	// +optional
	RollbackWindow *RollbackWindowSpec `json:"rollbackWindow,omitempty"`
	// How many finished AnalysisRuns and Experiments are kept.
	// +optional
	Analysis *AnalysisRunStrategy `json:"analysis,omitempty"`
	// Number of desired pods. Default 1.
	// +optional
	Replicas *int32 `json:"replicas,omitempty"`
	// Label selector of the pods; must match the labels of the template. Immutable.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message=".spec.selector is immutable"
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
	// The pods to run: a core/v1 PodTemplateSpec. Empty when workloadRef is set.
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	Template PodTemplate `json:"template,omitzero"`
	// Takes the template from a Deployment, ReplicaSet or PodTemplate of the same namespace instead.
	// +optional
	WorkloadRef *ObjectRef `json:"workloadRef,omitempty"`
	// Seconds a pod must be ready before it counts as available. Default 0.
	// +optional
	MinReadySeconds int32 `json:"minReadySeconds,omitempty"`
	// How pods are replaced: exactly one of canary and blueGreen.
	// +optional
	Strategy RolloutStrategy `json:"strategy,omitempty"`
	// Number of old ReplicaSets to keep for rollback. Default 10.
	// +optional
	RevisionHistoryLimit *int32 `json:"revisionHistoryLimit,omitempty"`
	// Stops the rollout where it is until set to false.
	// +optional
	Paused bool `json:"paused,omitempty"`
	// Seconds without progress after which the update is reported as failed. Default 600.
	// +optional
	ProgressDeadlineSeconds *int32 `json:"progressDeadlineSeconds,omitempty"`
	// Aborts the update when the progress deadline is exceeded. Default false.
	// +optional
	ProgressDeadlineAbort bool `json:"progressDeadlineAbort,omitempty"`
	// Pods created before this time are replaced, honouring PodDisruptionBudgets.
	// +optional
	RestartAt *metav1.Time `json:"restartAt,omitempty"`
	// What a failed analysis or Experiment does to the update: rollback (default) aborts it,
	// freeze leaves traffic and pods as they are and waits for a person. Additive to the served API.
	// +optional
	// +kubebuilder:validation:Enum=rollback;freeze
	OnFailure FailurePolicy `json:"onFailure,omitempty"`
	// Analysis that the very first revision must pass before it becomes stable and the Services
	// are pointed to it. Additive to the served API.
	// +optional
	InitialAnalysis *RolloutAnalysis `json:"initialAnalysis,omitempty"`
	// Which pods an autoscaler sees: all (default) or those of the stable revision. Additive to the
	// served API.
	// +optional
	// +kubebuilder:validation:Enum=all;stable
	ScaleAccounting ScaleAccounting `json:"scaleAccounting,omitempty"`
}

// FailurePolicy is what a failed analysis or Experiment does to an update.
type FailurePolicy string

// What a failed analysis or Experiment does to an update.
const (
	// FailureRollback aborts the update. It is the default.
	FailureRollback FailurePolicy = "rollback"
	// FailureFreeze leaves the update where it is, as a pause that a person ends.
	FailureFreeze FailurePolicy = "freeze"
)

// ScaleAccounting is which pods an autoscaler sees.
type ScaleAccounting string

// Which pods an autoscaler sees.
const (
	// ScaleAll counts the pods of all revisions. It is the default.
	ScaleAll ScaleAccounting = "all"
	// ScaleStable counts the pods of the stable revision alone.
	ScaleStable ScaleAccounting = "stable"
)

// ObjectRef names the workload whose template a Rollout runs.
type ObjectRef struct {
	// apps/v1 for a Deployment or ReplicaSet, v1 for a PodTemplate.
	// +optional
	APIVersion string `json:"apiVersion,omitempty"`
	// Deployment, ReplicaSet or PodTemplate.
	// +optional
	Kind string `json:"kind,omitempty"`
	// Name of the workload.
	// +optional
	Name string `json:"name,omitempty"`
	// When a referenced Deployment is scaled to zero: never (default), onsuccess or progressively.
	// +optional
	ScaleDown string `json:"scaleDown,omitempty"`
}

// RollbackWindowSpec limits how old a revision may be to be rolled back to without steps.
type RollbackWindowSpec struct {
	// Number of revisions back.
	// +optional
	Revisions int32 `json:"revisions,omitempty"`
}

// AnalysisRunStrategy limits the history of AnalysisRuns and Experiments.
type AnalysisRunStrategy struct {
	// Successful runs to keep. Default 5.
	// +optional
	SuccessfulRunHistoryLimit *int32 `json:"successfulRunHistoryLimit,omitempty"`
	// Failed, errored and inconclusive runs to keep. Default 5.
	// +optional
	UnsuccessfulRunHistoryLimit *int32 `json:"unsuccessfulRunHistoryLimit,omitempty"`
}

// RolloutStrategy is how pods are replaced: exactly one field is set.
type RolloutStrategy struct {
	// Keeps two full environments and switches between them.
	// +optional
	BlueGreen *BlueGreenStrategy `json:"blueGreen,omitempty"`
	// Gives the new revision a growing share.
	// +optional
	Canary *CanaryStrategy `json:"canary,omitempty"`
}

// BlueGreenStrategy keeps the new revision beside the active one and switches a Service.
type BlueGreenStrategy struct {
	// Service that receives production traffic.
	ActiveService string `json:"activeService"`
	// Service that receives traffic for the new revision before the switch.
	// +optional
	PreviewService string `json:"previewService,omitempty"`
	// Pods of the new revision before the switch. Default spec.replicas.
	// +optional
	PreviewReplicaCount *int32 `json:"previewReplicaCount,omitempty"`
	// Switches without a person. Default true.
	// +optional
	AutoPromotionEnabled *bool `json:"autoPromotionEnabled,omitempty"`
	// Seconds to wait before switching without a person. Default 0.
	// +optional
	AutoPromotionSeconds int32 `json:"autoPromotionSeconds,omitempty"`
	// Pods that may be unavailable during a restart; a number or a percentage. Default 25%.
	// +optional
	MaxUnavailable *intstr.IntOrString `json:"maxUnavailable,omitempty"`
	// Seconds the old revision keeps its pods after the switch. Default 30.
	// +optional
	ScaleDownDelaySeconds *int32 `json:"scaleDownDelaySeconds,omitempty"`
	// Number of old revisions that may wait for their delay at once. Default unlimited.
	// +optional
	ScaleDownDelayRevisionLimit *int32 `json:"scaleDownDelayRevisionLimit,omitempty"`
	// Seconds the new revision keeps its pods after an abort; 0 keeps them for ever. Default 30.
	// +optional
	AbortScaleDownDelaySeconds *int32 `json:"abortScaleDownDelaySeconds,omitempty"`
	// Analysis that must succeed before the switch.
	// +optional
	PrePromotionAnalysis *RolloutAnalysis `json:"prePromotionAnalysis,omitempty"`
	// Analysis that must succeed after the switch.
	// +optional
	PostPromotionAnalysis *RolloutAnalysis `json:"postPromotionAnalysis,omitempty"`
	// Keeps pods of the two revisions on different nodes.
	// +optional
	AntiAffinity *AntiAffinity `json:"antiAffinity,omitempty"`
	// Labels and annotations that pods have while they are preview.
	// +optional
	PreviewMetadata *PodTemplateMetadata `json:"previewMetadata,omitempty"`
	// Labels and annotations that pods have while they are active.
	// +optional
	ActiveMetadata *PodTemplateMetadata `json:"activeMetadata,omitempty"`
}

// AntiAffinity keeps pods of the new revision away from pods of the old: exactly one field is set.
type AntiAffinity struct {
	// A scheduler preference with a weight.
	// +optional
	PreferredDuringSchedulingIgnoredDuringExecution *PreferredDuringSchedulingIgnoredDuringExecution `json:"preferredDuringSchedulingIgnoredDuringExecution,omitempty"`
	// A hard scheduler rule.
	// +optional
	RequiredDuringSchedulingIgnoredDuringExecution *RequiredDuringSchedulingIgnoredDuringExecution `json:"requiredDuringSchedulingIgnoredDuringExecution,omitempty"`
}

// PreferredDuringSchedulingIgnoredDuringExecution is a scheduler preference.
type PreferredDuringSchedulingIgnoredDuringExecution struct {
	// Strength of the preference, 1 to 100.
	Weight int32 `json:"weight"`
}

// RequiredDuringSchedulingIgnoredDuringExecution is a hard scheduler rule; it has no settings.
type RequiredDuringSchedulingIgnoredDuringExecution struct{}

// PodTemplateMetadata is labels and annotations given to pods while they have a role.
type PodTemplateMetadata struct {
	// Labels of the pods.
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
	// Annotations of the pods.
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
}
