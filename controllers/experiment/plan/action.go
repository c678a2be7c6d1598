package plan

import (
	"fmt"
	"time"
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

// CreateSet makes the ReplicaSet of a template.
type CreateSet struct {
	Template string
	Replicas int32
	Why      string
}

// Scale sets the size of a ReplicaSet, which forgets its scale-down deadline
// unless KeepDeadline is set.
type Scale struct {
	Set      string
	From, To int32
	// KeepDeadline leaves the deadline that led to this on the ReplicaSet.
	KeepDeadline bool
	Why          string
}

// Delay gives a ReplicaSet a time until which it keeps its pods.
type Delay struct {
	Set   string
	Until time.Time
	Why   string
}

// Keep takes the scale-down deadline off a ReplicaSet that is used again.
type Keep struct {
	Set string
	Why string
}

// DeleteSet removes a ReplicaSet that cannot be used again.
type DeleteSet struct {
	Set string
	Why string
}

// CreateService makes the Service of a template.
type CreateService struct {
	Service  string
	Template string
	Why      string
}

// DeleteService removes a Service of the Experiment.
type DeleteService struct {
	Service string
	Why     string
}

// StartAnalysis creates an AnalysisRun.
type StartAnalysis struct {
	Name     string
	Analysis string
	Why      string
}

// StopAnalysis asks an AnalysisRun to end.
type StopAnalysis struct {
	Name string
	// Analysis is its name in the spec; empty when the spec has none of that name.
	Analysis string
	Why      string
}

func (CreateSet) action()     {}
func (Scale) action()         {}
func (Delay) action()         {}
func (Keep) action()          {}
func (DeleteSet) action()     {}
func (CreateService) action() {}
func (DeleteService) action() {}
func (StartAnalysis) action() {}
func (StopAnalysis) action()  {}

func (a CreateSet) String() string {
	return line(fmt.Sprintf("create %s with %d pods", a.Template, a.Replicas), a.Why)
}

func (a Scale) String() string {
	return line(fmt.Sprintf("scale %s %d -> %d", a.Set, a.From, a.To), a.Why)
}

func (a Delay) String() string {
	return line(fmt.Sprintf("delay %s until %s", a.Set, a.Until.UTC().Format(time.RFC3339)), a.Why)
}

func (a Keep) String() string          { return line("keep "+a.Set, a.Why) }
func (a DeleteSet) String() string     { return line("delete "+a.Set, a.Why) }
func (a CreateService) String() string { return line("create service "+a.Service, a.Why) }
func (a DeleteService) String() string { return line("delete service "+a.Service, a.Why) }
func (a StartAnalysis) String() string { return line("start analysis "+a.Name, a.Why) }
func (a StopAnalysis) String() string  { return line("stop analysis "+a.Name, a.Why) }

// line puts the reason in a column of its own.
func line(what, why string) string { return fmt.Sprintf("%-36s  %s", what, why) }
