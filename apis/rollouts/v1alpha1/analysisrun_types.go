package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// AnalysisRun takes the measurements of an AnalysisTemplate and judges them.
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=analysisruns,shortName=ar
// +kubebuilder:printcolumn:name="Status",type="string",JSONPath=".status.phase",description="AnalysisRun status"
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp",description="Time since resource was created"
type AnalysisRun struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what to measure, with every argument filled in.
	Spec AnalysisRunSpec `json:"spec"`
	// Status is what was measured and concluded.
	// +optional
	Status AnalysisRunStatus `json:"status,omitempty,omitzero"`
}

// AnalysisRunList is a list of AnalysisRuns.
// +kubebuilder:object:root=true
type AnalysisRunList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []AnalysisRun `json:"items"`
}

// AnalysisRunSpec is what to measure, with every argument filled in.
type AnalysisRunSpec struct {
	// Metrics to measure. Names are unique.
	Metrics []Metric `json:"metrics"`
	// Args are the values of {{args.name}} in the metrics.
	// +optional
	Args []Argument `json:"args,omitempty"`
	// Terminate ends the run: no further measurements are started.
	// +optional
	Terminate bool `json:"terminate,omitempty"`
	// DryRun lists metrics that are measured but never decide the run.
	// +optional
	DryRun []DryRun `json:"dryRun,omitempty"`
	// MeasurementRetention lists metrics of which more or fewer than 10 measurements are kept.
	// +optional
	MeasurementRetention []MeasurementRetention `json:"measurementRetention,omitempty"`
	// TTLStrategy says when to delete the run after it completed; default never.
	// +optional
	TTLStrategy *TTLStrategy `json:"ttlStrategy,omitempty"`
}

// TTLStrategy says when to delete a completed run, in seconds after its completion.
type TTLStrategy struct {
	// SecondsAfterCompletion applies to every run without a more special rule.
	// +optional
	SecondsAfterCompletion *int32 `json:"secondsAfterCompletion,omitempty"`
	// SecondsAfterFailure applies to runs that ended Failed.
	// +optional
	SecondsAfterFailure *int32 `json:"secondsAfterFailure,omitempty"`
	// SecondsAfterSuccess applies to runs that ended Successful.
	// +optional
	SecondsAfterSuccess *int32 `json:"secondsAfterSuccess,omitempty"`
}

// AnalysisPhase is where a measurement, a metric, a run or an experiment stands.
type AnalysisPhase string

// The phases of an analysis.
const (
	// AnalysisPhasePending means that nothing was measured yet.
	AnalysisPhasePending AnalysisPhase = "Pending"
	// AnalysisPhaseRunning means that measurements are still to come.
	AnalysisPhaseRunning AnalysisPhase = "Running"
	// AnalysisPhaseSuccessful means that it ended well.
	AnalysisPhaseSuccessful AnalysisPhase = "Successful"
	// AnalysisPhaseFailed means that it ended badly.
	AnalysisPhaseFailed AnalysisPhase = "Failed"
	// AnalysisPhaseError means that it could not be measured.
	AnalysisPhaseError AnalysisPhase = "Error"
	// AnalysisPhaseInconclusive means that it was measured, and says neither yes nor no.
	AnalysisPhaseInconclusive AnalysisPhase = "Inconclusive"
)

// Completed reports whether the phase is final.
func (p AnalysisPhase) Completed() bool {
	switch p {
	case AnalysisPhaseSuccessful, AnalysisPhaseFailed, AnalysisPhaseError, AnalysisPhaseInconclusive:
		return true
	case AnalysisPhasePending, AnalysisPhaseRunning:
		return false
	}
	return false
}

