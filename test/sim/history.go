package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/rollout/plan"
)

// RandomRollout is a Rollout with any of the options that the planner serves.
func RandomRollout(rng *rand.Rand) *v1alpha1.Rollout {
	ro := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", Generation: 1}}
	ro.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	if rng.IntN(4) == 0 {
		ro.Spec.Strategy.BlueGreen = randomBlueGreen(rng)
		ro.Spec.Strategy.BlueGreen.AntiAffinity = randomAffinity(rng)
	} else {
		ro.Spec.Strategy.Canary = randomCanary(rng)
		ro.Spec.Strategy.Canary.AntiAffinity = randomAffinity(rng)
	}
	ro.Spec.RevisionHistoryLimit = ptr.To(int32(rng.IntN(4)))
	ro.Spec.ProgressDeadlineAbort = rng.IntN(3) == 0
	if rng.IntN(5) == 0 {
		ro.Spec.RollbackWindow = &v1alpha1.RollbackWindowSpec{Revisions: int32(1 + rng.IntN(3))}
	}
	if rng.IntN(4) == 0 {
		ro.Spec.OnFailure = v1alpha1.FailureFreeze
	}
	if rng.IntN(4) == 0 {
		ro.Spec.InitialAnalysis = &v1alpha1.RolloutAnalysis{Templates: []v1alpha1.AnalysisTemplateRef{{TemplateName: "ok"}}}
	}
	if rng.IntN(8) > 0 {
		ro.Spec.Replicas = ptr.To(int32(rng.IntN(11)))
	}
	return ro
}

func randomBlueGreen(rng *rand.Rand) *v1alpha1.BlueGreenStrategy {
	b := &v1alpha1.BlueGreenStrategy{ActiveService: "active"}
	analysis := &v1alpha1.RolloutAnalysis{Templates: []v1alpha1.AnalysisTemplateRef{{TemplateName: "ok"}}}
	if rng.IntN(2) == 0 {
		b.PreviewService = "preview"
	}
	if rng.IntN(3) == 0 {
		b.PreviewReplicaCount = ptr.To(int32(1 + rng.IntN(3)))
	}
	switch rng.IntN(3) {
	case 0:
		b.AutoPromotionEnabled = ptr.To(false)
	case 1:
		b.AutoPromotionSeconds = int32(rng.IntN(120))
	}
	if rng.IntN(3) == 0 {
		b.PrePromotionAnalysis = analysis
	}
	if rng.IntN(3) == 0 {
		b.PostPromotionAnalysis = analysis
	}
	if rng.IntN(2) == 0 {
		b.ScaleDownDelaySeconds = ptr.To(int32(rng.IntN(60)))
	}
	if rng.IntN(2) == 0 {
		b.AbortScaleDownDelaySeconds = ptr.To(int32(rng.IntN(60)))
	}
	return b
}

func randomCanary(rng *rand.Rand) *v1alpha1.CanaryStrategy {
	total := int32(100)
	canary := &v1alpha1.CanaryStrategy{
		CanaryService: "canary", StableService: "stable",
		TrafficRouting: &v1alpha1.RolloutTrafficRouting{Nginx: &v1alpha1.NginxTrafficRouting{StableIngress: "web"}},
	}
	if rng.IntN(5) == 0 {
		total = 1000
		canary.TrafficRouting.MaxTrafficWeight = &total
	}
	if rng.IntN(3) == 0 {
		total = 100
		withoutRoutes(rng, canary)
	}
	canary.Steps = RandomSteps(rng, total)
	if canary.TrafficRouting == nil {
		canary.Steps = slices.DeleteFunc(canary.Steps, needsRoutes)
	} else {
		routedOptions(rng, canary)
	}
	switch rng.IntN(8) {
	case 0:
		canary.ReplicaProgressThreshold = &v1alpha1.ReplicaProgressThreshold{Type: v1alpha1.ProgressTypePercentage, Value: int32(50 + rng.IntN(51))}
	case 1:
		canary.ReplicaProgressThreshold = &v1alpha1.ReplicaProgressThreshold{Type: v1alpha1.ProgressTypePods, Value: int32(1 + rng.IntN(5))}
	}
	if rng.IntN(4) == 0 {
		canary.ScaleDownDelayRevisionLimit = ptr.To(int32(rng.IntN(3)))
	}
	if rng.IntN(3) == 0 {
		canary.Analysis = &v1alpha1.RolloutAnalysisBackground{StartingStep: ptr.To(int32(rng.IntN(3)))}
	}
	if rng.IntN(2) == 0 && !canary.DynamicStableScale {
		canary.ScaleDownDelaySeconds = ptr.To(int32(rng.IntN(60)))
	}
	if rng.IntN(2) == 0 {
		canary.AbortScaleDownDelaySeconds = ptr.To(int32(rng.IntN(60)))
	}
	return canary
}

