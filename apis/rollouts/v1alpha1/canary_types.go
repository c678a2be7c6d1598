package v1alpha1

import (
	"encoding/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// CanaryStrategy gives the new revision a growing share, step by step.
type CanaryStrategy struct {
	// Service that selects the pods of the new revision. Needed by most routers.
	// +optional
	CanaryService string `json:"canaryService,omitempty"`
	// Service that selects the pods of the stable revision. Needed by most routers.
	// +optional
	StableService string `json:"stableService,omitempty"`
	// Steps of the update, in order. Without steps the update goes straight to 100 percent.
	// +optional
	Steps []CanaryStep `json:"steps,omitempty"`
	// How traffic is split. Without it the share of pods is the share of traffic.
	// +optional
	TrafficRouting *RolloutTrafficRouting `json:"trafficRouting,omitempty"`
	// Pods above spec.replicas while updating without traffic routing; a number or a percentage, rounded up. Default 25%.
	// +optional
	MaxSurge *intstr.IntOrString `json:"maxSurge,omitempty"`
	// Pods that may be unavailable while updating; a number or a percentage, rounded down. Default 25%.
	// +optional
	MaxUnavailable *intstr.IntOrString `json:"maxUnavailable,omitempty"`
	// Analysis that runs beside the steps.
	// +optional
	Analysis *RolloutAnalysisBackground `json:"analysis,omitempty"`
	// Keeps pods of the two revisions on different nodes.
	// +optional
	AntiAffinity *AntiAffinity `json:"antiAffinity,omitempty"`
	// Labels and annotations that pods have while they are canary.
	// +optional
	CanaryMetadata *PodTemplateMetadata `json:"canaryMetadata,omitempty"`
	// Labels and annotations that pods have while they are stable.
	// +optional
	StableMetadata *PodTemplateMetadata `json:"stableMetadata,omitempty"`
	// Seconds the previous stable revision keeps its pods after promotion. Default 30 with traffic routing; not allowed without.
	// +optional
	ScaleDownDelaySeconds *int32 `json:"scaleDownDelaySeconds,omitempty"`
	// Number of old revisions that may wait for their delay at once. Default unlimited.
	// +optional
	ScaleDownDelayRevisionLimit *int32 `json:"scaleDownDelayRevisionLimit,omitempty"`
	// Seconds the canary keeps its pods after an abort; 0 keeps them for ever. Default 30 with traffic routing.
	// +optional
	AbortScaleDownDelaySeconds *int32 `json:"abortScaleDownDelaySeconds,omitempty"`
	// Shrinks the stable revision as traffic leaves it. Needs traffic routing. Default false.
	// +optional
	DynamicStableScale bool `json:"dynamicStableScale,omitempty"`
	// Two Services that swap the stable role at each promotion.
	// +optional
	PingPong *PingPongSpec `json:"pingPong,omitempty"`
	// Smallest number of pods of a revision that has any. Needs traffic routing.
	// +optional
	MinPodsPerReplicaSet *int32 `json:"minPodsPerReplicaSet,omitempty"`
	// How many pods of the canary must be available before a step counts as done. Default all.
	// +optional
	ReplicaProgressThreshold *ReplicaProgressThreshold `json:"replicaProgressThreshold,omitempty"`
}

// ReplicaProgressThreshold is how many pods must be available before a step counts as done.
type ReplicaProgressThreshold struct {
	// Percent or Pods.
	Type ProgressType `json:"type"`
	// Percentage or number of pods.
	Value int32 `json:"value"`
}

// ProgressType is the unit of a ReplicaProgressThreshold.
type ProgressType string

// Units of a ReplicaProgressThreshold.
const (
	ProgressTypePercentage ProgressType = "Percent"
	ProgressTypePods       ProgressType = "Pods"
)

// PingPongSpec names two Services that swap the stable role.
type PingPongSpec struct {
	// One Service.
	PingService string `json:"pingService"`
	// The other Service.
	PongService string `json:"pongService"`
}

// CanaryStep is one stage of a canary: exactly one field is set.
type CanaryStep struct {
	// Share of traffic for the canary, 0 to maxTrafficWeight (100 by default).
	// +optional
	SetWeight *int32 `json:"setWeight,omitempty"`
	// Waits for a time or for a person.
	// +optional
	Pause *RolloutPause `json:"pause,omitempty"`
	// Runs an Experiment and waits for it.
	// +optional
	Experiment *RolloutExperimentStep `json:"experiment,omitempty"`
	// Runs an analysis and waits for it.
	// +optional
	Analysis *RolloutAnalysis `json:"analysis,omitempty"`
	// Sets the number of canary pods apart from the weight.
	// +optional
	SetCanaryScale *SetCanaryScale `json:"setCanaryScale,omitempty"`
	// Sends requests with given headers to the canary.
	// +optional
	SetHeaderRoute *SetHeaderRoute `json:"setHeaderRoute,omitempty"`
	// Copies requests to the canary.
	// +optional
	SetMirrorRoute *SetMirrorRoute `json:"setMirrorRoute,omitempty"`
	// Runs a step plugin.
	// +optional
	Plugin *PluginStep `json:"plugin,omitempty"`
}

// RolloutPause waits for a time or, without a duration, for a person.
type RolloutPause struct {
	// How long: seconds as a number or string, or a duration such as 5m. Without it the pause ends when promoted.
	// +optional
	Duration *intstr.IntOrString `json:"duration,omitempty"`
}

// PluginStep runs a step plugin.
type PluginStep struct {
	// Name of the plugin, namespace/name.
	Name string `json:"name"`
	// Settings of the plugin, passed on as they are.
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	Config json.RawMessage `json:"config,omitempty"`
}

// SetCanaryScale sets the number of canary pods until another setCanaryScale step.
type SetCanaryScale struct {
	// Percentage of spec.replicas.
	// +optional
	Weight *int32 `json:"weight,omitempty"`
	// Number of pods; wins over weight.
	// +optional
	Replicas *int32 `json:"replicas,omitempty"`
	// Follows the traffic weight again.
	// +optional
	MatchTrafficWeight bool `json:"matchTrafficWeight,omitempty"`
}

// SetHeaderRoute sends requests with given headers to the canary.
type SetHeaderRoute struct {
	// Name of the route; listed in managedRoutes.
	// +optional
	Name string `json:"name,omitempty"`
	// Headers to match; none removes the route.
	// +optional
	Match []HeaderRoutingMatch `json:"match,omitempty"`
}

// HeaderRoutingMatch matches one header.
type HeaderRoutingMatch struct {
	// Name of the header.
	HeaderName string `json:"headerName"`
	// Value to match.
	HeaderValue *StringMatch `json:"headerValue"`
}

// StringMatch matches a string in one of three ways.
type StringMatch struct {
	// The whole string.
	// +optional
	Exact string `json:"exact,omitempty"`
	// The start of the string.
	// +optional
	Prefix string `json:"prefix,omitempty"`
	// A regular expression.
	// +optional
	Regex string `json:"regex,omitempty"`
}

// SetMirrorRoute copies requests to the canary.
type SetMirrorRoute struct {
	// Name of the route; listed in managedRoutes.
	Name string `json:"name"`
	// Requests to copy; none removes the route.
	// +optional
	Match []RouteMatch `json:"match,omitempty"`
	// Percentage of the matched requests. Default 100.
	// +optional
	Percentage *int32 `json:"percentage,omitempty"`
}

// RouteMatch matches a request; all given fields must match.
type RouteMatch struct {
	// HTTP method.
	// +optional
	Method *StringMatch `json:"method,omitempty"`
	// URL path.
	// +optional
	Path *StringMatch `json:"path,omitempty"`
	// Headers by name.
	// +optional
	Headers map[string]StringMatch `json:"headers,omitempty"`
}

// RolloutAnalysis is an analysis with its templates and arguments.
type RolloutAnalysis struct {
	// Templates whose metrics run together.
	// +optional
	Templates []AnalysisTemplateRef `json:"templates,omitempty"`
	// Arguments of the templates.
	// +optional
	Args []AnalysisRunArgument `json:"args,omitempty"`
	// Metrics whose result does not count.
	// +optional
	DryRun []DryRun `json:"dryRun,omitempty"`
	// How many measurements are kept, by metric.
	// +optional
	MeasurementRetention []MeasurementRetention `json:"measurementRetention,omitempty"`
	// Labels and annotations of the AnalysisRun.
	// +optional
	AnalysisRunMetadata AnalysisRunMetadata `json:"analysisRunMetadata,omitempty"`
}

// RolloutAnalysisBackground is an analysis that runs beside the steps.
type RolloutAnalysisBackground struct {
	RolloutAnalysis `json:",inline"`

	// Index of the step from which it runs. Default 0.
	// +optional
	StartingStep *int32 `json:"startingStep,omitempty"`
}

// AnalysisRunArgument is an argument a Rollout gives to an analysis.
type AnalysisRunArgument struct {
	// Name of the argument.
	Name string `json:"name"`
	// Its value.
	// +optional
	Value string `json:"value,omitempty"`
	// Where its value comes from.
	// +optional
	ValueFrom *ArgumentValueFrom `json:"valueFrom,omitempty"`
}

// ArgumentValueFrom is where the value of an argument comes from.
type ArgumentValueFrom struct {
	// Latest or Stable: the pod template hash of that revision.
	// +optional
	PodTemplateHashValue *ValueFromPodTemplateHash `json:"podTemplateHashValue,omitempty"`
	// A field of the Rollout.
	// +optional
	FieldRef *FieldRef `json:"fieldRef,omitempty"`
}

// ValueFromPodTemplateHash says whose pod template hash is meant.
type ValueFromPodTemplateHash string

// Revisions whose pod template hash can be an argument.
const (
	PodTemplateHashStable ValueFromPodTemplateHash = "Stable"
	PodTemplateHashLatest ValueFromPodTemplateHash = "Latest"
)

// RolloutExperimentStep runs an Experiment as a step.
type RolloutExperimentStep struct {
	// Pods to run.
	Templates []RolloutExperimentTemplate `json:"templates"`
	// How long it runs once available, a duration such as 5m. Without it, until its analyses end.
	// +optional
	Duration DurationString `json:"duration,omitempty"`
	// Analyses to run.
	// +optional
	Analyses []RolloutExperimentStepAnalysisTemplateRef `json:"analyses,omitempty"`
	// Metrics whose result does not count.
	// +optional
	DryRun []DryRun `json:"dryRun,omitempty"`
	// Labels and annotations of the AnalysisRuns.
	// +optional
	AnalysisRunMetadata AnalysisRunMetadata `json:"analysisRunMetadata,omitempty"`
	// Seconds its pods are kept after it ends. Default 30.
	// +optional
	ScaleDownDelaySeconds *int32 `json:"scaleDownDelaySeconds,omitempty"`
}

// RolloutExperimentStepAnalysisTemplateRef is one analysis of an Experiment step.
type RolloutExperimentStepAnalysisTemplateRef struct {
	// Name of the analysis.
	Name string `json:"name"`
	// Template to run.
	TemplateName string `json:"templateName"`
	// The template is a ClusterAnalysisTemplate.
	// +optional
	ClusterScope bool `json:"clusterScope,omitempty"`
	// Arguments of the template.
	// +optional
	Args []AnalysisRunArgument `json:"args,omitempty"`
	// The Experiment is not done before this analysis is.
	// +optional
	RequiredForCompletion bool `json:"requiredForCompletion,omitempty"`
}

// ReplicaSetSpecRef says which revision the pods of an Experiment template come from.
type ReplicaSetSpecRef string

// Revisions an Experiment template can come from.
const (
	CanarySpecRef ReplicaSetSpecRef = "canary"
	StableSpecRef ReplicaSetSpecRef = "stable"
)

// RolloutExperimentTemplate is one set of pods of an Experiment step.
type RolloutExperimentTemplate struct {
	// Name of the template.
	Name string `json:"name"`
	// canary or stable: whose pod template is used.
	SpecRef ReplicaSetSpecRef `json:"specRef"`
	// Number of pods. Default 1.
	// +optional
	Replicas *int32 `json:"replicas,omitempty"`
	// Labels and annotations of the pods.
	// +optional
	Metadata PodTemplateMetadata `json:"metadata,omitempty"`
	// Replaces the selector of the Rollout.
	// +optional
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
	// Share of traffic for these pods. Needs a router that supports it.
	// +optional
	Weight *int32 `json:"weight,omitempty"`
	// A Service for these pods.
	// +optional
	Service *TemplateService `json:"service,omitempty"`
}
