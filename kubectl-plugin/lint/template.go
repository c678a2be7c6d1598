package lint

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/analysis/expr"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// epoch is a time for rules that do not depend on it.
var epoch = time.Unix(0, 0)

// placeholder stands for the value of an argument that a file does not have. It
// is a number and a text, so most that are written around it can be read.
const placeholder = "1"

// template checks a template as far as it alone can tell.
func (l *linter) template(o *object, spec *v1alpha1.AnalysisTemplateSpec) {
	at := field.NewPath("spec")
	l.invalid(o, v1alpha1.ValidateMetrics(spec.Metrics, at.Child("metrics")))
	l.invalid(o, v1alpha1.ValidateRules(spec.DryRun, spec.MeasurementRetention, at))
	if len(spec.Metrics) == 0 && len(spec.Templates) == 0 {
		l.warn(o.field(at), RuleTemplate, "the template has neither metrics nor templates, so there is nothing to measure: add metrics")
	}
	l.arguments(o, spec.Args)
	l.metrics(o, spec.Metrics, spec.Args)
	l.declared(o, spec)
	for i, ref := range spec.Templates {
		if ref.TemplateName == "" {
			l.fail(o.field(at.Child("templates").Index(i).Child("templateName")), RuleValidation, "Required value: name the template whose metrics are added")
		}
	}
	if len(spec.Templates) == 0 || o.failed {
		return
	}
	u := l.user(o)
	if _, err := u.flatten(refTo(o), placeholders(spec.Args)); err != nil && !u.incomplete {
		l.fail(o.field(at.Child("templates")), RuleTemplate, err.Error())
	}
}

// refTo is how others refer to a template.
func refTo(o *object) []v1alpha1.AnalysisTemplateRef {
	return []v1alpha1.AnalysisTemplateRef{{TemplateName: o.Name, ClusterScope: o.Kind.Kind == "ClusterAnalysisTemplate"}}
}

// run checks an AnalysisRun, whose arguments are all given.
func (l *linter) run(o *object, run *v1alpha1.AnalysisRun) {
	at := field.NewPath("spec")
	l.invalid(o, v1alpha1.ValidateMetrics(run.Spec.Metrics, at.Child("metrics")))
	l.invalid(o, v1alpha1.ValidateRules(run.Spec.DryRun, run.Spec.MeasurementRetention, at))
	l.arguments(o, run.Spec.Args)
	l.metrics(o, run.Spec.Metrics, run.Spec.Args)
	if o.failed {
		return
	}
	if message := unmeasurable(&run.Spec); message != "" {
		l.fail(o.field(at), RuleTemplate, message)
		return
	}
	tags := tagSet(run.Spec.Metrics, run.Spec.DryRun, run.Spec.MeasurementRetention)
	for i, arg := range run.Spec.Args {
		if !tags["args."+arg.Name] {
			l.warn(o.field(at.Child("args").Index(i)), RuleArgument, fmt.Sprintf("no metric uses {{args.%s}}: remove the argument, or use it", arg.Name))
		}
	}
}

// unmeasurable says why the controller cannot take a run; empty when it can.
func unmeasurable(spec *v1alpha1.AnalysisRunSpec) string {
	status, _ := analysis.Next(&v1alpha1.AnalysisRun{Spec: *spec}, nil, epoch)
	if status.Phase == v1alpha1.AnalysisPhaseError {
		return strings.TrimPrefix(status.Message, "Analysis spec invalid: ")
	}
	values, secrets, err := analysis.ArgValues(spec.Args)
	if err != nil {
		return err.Error()
	}
	for _, secret := range secrets {
		values[secret.Name] = analysis.Redacted
	}
	for _, metric := range spec.Metrics {
		if _, err := analysis.ResolveMetric(metric, values); err != nil {
			return err.Error() + ": only {{args.NAME}} of an argument that is declared is filled in"
		}
	}
	return ""
}

// arguments checks how arguments are declared.
func (l *linter) arguments(o *object, args []v1alpha1.Argument) {
	seen := map[string]bool{}
	for i, arg := range args {
		at := field.NewPath("spec", "args").Index(i)
		switch {
		case arg.Name == "":
			l.fail(o.field(at.Child("name")), RuleValidation, "Required value: name the argument")
		case seen[arg.Name]:
			l.fail(o.field(at.Child("name")), RuleValidation, fmt.Sprintf("the argument %q is declared twice: remove one", arg.Name))
		}
		seen[arg.Name] = true
		from := arg.ValueFrom
		switch {
		case from == nil:
		case arg.Value != nil:
			l.fail(o.field(at.Child("valueFrom")), RuleValidation, "an argument has one value: remove value or valueFrom")
		case (from.SecretKeyRef == nil) == (from.FieldRef == nil):
			l.fail(o.field(at.Child("valueFrom")), RuleValidation, "set exactly one of secretKeyRef and fieldRef")
		}
	}
}

// tag finds what is filled in.
var tag = regexp.MustCompile(`\{\{([^{}]*)\}\}`)

