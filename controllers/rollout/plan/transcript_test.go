package plan_test

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/rollout/plan"
	"github.com/headway-rollouts/headway/test/sim"
	"github.com/headway-rollouts/headway/test/transcript"
)

func TestTranscripts(t *testing.T) {
	transcript.Play(t, "testdata/*.txt", func(t *testing.T) transcript.Story { return &story{t: t} })
}

// story is a transcript being played.
type story struct {
	t       *testing.T
	cluster *sim.Cluster
	stuck   bool // pods do not become available by themselves
}

// Tell runs commands and then the planner, until it rests.
func (s *story) Tell(commands []string) []string {
	from := 0
	if s.cluster != nil {
		from = len(s.cluster.Log)
	}
	for _, command := range commands {
		s.do(command)
	}
	s.rest()
	var out []string
	for _, l := range s.cluster.Log[min(from, len(s.cluster.Log)):] {
		if !strings.HasPrefix(l, "> ") {
			out = append(out, l)
		}
	}
	out = append(out, s.summary()...)
	if slices.Contains(commands, "status") {
		out = append(out, details(s.cluster.Rollout.Status)...)
	}
	return out
}

// Broken are the invariants of the model that were broken.
func (s *story) Broken() []string {
	if s.cluster == nil {
		return nil
	}
	return s.cluster.Broken
}

// details are what a status says beyond its summary.
func details(st v1alpha1.RolloutStatus) []string {
	out := []string{fmt.Sprintf("= pods %d, updated %d, ready %d, available %d, for autoscalers %d of %s",
		st.Replicas, st.UpdatedReplicas, st.ReadyReplicas, st.AvailableReplicas, st.HPAReplicas, st.Selector)}
	if w := st.Canary.Weights; w != nil {
		out = append(out, fmt.Sprintf("= weights canary %d by %s on %s, stable %d by %s on %s",
			w.Canary.Weight, w.Canary.ServiceName, w.Canary.PodTemplateHash, w.Stable.Weight, w.Stable.ServiceName, w.Stable.PodTemplateHash))
	}
	if b := st.BlueGreen; b != (v1alpha1.BlueGreenStatus{}) {
		out = append(out, fmt.Sprintf("= active %s, preview %s, scaled up before %t", b.ActiveSelector, b.PreviewSelector, b.ScaleUpPreviewCheckPoint))
	}
	for _, p := range st.PauseConditions {
		out = append(out, fmt.Sprintf("= pause %s since %s", p.Reason, p.StartTime.UTC().Format(time.TimeOnly)))
	}
	if d := st.Duration; d != nil {
		out = append(out, strings.TrimRight(fmt.Sprintf("= duration paused %ds by hand %s", ptr.Deref(d.TotalManualPauseDurationSeconds, 0), d.CompletionStatus), " "))
	}
	out = append(out, fmt.Sprintf("= abort %t, full %t, controller pause %t, generation %s, aborted at %t", st.Abort, st.PromoteFull, st.ControllerPause, st.ObservedGeneration, st.AbortedAt != nil))
	for _, c := range st.Conditions {
		out = append(out, fmt.Sprintf("= %s %s %s: %s", c.Type, c.Status, c.Reason, c.Message))
	}
	return out
}

func (s *story) rest() {
	for range 40 {
		before := len(s.cluster.Log)
		p := plan.Make(s.cluster.Snapshot())
		s.checkWhy(p.Status)
		for _, a := range p.Actions {
			s.cluster.Act(a)
		}
		changed := cmp.Diff(s.cluster.Rollout.Status, p.Status) != ""
		if changed {
			s.cluster.Store(p)
		}
		if !s.stuck {
			s.cluster.Settle()
		}
		if !changed && len(s.cluster.Log) == before && cmp.Diff(plan.Make(s.cluster.Snapshot()), p) == "" {
			return
		}
	}
	s.t.Errorf("never at rest")
}

var whyWeight = regexp.MustCompile(`^Step (\d+)/\d+ sets? weight (\d+)`)

