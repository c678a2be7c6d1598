// Package sim is a model of the cluster that a plan acts on: revisions with
// pods that come and go, Services, a canary route, AnalysisRuns and a clock.
//
// It is for tests and for showing a plan before it runs. It checks the safety
// invariants at every action, by rules of its own: it does not ask the planner
// what is safe.
package sim

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/rollout/plan"
	"github.com/headway-rollouts/headway/trafficrouting"
)

// Cluster is a model of the world around one Rollout. Revisions are named by
// their template: setting Template is what editing the pod template is.
type Cluster struct {
	Now      time.Time
	Rollout  *v1alpha1.Rollout
	Template string
	Steps    string // what the steps are called; changing it is editing them

	Revisions map[string]plan.Revision
	Services  plan.Services
	Traffic   trafficrouting.Observed
	Analyses  []plan.Analysis

	// Workload is the Deployment that the Rollout replaces; nil when it has its own template.
	Workload *plan.Workload

	// Invalid is what is wrong with the spec; nil when nothing is.
	Invalid *field.Error

	// Log is what happened, one line each.
	Log []string
	// Broken are the invariants that did not hold, with the line at which they broke.
	Broken []string
	// Writes counts actions and statuses by kind.
	Writes map[string]int

	// Verified is what the router says of every weight that is set; nil when it cannot tell.
	Verified *bool

	// Slow makes the status of a ReplicaSet that shrinks tell of its pods until Settle.
	Slow bool

	// late is set while a plan is carried out that was made before the last event.
	late bool

	memory memory
	// running are the pods that answer, whatever the statuses still say.
	running map[string]int32
	pods    pods
}

// New makes a cluster in which nothing runs yet.
func New(ro *v1alpha1.Rollout, template string) *Cluster {
	return &Cluster{
		Now:       time.Unix(1_000_000, 0).UTC(),
		Rollout:   ro,
		Template:  template,
		Steps:     "steps-1",
		Revisions: map[string]plan.Revision{},
		Writes:    map[string]int{},
		running:   map[string]int32{},
		pods:      newPods(),
	}
}

// Snapshot is what a controller with a perfect cache would see.
func (c *Cluster) Snapshot() plan.Snapshot {
	var workload *plan.Workload
	if c.Workload != nil {
		workload = ptr.To(*c.Workload)
	}
	s := plan.Snapshot{
		Workload:  workload,
		Now:       c.Now,
		Rollout:   c.Rollout.DeepCopy(),
		Invalid:   c.Invalid,
		Revisions: maps.Clone(c.Revisions),
		Current:   c.Template,
		StepHash:  c.Steps,
		Services:  c.Services,
		Traffic:   c.Traffic,
		Analyses:  slices.Clone(c.Analyses),
	}
	if c.bySubsets() { // the spec names no Service
		s.Services, s.Traffic.Selects = plan.Services{}, nil
		if c.Invalid == nil {
			s.Traffic.Selects = &trafficrouting.Selection{Stable: c.Services.Stable.Hash, Canary: c.Services.Canary.Hash}
		}
	}
	s.Pods = c.podsOf(plan.PodsOf(s))
	return s
}

// Act carries out one action and checks what it may break.
func (c *Cluster) Act(a plan.Action) {
	c.logf("%s", a)
	c.Writes[fmt.Sprintf("%T", a)]++
	c.check(a)
	switch a := a.(type) {
	case plan.CreateRevision:
		c.Revisions[a.Hash] = plan.Revision{Hash: a.Hash, Name: "web-" + a.Hash, Number: a.Number, Created: c.Now, Replicas: a.Replicas, Metadata: a.Metadata, Avoids: a.Avoids}
		c.pods.known[a.Hash] = a.Metadata
	case plan.Scale:
		c.scale(a)
	case plan.Delay:
		c.revise(a.Revision, func(r *plan.Revision) { r.Deadline = a.Until })
	case plan.Keep:
		c.revise(a.Revision, func(r *plan.Revision) { r.Deadline = time.Time{} })
	case plan.Renumber:
		c.revise(a.Revision, func(r *plan.Revision) { r.Number = a.To })
	case plan.Sync:
		c.revise(a.Revision, func(r *plan.Revision) { r.Drift = false })
	case plan.Adopt:
		c.revise(a.Revision, func(r *plan.Revision) { r.Orphan = false })
	case plan.Release:
		c.brokef("%s: every ReplicaSet of the model is selected", a)
	case plan.ScaleWorkload:
		c.scaleWorkload(a)
	case plan.Number:
		c.number(a)
	case plan.Point:
		c.point(a)
	case plan.Route:
		c.route(a.Split)
	case plan.DeleteRevision:
		delete(c.Revisions, a.Revision)
	default:
		c.onRuns(a)
	}
}