// routedOptions are the options of a canary whose traffic routes split.
func routedOptions(rng *rand.Rand, canary *v1alpha1.CanaryStrategy) {
	if rng.IntN(4) == 0 {
		canary.MinPodsPerReplicaSet = ptr.To(int32(1 + rng.IntN(3)))
	}
	canary.DynamicStableScale = rng.IntN(3) == 0
	canary.TrafficRouting.ManagedRoutes = []v1alpha1.MangedRoutes{{Name: "testers"}, {Name: "shadow"}}
	switch {
	case canary.TrafficRouting.MaxTrafficWeight == nil && rng.IntN(4) == 0:
		canary.StableService, canary.CanaryService = "", ""
		canary.TrafficRouting.Nginx, canary.TrafficRouting.Istio = nil, &v1alpha1.IstioTrafficRouting{
			VirtualService:  &v1alpha1.IstioVirtualService{Name: "web"},
			DestinationRule: &v1alpha1.IstioDestinationRule{Name: "web", StableSubsetName: "stable", CanarySubsetName: "canary"},
		}
	case rng.IntN(5) == 0:
		canary.PingPong = &v1alpha1.PingPongSpec{PingService: "ping", PongService: "pong"}
	}
}

// withoutRoutes makes pods alone split the traffic, with Services or without.
func withoutRoutes(rng *rand.Rand, canary *v1alpha1.CanaryStrategy) {
	canary.TrafficRouting = nil
	if rng.IntN(2) == 0 {
		canary.StableService, canary.CanaryService = "", ""
	}
	if rng.IntN(2) == 0 {
		up := int32(rng.IntN(4))
		canary.MaxSurge, canary.MaxUnavailable = ptr.To(intstr.FromInt32(up)), ptr.To(intstr.FromInt32(int32(rng.IntN(3))+max(0, 1-up)))
	}
}

// needsRoutes reports whether a step means nothing where pods alone split the traffic.
func needsRoutes(s v1alpha1.CanaryStep) bool {
	return s.SetCanaryScale != nil || s.SetHeaderRoute != nil || s.SetMirrorRoute != nil
}

// RandomSteps are up to six steps of the verbs that are served.
func RandomSteps(rng *rand.Rand, total int32) []v1alpha1.CanaryStep {
	steps := make([]v1alpha1.CanaryStep, rng.IntN(7))
	for i := range steps {
		switch rng.IntN(9) {
		case 8:
			steps[i].SetMirrorRoute = &v1alpha1.SetMirrorRoute{Name: "shadow", Percentage: ptr.To(int32(rng.IntN(101)))}
			if rng.IntN(3) > 0 {
				steps[i].SetMirrorRoute.Match = []v1alpha1.RouteMatch{{Method: &v1alpha1.StringMatch{Exact: "GET"}}}
			}
		case 7:
			steps[i].SetHeaderRoute = &v1alpha1.SetHeaderRoute{Name: "testers"}
			if rng.IntN(3) > 0 {
				steps[i].SetHeaderRoute.Match = []v1alpha1.HeaderRoutingMatch{{HeaderName: "x-user", HeaderValue: &v1alpha1.StringMatch{Exact: string(rune('a' + rng.IntN(3)))}}}
			}
		case 6:
			steps[i].Experiment = RandomExperiment(rng)
		case 5:
			steps[i].SetCanaryScale = RandomScale(rng)
		case 0:
			steps[i].Pause = &v1alpha1.RolloutPause{}
		case 1:
			steps[i].Pause = &v1alpha1.RolloutPause{Duration: ptr.To(intstr.FromInt32(int32(rng.IntN(120))))}
		case 2:
			steps[i].Analysis = &v1alpha1.RolloutAnalysis{Templates: []v1alpha1.AnalysisTemplateRef{{TemplateName: "ok"}}}
		default:
			steps[i].SetWeight = ptr.To(int32(rng.IntN(11)) * total / 10)
		}
	}
	return steps
}

// RandomExperiment is an experiment step of two templates, with traffic or without.
func RandomExperiment(rng *rand.Rand) *v1alpha1.RolloutExperimentStep {
	e := &v1alpha1.RolloutExperimentStep{Templates: []v1alpha1.RolloutExperimentTemplate{
		{Name: "baseline", SpecRef: v1alpha1.StableSpecRef}, {Name: "canary", SpecRef: v1alpha1.CanarySpecRef},
	}}
	if rng.IntN(2) == 0 {
		e.Templates[0].Weight, e.Templates[1].Weight = ptr.To(int32(rng.IntN(30))), ptr.To(int32(rng.IntN(30)))
	}
	return e
}