// checkWhy checks that the reason is about the step that is recorded beside it.
func (s *story) checkWhy(st v1alpha1.RolloutStatus) {
	told := whyWeight.FindStringSubmatch(st.Why.Message)
	if told == nil {
		return
	}
	steps, recorded := s.cluster.Rollout.Spec.Strategy.Canary.Steps, *st.CurrentStepIndex
	if told[1] != fmt.Sprint(recorded+1) || int(recorded) >= len(steps) {
		s.t.Errorf("at step %d of %d the reason is %q", recorded+1, len(steps), st.Why.Message)
		return
	}
	if weight := steps[recorded].SetWeight; weight != nil && told[2] != fmt.Sprint(*weight) {
		s.t.Errorf("at step %d, which sets weight %d, the reason is %q", recorded+1, *weight, st.Why.Message)
	}
}

func (s *story) summary() []string {
	st := s.cluster.Rollout.Status
	step := "-"
	if st.CurrentStepIndex != nil {
		step = fmt.Sprint(*st.CurrentStepIndex)
	}
	out := []string{strings.TrimRight(fmt.Sprintf("= %s | step %s | stable %s current %s | canary %d", strings.TrimSpace(string(st.Phase)+" "+st.Message), step, st.StableRS, st.CurrentPodHash, s.cluster.Traffic.CanaryWeight), " ")}
	why := fmt.Sprintf("= why %s: %s", st.Why.Code, st.Why.Message)
	if st.Why.Next != nil {
		why += " Next: " + st.Why.Next.Event
		if st.Why.Next.At != nil {
			why += " at " + st.Why.Next.At.UTC().Format(time.TimeOnly)
		}
		why += "."
	}
	if st.Why.Unblock != "" {
		why += " Unblock: " + st.Why.Unblock + "."
	}
	if d := s.cluster.Workload; d != nil {
		out = append(out, fmt.Sprintf("= deployment %d, observed %s of %d", d.Replicas, st.WorkloadObservedGeneration, d.Generation))
	}
	return append(out, why)
}

func (s *story) do(command string) {
	f := strings.Fields(command)
	arg := strings.TrimSpace(strings.TrimPrefix(command, f[0]))
	if s.cluster == nil && f[0] != "rollout" {
		s.t.Fatalf("the story must begin with a rollout, not %q", command)
	}
	c := s.cluster
	switch f[0] {
	case "rollout":
		s.cluster = sim.New(s.rollout(f[1:]), "v1")
	case "replaces": // `replaces 5 progressively`: a Deployment with so many pods
		c.Replace(s.number(f[1]), f[2])
	case "deployment":
		c.ScaleDeployment(s.number(arg))
	case "reapply":
		c.Reapply()
	case "deploy":
		c.Deploy(arg)
	case "promote":
		c.Promote()
	case "skip":
		c.PassAnalysis()
	case "full":
		c.PromoteFull()
	case "abort":
		c.Abort()
	case "retry":
		c.Retry()
	case "scale":
		c.Scale(s.number(arg))
	case "pause":
		c.Pause(arg == "on")
	case "weight":
		c.Meddle(s.number(arg))
	case "strategy":
		s.strategy(arg)
	case "recreate":
		c.Recreate(plan.Role(arg))
	case "remove":
		c.Remove(plan.Role(arg))
	case "break":
		c.Break(arg)
	case "mend":
		c.Invalid = nil
	case "restart":
		d, err := time.ParseDuration("0" + arg)
		if err != nil {
			s.t.Fatal(err)
		}
		c.Restart(d)
	case "metadata":
		c.Relabel(s.metadata(arg))
	case "lose":
		c.LoseRoute()
	case "delete":
		c.LoseRevision(arg)
	case "steps":
		c.EditSteps(f[1], s.steps(f[2]))
	case "available":
		c.SetAvailable(f[1], s.number(f[2]))
	case "failure": // pods of a revision cannot be created
		c.Refuse(f[1], strings.TrimSpace(strings.TrimPrefix(arg, f[1])))
	case "verified":
		c.Verify(arg == "yes")
	case "stuck":
		s.stuck = arg == "on"
	case "verdict":
		c.Verdict(v1alpha1.AnalysisPhase(f[1]), strings.TrimSpace(strings.TrimPrefix(arg, f[1])))
	case "wait":
		d, err := time.ParseDuration(arg)
		if err != nil {
			s.t.Fatal(err)
		}
		c.Now = c.Now.Add(d)
	case "look", "status": // nothing happens; status tells more
	default:
		s.t.Fatalf("unknown command %q", command)
	}
}

