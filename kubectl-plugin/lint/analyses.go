package lint

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// user is an object that uses templates, and what was found of them.
type user struct {
	linter *linter
	object *object
	// incomplete is true when a template is in none of the files: then little can be said.
	incomplete bool
	// broken is true when a template has errors of its own.
	broken bool
	// declared are the arguments of all templates, and origin is the template of each metric.
	declared []v1alpha1.Argument
	origin   map[string]string
}

func (l *linter) user(o *object) *user {
	return &user{linter: l, object: o, origin: map[string]string{}}
}

var errElsewhere = errors.New("it is in none of the files")

// lookup finds a template in the files.
func (u *user) lookup(ref v1alpha1.AnalysisTemplateRef) (*v1alpha1.AnalysisTemplateSpec, error) {
	for _, o := range u.linter.objects {
		spec := specOf(o, ref.ClusterScope)
		if spec == nil || o.Name != ref.TemplateName || !ref.ClusterScope && !near(o.Namespace, u.object.Namespace) {
			continue
		}
		u.broken = u.broken || o.failed
		u.declared = append(u.declared, spec.Args...)
		for i := range spec.Metrics {
			u.origin[spec.Metrics[i].Name] = ref.TemplateName
		}
		return spec, nil
	}
	u.incomplete = true
	return nil, errElsewhere
}

func specOf(o *object, cluster bool) *v1alpha1.AnalysisTemplateSpec {
	switch it := o.typed.(type) {
	case *v1alpha1.AnalysisTemplate:
		if !cluster {
			return &it.Spec
		}
	case *v1alpha1.ClusterAnalysisTemplate:
		if cluster {
			return &it.Spec
		}
	}
	return nil
}

func (u *user) flatten(refs []v1alpha1.AnalysisTemplateRef, args []v1alpha1.Argument) (v1alpha1.AnalysisRunSpec, error) {
	return analysis.Flatten(refs, u.lookup, analysis.Overrides{Args: args})
}

// use is one analysis as an object asks for it.
type use struct {
	path *field.Path
	// templates is the path of what names the templates.
	templates *field.Path
	refs      []v1alpha1.AnalysisTemplateRef
	args      []v1alpha1.Argument
	// guessed is true when the value of an argument is known only in the cluster.
	guessed   bool
	dryRun    []v1alpha1.DryRun
	retention []v1alpha1.MeasurementRetention
	// waits says what does not end before the analysis does; empty when nothing waits.
	waits string
}

// analysis checks one use of templates.
func (l *linter) analysis(o *object, a use) {
	u := l.user(o)
	spec, err := analysis.Flatten(a.refs, u.lookup, analysis.Overrides{Args: a.args, DryRun: a.dryRun, MeasurementRetention: a.retention})
	if u.incomplete || u.broken {
		return
	}
	if err != nil {
		message := err.Error()
		if strings.HasSuffix(message, "was not resolved") {
			message += ": give it in args, or give a default in the template"
		}
		l.fail(o.field(a.templates), RuleTemplate, message)
		return
	}
	l.superfluous(o, a, u)
	if message := unmeasurable(settled(spec)); message != "" && !a.guessed {
		l.fail(o.field(a.templates), RuleTemplate, message)
		return
	}
	if a.waits == "" {
		return
	}
	values := valuesOf(spec.Args)
	for _, metric := range spec.Metrics {
		if filled, known := fill(metric, values); known && endless(&filled) {
			l.warn(o.field(a.templates), RuleEndless, fmt.Sprintf("metric %s of template %s has an interval and no count, so it never ends, and neither does %s: give it a count",
				metric.Name, u.origin[metric.Name], a.waits))
		}
	}
}

// superfluous finds arguments that no template has.
func (l *linter) superfluous(o *object, a use, u *user) {
	declared := namesOf(u.declared)
	for i, arg := range a.args {
		if !declared[arg.Name] {
			l.warn(o.field(a.path.Child("args").Index(i)), RuleArgument, fmt.Sprintf("no template declares the argument %q, so it is ignored: correct its name, or remove it", arg.Name))
		}
	}
}

// settled is a spec whose arguments all have values.
func settled(spec v1alpha1.AnalysisRunSpec) *v1alpha1.AnalysisRunSpec {
	out := spec.DeepCopy()
	value := placeholder
	for i := range out.Args {
		if from := out.Args[i].ValueFrom; from != nil && from.FieldRef != nil {
			out.Args[i] = v1alpha1.Argument{Name: out.Args[i].Name, Value: &value}
		}
	}
	return out
}

// endless reports a metric that is measured until somebody ends it.
func endless(metric *v1alpha1.Metric) bool {
	if limit := metric.ConsecutiveSuccessLimit; limit != nil && limit.String() != "0" {
		return false
	}
	if metric.Count == nil {
		return metric.Interval != ""
	}
	return metric.Count.String() == "0"
}

// given are the arguments of a Rollout. Those that are read from it have a placeholder.
func given(args []v1alpha1.AnalysisRunArgument) (out []v1alpha1.Argument, guessed bool) {
	for _, arg := range args {
		value := arg.Value
		if arg.ValueFrom != nil {
			value, guessed = placeholder, true
		}
		out = append(out, v1alpha1.Argument{Name: arg.Name, Value: &value})
	}
	return out, guessed
}

