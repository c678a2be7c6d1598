package plan

import (
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
)

// Snapshot is everything the planner may know.
type Snapshot struct {
	Now     time.Time
	Rollout *v1alpha1.Rollout // read only
	// Invalid is what the Rollout names that is missing or unusable, or what its spec gets wrong; nil if nothing.
	Invalid *field.Error
	// Revisions are the ReplicaSets of the Rollout by pod template hash.
	Revisions map[string]Revision
	// Unselected are the names of ReplicaSets of the Rollout that its selector does not select any more, sorted.
	Unselected []string
	// Workload is the object that spec.workloadRef names; nil when it names none, or it is not there.
	Workload *Workload
	// Current is the hash of the revision that the template asks for; it may not exist yet.
	Current string
	// StepHash identifies the steps that the step index counts in.
	StepHash string
	// CollisionCount goes into Current; it grows when a name is taken by a foreign ReplicaSet.
	CollisionCount *int32
	Services       Services
	Traffic        trafficrouting.Observed
	// Balancers are the load balancers that were asked what they serve; nil when none was asked, so
	// that what the status says is still true.
	Balancers *Balancers
	// Analyses are the AnalysisRuns and Experiments of the Rollout, oldest first; verdicts only.
	Analyses []Analysis
	// Pods are the pods of the revisions that PodsOf names, and of no others.
	Pods []Pod
}

// Balancers are load balancers and their target groups, as the status has them.
type Balancers struct {
	ALB  *v1alpha1.ALBStatus
	ALBs []v1alpha1.ALBStatus
}

// Revision is what matters about one ReplicaSet.
type Revision struct {
	Hash string
	Name string
	// Number is the revision number; 0 when the ReplicaSet carries none.
	Number  int64
	Created time.Time
	// Replicas is the size asked for; Pods, Ready and Available are what exists.
	Replicas, Pods, Ready, Available int32
	// Deadline is until when a revision that is no longer used keeps its pods; zero when none is set.
	Deadline time.Time
	// Drift is set when annotations or minReadySeconds of the Rollout are not on the ReplicaSet yet.
	Drift bool
	// Orphan is set when nobody controls the ReplicaSet. Its pods count, and it is changed once it is adopted.
	Orphan bool
	// Failure is why the ReplicaSet cannot create pods; empty when it can.
	Failure string
	// Extra is set when Replicas has one pod more than asked for, while the only one is restarted.
	Extra bool
	// Metadata is what was put onto its pod template for its role; nil when nothing was.
	Metadata *v1alpha1.PodTemplateMetadata
	// Labelling is set while its pods may not carry Metadata yet, and Observed when those that
	// its ReplicaSet makes from now on do.
	Labelling, Observed bool
	// Avoids is the revision whose nodes its new pods avoid; empty when there is none.
	Avoids string
}

// Pod is what matters about one pod that exists and has not ended.
type Pod struct {
	Name     string
	Revision string
	Created  time.Time
	// Ready pods answer; those that do for minReadySeconds are Available.
	Ready, Available bool
	// Going is set when the pod was told to end.
	Going bool
	// Outdated is set when it does not carry the metadata of its revision.
	Outdated bool
}

// Workload is what matters about the object that spec.workloadRef names. The
// template is not here: it decides what Current is.
type Workload struct {
	Name string
	// Generation counts the changes of its spec.
	Generation int64
	// Replicas is the size asked for, Available the pods that answer and stay. Both are 0 unless it is a Deployment.
	Replicas, Available int32
	// Had is its size before this Rollout began to scale it down; 0 when it has not begun.
	Had int32
	// Kept is set when it is not this Rollout's to scale: it was scaled down
	// before, and who scaled it up since wants it; or another Rollout does it.
	Kept bool
}

// Services is what the two Services of a canary select.
type Services struct {
	Stable, Canary Selected
}

// Selected is what one Service selects.
type Selected struct {
	// Hash is the pod template hash in its selector; empty when it selects pods of every revision.
	Hash string
	// Adopted reports that a Rollout pointed it before.
	Adopted bool
	// Missing reports that there is no such Service.
	Missing bool
}

// KindExperiment is the kind of an Analysis that is an Experiment. The others
// are AnalysisRuns, with the v1alpha1.RolloutType constants as kinds.
const KindExperiment = "Experiment"

// Analysis is what matters about one AnalysisRun or Experiment.
type Analysis struct {
	Name string
	// Kind is KindExperiment or one of the v1alpha1.RolloutType constants.
	Kind string
	// Step is the index of the step it gates; only for the kinds Step and Experiment.
	Step int32
	// StepHash identifies the steps it was made for; empty when another controller made it.
	StepHash string
	Hash     string
	Revision int64
	Created  time.Time
	Phase    v1alpha1.AnalysisPhase
	Message  string
	// Stopping reports that it was asked to end.
	Stopping bool
	// Dismissed reports that the planner asked for it, since it gated nothing: whatever comes of it
	// is nobody's verdict, also should a person retry before that is recorded.
	Dismissed bool
	// Sides are the Services and revisions of the templates of an Experiment, by the templates'
	// names; those without a Service are left out.
	Sides map[string]Side
}

// Side is where a template of an Experiment can be sent traffic.
type Side struct{ Service, Hash string }