// RandomScale is one of the forms of setCanaryScale.
func RandomScale(rng *rand.Rand) *v1alpha1.SetCanaryScale {
	switch n := int32(rng.IntN(6)); rng.IntN(3) {
	case 0:
		return &v1alpha1.SetCanaryScale{Replicas: &n}
	case 1:
		n *= 20
		return &v1alpha1.SetCanaryScale{Weight: &n}
	default:
		return &v1alpha1.SetCanaryScale{MatchTrafficWeight: true}
	}
}

// History plays one random history: deploys, aborts, retries, promotions,
// pauses, scaling, pods that come and go, verdicts, and a controller that
// crashes between actions and loses status writes.
type History struct {
	*Cluster

	rng         *rand.Rand
	formerSteps string
	former      []v1alpha1.CanaryStep
	// guarded: a PodDisruptionBudget lets no pod go.
	guarded bool
}

// NewHistory begins the history of a seed.
func NewHistory(seed uint64) *History {
	rng := rand.New(rand.NewPCG(seed, 17)) //nolint:gosec // A test needs the same numbers again.
	h := &History{Cluster: New(RandomRollout(rng), "v1"), rng: rng}
	h.Slow = rng.IntN(2) == 0
	if ways := []string{v1alpha1.ScaleDownNever, v1alpha1.ScaleDownOnSuccess, v1alpha1.ScaleDownProgressively, v1alpha1.ScaleDownProgressively}; rng.IntN(3) == 0 {
		h.Replace(int32(rng.IntN(11)), ways[rng.IntN(len(ways))])
	}
	return h
}

// Play runs the history and then lets it come to rest on a last revision. What
// did not hold is in Broken.
func (h *History) Play(events int) {
	for range events {
		before := h.Snapshot()
		h.event()
		if h.rng.IntN(6) == 0 {
			h.reconcileLate(before)
		}
		for range 1 + h.rng.IntN(3) {
			h.reconcile()
		}
		if len(h.Broken) > 0 {
			return
		}
	}
	h.rest()
}

// reconcile is one pass of a controller that may die in the middle.
func (h *History) reconcile() {
	p := plan.Make(h.Snapshot())
	if again := plan.Make(h.Snapshot()); fmt.Sprint(again.Actions) != fmt.Sprint(p.Actions) {
		h.brokef("law 1: equal snapshots, different plans:\n%v\n%v", p.Actions, again.Actions)
	}
	crash, skip := h.rng.IntN(5) == 0, h.rng.IntN(8) == 0
	for _, a := range p.Actions {
		if crash && h.rng.IntN(2) == 0 {
			h.logf("(crash)")
			return
		}
		if _, evicts := a.(plan.Evict); evicts && h.guarded || skip && h.rng.IntN(2) == 0 {
			continue // the API server refused this one
		}
		h.Act(a)
	}
	if crash {
		h.logf("(status lost)")
		return
	}
	h.Store(p)
}

// event is something that happens: one time in two to a person, else to the cluster.
func (h *History) event() {
	if h.rng.IntN(2) == 0 {
		h.personActs()
	} else {
		h.clusterMoves()
	}
	h.Now = h.Now.Add(time.Duration(h.rng.IntN(90)) * time.Second)
	h.memory.points = [2]int{}
}

func (h *History) personActs() {
	st := h.Rollout.Status
	switch n := h.rng.IntN(57); {
	case n < 8:
		h.Deploy(fmt.Sprintf("v%d", 1+h.rng.IntN(5)))
	case n < 12:
		h.Abort()
	case n < 18 && st.Abort:
		h.Retry()
	case n < 28 && st.CurrentStepIndex != nil && st.StableRS != st.CurrentPodHash:
		h.Promote()
	case n < 31:
		h.PromoteFull()
	default:
		h.personEdits(n)
	}
}

func (h *History) personEdits(n int) {
	switch {
	case n > 55:
		h.Reapply()
	case n > 53 && h.Workload != nil:
		h.ScaleDeployment(int32(h.rng.IntN(11)))
	case n < 36:
		h.Pause(!h.Rollout.Spec.Paused)
	case n < 40:
		h.Cluster.Scale(int32(h.rng.IntN(11)))
	case n < 42:
		h.Meddle(int32(h.rng.IntN(int(h.maxWeight()) + 1)))
	case n < 44:
		h.accident()
	case n < 50:
		h.troublePods()
	default:
		h.editSteps()
	}
}

// editSteps writes new steps or, one time in three, those of before.
func (h *History) editSteps() {
	name, next := h.formerSteps, h.former
	if name == "" || h.rng.IntN(3) > 0 {
		name, next = fmt.Sprintf("steps-at-%d", len(h.Log)), h.randomSteps()
	}
	h.formerSteps, h.former = h.Steps, h.canary().Steps
	h.EditSteps(name, next)
}

