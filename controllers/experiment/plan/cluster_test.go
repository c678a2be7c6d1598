package plan_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/experiment/plan"
)

// cluster is a small model of what the planner acts on. It holds every action
// and every stored status against rules of its own, and never asks the planner.
type cluster struct {
	now      time.Time
	e        *v1alpha1.Experiment
	invalid  *field.Error
	sets     map[string]*plan.Set // by the name of the ReplicaSet
	services map[string]string    // templates, by the name of the Service
	runs     []*plan.Run
	missing  map[string]bool   // analyses without a template
	taken    map[string]bool   // names that foreign ReplicaSets have
	stuck    map[string]bool   // templates whose pods do not become available
	tags     map[string]string // what the templates of the spec are
	refuse   map[string]plan.Refusal

	log    []string
	broken []string
	// endedAt is when the end of this attempt was recorded; zero before.
	endedAt time.Time
	before  time.Time // the end of the attempt before it
	// whole reports that all pods were available when that was recorded of this attempt.
	whole bool
	told  bool           // that all pods were available was recorded of this attempt
	made  map[string]int // runs of this attempt, by analysis
	lost  map[string]int // those that somebody deleted
}

func newCluster(e *v1alpha1.Experiment) *cluster {
	return &cluster{
		now: time.Unix(1_000_000, 0), e: e,
		sets: map[string]*plan.Set{}, services: map[string]string{}, missing: map[string]bool{}, taken: map[string]bool{},
		stuck: map[string]bool{}, tags: map[string]string{}, refuse: map[string]plan.Refusal{}, made: map[string]int{}, lost: map[string]int{},
	}
}

func (c *cluster) breaks(format string, args ...any) {
	c.broken = append(c.broken, fmt.Sprintf(format, args...)+"\n  after: "+strings.Join(c.log[max(0, len(c.log)-12):], "\n  "))
}

// template is a template of the spec; nil when it has none of that name.
func (c *cluster) template(name string) *v1alpha1.TemplateSpec {
	for i := range c.e.Spec.Templates {
		if c.e.Spec.Templates[i].Name == name {
			return &c.e.Spec.Templates[i]
		}
	}
	return nil
}

