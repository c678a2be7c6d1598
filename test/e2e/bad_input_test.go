package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/test/e2e/manifest"
	"github.com/headway-rollouts/headway/test/faults/observer"
	"github.com/headway-rollouts/headway/test/kube"
)

// badInput is what a person got wrong, and what puts it right.
type badInput struct {
	bad, good string
	says      []string // the path of the field, and what to do
}

func missingObjects() map[string]badInput {
	c := manifest.Canary{}
	gated := manifest.Canary{Steps: gate}
	const path = "spec.strategy.canary."
	return map[string]badInput{
		"the stable Service is missing": {c.Rollout() + c.Service("canary") + c.Ingress(), c.Service("stable"), []string{path + "stableService", `"web-stable" not found`}},
		"the canary Service is missing": {c.Rollout() + c.Service("stable") + c.Ingress(), c.Service("canary"), []string{path + "canaryService", `"web-canary" not found`}},
		"the Ingress is missing": {
			c.Rollout() + c.Service("stable") + c.Service("canary"), c.Ingress(),
			[]string{path + "trafficRouting.nginx.stableIngress", `"web" not found`},
		},
		"the AnalysisTemplate is missing": {
			gated.All(), manifest.Metric{Fields: first(enough)}.YAML(),
			[]string{path + "steps[1].analysis.templates", `"measured" not found`},
		},
	}
}

func badSpecs() map[string]badInput {
	const path = "spec.strategy.canary.steps[0]"
	good := manifest.Canary{}.All()
	steps := func(text string) string { return manifest.Canary{Steps: text}.All() }
	return map[string]badInput{
		"a step does two things":        {steps("[{setWeight: 20, pause: {}}]"), good, []string{path, "setWeight, pause", "make a step of each"}},
		"a step does nothing":           {steps("[{}]"), good, []string{path, "set one of setWeight, pause"}},
		"a weight is negative":          {steps("[{setWeight: -1}]"), good, []string{path + ".setWeight", "-1", "must be between 0 and 100"}},
		"a weight is above the total":   {steps("[{setWeight: 101}]"), good, []string{path + ".setWeight", "101", "must be between 0 and 100"}},
		"a pause has no such duration":  {steps("[{pause: {duration: soon}}]"), good, []string{path + ".pause.duration", "soon", "5m"}},
		"a pause would end before now":  {steps("[{pause: {duration: -5m}}]"), good, []string{path + ".pause.duration", "-5m"}},
		"the containers are no list":    {strings.Replace(good, "containers: [{", "containers: many #", 1), good, []string{"spec.template", "malformed", "containers"}},
		"a container runs no image":     {strings.Replace(good, `, image: "example.com/web:v1"`, "", 1), good, []string{"spec.template.spec.containers[0].image", "name the image"}},
		"the selector selects others":   {strings.Replace(good, " labels: {app: web}", " labels: {app: shop}", 1), good, []string{"spec.template.metadata.labels", "make them agree"}},
		"both Services are the same":    {strings.Replace(good, "canaryService: web-canary", "canaryService: web-stable", 1), good, []string{"spec.strategy.canary.stableService", "each revision needs a Service of its own"}},
		"more pods than a cluster runs": {manifest.Canary{Replicas: "2000000000"}.All(), good, []string{"spec.replicas", "1000000"}},
	}
}

// longConditions are what a compiler of expressions must never see.
func longConditions() map[string]badInput {
	gated := manifest.Canary{Steps: gate}.All()
	const path = "spec.strategy.canary.steps[1].analysis.templates"
	gates := func(condition string) string { return manifest.Metric{Fields: first(condition)}.YAML() + gated }
	good := manifest.Metric{Fields: first(enough)}.YAML()
	return map[string]badInput{
		"a condition of 1 MB":                {gates(long(1 << 20)), good, []string{path, "'measured'", "above the limit of 1048576"}},
		"a condition of half of that":        {gates(long(1 << 19)), good, []string{path, "successCondition", "4096"}},
		"a condition in 100,000 parentheses": {gates(deep(100_000)), good, []string{path, "successCondition", "4096"}},
	}
}

// long is a condition with so many digits.
func long(digits int) string {
	return fmt.Sprintf("successCondition: %q", "result[0] > "+strings.Repeat("1", digits))
}

func TestBadInputIsNamedAndDoesNothingUntilItIsCorrected(t *testing.T) {
	t.Parallel()
	for _, inputs := range []map[string]badInput{missingObjects(), badSpecs(), longConditions()} {
		for name, input := range inputs {
			t.Run(name, func(t *testing.T) {
				w := newWorld(t)
				w.apply(input.bad)
				w.refuses(input)
				w.apply(input.good)
				ro := w.until("web", healthy)
				if made := w.replicaSets("web"); len(made) != 1 || invalid(ro) != nil {
					t.Errorf("corrected, it has %d ReplicaSets and the condition %+v", len(made), invalid(ro))
				}
			})
		}
	}
}

