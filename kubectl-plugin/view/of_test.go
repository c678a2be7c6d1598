package view_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/kubectl-plugin/view"
)

func TestPhase(t *testing.T) {
	type phase struct {
		Phase   v1alpha1.RolloutPhase
		Message string
	}
	for name, c := range map[string]struct {
		change func(*v1alpha1.Rollout)
		want   phase
	}{
		"is that of the status": {func(*v1alpha1.Rollout) {}, phase{"Healthy", ""}},
		"is Progressing while the spec is newer than the status": {
			func(ro *v1alpha1.Rollout) { ro.Generation++ },
			phase{"Progressing", "waiting for rollout spec update to be observed"},
		},
		"trusts an observed generation of an old format": {
			func(ro *v1alpha1.Rollout) { ro.Status.ObservedGeneration = "c96b88f7f" }, phase{"Healthy", ""},
		},
		"is Progressing while the workload is newer than the status": {
			func(ro *v1alpha1.Rollout) {
				ro.Spec.WorkloadRef = &v1alpha1.ObjectRef{}
				ro.Annotations["rollout.argoproj.io/workload-generation"] = "7"
				ro.Status.WorkloadObservedGeneration = "6"
			},
			phase{"Progressing", "waiting for rollout spec update to be observed"},
		},
		"is Progressing after a promotion that the controller has not seen": {
			func(ro *v1alpha1.Rollout) { ro.Status.Phase, ro.Status.ControllerPause = "Paused", true },
			phase{"Progressing", "waiting for rollout to unpause"},
		},
		"is Progressing after a retry that the controller has not seen": {
			func(ro *v1alpha1.Rollout) { ro.Status.Phase, ro.Status.Message = "Degraded", "RolloutAborted: x" },
			phase{"Progressing", "waiting for the retry to be observed"},
		},
		"is Progressing after a full promotion that the controller has not seen": {
			func(ro *v1alpha1.Rollout) { ro.Status.Phase, ro.Status.PromoteFull = "Paused", true },
			phase{"Progressing", "waiting for the full promotion to be observed"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := cart()
			c.change(w.ro)
			v := w.view()
			if diff := cmp.Diff(c.want, phase{v.Phase, v.Message}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPause(t *testing.T) {
	since, until := now.Add(-3*time.Minute), now.Add(7*time.Minute)
	auto := blueGreen()
	auto.ro.Spec.Strategy.BlueGreen.AutoPromotionSeconds = 60
	minute := now.Add(-time.Minute)
	byUser := paused(1, v1alpha1.PauseReasonCanaryPauseStep)
	byUser.ro.Spec.Paused = true
	for name, c := range map[string]struct {
		world world
		want  *view.PauseView
	}{
		"is absent when nothing is paused": {rolling(2), nil},
		"waits for a person at a pause step without a duration": {
			paused(1, v1alpha1.PauseReasonCanaryPauseStep), &view.PauseView{Reason: "CanaryPauseStep", Since: &since, Person: true},
		},
		"ends by itself at a pause step with a duration": {
			paused(3, v1alpha1.PauseReasonCanaryPauseStep), &view.PauseView{Reason: "CanaryPauseStep", Since: &since, Until: &until},
		},
		"waits for a person when the analysis is inconclusive": {
			paused(3, v1alpha1.PauseReasonInconclusiveAnalysis), &view.PauseView{Reason: "InconclusiveAnalysisRun", Since: &since, Person: true},
		},
		"waits for a person before a switch":     {blueGreen(), &view.PauseView{Reason: "BlueGreenPause", Since: &minute, Person: true}},
		"ends by itself before a timed switch":   {auto, &view.PauseView{Reason: "BlueGreenPause", Since: &minute, Until: &now}},
		"of the user wins over that of the step": {byUser, &view.PauseView{Reason: "UserPause", Person: true}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, c.world.view().Pause); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWeight(t *testing.T) {
	noRouter := rolling(2)
	noRouter.ro.Spec.Strategy.Canary.TrafficRouting = nil
	unknown := rolling(2)
	unknown.ro.Status.Canary.Weights = nil
	high := cart()
	high.ro.Spec.Strategy.Canary.TrafficRouting.MaxTrafficWeight = ptr[int32](1000)
	beyond := rolling(99)
	negative := rolling(-5)
	for name, c := range map[string]struct {
		world world
		want  *view.WeightView
	}{
		"is all when the steps are done":                       {cart(), &view.WeightView{Set: 100, Actual: 100, Max: 100}},
		"counts in maxTrafficWeight":                           {high, &view.WeightView{Set: 1000, Actual: 1000, Max: 1000}},
		"is what the router was given":                         {rolling(2), &view.WeightView{Set: 50, Actual: 25, Max: 100}},
		"is the share of available pods without a router":      {noRouter, &view.WeightView{Set: 50, Actual: 25, Max: 100}},
		"is what the steps ask while the router said nothing":  {unknown, &view.WeightView{Set: 50, Actual: 50, Max: 100}},
		"is nothing after an abort":                            {aborted(), &view.WeightView{Max: 100, Verified: ptr(true)}},
		"is absent for blue-green":                             {blueGreen(), nil},
		"is all when the index is beyond the steps":            {beyond, &view.WeightView{Set: 100, Actual: 100, Max: 100}},
		"is all when the index is no index, and never a panic": {negative, &view.WeightView{Set: 100, Actual: 100, Max: 100}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, c.world.view().Weight); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAMetricHasItsArgumentsFilledIn(t *testing.T) {
	w := rolling(0).analysed(v1alpha1.AnalysisPhaseFailed, 0.991, 0.91, 0.88)
	run := &w.owned.AnalysisRuns[0]
	secret := &v1alpha1.ValueFrom{SecretKeyRef: &v1alpha1.SecretKeyRef{Name: "s", Key: "k"}}
	run.Spec.Args = []v1alpha1.Argument{
		{Name: "least", Value: ptr("0.95")}, {Name: "failures", Value: ptr("1")}, {Name: "app", Value: ptr("cart")}, {Name: "token", ValueFrom: secret},
	}
	metric := &run.Spec.Metrics[0]
	metric.Name = "success-rate-{{args.app}}"
	metric.SuccessCondition = "result[0] >= {{args.least}}"
	metric.FailureCondition = "result[0] < {{args.token}}"
	metric.FailureLimit = ptr(intstr.FromString("{{ args.failures }}"))
	metric.Provider.Prometheus = &v1alpha1.PrometheusMetric{Query: "rate({{args.unknown}})"}
	run.Status.MetricResults[0].Name = "success-rate-cart"

	got := w.view().Revisions[0].AnalysisRuns[0].Metrics[0]
	want := view.MetricView{
		Name: "success-rate-cart", Phase: v1alpha1.AnalysisPhaseFailed, SuccessCondition: "result[0] >= 0.95", FailureCondition: "result[0] < *****",
		FailureLimit: 1, ErrorLimit: 4, Counts: view.CountsView{Successful: 1, Failed: 2}, Measurements: got.Measurements, Last: got.Last,
	}
	if diff := cmp.Diff(want, got); diff != "" || len(got.Measurements) != 3 {
		t.Errorf("metric with %d measurements (-want +got):\n%s", len(got.Measurements), diff)
	}

	run.Spec.Args = nil
	if got := w.view().Revisions[0].AnalysisRuns[0].Metrics[0]; got.Name != metric.Name {
		t.Errorf("without values the metric is %q, want it as it is written", got.Name)
	}
}

func TestObjectsOfOtherOwnersAreIgnored(t *testing.T) {
	w := cart()
	stranger := cart()
	w.owned.ReplicaSets = append(w.owned.ReplicaSets, stranger.owned.ReplicaSets[0])
	w.owned.ReplicaSets[1].OwnerReferences = owner("another")
	if got := len(w.view().Revisions[0].ReplicaSets); got != 1 {
		t.Errorf("the view has %d ReplicaSets, want only its own", got)
	}
}

func TestComplete(t *testing.T) {
	short := cart()
	short.ro.Status.AvailableReplicas = 2
	for name, c := range map[string]struct {
		world world
		want  bool
	}{
		"the stable revision has all its pods":    {cart(), true},
		"a pod of it is missing":                  {short, false},
		"another revision is stable":              {rolling(3), false},
		"nothing was reported yet":                {newRollout(), false},
		"the update was aborted":                  {aborted(), false},
		"the Rollout is an empty object":          {world{ro: &v1alpha1.Rollout{}}, false},
		"the update waits in front of its switch": {blueGreen(), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.world.view().Complete; got != c.want {
				t.Errorf("complete is %t, want %t", got, c.want)
			}
		})
	}
}