// randomSteps are steps that the Rollout may have.
func (h *History) randomSteps() []v1alpha1.CanaryStep {
	steps := RandomSteps(h.rng, h.maxWeight())
	return slices.DeleteFunc(steps, func(s v1alpha1.CanaryStep) bool { return h.byPods() && needsRoutes(s) })
}

// accident is a person or a tool that deletes what the controller needs.
func (h *History) accident() {
	switch h.rng.IntN(4) {
	case 0:
		h.Recreate(plan.StableRole)
	case 1:
		h.Recreate(plan.CanaryRole)
	case 2:
		h.LoseRoute()
	default:
		if all := sortedRevisions(h.Revisions); len(all) > 0 {
			h.LoseRevision(all[h.rng.IntN(len(all))].Hash)
		}
	}
}

func (h *History) clusterMoves() {
	switch n := h.rng.IntN(53); {
	case n >= 50:
		h.did("the data plane lags or catches up")
		h.Verify(h.rng.IntN(2) == 0)
	case n < 12:
		h.podsComeAndGo()
	case n < 20:
		phases := []v1alpha1.AnalysisPhase{v1alpha1.AnalysisPhaseSuccessful, v1alpha1.AnalysisPhaseSuccessful, v1alpha1.AnalysisPhaseFailed, v1alpha1.AnalysisPhaseError, v1alpha1.AnalysisPhaseInconclusive}
		h.did("verdict")
		h.Verdict(phases[h.rng.IntN(len(phases))], "measured")
	default:
		h.Settle()
	}
}

func (h *History) podsComeAndGo() {
	for _, r := range sortedRevisions(h.Revisions) {
		h.SetAvailable(r.Hash, int32(h.rng.IntN(int(r.Replicas)+1)))
	}
	if h.Workload != nil {
		h.Workload.Available = int32(h.rng.IntN(int(h.Workload.Replicas) + 1))
	}
}

// rest stops all trouble and expects the last revision to become stable, alone and quiet.
func (h *History) rest() {
	h.Pause(false)
	h.Verify(true)
	h.guarded = false
	h.Deploy("last")
	if h.replicas() == 0 {
		h.Cluster.Scale(3)
	}
	for range 60 {
		h.step()
		if len(h.Broken) > 0 {
			return
		}
	}
	st := h.Rollout.Status
	switch {
	case st.StableRS != "last" || st.Phase != v1alpha1.RolloutPhaseHealthy:
		h.brokef("L1 it did not come to rest: stable %q, phase %s, message %q, why %+v", st.StableRS, st.Phase, st.Message, st.Why)
	case !h.served("last") || h.Traffic.CanaryWeight != 0 || len(h.Traffic.Routes) > 0:
		h.brokef("L1 traffic did not come to rest: %+v %+v", h.Services, h.Traffic)
	}
	if !h.migrated() && h.Rollout.Spec.WorkloadRef.ScaleDown != v1alpha1.ScaleDownNever {
		h.brokef("L6 the Deployment still has %d pods of %d", h.Workload.Replicas, h.Workload.Had)
	}
	for hash, r := range h.Revisions {
		if hash != "last" && r.Replicas > 0 {
			h.brokef("L6 %s still has %d pods", hash, r.Replicas)
		}
	}
	h.checkPods()
	h.quiet()
}

// served reports whether every Service that the Rollout names selects the revision.
func (h *History) served(hash string) bool {
	front, behind := h.canary().StableService, h.canary().CanaryService
	switch b := h.blueGreen(); {
	case b != nil:
		front, behind = b.ActiveService, b.PreviewService
	case h.canary().PingPong != nil:
		behind = "" // it keeps what it had
	}
	return (front == "" || h.Services.Stable.Hash == hash) && (behind == "" || h.Services.Canary.Hash == hash)
}

// step is one calm minute: pods become available, analyses succeed, people promote.
func (h *History) step() {
	for range 4 {
		p := plan.Make(h.Snapshot())
		for _, a := range p.Actions {
			h.Act(a)
		}
		h.Store(p)
		h.Settle()
	}
	h.Verdict(v1alpha1.AnalysisPhaseSuccessful, "")
	if len(h.Rollout.Status.PauseConditions) > 0 {
		h.Promote()
	}
	h.memory.points = [2]int{}
	h.Now = h.Now.Add(time.Minute)
}

// quiet checks S17: at rest there is nothing to do and nothing new to say.
func (h *History) quiet() {
	before := h.Rollout.Status.DeepCopy()
	p := plan.Make(h.Snapshot())
	if len(p.Actions) > 0 || len(p.Events) > 0 {
		h.brokef("S17 not quiet at rest: %v %v", p.Actions, p.Events)
	}
	if !equalStatus(before, &p.Status) {
		h.brokef("S17 the status changes at rest")
	}
}