// route makes the routes obey. Where they select revisions, they select those of
// the split; a side without a hash stays as it is.
func (c *Cluster) route(split trafficrouting.Split) {
	c.Traffic = trafficrouting.Observed{
		Exists: true, InSync: true, CanaryWeight: split.Canary.Weight, Additional: split.Additional, Routes: split.Routes, Verified: c.Verified,
	}
	if !c.bySubsets() {
		return
	}
	for side, hash := range map[*plan.Selected]string{&c.Services.Stable: split.Stable.Hash, &c.Services.Canary: split.Canary.Hash} {
		if hash != "" {
			*side = plan.Selected{Hash: hash, Adopted: true}
		}
	}
}

// bySubsets reports whether the routes select the revisions, and no Service does.
func (c *Cluster) bySubsets() bool {
	routing := c.canary().TrafficRouting
	return routing != nil && routing.Istio != nil && routing.Istio.DestinationRule != nil
}

// onRuns carries out what is about AnalysisRuns and Experiments.
func (c *Cluster) onRuns(a plan.Action) {
	stopping := func(r *plan.Analysis) { r.Stopping, r.Dismissed = true, true }
	switch a := a.(type) {
	case plan.StartAnalysis:
		c.start(a.Name, a.Kind, a.Step)
	case plan.StartExperiment:
		c.start(a.Name, plan.KindExperiment, a.Step)
	case plan.StopExperiment:
		c.run(a.Name, stopping)
	case plan.StopAnalysis:
		c.run(a.Name, stopping)
	case plan.DeleteAnalysis:
		c.forget(a.Name)
	case plan.DeleteExperiment:
		c.forget(a.Name)
	default:
		c.onPods(a)
	}
}

// swap changes the roles of the two Services of a ping-pong canary: what each of
// them selects and gets stays.
func (c *Cluster) swap() {
	c.Services.Stable, c.Services.Canary = c.Services.Canary, c.Services.Stable
	c.Traffic.CanaryWeight = c.maxWeight() - c.Traffic.CanaryWeight
}

func (c *Cluster) scale(a plan.Scale) {
	c.shrink(a)
	c.revise(a.Revision, func(r *plan.Revision) {
		r.Replicas, r.Extra = a.To, a.Extra
		if !c.Slow {
			r.Pods, r.Ready, r.Available = min(r.Pods, a.To), min(r.Ready, a.To), min(r.Available, a.To)
		}
		if !a.KeepDeadline {
			r.Deadline = time.Time{}
		}
	})
}

func (c *Cluster) number(a plan.Number) {
	if c.Rollout.Annotations == nil {
		c.Rollout.Annotations = map[string]string{}
	}
	c.Rollout.Annotations[v1alpha1.RevisionAnnotation] = strconv.FormatInt(a.To, 10)
	if a.Workload != 0 {
		c.Rollout.Annotations[v1alpha1.WorkloadGenerationAnnotation] = strconv.FormatInt(a.Workload, 10)
	}
	if a.DefaultReplicas {
		c.Rollout.Spec.Replicas = ptr.To(v1alpha1.DefaultReplicas)
	}
}

func (c *Cluster) point(a plan.Point) {
	now := plan.Selected{Hash: a.To, Adopted: true}
	if a.Role == plan.StableRole || a.Role == plan.ActiveRole {
		c.Services.Stable = now
		return
	}
	c.Services.Canary = now
}