// strategy changes the strategy in place: `basic` or `blueGreen`.
func (s *story) strategy(name string) {
	c := s.cluster
	c.Rollout.Generation++
	if name == "blueGreen" {
		c.Rollout.Spec.Strategy, c.Steps = v1alpha1.RolloutStrategy{BlueGreen: s.blueGreen("")}, ""
		return
	}
	c.Rollout.Spec.Strategy.Canary.TrafficRouting = nil
}

func (s *story) number(text string) int32 {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		s.t.Fatal(err)
	}
	return int32(n)
}

// rollout reads `replicas=4 steps=20,pause,40,pause:10s,analysis background=1 …`.
func (s *story) rollout(options []string) *v1alpha1.Rollout {
	ro := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", Generation: 1}}
	canary := &v1alpha1.CanaryStrategy{
		CanaryService: "canary", StableService: "stable",
		TrafficRouting: &v1alpha1.RolloutTrafficRouting{Nginx: &v1alpha1.NginxTrafficRouting{StableIngress: "web"}},
	}
	ro.Spec.Strategy.Canary = canary
	ro.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	for _, option := range options {
		key, value, _ := strings.Cut(option, "=")
		switch key {
		case "blueGreen":
			ro.Spec.Strategy = v1alpha1.RolloutStrategy{BlueGreen: s.blueGreen(value)}
		case "basic": // no routes; with Services only if the value says so
			canary.TrafficRouting = nil
			if value == "" {
				canary.StableService, canary.CanaryService = "", ""
			}
		case "freeze":
			ro.Spec.OnFailure = v1alpha1.FailureFreeze
		case "initial":
			ro.Spec.InitialAnalysis = &v1alpha1.RolloutAnalysis{Templates: []v1alpha1.AnalysisTemplateRef{{TemplateName: "ok"}}}
		case "stableScale":
			ro.Spec.ScaleAccounting = v1alpha1.ScaleStable
		case "dynamic":
			canary.DynamicStableScale = true
		case "pingPong":
			canary.PingPong, canary.StableService, canary.CanaryService = &v1alpha1.PingPongSpec{PingService: "ping", PongService: "pong"}, "", ""
		case "maxSurge":
			canary.MaxSurge = ptr.To(intstr.Parse(value))
		case "maxUnavailable":
			canary.MaxUnavailable = ptr.To(intstr.Parse(value))
		case "replicas":
			ro.Spec.Replicas = ptr.To(s.number(value))
		case "steps":
			canary.Steps = s.steps(value)
		case "background":
			canary.Analysis = &v1alpha1.RolloutAnalysisBackground{StartingStep: ptr.To(s.number(value))}
		case "deadline":
			ro.Spec.ProgressDeadlineSeconds = ptr.To(s.number(value))
		case "deadlineAbort":
			ro.Spec.ProgressDeadlineAbort = true
		case "scaleDownDelay":
			canary.ScaleDownDelaySeconds = ptr.To(s.number(value))
		case "abortScaleDownDelay":
			canary.AbortScaleDownDelaySeconds = ptr.To(s.number(value))
		case "delayed":
			canary.ScaleDownDelayRevisionLimit = ptr.To(s.number(value))
		case "minPods":
			canary.MinPodsPerReplicaSet = ptr.To(s.number(value))
		case "enough":
			canary.ReplicaProgressThreshold = s.threshold(value)
		case "window":
			ro.Spec.RollbackWindow = &v1alpha1.RollbackWindowSpec{Revisions: s.number(value)}
		case "runs": // of each kind
			ro.Spec.Analysis = &v1alpha1.AnalysisRunStrategy{SuccessfulRunHistoryLimit: ptr.To(s.number(value)), UnsuccessfulRunHistoryLimit: ptr.To(s.number(value))}
		case "history":
			ro.Spec.RevisionHistoryLimit = ptr.To(s.number(value))
		case "metadata":
			first, second := s.metadata(value)
			canary.CanaryMetadata, canary.StableMetadata = first, second
			if b := ro.Spec.Strategy.BlueGreen; b != nil {
				b.PreviewMetadata, b.ActiveMetadata = first, second
			}
		case "antiAffinity":
			canary.AntiAffinity = &v1alpha1.AntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &v1alpha1.RequiredDuringSchedulingIgnoredDuringExecution{}}
			if b := ro.Spec.Strategy.BlueGreen; b != nil {
				b.AntiAffinity = canary.AntiAffinity
			}
		case "routes": // the managed ones, in order
			for _, name := range strings.Split(value, ",") {
				canary.TrafficRouting.ManagedRoutes = append(canary.TrafficRouting.ManagedRoutes, v1alpha1.MangedRoutes{Name: name})
			}
		case "subsets": // routes that select the revisions; Services only if the value says so
			canary.TrafficRouting = &v1alpha1.RolloutTrafficRouting{Istio: &v1alpha1.IstioTrafficRouting{
				VirtualService: &v1alpha1.IstioVirtualService{Name: "web"}, DestinationRule: &v1alpha1.IstioDestinationRule{Name: "web"},
			}}
			canary.StableService, canary.CanaryService = "", ""
		case "max":
			canary.TrafficRouting.MaxTrafficWeight = ptr.To(s.number(value))
		default:
			s.t.Fatalf("unknown option %q", option)
		}
	}
	return ro
}

