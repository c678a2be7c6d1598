package e2e

import (
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/test/e2e/manifest"
)

// compared is an update whose second step runs both revisions side by side.
const compared = "[{setWeight: 50}, {experiment: {duration: 2s, scaleDownDelaySeconds: 1, " +
	"templates: [{name: baseline, specRef: stable}, {name: candidate, specRef: canary}], " +
	"analyses: [{name: rate, templateName: measured}]}}, {setWeight: 80}]"

func TestAStepThatIsAnExperiment(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		value string
		want  []func(*v1alpha1.Rollout) error
		phase v1alpha1.AnalysisPhase
	}{
		"a good one lets the update go on": {"0.99", []func(*v1alpha1.Rollout) error{healthy}, successful},
		"a bad one takes it back":          {"0.5", []func(*v1alpha1.Rollout) error{phase(v1alpha1.RolloutPhaseDegraded), because("AbortedByExperiment")}, failed},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			watch := w.watch("web")
			metric := newPrometheus(t, value(c.value))
			w.apply(manifest.Metric{Address: metric.URL, Fields: once}.YAML(), manifest.Canary{Steps: compared, Strategy: []string{quickAbort, quickEnd}}.All())
			stable := w.until("web", healthy).Status.StableRS
			w.release("web", "v2")
			ro := w.until("web", c.want...)
			if promoted := ro.Status.StableRS != stable; promoted != (c.phase == successful) {
				t.Errorf("promoted: %t", promoted)
			}
			var list v1alpha1.ExperimentList
			if err := w.client.List(t.Context(), &list, client.InNamespace(w.namespace)); err != nil || len(list.Items) != 1 {
				t.Fatalf("%d Experiments, want 1: %v", len(list.Items), err)
			}
			e := w.experimentIs(list.Items[0].Name, c.phase, noPods)
			ts := e.Status.TemplateStatuses
			if ts[0].PodTemplateHash == ts[1].PodTemplateHash || ts[0].PodTemplateHash == stable {
				t.Errorf("the pods of the Experiment cannot be told apart: %+v", ts)
			}
			w.madeOnce(watch, 4) // Two revisions and two templates.
			if runs := w.runs(); len(runs) != 1 {
				t.Errorf("%d AnalysisRuns, want 1", len(runs))
			}
		})
	}
}