// start creates an AnalysisRun, or an Experiment whose templates have Services of their names.
func (c *Cluster) start(name, kind string, step int32) {
	run := plan.Analysis{
		Name: name, Kind: kind, Step: step, Hash: c.Template, StepHash: c.Steps, Created: c.Now,
		Revision: c.Revisions[c.Template].Number, Phase: v1alpha1.AnalysisPhaseRunning,
	}
	if kind == plan.KindExperiment {
		run.Phase, run.Sides = v1alpha1.AnalysisPhasePending, map[string]plan.Side{}
		for _, t := range c.canary().Steps[step].Experiment.Templates {
			run.Sides[t.Name] = plan.Side{Service: name + "-" + t.Name, Hash: "x" + t.Name}
		}
	}
	c.Analyses = append(c.Analyses, run)
}

func (c *Cluster) forget(name string) {
	c.Analyses = slices.DeleteFunc(c.Analyses, func(r plan.Analysis) bool { return r.Name == name })
}

// Store replaces the status, as the status patch does.
func (c *Cluster) Store(p plan.Plan) {
	c.checkStatus(p.Status)
	for _, e := range p.Events {
		c.logf("event %s  %s", e.Reason, e.Message)
	}
	was := c.Rollout.Status.Canary.StablePingPong
	c.Rollout.Status = *p.Status.DeepCopy()
	c.Writes["Status"]++
	if is := c.Rollout.Status.Canary.StablePingPong; was != "" && is != "" && was != is {
		c.swap()
	}
}

// Settle makes every pod that is asked for exist and be available.
func (c *Cluster) Settle() {
	for hash := range c.Revisions {
		c.learn(hash)
		c.refill(hash)
		c.running[hash] = c.Revisions[hash].Replicas
		c.revise(hash, func(r *plan.Revision) { r.Pods, r.Ready, r.Available = r.Replicas, r.Replicas, r.Replicas })
	}
	if c.Workload != nil {
		c.Workload.Available = c.Workload.Replicas
	}
	for _, run := range slices.Clone(c.Analyses) {
		switch {
		case run.Stopping && !run.Phase.Completed():
			c.run(run.Name, func(r *plan.Analysis) { r.Phase = v1alpha1.AnalysisPhaseSuccessful })
		case run.Phase == v1alpha1.AnalysisPhasePending:
			c.run(run.Name, func(r *plan.Analysis) { r.Phase = v1alpha1.AnalysisPhaseRunning })
		}
	}
}

// Verdict ends every running AnalysisRun that was not asked to end before.
func (c *Cluster) Verdict(phase v1alpha1.AnalysisPhase, message string) {
	for _, run := range slices.Clone(c.Analyses) {
		if !run.Phase.Completed() && !run.Stopping {
			c.run(run.Name, func(r *plan.Analysis) { r.Phase, r.Message = phase, message })
		}
	}
}

// SetAvailable sets the available pods of a revision, at most those asked for.
func (c *Cluster) SetAvailable(hash string, n int32) {
	c.refill(hash)
	c.revise(hash, func(r *plan.Revision) {
		r.Pods = r.Replicas
		r.Ready, r.Available = min(n, r.Replicas), min(n, r.Replicas)
		c.running[hash] = r.Available
	})
}

func (c *Cluster) revise(hash string, change func(*plan.Revision)) {
	if r, ok := c.Revisions[hash]; ok {
		change(&r)
		c.Revisions[hash] = r
	}
}

func (c *Cluster) run(name string, change func(*plan.Analysis)) {
	for i := range c.Analyses {
		if c.Analyses[i].Name == name {
			change(&c.Analyses[i])
		}
	}
}

func (c *Cluster) logf(format string, args ...any) {
	c.Log = append(c.Log, strings.TrimRight(fmt.Sprintf(format, args...), " "))
}

func (c *Cluster) brokef(format string, args ...any) {
	if c.late && !slices.ContainsFunc(whenLate, func(rule string) bool { return strings.HasPrefix(format, rule+" ") }) {
		return
	}
	c.Broken = append(c.Broken, fmt.Sprintf("after line %d: ", len(c.Log))+fmt.Sprintf(format, args...))
}
