package v1alpha1

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// AnalysisTemplate says how to judge a revision: which metrics to measure, how
// often, and when they pass or fail. It is instantiated as an AnalysisRun.
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=analysistemplates,shortName=at
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp",description="Time since resource was created"
type AnalysisTemplate struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what to measure and how to judge it.
	Spec AnalysisTemplateSpec `json:"spec"`
}

// AnalysisTemplateList is a list of AnalysisTemplates.
// +kubebuilder:object:root=true
type AnalysisTemplateList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []AnalysisTemplate `json:"items"`
}

// ClusterAnalysisTemplate is an AnalysisTemplate that every namespace may use.
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=clusteranalysistemplates,shortName=cat,scope=Cluster
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp",description="Time since resource was created"
type ClusterAnalysisTemplate struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what to measure and how to judge it.
	Spec AnalysisTemplateSpec `json:"spec"`
}

// ClusterAnalysisTemplateList is a list of ClusterAnalysisTemplates.
// +kubebuilder:object:root=true
type ClusterAnalysisTemplateList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ClusterAnalysisTemplate `json:"items"`
}

// AnalysisTemplateSpec is what to measure and how to judge it.
type AnalysisTemplateSpec struct {
	// Metrics to measure. Names are unique within a run.
	// +optional
	Metrics []Metric `json:"metrics,omitempty"`
	// Args are the parameters of the template, used as {{args.name}} in any string of a metric.
	// +optional
	Args []Argument `json:"args,omitempty"`
	// DryRun lists metrics that are measured but never decide the run.
	// +optional
	DryRun []DryRun `json:"dryRun,omitempty"`
	// MeasurementRetention lists metrics of which more or fewer than 10 measurements are kept.
	// +optional
	MeasurementRetention []MeasurementRetention `json:"measurementRetention,omitempty"`
	// Templates are other templates whose metrics are added to these.
	// +optional
	Templates []AnalysisTemplateRef `json:"templates,omitempty"`
}

// AnalysisTemplateRef names an AnalysisTemplate or a ClusterAnalysisTemplate.
type AnalysisTemplateRef struct {
	// TemplateName is the name of the template.
	// +optional
	TemplateName string `json:"templateName,omitempty"`
	// ClusterScope selects a ClusterAnalysisTemplate; default false.
	// +optional
	ClusterScope bool `json:"clusterScope,omitempty"`
}

// DurationString is a Go duration such as "30s", "5m" or "1h30m".
type DurationString string

// Duration parses the string. The error names the text that did not parse.
func (d DurationString) Duration() (time.Duration, error) {
	parsed, err := time.ParseDuration(string(d))
	if err != nil {
		return 0, fmt.Errorf("parsing duration %q: %w", string(d), err)
	}
	return parsed, nil
}

// Metric is one thing to measure, and the rules that judge its measurements.
type Metric struct {
	// Name of the metric, unique within the run.
	Name string `json:"name"`
	// Interval between the end of a measurement and the start of the next, for
	// example 30s or 5m. Required when count is above 1. With an interval and
	// no count the metric is measured until the run is ended.
	// +optional
	Interval DurationString `json:"interval,omitempty"`
	// InitialDelay is the time from the start of the run to the first measurement; default none.
	// +optional
	InitialDelay DurationString `json:"initialDelay,omitempty"`
	// Count is the number of measurements to take. Default: 1 without an interval, endless with one.
	// +optional
	Count *intstr.IntOrString `json:"count,omitempty"`
	// SuccessCondition is an expression over result that is true when the measurement is good.
	// +optional
	SuccessCondition string `json:"successCondition,omitempty"`
	// FailureCondition is an expression over result that is true when the measurement is bad.
	// +optional
	FailureCondition string `json:"failureCondition,omitempty"`
	// FailureLimit is the number of failed measurements that are still
	// acceptable; default 0. -1 turns the limit off and needs consecutiveSuccessLimit.
	// +optional
	FailureLimit *intstr.IntOrString `json:"failureLimit,omitempty"`
	// InconclusiveLimit is the number of inconclusive measurements that are still acceptable; default 0.
	// +optional
	InconclusiveLimit *intstr.IntOrString `json:"inconclusiveLimit,omitempty"`
	// ConsecutiveErrorLimit is the number of errors in a row that are still acceptable; default 4.
	// +optional
	ConsecutiveErrorLimit *intstr.IntOrString `json:"consecutiveErrorLimit,omitempty"`
	// ConsecutiveSuccessLimit is the number of successes in a row after which the metric passes; default 0, which is off.
	// +optional
	ConsecutiveSuccessLimit *intstr.IntOrString `json:"consecutiveSuccessLimit,omitempty"`
	// NoData is what a measurement without data means: no value, an empty list,
	// NaN, infinity, or fewer samples than minSamples. With it the conditions see
	// only data. Default: the conditions decide where they provide for it, and the
	// measurement is Inconclusive where they would be content without.
	// This field is an addition of Headway.
	// +optional
	// +kubebuilder:validation:Enum=fail;inconclusive;ignore;pass
	NoData NoDataPolicy `json:"noData,omitempty"`
	// MinSamples is how much a value must rest on; what rests on less is no data.
	// Default: any value will do. This field is an addition of Headway.
	// +optional
	MinSamples *MinSamples `json:"minSamples,omitempty"`
	// Provider is where the value comes from. Exactly one of its fields is set.
	Provider MetricProvider `json:"provider"`
}

