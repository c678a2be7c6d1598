package plan

import (
	"fmt"
	"time"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
)

// Action is one idempotent change to the cluster. The set is closed: the shell
// switches over all of it, and the linter checks that it does. The text of an
// action, its reason included, is the log line and the transcript.
//
//sumtype:decl
type Action interface {
	fmt.Stringer
	action()
}

// CreateRevision makes the ReplicaSet of the current template.
type CreateRevision struct {
	Hash     string
	Number   int64
	Replicas int32
	// Metadata is put onto its pods for its role; nil for none.
	Metadata *v1alpha1.PodTemplateMetadata
	// Avoids is the revision whose nodes its pods avoid; empty for none.
	Avoids string
	Why    string
}

// Scale sets the size of a revision and forgets its scale-down deadline unless KeepDeadline is set.
type Scale struct {
	Revision string
	From, To int32
	// KeepDeadline leaves the deadline that led to this on the ReplicaSet.
	KeepDeadline bool
	// Extra marks the last of the pods as one more than asked for.
	Extra bool
	Why   string
}

// Delay gives a revision that is no longer used a time until which it keeps its pods.
type Delay struct {
	Revision string
	Until    time.Time
	Why      string
}

// Keep takes the scale-down deadline off a revision that is used again.
type Keep struct {
	Revision string
	Why      string
}

// Renumber gives a revision that is wanted again the next revision number.
type Renumber struct {
	Revision string
	From, To int64
	Why      string
}

// Sync copies annotations and minReadySeconds of the Rollout to a revision.
type Sync struct {
	Revision string
	Why      string
}

// Adopt makes the Rollout the owner of a ReplicaSet that has none.
type Adopt struct {
	Revision string
	Why      string
}

// Release gives up a ReplicaSet that the selector does not select any more.
type Release struct {
	// Name is that of the ReplicaSet, which is no revision.
	Name string
	Why  string
}

// ScaleWorkload sets the size of the Deployment that the Rollout replaces.
type ScaleWorkload struct {
	From, To int32
	Why      string
}

// Number writes the revision number of the current revision, and the default of
// spec.replicas that autoscalers need, onto the Rollout.
type Number struct {
	To int64
	// Workload is the generation of the workload to write beside it; 0 is none.
	Workload int64
	// DefaultReplicas also stores spec.replicas: 1.
	DefaultReplicas bool
	Why             string
}

// Role is the part a Service plays.
type Role string

// Roles of Services.
const (
	StableRole  Role = "stable"
	CanaryRole  Role = "canary"
	ActiveRole  Role = "active"  // the stable one of blue-green
	PreviewRole Role = "preview" // the canary one of blue-green
)

// Point makes a Service select a revision.
type Point struct {
	Role Role
	// Service is its name.
	Service  string
	From, To string
	Why      string
}

// Route sets the traffic split.
type Route struct {
	Split trafficrouting.Split
	Why   string
}

// StartAnalysis creates an AnalysisRun.
type StartAnalysis struct {
	Name string
	// Kind is one of the v1alpha1.RolloutType constants.
	Kind string
	// Step is the index of the step it gates; only for kind Step.
	Step int32
	Why  string
}

// StopAnalysis asks an AnalysisRun to end.
type StopAnalysis struct {
	Name string
	Why  string
}

// StartExperiment creates the Experiment of a step.
type StartExperiment struct {
	Name string
	// Step is the index of the step.
	Step int32
	Why  string
}

// StopExperiment asks an Experiment to end.
type StopExperiment struct {
	Name string
	Why  string
}

// DeleteExperiment removes an old Experiment from the history.
type DeleteExperiment struct {
	Name string
	Why  string
}

// DeleteRevision removes an old ReplicaSet from the history.
type DeleteRevision struct {
	Revision string
	Why      string
}

// DeleteAnalysis removes an old AnalysisRun from the history.
type DeleteAnalysis struct {
	Name string
	Why  string
}

func (CreateRevision) action()   {}
func (Scale) action()            {}
func (Delay) action()            {}
func (Keep) action()             {}
func (Renumber) action()         {}
func (Sync) action()             {}
func (Adopt) action()            {}
func (Release) action()          {}
func (ScaleWorkload) action()    {}
func (Number) action()           {}
func (Point) action()            {}
func (Route) action()            {}
func (StartAnalysis) action()    {}
func (StopAnalysis) action()     {}
func (StartExperiment) action()  {}
func (StopExperiment) action()   {}
func (DeleteRevision) action()   {}
func (DeleteAnalysis) action()   {}
func (DeleteExperiment) action() {}

func (a CreateRevision) String() string {
	return line(fmt.Sprintf("create %s as revision %d with %d pods", a.Hash, a.Number, a.Replicas), a.Why)
}

func (a Scale) String() string {
	return line(fmt.Sprintf("scale %s %d -> %d", a.Revision, a.From, a.To), a.Why)
}

func (a Delay) String() string {
	return line(fmt.Sprintf("delay %s until %s", a.Revision, a.Until.UTC().Format(time.RFC3339)), a.Why)
}

func (a Keep) String() string { return line("keep "+a.Revision, a.Why) }

func (a Renumber) String() string {
	return line(fmt.Sprintf("renumber %s %d -> %d", a.Revision, a.From, a.To), a.Why)
}

func (a Sync) String() string { return line("sync "+a.Revision, a.Why) }

func (a Adopt) String() string   { return line("adopt "+a.Revision, a.Why) }
func (a Release) String() string { return line("release "+a.Name, a.Why) }

func (a ScaleWorkload) String() string {
	return line(fmt.Sprintf("scale deployment %d -> %d", a.From, a.To), a.Why)
}

func (a Number) String() string {
	if a.Workload != 0 {
		return line(fmt.Sprintf("number rollout %d of workload %d", a.To, a.Workload), a.Why)
	}
	return line(fmt.Sprintf("number rollout %d", a.To), a.Why)
}

func (a Point) String() string {
	from := a.From
	if from == "" {
		from = "any"
	}
	return line(fmt.Sprintf("point %s service %s -> %s", a.Role, from, a.To), a.Why)
}

func (a Route) String() string { return line("route "+a.Split.String(), a.Why) }

func (a StartAnalysis) String() string { return line("start analysis "+a.Name, a.Why) }
func (a StopAnalysis) String() string  { return line("stop analysis "+a.Name, a.Why) }

func (a StartExperiment) String() string  { return line("start experiment "+a.Name, a.Why) }
func (a StopExperiment) String() string   { return line("stop experiment "+a.Name, a.Why) }
func (a DeleteExperiment) String() string { return line("delete experiment "+a.Name, a.Why) }

func (a DeleteRevision) String() string { return line("delete "+a.Revision, a.Why) }
func (a DeleteAnalysis) String() string { return line("delete analysis "+a.Name, a.Why) }

// line puts the reason in a column of its own.
func line(what, why string) string { return fmt.Sprintf("%-36s  %s", what, why) }