// blueGreen reads `pre,post,manual,after:30,preview:1,delay:5,abortDelay:0,delayed:1,alone`, any of them.
func (s *story) blueGreen(text string) *v1alpha1.BlueGreenStrategy {
	b := &v1alpha1.BlueGreenStrategy{ActiveService: "active", PreviewService: "preview"}
	measured := &v1alpha1.RolloutAnalysis{Templates: []v1alpha1.AnalysisTemplateRef{{TemplateName: "ok"}}}
	for _, option := range strings.Split(text, ",") {
		switch key, value, _ := strings.Cut(option, ":"); key {
		case "":
		case "pre":
			b.PrePromotionAnalysis = measured
		case "post":
			b.PostPromotionAnalysis = measured
		case "manual":
			b.AutoPromotionEnabled = ptr.To(false)
		case "after":
			b.AutoPromotionSeconds = s.number(value)
		case "preview":
			b.PreviewReplicaCount = ptr.To(s.number(value))
		case "delay":
			b.ScaleDownDelaySeconds = ptr.To(s.number(value))
		case "abortDelay":
			b.AbortScaleDownDelaySeconds = ptr.To(s.number(value))
		case "delayed":
			b.ScaleDownDelayRevisionLimit = ptr.To(s.number(value))
		case "alone":
			b.PreviewService = ""
		default:
			s.t.Fatalf("unknown option %q", option)
		}
	}
	return b
}

// metadata reads one label for each of the two roles, `role:canary,role:stable`; `-` is none.
func (s *story) metadata(text string) (canary, stable *v1alpha1.PodTemplateMetadata) {
	first, second, _ := strings.Cut(text, ",")
	one := func(text string) *v1alpha1.PodTemplateMetadata {
		if text == "-" {
			return nil
		}
		key, value, _ := strings.Cut(text, ":")
		return &v1alpha1.PodTemplateMetadata{Labels: map[string]string{key: value}}
	}
	return one(first), one(second)
}