// AnalysisRunStatus is what was measured and concluded.
type AnalysisRunStatus struct {
	// Phase of the run.
	Phase AnalysisPhase `json:"phase"`
	// Message says why the run is in its phase.
	// +optional
	Message string `json:"message,omitempty"`
	// MetricResults holds one entry for each metric that was measured.
	// +optional
	MetricResults []MetricResult `json:"metricResults,omitempty"`
	// StartedAt is the time at which the run was first seen.
	// +optional
	StartedAt *metav1.Time `json:"startedAt,omitempty"`
	// CompletedAt is the time at which the run reached a final phase.
	// +optional
	CompletedAt *metav1.Time `json:"completedAt,omitempty"`
	// RunSummary counts the metrics that decide the run, by phase.
	// +optional
	RunSummary RunSummary `json:"runSummary,omitempty,omitzero"`
	// DryRunSummary counts the metrics in dry run, by phase. It is absent when there are none.
	// +optional
	DryRunSummary *RunSummary `json:"dryRunSummary,omitempty"`
	// Why is the one reason the run is where it is. This field is an addition of Headway.
	// +optional
	Why *Why `json:"why,omitempty"`
}

// RunSummary counts metrics, not measurements.
type RunSummary struct {
	// Count is the number of metrics.
	// +optional
	Count int32 `json:"count,omitempty"`
	// Successful is the number of metrics that passed.
	// +optional
	Successful int32 `json:"successful,omitempty"`
	// Failed is the number of metrics that failed.
	// +optional
	Failed int32 `json:"failed,omitempty"`
	// Inconclusive is the number of metrics that ended inconclusive.
	// +optional
	Inconclusive int32 `json:"inconclusive,omitempty"`
	// Error is the number of metrics that could not be measured.
	// +optional
	Error int32 `json:"error,omitempty"`
}

// MetricResult is what was measured and concluded for one metric. Counters
// keep their totals when old measurements are dropped.
type MetricResult struct {
	// Name of the metric.
	Name string `json:"name"`
	// Phase of the metric.
	Phase AnalysisPhase `json:"phase"`
	// Measurements are the latest measurements, oldest first; 10 unless measurementRetention says otherwise.
	// +optional
	Measurements []Measurement `json:"measurements,omitempty"`
	// Message says why the metric is in its phase.
	// +optional
	Message string `json:"message,omitempty"`
	// Count is the number of completed measurements that were not errors.
	// +optional
	Count int32 `json:"count,omitempty"`
	// Successful is the number of good measurements.
	// +optional
	Successful int32 `json:"successful,omitempty"`
	// Failed is the number of bad measurements.
	// +optional
	Failed int32 `json:"failed,omitempty"`
	// Inconclusive is the number of measurements that said neither yes nor no.
	// +optional
	Inconclusive int32 `json:"inconclusive,omitempty"`
	// Error is the number of measurements that could not be taken.
	// +optional
	Error int32 `json:"error,omitempty"`
	// ConsecutiveError is the number of errors since the last measurement that was taken.
	// +optional
	ConsecutiveError int32 `json:"consecutiveError,omitempty"`
	// ConsecutiveSuccess is the number of good measurements in a row.
	// +optional
	ConsecutiveSuccess int32 `json:"consecutiveSuccess,omitempty"`
	// Ignored is the number of measurements without data that noData ignores. They are in no other counter.
	// This field is an addition of Headway.
	// +optional
	Ignored int32 `json:"ignored,omitempty"`
	// DryRun is true when the metric never decides the run.
	// +optional
	DryRun bool `json:"dryRun,omitempty"`
	// Metadata is what the provider says about the metric, for example the resolved query.
	// +optional
	Metadata map[string]string `json:"metadata,omitempty"`
}

// Measurement is one measurement of a metric.
type Measurement struct {
	// Phase of the measurement.
	Phase AnalysisPhase `json:"phase"`
	// Message says why the measurement is in its phase.
	// +optional
	Message string `json:"message,omitempty"`
	// StartedAt is when the measurement was started.
	// +optional
	StartedAt *metav1.Time `json:"startedAt,omitempty"`
	// FinishedAt is when the measurement ended. It is absent while it is under way.
	// +optional
	FinishedAt *metav1.Time `json:"finishedAt,omitempty"`
	// Value is what was measured, as text.
	// +optional
	Value string `json:"value,omitempty"`
	// Metadata is what the provider keeps about the measurement, for example the name of a Job.
	// +optional
	Metadata map[string]string `json:"metadata,omitempty"`
	// ResumeAt is when to look again at a measurement that is under way.
	// +optional
	ResumeAt *metav1.Time `json:"resumeAt,omitempty"`
}