// tagsOf are the tags in the text of anything, without their braces, each once.
func tagsOf(parts ...any) []string {
	text, err := json.Marshal(parts)
	if err != nil {
		return nil
	}
	var names []string
	seen := map[string]bool{}
	for _, found := range tag.FindAllSubmatch(text, -1) {
		if name := strings.TrimSpace(string(found[1])); !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	return names
}

func tagSet(parts ...any) map[string]bool {
	set := map[string]bool{}
	for _, name := range tagsOf(parts...) {
		set[name] = true
	}
	return set
}

// namesOf are the names of arguments.
func namesOf(args []v1alpha1.Argument) map[string]bool {
	set := map[string]bool{}
	for _, arg := range args {
		set[arg.Name] = true
	}
	return set
}

// declared compares the arguments of a template with those it uses. A template
// that runs with others shares their arguments, so nothing here is an error.
func (l *linter) declared(o *object, spec *v1alpha1.AnalysisTemplateSpec) {
	tags := tagSet(spec.Metrics, spec.DryRun, spec.MeasurementRetention)
	for i, arg := range spec.Args {
		if len(spec.Templates) == 0 && arg.Name != "" && !tags["args."+arg.Name] {
			l.warn(o.field(field.NewPath("spec", "args").Index(i)), RuleArgument, fmt.Sprintf("no metric uses {{args.%s}}: remove the argument, or use it", arg.Name))
		}
	}
	names := namesOf(spec.Args)
	for i := range spec.Metrics {
		for _, name := range tagsOf(spec.Metrics[i]) {
			l.undeclared(o.field(field.NewPath("spec", "metrics").Index(i)), name, names)
		}
	}
}

func (l *linter) undeclared(at about, name string, declared map[string]bool) {
	arg, isArg := strings.CutPrefix(name, "args.")
	switch {
	case !isArg:
		l.fail(at, RuleArgument, fmt.Sprintf("{{%s}} cannot be filled in: write {{args.NAME}}", name))
	case !declared[arg]:
		l.warn(at, RuleArgument, fmt.Sprintf(
			"{{args.%s}} is never given: declare it in spec.args, or the run ends in Error unless a template that runs with this one declares it", arg))
	}
}

// metrics checks what metrics are judged by.
func (l *linter) metrics(o *object, metrics []v1alpha1.Metric, args []v1alpha1.Argument) {
	values := valuesOf(args)
	for i := range metrics {
		at := field.NewPath("spec", "metrics").Index(i)
		filled, known := fill(metrics[i], values)
		for _, c := range []struct{ name, source string }{{"successCondition", filled.SuccessCondition}, {"failureCondition", filled.FailureCondition}} {
			if c.source == "" {
				continue
			}
			// Text that an argument completes may be wrong only because the argument is not known.
			if err := expr.Check(c.source); err != nil && known {
				l.fail(o.field(at.Child(c.name)), RuleValidation, err.Error())
			}
		}
		l.data(o.field(at), &filled)
	}
}

// valuesOf are the arguments that have a value, by their tags.
func valuesOf(args []v1alpha1.Argument) map[string]string {
	values := map[string]string{}
	for _, arg := range args {
		if arg.Value != nil {
			values["args."+arg.Name] = *arg.Value
		}
	}
	return values
}

// fill fills in the arguments of a metric, by their values or a placeholder.
// known is false when a placeholder stands in it.
func fill(metric v1alpha1.Metric, values map[string]string) (filled v1alpha1.Metric, known bool) {
	bare := metric
	bare.Provider = v1alpha1.MetricProvider{}
	known = true
	byName := map[string]string{}
	for _, name := range tagsOf(bare) {
		value, given := values[name]
		if !given {
			value, known = placeholder, false
		}
		byName[strings.TrimPrefix(name, "args.")] = value
	}
	filled, err := analysis.ResolveMetric(bare, byName)
	if err != nil {
		filled, known = bare, false
	}
	filled.Provider = metric.Provider
	return filled, known
}

// judgesItself lists the providers that decide without conditions.
var judgesItself = []string{"job", "kayenta", "plugin"}

// samples are what a metric may have instead of data.
var samples = []struct {
	name  string
	value any
}{
	{"an empty list", []float64{}},
	{"no value", nil},
	{"NaN", []float64{math.NaN()}},
	{"NaN", math.NaN()},
}

// data finds gates that are content without data.
func (l *linter) data(at about, metric *v1alpha1.Metric) {
	if metric.NoData != "" || metric.MinSamples != nil || metric.SuccessCondition != "" {
		return
	}
	kinds := metric.Provider.Kinds()
	if len(kinds) != 1 || slices.Contains(judgesItself, kinds[0]) {
		return
	}
	if metric.FailureCondition == "" {
		l.warn(at, RuleNoData, "the metric has no condition, so every value is good: add a successCondition")
		return
	}
	var content []string
	for _, s := range samples {
		outcome := expr.Evaluate(expr.Conditions{Failure: metric.FailureCondition}, s.value, epoch)
		if outcome.Phase == v1alpha1.AnalysisPhaseInconclusive && !slices.Contains(content, s.name) {
			content = append(content, s.name)
		}
	}
	if len(content) > 0 {
		l.warn(at, RuleNoData, fmt.Sprintf("a failureCondition alone finds nothing wrong with %s, which a service that nobody calls gives: "+
			"set noData or minSamples to say what that means, or add a successCondition", strings.Join(content, " or ")))
	}
}

// placeholders give a value to the arguments that have none.
func placeholders(args []v1alpha1.Argument) []v1alpha1.Argument {
	out := map[string]v1alpha1.Argument{}
	value := placeholder
	for _, arg := range args {
		if arg.Value == nil && arg.ValueFrom == nil {
			out[arg.Name] = v1alpha1.Argument{Name: arg.Name, Value: &value}
		}
	}
	all := make([]v1alpha1.Argument, 0, len(out))
	for _, name := range slices.Sorted(maps.Keys(out)) {
		all = append(all, out[name])
	}
	return all
}