// refuses waits until the Rollout says what is wrong with it, everywhere people look.
func (w *world) refuses(input badInput) {
	w.Helper()
	ro := w.until("web", phase(v1alpha1.RolloutPhaseDegraded), because("InvalidSpec", input.says...))
	condition := invalid(ro)
	if condition == nil || holds(condition.Message, input.says...) != nil || holds(ro.Status.Message, input.says...) != nil {
		w.Errorf("the condition is %+v, the message %s", condition, ro.Status.Message)
	}
	if made := w.replicaSets(""); len(made) > 0 {
		w.Errorf("%d ReplicaSets were created for it", len(made))
	}
	if err := holds(w.run("why", "web"), append(input.says, "to go on", "correct the Rollout or create what it names")...); err != nil {
		w.Errorf("kubectl rollouts why: %v", err)
	}
	if code, _, _ := w.plugin("status", "web", "--watch=false"); code != 3 {
		w.Errorf("status ends with %d, want 3", code)
	}
	if err := shared.process.Running(); err != nil {
		w.Error(err)
	}
}

func TestWhatTheSchemaForbidsIsRefusedByTheAPIServer(t *testing.T) {
	t.Parallel()
	good := manifest.Canary{Steps: "[{setWeight: 20}]"}.All()
	for name, c := range map[string]struct{ was, is, path string }{
		"a weight in words":        {"setWeight: 20", "setWeight: lots", ".spec.strategy.canary.steps[0].setWeight"},
		"steps that are no list":   {"steps: [{setWeight: 20}]", "steps: {setWeight: 20}", ".spec.strategy.canary.steps"},
		"replicas in words":        {"replicas: 4", "replicas: many", ".spec.replicas"},
		"a Service that is a list": {"stableService: web-stable", "stableService: [web-stable]", ".spec.strategy.canary.stableService"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			err := w.tryApply(strings.Replace(good, c.was, c.is, 1))
			if err == nil || holds(err.Error(), c.path) != nil {
				t.Errorf("refused with %v, want a message with %s", err, c.path)
			}
			w.apply(good)
			w.until("web", healthy)
		})
	}
}

// TestAnInvalidEditLeavesPodsAndTrafficAlone breaks a Rollout in the middle of an update.
func TestAnInvalidEditLeavesPodsAndTrafficAlone(t *testing.T) {
	w := newWorld(t)
	watch := w.watch("web")
	stable, tried := w.halfway(manifest.Canary{})
	pods := w.podsOf(stable)
	before := watch.History(t).Last()
	w.patch(named("web"), `{"spec":{"progressDeadlineSeconds":-1}}`)
	w.release("web", "v3")
	ro := w.until("web", phase(v1alpha1.RolloutPhaseDegraded), because("InvalidSpec", "spec.progressDeadlineSeconds"))
	if ro.Status.StableRS != stable || ro.Status.Abort {
		t.Error(brief(ro))
	}
	onlyRollouts(t, watch.History(t).Since(before))
	w.patch(named("web"), `{"spec":{"progressDeadlineSeconds":null}}`)
	w.until("web", phase(v1alpha1.RolloutPhasePaused), atStep(1), current(w.third(stable, tried)))
	if now := w.podsOf(stable); !cmp.Equal(pods, now) {
		t.Errorf("the stable pods were replaced (-before +after):\n%s", cmp.Diff(pods, now))
	}
	w.run("promote", "web")
	w.until("web", healthy)
}

// onlyRollouts checks that nothing was changed but Rollouts.
func onlyRollouts(t *testing.T, changes observer.History) {
	t.Helper()
	for _, c := range changes {
		if c.Kind != observer.Rollout {
			t.Errorf("%s %s was changed at version %d", c.Kind, c.Name, c.Version)
		}
	}
}

// TestARunWithAnEndlessConditionEndsInError makes AnalysisRuns by hand.
func TestARunWithAnEndlessConditionEndsInError(t *testing.T) {
	t.Parallel()
	metric := newPrometheus(t, value("0.99"))
	for name, c := range map[string]struct {
		condition string
		phase     v1alpha1.AnalysisPhase
		says      []string
	}{
		"1 MB":                {long(1 << 20), v1alpha1.AnalysisPhaseError, []string{"metrics[0].successCondition", "4096"}},
		"100,000 parentheses": {deep(100_000), v1alpha1.AnalysisPhaseError, []string{"metrics[0].successCondition", "4096"}},
		"64 parentheses":      {deep(64), v1alpha1.AnalysisPhaseSuccessful, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			text := manifest.Metric{Name: "by-hand", Address: metric.URL, Fields: first(c.condition)}.YAML()
			w.apply(strings.Replace(text, "kind: AnalysisTemplate", "kind: AnalysisRun", 1))
			run := &v1alpha1.AnalysisRun{}
			kube.Eventually(t, within, func() error {
				if err := w.client.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: "by-hand"}, run); err != nil {
					return err
				}
				if run.Status.Phase != c.phase {
					return fmt.Errorf("it is %s: %s", run.Status.Phase, run.Status.Message)
				}
				return holds(run.Status.Message, c.says...)
			})
		})
	}
}