// ofRollout is an analysis that a Rollout asks for.
func ofRollout(a *v1alpha1.RolloutAnalysis, path *field.Path, waits string) use {
	args, guessed := given(a.Args)
	return use{
		path: path, templates: path.Child("templates"), refs: a.Templates, args: args, guessed: guessed,
		dryRun: a.DryRun, retention: a.MeasurementRetention, waits: waits,
	}
}

// analyses checks all analyses that a Rollout asks for.
func (l *linter) analyses(o *object, ro *v1alpha1.Rollout) {
	check := func(a *v1alpha1.RolloutAnalysis, path *field.Path, waits string) {
		if a != nil {
			l.analysis(o, ofRollout(a, path, waits))
		}
	}
	check(ro.Spec.InitialAnalysis, field.NewPath("spec", "initialAnalysis"), "the first deploy")
	if canary := ro.Spec.Strategy.Canary; canary != nil {
		path := field.NewPath("spec", "strategy", "canary")
		if canary.Analysis != nil {
			check(&canary.Analysis.RolloutAnalysis, path.Child("analysis"), "")
		}
		for i := range canary.Steps {
			at := path.Child("steps").Index(i)
			check(canary.Steps[i].Analysis, at.Child("analysis"), "the step")
			if e := canary.Steps[i].Experiment; e != nil {
				l.experimentStep(o, e, at.Child("experiment"))
			}
		}
	}
	if blueGreen := ro.Spec.Strategy.BlueGreen; blueGreen != nil {
		path := field.NewPath("spec", "strategy", "blueGreen")
		check(blueGreen.PrePromotionAnalysis, path.Child("prePromotionAnalysis"), "the update")
		check(blueGreen.PostPromotionAnalysis, path.Child("postPromotionAnalysis"), "the update")
	}
}

// experimentStep checks an Experiment that is a step.
func (l *linter) experimentStep(o *object, e *v1alpha1.RolloutExperimentStep, path *field.Path) {
	ends := e.Duration != ""
	for i := range e.Analyses {
		ref, at := &e.Analyses[i], path.Child("analyses").Index(i)
		ends = ends || ref.RequiredForCompletion
		args, guessed := given(ref.Args)
		l.analysis(o, use{
			path: at, templates: at.Child("templateName"), args: args, guessed: guessed, dryRun: e.DryRun, waits: waiting(ref.RequiredForCompletion, "the step"),
			refs: []v1alpha1.AnalysisTemplateRef{{TemplateName: ref.TemplateName, ClusterScope: ref.ClusterScope}},
		})
	}
	if !ends && len(e.Templates) > 0 {
		l.warn(o.field(path), RuleEndless, "the experiment has no duration and requires no analysis, so the step ends only when an analysis fails: "+
			"give it a duration, or set requiredForCompletion")
	}
}

// waiting is what waits for an analysis of an Experiment: nothing, unless it is required.
func waiting(required bool, who string) string {
	if !required {
		return ""
	}
	return who
}

// experiment checks an Experiment.
func (l *linter) experiment(o *object, e *v1alpha1.Experiment) {
	l.invalid(o, v1alpha1.ValidateExperiment(e))
	for i := range e.Spec.Analyses {
		ref, at := &e.Spec.Analyses[i], field.NewPath("spec", "analyses").Index(i)
		guessed := false
		for j, arg := range ref.Args {
			if arg.Value != nil {
				l.tags(o.field(at.Child("args").Index(j).Child("value")), e, *arg.Value)
				guessed = guessed || tag.MatchString(*arg.Value)
			}
		}
		l.analysis(o, use{
			path: at, templates: at.Child("templateName"), args: plainly(ref.Args), guessed: guessed,
			dryRun: e.Spec.DryRun, retention: e.Spec.MeasurementRetention, waits: waiting(ref.RequiredForCompletion, "the Experiment"),
			refs: []v1alpha1.AnalysisTemplateRef{{TemplateName: ref.TemplateName, ClusterScope: ref.ClusterScope}},
		})
	}
}

// plainly are arguments with a placeholder for what is known only in the cluster.
func plainly(args []v1alpha1.Argument) []v1alpha1.Argument {
	out := slices.Clone(args)
	for i := range out {
		if out[i].Value != nil {
			value := tag.ReplaceAllString(*out[i].Value, placeholder)
			out[i].Value = &value
		}
	}
	return out
}

// tags checks what stands in braces in an argument of an Experiment.
func (l *linter) tags(at about, e *v1alpha1.Experiment, text string) {
	known := []string{"experiment.availableAt"}
	if e.Spec.Duration != "" {
		known = append(known, "experiment.finishedAt")
	}
	for i := range e.Spec.Templates {
		name := e.Spec.Templates[i].Name
		known = append(known, "templates."+name+".podTemplateHash", "templates."+name+".replicaset.name")
	}
	for _, name := range tagsOf(text) {
		if !slices.Contains(known, name) {
			l.fail(at, RuleArgument, fmt.Sprintf("{{%s}} is not known: it may be %s", name, strings.Join(known, ", ")))
		}
	}
}
