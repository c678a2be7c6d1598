package v1alpha1

// Labels and annotations that are part of the served API. Users select on them.
const (
	// PodTemplateHashLabel carries the pod template hash on ReplicaSets, pods, AnalysisRuns and in Service selectors.
	PodTemplateHashLabel = "rollouts-pod-template-hash"
	// InstanceIDLabel names the controller instance an object belongs to.
	InstanceIDLabel = "argo-rollouts.argoproj.io/controller-instance-id"
	// ManagedByAnnotation names the Rollout that points a Service.
	ManagedByAnnotation = "argo-rollouts.argoproj.io/managed-by-rollouts"
	// RoutedByAnnotation marks an object of a mesh or an ingress whose routes a Rollout steers, until they
	// are released. Only Headway writes it.
	RoutedByAnnotation = "rollout.argoproj.io/routed-by"
	// RevisionAnnotation is the revision number on a Rollout and its ReplicaSets.
	RevisionAnnotation = "rollout.argoproj.io/revision"
	// RevisionHistoryAnnotation lists the earlier revision numbers of a ReplicaSet that came back.
	RevisionHistoryAnnotation = "rollout.argoproj.io/revision-history"
	// DesiredReplicasAnnotation is spec.replicas of the Rollout when a ReplicaSet was last scaled.
	DesiredReplicasAnnotation = "rollout.argoproj.io/desired-replicas"
	// WorkloadGenerationAnnotation is the generation of the workload that a Rollout refers to.
	WorkloadGenerationAnnotation = "rollout.argoproj.io/workload-generation"
	// ScaledDownFromAnnotation is the size that a Deployment had before a Rollout began to scale it down.
	ScaledDownFromAnnotation = "rollout.argoproj.io/scaled-down-from"
	// MigratingToAnnotation names, on a Deployment, the Rollout that is scaling it down.
	MigratingToAnnotation = "rollout.argoproj.io/migrating-to"
	// MigratedToAnnotation names, on a Deployment, the Rollout that scaled it to zero and will not do so again.
	MigratedToAnnotation = "rollout.argoproj.io/migrated-to"
	// ExperimentAnnotation names the Experiment that a ReplicaSet was made for.
	ExperimentAnnotation = "experiment.argoproj.io/name"
	// ScaleDownDeadlineAnnotation is the RFC 3339 time until which a ReplicaSet that is no longer used keeps its pods.
	ScaleDownDeadlineAnnotation = "scale-down-deadline"
	// EphemeralMetadataAnnotation is the JSON of the labels and annotations that were put onto the pod
	// template of a ReplicaSet for its role.
	EphemeralMetadataAnnotation = "rollout.argoproj.io/ephemeral-metadata"
	// ReplacedMetadataAnnotation is the JSON of what the template had in their place. Only Headway writes it.
	ReplacedMetadataAnnotation = "rollout.argoproj.io/ephemeral-metadata-replaced"
	// PendingMetadataAnnotation is the JSON of the keys that pods may not have as their template has
	// them. Only Headway writes it.
	PendingMetadataAnnotation = "rollout.argoproj.io/ephemeral-metadata-pending"
	// RestartSpareAnnotation marks a ReplicaSet with one pod more while its only one is restarted. Only
	// Headway writes it.
	RestartSpareAnnotation = "rollout.argoproj.io/restart-spare"
	// RolloutTypeLabel says what an AnalysisRun gates: Step, Background, PrePromotion, PostPromotion or Initial.
	RolloutTypeLabel = "rollout-type"
	// StepHashAnnotation identifies the steps an AnalysisRun was made for. Runs of other controllers have none.
	StepHashAnnotation = "rollout.argoproj.io/step-hash"
	// DismissedAnnotation marks an AnalysisRun or Experiment that its Rollout ended because it gated
	// nothing any more. Only Headway writes it.
	DismissedAnnotation = "rollout.argoproj.io/dismissed"
	// StepIndexLabel is the step an AnalysisRun of type Step gates.
	StepIndexLabel = "step-index"
	// ExperimentNameAnnotation names the Experiment that a ReplicaSet or Service is part of.
	ExperimentNameAnnotation = "experiment.argoproj.io/name"
	// ExperimentTemplateAnnotation names the template of the Experiment that a ReplicaSet or Service was made of.
	ExperimentTemplateAnnotation = "experiment.argoproj.io/template-name"
	// ExperimentAnalysisAnnotation names the analysis of the Experiment that an AnalysisRun was made of. Additive to
	// the served API.
	ExperimentAnalysisAnnotation = "experiment.argoproj.io/analysis-name"
	// ExperimentAvailableAnnotation is status.availableAt of the Experiment when an AnalysisRun was made, which tells
	// the runs of one attempt from those before a retry. Additive to the served API.
	ExperimentAvailableAnnotation = "experiment.argoproj.io/available-at"
)

// Values of spec.workloadRef.scaleDown.
const (
	ScaleDownNever         = "never" // the default
	ScaleDownOnSuccess     = "onsuccess"
	ScaleDownProgressively = "progressively"
)

// Values of RolloutTypeLabel.
const (
	RolloutTypeStep          = "Step"
	RolloutTypeBackground    = "Background"
	RolloutTypePrePromotion  = "PrePromotion"
	RolloutTypePostPromotion = "PostPromotion"
	// RolloutTypeInitial is that of the analysis of the first revision. Additive to the served API.
	RolloutTypeInitial = "Initial"
)