func (c *cluster) snapshot() plan.Snapshot {
	s := plan.Snapshot{Now: c.now, Experiment: c.e.DeepCopy(), Invalid: c.invalid, Unusable: map[string]string{}}
	asked := map[string]bool{}
	for _, t := range c.e.Spec.Templates {
		if c.invalid != nil {
			break
		}
		set := plan.Set{Template: t.Name, Name: c.e.Name + "-" + t.Name, Hash: t.Name + c.tags[t.Name]}
		asked[set.Name] = true
		if has := c.sets[set.Name]; has != nil {
			outdated := has.Hash != set.Hash
			set = *has
			set.Outdated = outdated
		} else if c.taken[t.Name] {
			set.Taken = "somebody has the name " + set.Name
		}
		s.Sets = append(s.Sets, set)
	}
	for _, name := range slices.Sorted(maps.Keys(c.sets)) {
		if !asked[name] {
			s.Strays = append(s.Strays, *c.sets[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.services)) {
		s.Services = append(s.Services, plan.Service{Name: name, Template: c.services[name]})
	}
	for _, run := range c.runs {
		s.Runs = append(s.Runs, *run)
	}
	for name := range c.missing {
		s.Unusable[name] = "there is no template for " + name
	}
	return s
}

// do carries out an action, or refuses it.
func (c *cluster) do(action plan.Action) (plan.Refusal, bool) {
	c.log = append(c.log, strings.TrimRight(action.String(), " "))
	if refusal, refused := c.refusal(action); refused {
		c.log = append(c.log, "refused: "+refusal.Message)
		return refusal, true
	}
	switch a := action.(type) {
	case plan.CreateSet:
		c.createSet(a)
	case plan.Scale:
		c.scale(a)
	case plan.Delay:
		c.sets[a.Set].Deadline = a.Until.Truncate(time.Second)
	case plan.Keep:
		c.sets[a.Set].Deadline = time.Time{}
	case plan.DeleteSet:
		if c.e.Status.Phase != "" && c.e.Status.Phase != v1alpha1.AnalysisPhaseError {
			c.breaks("ReplicaSet %s was deleted in the middle of an attempt", a.Set)
		}
		delete(c.sets, a.Set)
	case plan.CreateService:
		if c.sets[c.e.Name+"-"+a.Template] == nil {
			c.breaks("Service %s was made before the pods", a.Service)
		}
		c.services[a.Service] = a.Template
	case plan.DeleteService:
		c.deleteService(a)
	case plan.StartAnalysis:
		c.start(a)
	case plan.StopAnalysis:
		c.run(a.Name).Stopping = true
	}
	return plan.Refusal{}, false
}

func (c *cluster) refusal(action plan.Action) (plan.Refusal, bool) {
	about := ""
	switch a := action.(type) {
	case plan.CreateSet:
		about = a.Template
	case plan.CreateService:
		about = "service-" + a.Template
	case plan.StartAnalysis:
		about = a.Analysis
	default:
	}
	refusal, refused := c.refuse[about]
	return refusal, refused && about != ""
}

func (c *cluster) createSet(a plan.CreateSet) {
	name := c.e.Name + "-" + a.Template
	switch {
	case c.invalid != nil || !c.endedAt.IsZero():
		c.breaks("ReplicaSet %s was made for an Experiment that is invalid or has ended", name)
	case c.sets[name] != nil || c.taken[a.Template]:
		return // the API server refuses it
	}
	c.sets[name] = &plan.Set{Template: a.Template, Name: name, Exists: true, Hash: a.Template + c.tags[a.Template], Replicas: a.Replicas}
}

func (c *cluster) scale(a plan.Scale) {
	set := c.sets[a.Set]
	stray := c.template(set.Template) == nil
	switch {
	case a.To >= a.From:
	case c.endedAt.IsZero() && !stray && (c.invalid != nil || a.To < c.template(set.Template).DesiredReplicas()):
		c.breaks("%s lost its pods before the end was recorded", a.Set)
	case !c.endedAt.IsZero() && c.now.Before(c.endedAt.Add(c.e.ScaleDownDelay()).Truncate(time.Second)):
		c.breaks("%s lost its pods before its delay was over", a.Set)
	}
	set.Replicas, set.Settled = a.To, false
	if !a.KeepDeadline {
		set.Deadline = time.Time{}
	}
}

func (c *cluster) deleteService(a plan.DeleteService) {
	set := c.sets[c.e.Name+"-"+c.services[a.Service]]
	if !c.endedAt.IsZero() && set != nil && set.Available > 0 {
		c.breaks("Service %s was deleted in front of %d pods", a.Service, set.Available)
	}
	delete(c.services, a.Service)
}

func (c *cluster) start(a plan.StartAnalysis) {
	at := c.e.Status.AvailableAt
	switch {
	case at == nil || !c.whole:
		c.breaks("analysis %s was started before all pods were available", a.Analysis)
		return
	case !c.endedAt.IsZero():
		c.breaks("analysis %s was started after the end", a.Analysis)
	case c.run(a.Name) != nil:
		return // the API server refuses it
	}
	if c.made[a.Analysis]++; c.made[a.Analysis] > 1+c.lost[a.Analysis] {
		c.breaks("analysis %s was started twice", a.Analysis)
	}
	c.runs = append(c.runs, &plan.Run{Name: a.Name, Analysis: a.Analysis, Attempt: at.Time, Created: c.now, Phase: v1alpha1.AnalysisPhaseRunning})
}

func (c *cluster) run(name string) *plan.Run {
	for _, run := range c.runs {
		if run.Name == name {
			return run
		}
	}
	return nil
}

// newest is the latest run of an analysis; nil when there is none.
func (c *cluster) newest(analysis string) *plan.Run {
	for _, run := range slices.Backward(c.runs) {
		if run.Analysis == analysis {
			return run
		}
	}
	return nil
}

// store keeps a status as the API server does: with whole seconds.
func (c *cluster) store(p plan.Plan) {
	data, err := json.Marshal(p.Status)
	if err != nil {
		panic(err)
	}
	var st v1alpha1.ExperimentStatus
	if err := json.Unmarshal(data, &st); err != nil {
		panic(err)
	}
	c.checkStatus(st)
	if st.Phase.Completed() && c.endedAt.IsZero() {
		c.endedAt = c.now
	}
	c.e.Status = st
	for _, event := range p.Events {
		c.log = append(c.log, fmt.Sprintf("event %s  %s", event.Reason, event.Message))
	}
}

func (c *cluster) checkStatus(st v1alpha1.ExperimentStatus) {
	was := c.e.Status
	if !c.endedAt.IsZero() && was.Phase != st.Phase && was.Phase.Completed() {
		c.breaks("the verdict %s became %s", was.Phase, st.Phase)
	}
	if st.AvailableAt != nil && !c.told {
		c.told = true
		if c.whole = c.allAvailable(); !c.whole {
			c.breaks("it is recorded as available and is not")
		}
	}
	if st.Phase != v1alpha1.AnalysisPhaseSuccessful || !c.endedAt.IsZero() || c.e.Spec.Terminate {
		return
	}
	required, passed := 0, map[string]bool{}
	for _, run := range st.AnalysisRuns {
		passed[run.Name] = run.Phase == v1alpha1.AnalysisPhaseSuccessful
		if run.Phase.Completed() && !passed[run.Name] {
			c.breaks("it passed, and %s is %s", run.Name, run.Phase)
		}
	}
	for _, a := range c.e.Spec.Analyses {
		if a.RequiredForCompletion {
			if required++; !passed[a.Name] {
				c.breaks("it passed without %s", a.Name)
			}
		}
	}
	length, timed := c.e.Length()
	over := timed && st.AvailableAt != nil && !c.now.Before(st.AvailableAt.Add(length))
	if required == 0 && !over {
		c.breaks("it passed before its time")
	}
	for _, a := range c.e.Spec.Analyses {
		if required == 0 && c.made[a.Name] == 0 {
			c.breaks("it passed, and %s was never measured", a.Name)
		}
	}
}

func (c *cluster) allAvailable() bool {
	for _, t := range c.e.Spec.Templates {
		set := c.sets[c.e.Name+"-"+t.Name]
		if set == nil || set.Available < t.DesiredReplicas() {
			return false
		}
	}
	return true
}

// settle lets the pods become what is asked for, as far as they can.
func (c *cluster) settle() {
	for _, set := range c.sets {
		set.Settled, set.Pods = true, set.Replicas
		if c.stuck[set.Template] {
			set.Ready, set.Available = min(set.Ready, set.Pods), min(set.Available, set.Pods)
			continue
		}
		set.Ready, set.Available = set.Pods, set.Pods
	}
	for _, run := range c.runs {
		if run.Stopping && !run.Phase.Completed() {
			run.Phase, run.Message = v1alpha1.AnalysisPhaseSuccessful, "Run Terminated"
		}
	}
}

// again begins another attempt.
func (c *cluster) again() {
	c.before, c.endedAt, c.whole, c.told = c.endedAt, time.Time{}, false, false
	c.made, c.lost = map[string]int{}, map[string]int{}
}

// unmeasure deletes all runs.
func (c *cluster) unmeasure() {
	for _, run := range c.runs {
		c.lost[run.Analysis]++
	}
	c.runs = nil
}

func (c *cluster) retry() {
	c.e.Status = v1alpha1.ExperimentStatus{}
	c.again()
}

// experiment is one with templates and analyses, by their names; ! marks what
// is required, and : the number of pods.
func experiment(templates, analyses []string) *v1alpha1.Experiment {
	e := &v1alpha1.Experiment{ObjectMeta: metav1.ObjectMeta{Name: "ab", Namespace: "shop", UID: "1"}}
	for _, text := range templates {
		name, count, sized := strings.Cut(text, ":")
		t := v1alpha1.TemplateSpec{Name: name}
		if sized {
			var n int32
			if _, err := fmt.Sscan(count, &n); err != nil {
				panic(err)
			}
			t.Replicas = &n
		}
		e.Spec.Templates = append(e.Spec.Templates, t)
	}
	for _, text := range analyses {
		name, required := strings.CutSuffix(text, "!")
		e.Spec.Analyses = append(e.Spec.Analyses, v1alpha1.ExperimentAnalysisTemplateRef{Name: name, TemplateName: name, RequiredForCompletion: required})
	}
	return e
}