// NoDataPolicy is what a measurement without data means.
type NoDataPolicy string

// The policies for measurements without data.
const (
	// NoDataFail makes the measurement Failed.
	NoDataFail NoDataPolicy = "fail"
	// NoDataInconclusive makes the measurement Inconclusive.
	NoDataInconclusive NoDataPolicy = "inconclusive"
	// NoDataIgnore takes no account of the measurement: it counts towards no
	// limit and not towards count.
	NoDataIgnore NoDataPolicy = "ignore"
	// NoDataPass makes the measurement Successful.
	NoDataPass NoDataPolicy = "pass"
)

// MinSamples is how much a value must rest on.
type MinSamples struct {
	// Least is the smallest number of samples that is data, for example 100 requests.
	Least intstr.IntOrString `json:"least"`
	// Query counts the samples, in the language and at the address of the
	// metric's provider, for example sum(increase(http_requests_total[2m])).
	// Several values are added up. Default: the values of the result are counted.
	// +optional
	Query string `json:"query,omitempty"`
}

// DryRun marks metrics that never decide the run.
type DryRun struct {
	// MetricName is the name of a metric, or a regular expression that matches names.
	MetricName string `json:"metricName"`
}

// MeasurementRetention says how many measurements of a metric are kept in the status.
type MeasurementRetention struct {
	// MetricName is the name of a metric, or a regular expression that matches names.
	MetricName string `json:"metricName"`
	// Limit is the number of measurements to keep; default 10.
	Limit int32 `json:"limit"`
}

// Argument is a parameter of a template, or the value given for it.
type Argument struct {
	// Name of the argument, used as {{args.name}}.
	Name string `json:"name"`
	// Value of the argument. In a template it is the default.
	// +optional
	Value *string `json:"value,omitempty"`
	// ValueFrom is where the value is read from.
	// +optional
	ValueFrom *ValueFrom `json:"valueFrom,omitempty"`
}

// ValueFrom is where the value of an argument is read from. Exactly one field is set.
type ValueFrom struct {
	// SecretKeyRef reads a key of a Secret in the namespace of the run, at every measurement.
	// +optional
	SecretKeyRef *SecretKeyRef `json:"secretKeyRef,omitempty"`
	// FieldRef reads a field of the Rollout that started the run.
	// +optional
	FieldRef *FieldRef `json:"fieldRef,omitempty"`
}

// SecretKeyRef names a key of a Secret.
type SecretKeyRef struct {
	// Name of the Secret.
	Name string `json:"name"`
	// Key within the Secret.
	Key string `json:"key"`
}

// FieldRef names a field of an object.
type FieldRef struct {
	// FieldPath is the path of the field, for example metadata.labels['region'] or status.pauseConditions[0].reason.
	FieldPath string `json:"fieldPath"`
}

// AnalysisRunMetadata is added to the metadata of an AnalysisRun.
type AnalysisRunMetadata struct {
	// Labels to add.
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
	// Annotations to add.
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
}
