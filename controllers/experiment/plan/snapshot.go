package plan

import (
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// Snapshot is everything the planner may know.
type Snapshot struct {
	Now        time.Time
	Experiment *v1alpha1.Experiment // read only
	// Invalid is what the spec gets wrong; nil if nothing.
	Invalid *field.Error
	// Sets are the pods of each template of the spec, in its order.
	Sets []Set
	// Strays are the pods of templates that are no longer in the spec, by name.
	Strays []Set
	// Services are those that the Experiment owns, by name.
	Services []Service
	// Runs are the AnalysisRuns of the Experiment, oldest first; verdicts only.
	Runs []Run
	// Unusable says why no run can be made of an analysis, by its name.
	Unusable map[string]string
}

// Set is what matters about the ReplicaSet of one template.
type Set struct {
	// Template is its name in the spec.
	Template string
	// Name is that of the ReplicaSet.
	Name string
	// Exists reports that there is one.
	Exists bool
	// Taken is why the name cannot be used yet; empty when it can.
	Taken string
	// Hash is the pod template hash that it has, or will have.
	Hash string
	// Collisions is how many other hashes were taken; nil for none.
	Collisions *int32
	// Outdated reports that it was made of another template than the spec has now.
	Outdated bool
	// Replicas is the size asked for; Pods, Ready and Available are what exists.
	Replicas, Pods, Ready, Available int32
	// Settled reports that the counts are about this size, not about an earlier one.
	Settled bool
	// Deadline is until when it keeps its pods after the end; zero when none is set.
	Deadline time.Time
	// Failure is why the ReplicaSet cannot create pods; empty when it can.
	Failure string
}

// Service is what matters about a Service of the Experiment.
type Service struct {
	Name string
	// Template is the one that it was made for.
	Template string
}

// Run is what matters about an AnalysisRun.
type Run struct {
	Name string
	// Analysis is its name in the spec; empty when another controller made the run.
	Analysis string
	// Attempt is status.availableAt when it was started; zero when another controller made the run.
	Attempt time.Time
	Created time.Time
	Phase   v1alpha1.AnalysisPhase
	Message string
	// Stopping reports that it was asked to end.
	Stopping bool
}
