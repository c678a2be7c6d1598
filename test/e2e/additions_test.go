package e2e

import (
	"fmt"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/test/e2e/manifest"
	"github.com/headway-rollouts/headway/test/kube"
)

// This file plays what the served API does not have, and what makes the stable revision shrink.

func TestAFailureFreezesTheUpdateWhereThatIsAskedFor(t *testing.T) {
	w := newWorld(t)
	w.watch("web")
	metric := newPrometheus(t, value("0.99"))
	canary := manifest.Canary{Steps: "[{setWeight: 50}, {pause: {}}]", Strategy: []string{background, quickAbort, quickEnd}, Spec: []string{"onFailure: freeze"}}
	w.apply(manifest.Metric{Address: metric.URL, Fields: everySecond}.YAML(), canary.All())
	stable := w.until("web", healthy).Status.StableRS
	w.release("web", "v2")
	w.until("web", phase(v1alpha1.RolloutPhasePaused), atStep(1))
	metric.say(value("0.5"))
	frozen := w.until("web", phase(v1alpha1.RolloutPhasePaused), because("FrozenByFailure", "success-rate", "failed (2)", "onFailure is freeze"))
	if frozen.Status.Abort || frozen.Status.Canary.Weights.Canary.Weight != 50 {
		t.Errorf("frozen, it is aborted: %t, and the canary has weight %d, want 50", frozen.Status.Abort, frozen.Status.Canary.Weights.Canary.Weight)
	}
	w.run("abort", "web")
	if home := w.until("web", phase(v1alpha1.RolloutPhaseDegraded), because("Aborted")); home.Status.StableRS != stable {
		t.Errorf("stable is %s, want %s", home.Status.StableRS, stable)
	}
}

func TestTheFirstRevisionIsMeasuredWhereThatIsAskedFor(t *testing.T) {
	w := newWorld(t)
	w.watch("web")
	metric := newPrometheus(t, value("0.5"))
	canary := manifest.Canary{Steps: "[{setWeight: 50}]", Spec: []string{"initialAnalysis: {templates: [{templateName: measured}]}"}}
	w.apply(manifest.Metric{Address: metric.URL, Fields: once}.YAML(), canary.All())
	failed := w.until("web", phase(v1alpha1.RolloutPhaseDegraded), because("FirstRevisionFailed", "success-rate", "failed (1)"))
	if got := w.selects("web-stable"); got != "" || failed.Status.StableRS != "" {
		t.Errorf("the stable Service selects %q and %q is stable, want neither", got, failed.Status.StableRS)
	}
	kube.Eventually(t, within, func() error {
		for _, rs := range w.replicaSets("web") {
			if *rs.Spec.Replicas != 0 || rs.Status.Replicas != 0 {
				return fmt.Errorf("%s has %d pods", rs.Name, rs.Status.Replicas)
			}
		}
		return nil
	})
	metric.say(value("0.99"))
	w.run("retry", "rollout", "web")
	done := w.until("web", healthy)
	if got := w.selects("web-stable"); got != done.Status.StableRS {
		t.Errorf("the stable Service selects %q, want %q", got, done.Status.StableRS)
	}
	if runs := w.runs(); len(runs) != 2 || runs[0].Labels[v1alpha1.RolloutTypeLabel] != v1alpha1.RolloutTypeInitial {
		t.Errorf("%d runs, want the failed one and that of the retry", len(runs))
	}
}

func TestTheStableRevisionShrinksAndGrowsWithItsTraffic(t *testing.T) {
	w := newWorld(t)
	w.watch("web")
	canary := manifest.Canary{Replicas: "5", Steps: "[{setWeight: 60}, {pause: {}}]", Strategy: []string{"dynamicStableScale: true"}}
	w.apply(canary.All())
	stable := w.until("web", healthy).Status.StableRS
	w.release("web", "v2")
	paused := w.until("web", phase(v1alpha1.RolloutPhasePaused), atStep(1))
	are := func(canary, whole int32) map[string]int32 {
		return map[string]int32{paused.Status.CurrentPodHash: canary, stable: whole}
	}
	w.sized("web", are(3, 2))
	w.run("abort", "web")
	w.until("web", phase(v1alpha1.RolloutPhaseDegraded), because("Aborted"))
	w.sized("web", are(0, 5))
	w.run("retry", "rollout", "web")
	w.until("web", phase(v1alpha1.RolloutPhasePaused), atStep(1))
	w.run("promote", "web")
	w.until("web", healthy)
	w.sized("web", are(5, 0))
}

func TestAStepRunsAnExperiment(t *testing.T) {
	t.Parallel()
	steps := "[{setWeight: 50}, {experiment: {duration: 1s, templates: [{name: old, specRef: stable}, {name: new, specRef: canary, metadata: {labels: {kind: tried}}}], " +
		"analyses: [{name: rate, templateName: measured, requiredForCompletion: true}]}}, {setWeight: 80}]"
	for name, c := range map[string]struct {
		value string
		want  []func(*v1alpha1.Rollout) error
	}{
		"a good one lets the update go on": {"0.99", []func(*v1alpha1.Rollout) error{healthy}},
		"a bad one takes it back":          {"0.5", []func(*v1alpha1.Rollout) error{phase(v1alpha1.RolloutPhaseDegraded), because("AbortedByExperiment", "success-rate")}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.watch("web")
			metric := newPrometheus(t, value(c.value))
			w.apply(manifest.Metric{Address: metric.URL, Fields: once}.YAML(), manifest.Canary{Steps: steps, Strategy: []string{quickAbort, quickEnd}}.All())
			stable := w.until("web", healthy).Status.StableRS
			w.release("web", "v2")
			ro := w.until("web", c.want...)
			if promoted := ro.Status.StableRS != stable; promoted != (c.value == "0.99") {
				t.Errorf("promoted: %t", promoted)
			}
			var list v1alpha1.ExperimentList
			if err := w.client.List(t.Context(), &list, client.InNamespace(w.namespace)); err != nil {
				t.Fatal(err)
			}
			if len(list.Items) != 1 {
				t.Fatalf("%d Experiments, want one", len(list.Items))
			}
			e := list.Items[0]
			if got := e.Spec.Templates[1].Selector.MatchLabels["kind"]; got != "tried" {
				t.Errorf("the label of the step is %q in the selector", got)
			}
			if want := fmt.Sprintf("web-%s-2-1", ro.Status.CurrentPodHash); e.Name != want {
				t.Errorf("it is named %s, want %s", e.Name, want)
			}
			if !e.Status.Phase.Completed() {
				t.Errorf("the step is over and the Experiment is %s", e.Status.Phase)
			}
		})
	}
}
