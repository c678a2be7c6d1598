package plan_test

import (
	"fmt"
	"math/rand"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/experiment/plan"
)

// TestRandomHistories plays what may happen to an Experiment, with a controller
// that is killed after any subset of its writes and loses its status writes. In
// the end there are no more faults: it must come to rest, and once it has ended,
// leave nothing behind.
func TestRandomHistories(t *testing.T) {
	histories := int64(2000)
	if os.Getenv("HEADWAY_LONG") != "" {
		histories = 100_000
	}
	ends := map[v1alpha1.AnalysisPhase]int{}
	for seed := range histories {
		c := history(t, seed)
		ends[c.e.Status.Phase]++
		if t.Failed() {
			t.Fatalf("seed %d:\n%s", seed, strings.Join(c.log, "\n"))
		}
	}
	for _, phase := range []v1alpha1.AnalysisPhase{
		v1alpha1.AnalysisPhaseSuccessful, v1alpha1.AnalysisPhaseFailed, v1alpha1.AnalysisPhaseError,
		v1alpha1.AnalysisPhaseInconclusive, v1alpha1.AnalysisPhaseRunning,
	} {
		if ends[phase] < int(histories)/100 {
			t.Errorf("only %d of %d histories end %s: the others prove little", ends[phase], histories, phase)
		}
	}
}

func history(t *testing.T, seed int64) *cluster {
	t.Helper()
	r := rand.New(rand.NewSource(seed))
	c := newCluster(randomExperiment(r))
	for range 10 + r.Intn(40) {
		c.happens(r)
		c.interrupted(t, r)
		if r.Intn(3) > 0 {
			c.settle()
		}
		if len(c.broken) > 0 {
			t.Errorf("rules broken:\n%s", strings.Join(c.broken, "\n"))
			return c
		}
	}
	c.stuck, c.taken, c.refuse = map[string]bool{}, map[string]bool{}, map[string]plan.Refusal{}
	c.comesToRest(t)
	if c.e.Status.Phase.Completed() {
		c.now = c.now.Add(time.Hour)
		c.comesToRest(t)
		c.leftNothing(t)
	}
	return c
}

func randomExperiment(r *rand.Rand) *v1alpha1.Experiment {
	templates := []string{"purple:1", "orange:2", "green:0"}[:1+r.Intn(3)]
	analyses := [][]string{nil, {"load"}, {"load!"}, {"load!", "soak"}, {"load!", "soak!", "watch"}}[r.Intn(5)]
	e := experiment(templates, analyses)
	e.Spec.Duration = []v1alpha1.DurationString{"", "30s", "2m"}[r.Intn(3)]
	e.Spec.ProgressDeadlineSeconds = ptr.To[int32](60)
	e.Spec.ScaleDownDelaySeconds = []*int32{nil, ptr.To[int32](0), ptr.To[int32](5)}[r.Intn(3)]
	if r.Intn(2) == 0 {
		e.Spec.Templates[0].Service = &v1alpha1.TemplateService{}
	}
	return e
}

// happens is one thing that people, pods or metrics do.
func (c *cluster) happens(r *rand.Rand) {
	template := c.e.Spec.Templates[r.Intn(len(c.e.Spec.Templates))].Name
	set := c.sets[c.e.Name+"-"+template]
	what := ""
	switch n := r.Intn(100); {
	case n < 30:
		c.now = c.now.Add(time.Duration(r.Intn(20000)) * time.Millisecond)
	case n < 35:
		c.now = c.now.Add(time.Minute)
	case n < 55:
		what = c.verdict(r)
	case n < 58:
		c.stuck[template], what = true, template+" is stuck"
	case n < 66:
		c.stuck = map[string]bool{}
	case n < 70 && set != nil:
		set.Available, set.Ready = 0, 0
		what = template + " loses its pods"
	case n < 72:
		delete(c.sets, c.e.Name+"-"+template)
		what = template + " loses its ReplicaSet"
	case n < 75:
		c.taken[template] = !c.taken[template]
	case n < 77:
		c.e.Spec.Terminate, what = true, "terminate"
	case n < 84 && c.e.Status.Phase.Completed():
		c.e.Spec.Terminate, what = false, "retry"
		c.retry()
	case n < 86:
		c.template(template).Replicas = ptr.To(int32(r.Intn(4)))
	case n < 88:
		c.tags[template] = fmt.Sprint(r.Intn(3))
	case n < 89:
		c.invalid, what = field.Required(field.NewPath("spec"), "something"), "invalid"
		if c.endedAt.IsZero() && c.invalidEnded() {
			c.endedAt, c.told = c.before, true // The correction was never recorded.
		}
	case n < 91 && c.invalid != nil:
		what = "mended"
		if c.invalidEnded() {
			c.again()
		}
		c.invalid = nil
	case n < 93:
		c.refuse[template] = plan.Refusal{Template: template, Message: "refused", Final: r.Intn(4) == 0}
	case n < 97:
		c.refuse = map[string]plan.Refusal{}
	case n < 98:
		c.unmeasure()
		what = "the runs are deleted"
	case n < 99:
		c.missing["load"] = !c.missing["load"]
	}
	if what != "" {
		c.log = append(c.log, "> "+what)
	}
}