// threshold reads `75%` or `3`.
func (s *story) threshold(text string) *v1alpha1.ReplicaProgressThreshold {
	if percent, ok := strings.CutSuffix(text, "%"); ok {
		return &v1alpha1.ReplicaProgressThreshold{Type: v1alpha1.ProgressTypePercentage, Value: s.number(percent)}
	}
	return &v1alpha1.ReplicaProgressThreshold{Type: v1alpha1.ProgressTypePods, Value: s.number(text)}
}

// scale reads `3`, `25%` or `traffic`.
func (s *story) scale(text string) *v1alpha1.SetCanaryScale {
	switch percent, isPercent := strings.CutSuffix(text, "%"); {
	case text == "traffic":
		return &v1alpha1.SetCanaryScale{MatchTrafficWeight: true}
	case isPercent:
		return &v1alpha1.SetCanaryScale{Weight: ptr.To(s.number(percent))}
	default:
		return &v1alpha1.SetCanaryScale{Replicas: ptr.To(s.number(text))}
	}
}

// experiment reads the weight of each of two templates, or nothing.
func (s *story) experiment(weight string) *v1alpha1.RolloutExperimentStep {
	e := &v1alpha1.RolloutExperimentStep{Templates: []v1alpha1.RolloutExperimentTemplate{
		{Name: "baseline", SpecRef: v1alpha1.StableSpecRef}, {Name: "canary", SpecRef: v1alpha1.CanarySpecRef},
	}}
	for i := range e.Templates {
		if weight != "" {
			e.Templates[i].Weight = ptr.To(s.number(weight))
		}
	}
	return e
}

// headerRoute reads `testers=bob`, a route for requests with the header x-user, or `testers`, which removes it.
func headerRoute(text string) *v1alpha1.SetHeaderRoute {
	name, user, matches := strings.Cut(text, "=")
	route := &v1alpha1.SetHeaderRoute{Name: name}
	if matches {
		route.Match = []v1alpha1.HeaderRoutingMatch{{HeaderName: "x-user", HeaderValue: &v1alpha1.StringMatch{Exact: user}}}
	}
	return route
}

// mirrorRoute reads `shadow=GET`, a route that copies requests of a method, or `shadow`, which removes it.
func mirrorRoute(text string) *v1alpha1.SetMirrorRoute {
	name, method, matches := strings.Cut(text, "=")
	route := &v1alpha1.SetMirrorRoute{Name: name}
	if matches {
		route.Match = []v1alpha1.RouteMatch{{Method: &v1alpha1.StringMatch{Exact: method}}}
	}
	return route
}

func (s *story) steps(text string) []v1alpha1.CanaryStep {
	var steps []v1alpha1.CanaryStep
	if text == "" {
		return nil
	}
	for _, verb := range strings.Split(text, ",") {
		name, length, timed := strings.Cut(verb, ":")
		switch {
		case name == "scale":
			steps = append(steps, v1alpha1.CanaryStep{SetCanaryScale: s.scale(length)})
		case name == "header":
			steps = append(steps, v1alpha1.CanaryStep{SetHeaderRoute: headerRoute(length)})
		case name == "mirror":
			steps = append(steps, v1alpha1.CanaryStep{SetMirrorRoute: mirrorRoute(length)})
		case name == "experiment":
			steps = append(steps, v1alpha1.CanaryStep{Experiment: s.experiment(length)})
		case name == "pause" && timed:
			steps = append(steps, v1alpha1.CanaryStep{Pause: &v1alpha1.RolloutPause{Duration: ptr.To(intstr.FromString(length))}})
		case name == "pause":
			steps = append(steps, v1alpha1.CanaryStep{Pause: &v1alpha1.RolloutPause{}})
		case name == "analysis":
			steps = append(steps, v1alpha1.CanaryStep{Analysis: &v1alpha1.RolloutAnalysis{Templates: []v1alpha1.AnalysisTemplateRef{{TemplateName: "ok"}}}})
		default:
			steps = append(steps, v1alpha1.CanaryStep{SetWeight: ptr.To(s.number(name))})
		}
	}
	return steps
}
