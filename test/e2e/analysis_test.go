package e2e

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/test/e2e/manifest"
	"github.com/headway-rollouts/headway/test/faults/observer"
	"github.com/headway-rollouts/headway/test/kube"
)

// Lines of a strategy and of metrics.
const (
	background = "analysis: {templates: [{templateName: measured}]}"
	quickAbort = "abortScaleDownDelaySeconds: 1"
	quickEnd   = "scaleDownDelaySeconds: 1"
)

var (
	everySecond = []string{"interval: 1s", "successCondition: result[0] >= 0.95", "failureLimit: 1"}
	once        = []string{"count: 1", "successCondition: result[0] >= 0.95"}
)

func TestABadMetricBringsTrafficBackWithOneWrite(t *testing.T) {
	w := newWorld(t)
	watch := w.watch("web")
	metric := newPrometheus(t, value("0.99"))
	canary := manifest.Canary{Steps: "[{setWeight: 50}, {pause: {}}]", Strategy: []string{background, quickAbort, quickEnd}}
	w.apply(manifest.Metric{Address: metric.URL, Fields: everySecond}.YAML(), canary.All())
	stable := w.until("web", healthy).Status.StableRS
	w.release("web", "v2")
	w.until("web", phase(v1alpha1.RolloutPhasePaused), atStep(1))
	kube.Eventually(t, within, func() error {
		if metric.questions() < 2 {
			return errors.New("not measured twice yet")
		}
		return nil
	})
	before := watch.History(t).Last()
	metric.say(value("0.5"))

	ro := w.until("web", phase(v1alpha1.RolloutPhaseDegraded), because("AbortedByAnalysis", "success-rate", "failed (2)", "failureLimit (1)"))
	want := "RolloutAborted: Rollout aborted update to revision 2: Background analysis phase error/failed: " +
		`Metric "success-rate" assessed Failed due to failed (2) > failureLimit (1) (value [0.5]; successCondition `
	if !strings.HasPrefix(ro.Status.Message, want) || !strings.Contains(ro.Status.Message, "; query ") {
		t.Errorf("message (-want +got):\n%s", cmp.Diff(want, ro.Status.Message))
	}
	if ro.Status.StableRS != stable || ro.Status.Canary.Weights.Canary.Weight != 0 {
		t.Errorf("stable is %s, the canary has weight %d", ro.Status.StableRS, ro.Status.Canary.Weights.Canary.Weight)
	}
	kube.Eventually(t, within, func() error {
		if got := w.selects("web-canary"); got != stable {
			return errors.New("the canary Service selects " + got)
		}
		return nil
	})
	var writes []string
	for _, c := range watch.History(t).Since(before).Of(observer.Ingress) {
		writes = append(writes, c.Object.GetAnnotations()["nginx.ingress.kubernetes.io/canary-weight"])
	}
	if !cmp.Equal(writes, []string{"0"}) {
		t.Errorf("the canary Ingress was written with the weights %v, want 0 once", writes)
	}

	metric.say(value("0.99"))
	w.run("retry", "rollout", "web")
	w.until("web", phase(v1alpha1.RolloutPhasePaused), atStep(1))
	w.run("promote", "web")
	if done := w.until("web", healthy); done.Status.StableRS == stable {
		t.Error("the retried update was not promoted")
	}
	w.madeOnce(watch, 2)
}

func TestAnalysisSteps(t *testing.T) {
	t.Parallel()
	steps := "[{setWeight: 50}, {analysis: {templates: [{templateName: measured}]}}, {setWeight: 80}]"
	for name, c := range map[string]struct {
		value string
		want  func(*v1alpha1.Rollout) error
	}{
		"a good one lets the update go on": {"0.99", healthy},
		"a bad one takes it back":          {"0.5", because("AbortedByAnalysis", "success-rate", "failed (1) > failureLimit (0)")},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			watch := w.watch("web")
			metric := newPrometheus(t, value(c.value))
			w.apply(manifest.Metric{Address: metric.URL, Fields: once}.YAML(), manifest.Canary{Steps: steps, Strategy: []string{quickAbort, quickEnd}}.All())
			stable := w.until("web", healthy).Status.StableRS
			w.release("web", "v2")
			ro := w.until("web", c.want)
			if promoted := ro.Status.StableRS != stable; promoted != (c.value == "0.99") {
				t.Errorf("promoted: %t", promoted)
			}
			w.madeOnce(watch, 2)
			if got := len(w.runs()); got != 1 {
				t.Errorf("%d AnalysisRuns, want 1", got)
			}
		})
	}
}

// TestAMetricWithoutAnAddressAsksTheControllersPrometheus goes by the environment of the controller.
func TestAMetricWithoutAnAddressAsksTheControllersPrometheus(t *testing.T) {
	w := newWorld(t)
	w.watch("web")
	steps := "[{setWeight: 50}, {analysis: {templates: [{templateName: measured}]}}]"
	w.apply(manifest.Metric{Fields: once}.YAML(), manifest.Canary{Steps: steps, Strategy: []string{quickEnd}}.All())
	w.until("web", healthy)
	w.release("web", "v2")
	w.until("web", healthy)
	runs := w.runs()
	if len(runs) != 1 || runs[0].Status.Phase != v1alpha1.AnalysisPhaseSuccessful {
		t.Fatalf("the analysis: %+v", runs)
	}
	if got := runs[0].Status.MetricResults[0].Measurements[0].Value; got != "[0.99]" {
		t.Errorf("measured %s, want [0.99]", got)
	}
}

func TestAnInconclusiveAnalysisWaitsForAPerson(t *testing.T) {
	w := newWorld(t)
	w.watch("web")
	metric := newPrometheus(t, value("0.9"))
	steps := "[{setWeight: 50}, {analysis: {templates: [{templateName: measured}]}}, {setWeight: 80}]"
	fields := []string{"count: 1", "successCondition: result[0] >= 0.95", "failureCondition: result[0] < 0.8"}
	w.apply(manifest.Metric{Address: metric.URL, Fields: fields}.YAML(), manifest.Canary{Steps: steps, Strategy: []string{quickEnd}}.All())
	stable := w.until("web", healthy).Status.StableRS
	w.release("web", "v2")
	ro := w.until("web", phase(v1alpha1.RolloutPhasePaused), because("InconclusiveAnalysis"))
	if ro.Status.StableRS != stable || !strings.Contains(ro.Status.Message, "InconclusiveAnalysis") {
		t.Errorf("%s", brief(ro))
	}
	code, _, stderr := w.plugin("status", "web", "--timeout", "20s")
	if code != 5 {
		t.Errorf("status ends with %d, want 5 for a pause that waits for a person: %s", code, stderr)
	}
	metric.say(value("0.99"))
	w.run("promote", "web")
	w.until("web", healthy)
}