// invalidEnded reports whether the spec ended the Experiment, which begins anew once it is corrected.
func (c *cluster) invalidEnded() bool {
	for _, condition := range c.e.Status.Conditions {
		if condition.Type == v1alpha1.ExperimentInvalidSpec {
			return true
		}
	}
	return false
}

func (c *cluster) verdict(r *rand.Rand) string {
	if len(c.runs) == 0 {
		return ""
	}
	run := c.runs[r.Intn(len(c.runs))]
	if run.Phase.Completed() {
		return ""
	}
	run.Phase = []v1alpha1.AnalysisPhase{
		v1alpha1.AnalysisPhaseSuccessful, v1alpha1.AnalysisPhaseSuccessful, v1alpha1.AnalysisPhaseSuccessful,
		v1alpha1.AnalysisPhaseFailed, v1alpha1.AnalysisPhaseInconclusive, v1alpha1.AnalysisPhaseError,
	}[r.Intn(6)]
	return fmt.Sprintf("%s is %s", run.Name, run.Phase)
}

// interrupted is a reconciliation of which any action, and the status, may be lost.
func (c *cluster) interrupted(t *testing.T, r *rand.Rand) {
	t.Helper()
	snapshot := c.snapshot()
	p := plan.Make(snapshot)
	if again := plan.Make(c.snapshot()); !reflect.DeepEqual(p, again) {
		t.Errorf("equal snapshots give different plans:\n%s", cmp.Diff(p, again))
	}
	var refusals []plan.Refusal
	for _, action := range p.Actions {
		if r.Intn(4) == 0 {
			c.log = append(c.log, "lost: "+action.String())
			continue
		}
		if refusal, refused := c.do(action); refused {
			refusals = append(refusals, refusal)
		}
	}
	p = plan.Refused(snapshot, p, refusals)
	if r.Intn(4) > 0 && !reflect.DeepEqual(snapshot.Experiment.Status, p.Status) {
		c.store(p)
	}
}

// comesToRest plays without faults until nothing is left to do.
func (c *cluster) comesToRest(t *testing.T) {
	t.Helper()
	for range 60 {
		c.settle()
		before := len(c.log)
		p, changed := c.pass()
		if len(c.broken) > 0 {
			t.Errorf("rules broken:\n%s", strings.Join(c.broken, "\n"))
			return
		}
		if changed || len(c.log) != before {
			continue
		}
		if p.Wake == 0 || p.Wake > 10*time.Second {
			return
		}
		c.now = c.now.Add(p.Wake)
	}
	t.Errorf("never at rest")
}

// leftNothing checks what an Experiment that has ended leaves behind.
func (c *cluster) leftNothing(t *testing.T) {
	t.Helper()
	for name, set := range c.sets {
		if set.Replicas > 0 || set.Available > 0 {
			t.Errorf("%s has %d pods, and the Experiment has ended", name, set.Replicas)
		}
	}
	if len(c.services) > 0 {
		t.Errorf("Services are left: %v", c.services)
	}
	for _, run := range c.runs {
		if !run.Phase.Completed() {
			t.Errorf("%s still runs", run.Name)
		}
	}
	for _, st := range c.e.Status.TemplateStatuses {
		if !st.Status.Completed() {
			t.Errorf("template %s is %s, and the Experiment has ended", st.Name, st.Status)
		}
	}
}
