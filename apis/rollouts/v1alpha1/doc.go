// Package v1alpha1 is the Rollout API, group argoproj.io: Rollout,
// AnalysisTemplate, ClusterAnalysisTemplate, AnalysisRun and Experiment.
//
// It holds types, their defaults and validation that needs nothing but the
// object itself. It reads no cluster and decides nothing: the controllers do.
//
// +kubebuilder:object:generate=true
// +groupName=argoproj.io
package v1alpha1
