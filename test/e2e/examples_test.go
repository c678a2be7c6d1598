package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/test/kube"
)

// example reads manifests that users already have. They are not part of the
// repository: without them the test says so and is skipped.
func example(t *testing.T, paths ...string) []string {
	t.Helper()
	docs := make([]string, 0, len(paths))
	for _, path := range paths {
		data, err := os.ReadFile(filepath.Join(kube.Root(), "../shared/compat/examples", path))
		if err != nil {
			t.Skipf("SKIPPED, NOTHING WAS CHECKED: the examples are not beside the repository: %v", err)
		}
		docs = append(docs, string(data))
	}
	return docs
}

func TestTheNginxExampleRunsToTheEnd(t *testing.T) {
	docs := example(t, "getting-started/nginx/ingress.yaml", "getting-started/nginx/rollout.yaml", "getting-started/nginx/services.yaml")
	w := newWorld(t)
	watch := w.watch("rollouts-demo")
	w.apply(docs...)
	first := w.until("rollouts-demo", healthy).Status.StableRS
	w.run("set", "image", "rollouts-demo", "rollouts-demo=argoproj/rollouts-demo:yellow")
	w.until("rollouts-demo", phase(v1alpha1.RolloutPhasePaused), atStep(1))
	w.run("promote", "rollouts-demo")
	done := w.until("rollouts-demo", healthy)
	if done.Status.StableRS == first || w.selects("rollouts-demo-stable") != done.Status.StableRS {
		t.Errorf("the stable Service selects %s, stable was %s and is %s", w.selects("rollouts-demo-stable"), first, done.Status.StableRS)
	}
	want := []string{"0", "5", "0"}
	if got := weights(watch.History(t), "rollouts-demo-rollouts-demo-stable-canary"); !cmp.Equal(want, got) {
		t.Errorf("weights (-want +got):\n%s", cmp.Diff(want, got))
	}
}

// TestTheExamplesRunToTheEnd updates each once, and promotes it where it waits for a person.
func TestTheExamplesRunToTheEnd(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rollout string
		files   []string
		paused  bool
	}{
		"the basic canary":         {"rollouts-demo", []string{"getting-started/basic/rollout.yaml", "getting-started/basic/service.yaml"}, true},
		"with background analysis": {"rollout-background-analysis", []string{"analysis-templates.yaml", "rollout-background-analysis.yaml"}, true},
		"with an analysis step": {"rollout-analysis-step", []string{
			"analysis-templates.yaml", "cluster-analysis-templates.yaml", "rollout-analysis-step.yaml",
		}, false},
		"blue-green": {"rollout-bluegreen", []string{"rollout-bluegreen.yaml"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			docs := example(t, c.files...)
			w := newWorld(t)
			w.apply(docs...)
			first := w.until(c.rollout, healthy).Status.StableRS
			w.run("set", "image", c.rollout, "rollouts-demo=argoproj/rollouts-demo:yellow")
			if c.paused {
				w.until(c.rollout, phase(v1alpha1.RolloutPhasePaused))
				w.run("promote", c.rollout)
			}
			done := w.until(c.rollout, healthy)
			if done.Status.StableRS == first {
				t.Error("the update was not promoted")
			}
			for _, run := range w.runs() {
				if p := run.Status.Phase; p == v1alpha1.AnalysisPhaseFailed || p == v1alpha1.AnalysisPhaseError {
					t.Errorf("AnalysisRun %s is %s: %s", run.Name, run.Status.Phase, run.Status.Message)
				}
			}
		})
	}
}

// invalid is the condition InvalidSpec; nil when there is none.
func invalid(ro *v1alpha1.Rollout) *v1alpha1.RolloutCondition {
	for i := range ro.Status.Conditions {
		if c := &ro.Status.Conditions[i]; c.Type == v1alpha1.RolloutInvalidSpec {
			return c
		}
	}
	return nil
}
