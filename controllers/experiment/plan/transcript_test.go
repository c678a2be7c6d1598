package plan_test

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/experiment/plan"
	"github.com/headway-rollouts/headway/test/transcript"
)

func TestTranscripts(t *testing.T) {
	transcript.Play(t, "testdata/*.txt", func(t *testing.T) transcript.Story { return &story{T: t} })
}

// story is a transcript being played.
type story struct {
	*testing.T
	cluster *cluster
}

// Tell runs commands and then the planner, until it rests.
func (s *story) Tell(commands []string) []string {
	from := 0
	if s.cluster != nil {
		from = len(s.cluster.log)
	}
	for _, command := range commands {
		s.do(command)
	}
	s.rest()
	return append(slices.Clone(s.cluster.log[from:]), s.summary()...)
}

// Broken are the rules of the model that were broken.
func (s *story) Broken() []string {
	if s.cluster == nil {
		return nil
	}
	return s.cluster.broken
}

func (s *story) rest() {
	s.Helper()
	for range 40 {
		before := len(s.cluster.log)
		p, changed := s.cluster.pass()
		s.cluster.settle()
		refusing := len(s.cluster.refuse) > 0 && !changed
		if refusing || !changed && len(s.cluster.log) == before && cmp.Diff(plan.Make(s.cluster.snapshot()), p) == "" {
			return
		}
	}
	s.Errorf("never at rest")
}

// pass is one reconciliation without a fault.
func (c *cluster) pass() (plan.Plan, bool) {
	snapshot := c.snapshot()
	p := plan.Make(snapshot)
	var refusals []plan.Refusal
	for _, action := range p.Actions {
		if refusal, refused := c.do(action); refused {
			refusals = append(refusals, refusal)
		}
	}
	p = plan.Refused(snapshot, p, refusals)
	changed := !reflect.DeepEqual(snapshot.Experiment.Status, p.Status)
	if changed {
		c.store(p)
	}
	return p, changed
}

func (s *story) summary() []string {
	st := s.cluster.e.Status
	out := []string{strings.TrimRight(fmt.Sprintf("= %s %s", st.Phase, st.Message), " ")}
	for _, t := range st.TemplateStatuses {
		text := fmt.Sprintf("= %s %s %d/%d", t.Name, t.Status, t.AvailableReplicas, t.Replicas)
		if t.ServiceName != "" {
			text += " behind " + t.ServiceName
		}
		if t.Message != "" {
			text += ": " + t.Message
		}
		out = append(out, text)
	}
	for _, run := range st.AnalysisRuns {
		out = append(out, strings.TrimRight(fmt.Sprintf("= analysis %s: %s %s %s", run.Name, run.AnalysisRun, run.Phase, run.Message), " "))
	}
	out = append(out, whyLine(st.Why))
	if wake := plan.Make(s.cluster.snapshot()).Wake; wake > 0 {
		out = append(out, "= again in "+wake.String())
	}
	return out
}

func whyLine(why *v1alpha1.Why) string {
	text := fmt.Sprintf("= why %s: %s", why.Code, why.Message)
	if why.Next != nil {
		text += " Next: " + why.Next.Event
		if why.Next.At != nil {
			text += " at " + why.Next.At.UTC().Format(time.RFC3339)
		}
		text += "."
	}
	if why.Unblock != "" {
		text += " Unblock: " + why.Unblock + "."
	}
	return text
}

func (s *story) do(command string) {
	f := append(strings.Fields(command), "", "", "")
	arg := strings.TrimSpace(strings.TrimPrefix(command, f[0]))
	if s.cluster == nil && f[0] != "experiment" {
		s.Fatalf("the story must begin with an experiment, not %q", command)
	}
	c := s.cluster
	switch f[0] {
	case "experiment":
		s.cluster = newCluster(s.experiment(strings.Fields(arg)))
	case "verdict":
		run := c.newest(f[1])
		run.Phase, run.Message = v1alpha1.AnalysisPhase(f[2]), strings.Join(strings.Fields(command)[3:], " ")
	case "stuck":
		c.stuck[f[1]] = true
	case "free":
		c.stuck, c.taken, c.missing, c.refuse = map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]plan.Refusal{}
	case "available":
		set := c.sets[c.e.Name+"-"+f[1]]
		set.Ready, set.Available = s.number(f[2]), s.number(f[2])
	case "full": // of pods, which a quota refuses
		c.sets[c.e.Name+"-"+f[1]].Failure = strings.TrimSpace(strings.TrimPrefix(arg, f[1]))
	case "terminate":
		c.e.Spec.Terminate = true
	case "retry":
		c.retry()
	case "lose":
		delete(c.sets, c.e.Name+"-"+f[1])
	case "unmeasure":
		c.unmeasure()
	case "take":
		c.taken[f[1]] = true
	case "missing":
		c.missing[f[1]] = true
	case "refuse", "forbid":
		about := strings.TrimPrefix(f[1], "service-")
		c.refuse[f[1]] = plan.Refusal{Template: about, Analysis: about, Message: strings.TrimSpace(strings.TrimPrefix(arg, f[1])), Final: f[0] == "forbid"}
	case "replicas":
		c.template(f[1]).Replicas = ptr.To(s.number(f[2]))
	case "image":
		c.tags[f[1]] = f[2]
	case "drop":
		c.e.Spec.Templates = c.e.Spec.Templates[:len(c.e.Spec.Templates)-1]
	case "break":
		c.invalid = field.Invalid(field.NewPath("spec", "templates"), "x", arg)
	case "mend":
		c.invalid = nil
		c.again()
	case "wait":
		d, err := time.ParseDuration(arg)
		if err != nil {
			s.Fatal(err)
		}
		c.now = c.now.Add(d)
	case "look": // nothing happens
	default:
		s.Fatalf("unknown command %q", command)
	}
}

func (s *story) number(text string) int32 {
	s.Helper()
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		s.Fatal(err)
	}
	return int32(n)
}

// experiment reads `templates=purple,orange:2 analyses=load,errors! services=purple duration=5m …`.
func (s *story) experiment(options []string) *v1alpha1.Experiment {
	given := map[string]string{}
	for _, option := range options {
		key, value, _ := strings.Cut(option, "=")
		given[key] = value
	}
	list := func(key string) []string {
		if given[key] == "" {
			return nil
		}
		return strings.Split(given[key], ",")
	}
	e := experiment(list("templates"), list("analyses"))
	for _, name := range list("services") {
		name, service, _ := strings.Cut(name, ":")
		for i := range e.Spec.Templates {
			if e.Spec.Templates[i].Name == name {
				e.Spec.Templates[i].Service = &v1alpha1.TemplateService{Name: service}
			}
		}
	}
	e.Spec.Duration = v1alpha1.DurationString(given["duration"])
	if given["deadline"] != "" {
		e.Spec.ProgressDeadlineSeconds = ptr.To(s.number(given["deadline"]))
	}
	if given["delay"] != "" {
		e.Spec.ScaleDownDelaySeconds = ptr.To(s.number(given["delay"]))
	}
	return e
}
