package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Experiment runs sets of pods side by side for a time and analyses them.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=experiments,shortName=exp
// +kubebuilder:printcolumn:name="Status",type="string",JSONPath=".status.phase"
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp"
type Experiment struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec ExperimentSpec `json:"spec"`
	// +optional
	Status ExperimentStatus `json:"status,omitempty"`
}

// ExperimentList is a list of Experiments.
//
// +kubebuilder:object:root=true
type ExperimentList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Experiment `json:"items"`
}

// ExperimentSpec is what the user wants.
type ExperimentSpec struct {
	// Sets of pods.
	Templates []TemplateSpec `json:"templates"`
	// How long it runs once available, a duration such as 5m. Without it, until its analyses end.
	// +optional
	Duration DurationString `json:"duration,omitempty"`
	// Seconds within which all pods must become available. Default 600.
	// +optional
	ProgressDeadlineSeconds *int32 `json:"progressDeadlineSeconds,omitempty"`
	// Ends the Experiment now.
	// +optional
	Terminate bool `json:"terminate,omitempty"`
	// Analyses to run.
	// +optional
	Analyses []ExperimentAnalysisTemplateRef `json:"analyses,omitempty"`
	// Seconds its pods are kept after it ends. Default 30.
	// +optional
	ScaleDownDelaySeconds *int32 `json:"scaleDownDelaySeconds,omitempty"`
	// Metrics whose result does not count.
	// +optional
	DryRun []DryRun `json:"dryRun,omitempty"`
	// How many measurements are kept, by metric.
	// +optional
	MeasurementRetention []MeasurementRetention `json:"measurementRetention,omitempty"`
	// Labels and annotations of the AnalysisRuns.
	// +optional
	AnalysisRunMetadata AnalysisRunMetadata `json:"analysisRunMetadata,omitempty"`
}

// TemplateSpec is one set of pods of an Experiment.
type TemplateSpec struct {
	// Name of the template.
	Name string `json:"name"`
	// Number of pods. Default 1.
	// +optional
	Replicas *int32 `json:"replicas,omitempty"`
	// Seconds a pod must be ready before it counts as available. Default 0.
	// +optional
	MinReadySeconds int32 `json:"minReadySeconds,omitempty"`
	// Label selector of the pods; must match the labels of the template.
	Selector *metav1.LabelSelector `json:"selector"`
	// The pods to run: a core/v1 PodTemplateSpec.
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	Template PodTemplate `json:"template"`
	// A Service for these pods.
	// +optional
	Service *TemplateService `json:"service,omitempty"`
}

// TemplateService asks for a Service for the pods of a template.
type TemplateService struct {
	// Name of the Service. Default the name of the ReplicaSet.
	// +optional
	Name string `json:"name,omitempty"`
}

// ExperimentAnalysisTemplateRef is one analysis of an Experiment.
type ExperimentAnalysisTemplateRef struct {
	// Name of the analysis.
	Name string `json:"name"`
	// Template to run.
	TemplateName string `json:"templateName"`
	// The template is a ClusterAnalysisTemplate.
	// +optional
	ClusterScope bool `json:"clusterScope,omitempty"`
	// Arguments of the template.
	// +optional
	Args []Argument `json:"args,omitempty"`
	// The Experiment is not done before this analysis is.
	// +optional
	RequiredForCompletion bool `json:"requiredForCompletion,omitempty"`
}

// TemplateStatusCode is the state of one set of pods.
type TemplateStatusCode string

// States of a set of pods.
const (
	TemplateStatusProgressing TemplateStatusCode = "Progressing"
	TemplateStatusRunning     TemplateStatusCode = "Running"
	TemplateStatusSuccessful  TemplateStatusCode = "Successful"
	TemplateStatusFailed      TemplateStatusCode = "Failed"
	TemplateStatusError       TemplateStatusCode = "Error"
)

// Completed reports whether the state is final.
func (s TemplateStatusCode) Completed() bool {
	switch s {
	case TemplateStatusSuccessful, TemplateStatusFailed, TemplateStatusError:
		return true
	case TemplateStatusProgressing, TemplateStatusRunning:
		return false
	}
	return false
}

// ExperimentStatus is what the controller saw.
type ExperimentStatus struct {
	// Pending, Running, Successful, Failed, Error or Inconclusive.
	// +optional
	Phase AnalysisPhase `json:"phase,omitempty"`
	// Why the phase is what it is.
	// +optional
	Message string `json:"message,omitempty"`
	// State of each set of pods.
	// +optional
	TemplateStatuses []TemplateStatus `json:"templateStatuses,omitempty"`
	// When all pods were first available.
	// +optional
	AvailableAt *metav1.Time `json:"availableAt,omitempty"`
	// Conditions of the Experiment.
	// +optional
	Conditions []ExperimentCondition `json:"conditions,omitempty"`
	// State of each analysis.
	// +optional
	AnalysisRuns []ExperimentAnalysisRunStatus `json:"analysisRuns,omitempty"`
	// The one reason the Experiment is where it is. This field is an addition of Headway.
	// +optional
	Why *Why `json:"why,omitempty"`
}

// TemplateStatus is the state of one set of pods.
type TemplateStatus struct {
	// Name of the template.
	Name string `json:"name"`
	// Its pods.
	Replicas int32 `json:"replicas"`
	// Its pods of the current template.
	UpdatedReplicas int32 `json:"updatedReplicas"`
	// Its ready pods.
	ReadyReplicas int32 `json:"readyReplicas"`
	// Its available pods.
	AvailableReplicas int32 `json:"availableReplicas"`
	// How often its pod template hash was already taken.
	// +optional
	CollisionCount *int32 `json:"collisionCount,omitempty"`
	// Progressing, Running, Successful, Failed or Error.
	// +optional
	Status TemplateStatusCode `json:"status,omitempty"`
	// Why.
	// +optional
	Message string `json:"message,omitempty"`
	// When the state last changed.
	// +optional
	LastTransitionTime *metav1.Time `json:"lastTransitionTime,omitempty"`
	// Its Service.
	// +optional
	ServiceName string `json:"serviceName,omitempty"`
	// Its pod template hash.
	// +optional
	PodTemplateHash string `json:"podTemplateHash,omitempty"`
}

// ExperimentAnalysisRunStatus is the state of one analysis of an Experiment.
type ExperimentAnalysisRunStatus struct {
	// Name of the analysis.
	Name string `json:"name"`
	// Name of the AnalysisRun.
	AnalysisRun string `json:"analysisRun"`
	// Its phase.
	Phase AnalysisPhase `json:"phase"`
	// Its message.
	// +optional
	Message string `json:"message,omitempty"`
}

// ExperimentConditionType is the type of a condition.
type ExperimentConditionType string

// Conditions of an Experiment.
const (
	// ExperimentProgressing is true until the Experiment has ended.
	ExperimentProgressing ExperimentConditionType = "Progressing"
	// ExperimentInvalidSpec is present while the spec cannot be followed.
	ExperimentInvalidSpec ExperimentConditionType = "InvalidSpec"
)

// ExperimentCondition is one fact about an Experiment.
type ExperimentCondition struct {
	// What it is about.
	Type ExperimentConditionType `json:"type"`
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
