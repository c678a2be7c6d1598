package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

type createRunOptions struct {
	mutation
	from, fromFile, name, generateName, instance string
	args                                         []string
	global                                       bool
}

func (a *app) createRunCommand() *cobra.Command {
	o := &createRunOptions{}
	c := &cobra.Command{
		Use:     "analysisrun",
		Aliases: []string{"ar", "analysisruns"},
		Short:   "Take an analysis by hand: create an AnalysisRun of a template",
		Long: `Creates an AnalysisRun of an AnalysisTemplate or a ClusterAnalysisTemplate with
all templates it names, and with the arguments filled in. Of a file with several
templates the first is run; the others are found before those of the cluster.`,
		Example: "  kubectl rollouts create analysisrun --from success-rate -a service=cart\n" +
			"  kubectl rollouts create analysisrun --from-file success-rate.yaml -a service=cart --name try-1\n" +
			"  kubectl rollouts create analysisrun --global --from success-rate -a service=cart",
		Args: cobra.NoArgs,
		RunE: action(func(ctx context.Context, _ []string) error { return a.createRun(ctx, o) }),
	}
	c.Flags().StringVar(&o.from, "from", "", "name of a template in the cluster")
	c.Flags().StringVar(&o.fromFile, "from-file", "", "file or http address with a template; - is standard input")
	c.Flags().StringArrayVarP(&o.args, "argument", "a", nil, "argument of the template, NAME=VALUE")
	c.Flags().StringVar(&o.name, "name", "", "name of the AnalysisRun")
	c.Flags().StringVar(&o.generateName, "generate-name", "", "beginning of a name that the API server completes; default the name of the template and a dash")
	c.Flags().BoolVar(&o.global, "global", false, "take a ClusterAnalysisTemplate")
	c.Flags().StringVar(&o.instance, "instance-id", "", "controller instance that takes the analysis")
	o.add(c.Flags())
	return c
}

func (o *createRunOptions) validate() ([]v1alpha1.Argument, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	const example = "for example: kubectl rollouts create analysisrun --from success-rate"
	switch {
	case (o.from == "") == (o.fromFile == ""):
		return nil, usage("one of --from or --from-file must be specified", example)
	case o.name != "" && o.generateName != "":
		return nil, usage("--name and --generate-name exclude each other", "give one of them")
	}
	var args []v1alpha1.Argument
	for _, given := range o.args {
		name, value, ok := strings.Cut(given, "=")
		if !ok || name == "" {
			return nil, usage(fmt.Sprintf("%q is no argument: arguments must be in the form NAME=VALUE", given), "for example -a service=cart")
		}
		args = append(args, v1alpha1.Argument{Name: name, Value: &value})
	}
	return args, nil
}

func (a *app) createRun(ctx context.Context, o *createRunOptions) error {
	args, err := o.validate()
	if err != nil {
		return err
	}
	b := &runBuilder{found: specs{}}
	root := v1alpha1.AnalysisTemplateRef{TemplateName: o.from, ClusterScope: o.global}
	if o.fromFile != "" {
		if root, err = a.templatesOf(ctx, o.fromFile, b.found); err != nil {
			return err
		}
	}
	s, err := a.connect(a.flags)
	if err != nil {
		return err
	}
	b.read = func(ref v1alpha1.AnalysisTemplateRef) (*v1alpha1.AnalysisTemplateSpec, error) {
		return s.template(ctx, ref)
	}
	spec, err := b.spec(root, args)
	if err != nil {
		return err
	}
	for _, name := range b.unused(args) {
		a.say("warning: no template has an argument %s, so it is ignored; %s\n", name, b.known())
	}
	run := o.run(root.TemplateName, spec)
	run.Namespace = s.namespace
	if err := s.make(ctx, run, &o.mutation); err != nil {
		return runNoun.attempt("creating an analysisrun of template '"+root.TemplateName+"'", "create", s.namespace).failed(err)
	}
	return a.printf("%s created%s\n", runNoun.resourceName(run.Name), o.suffix())
}

// run is the AnalysisRun to create.
func (o *createRunOptions) run(template string, spec v1alpha1.AnalysisRunSpec) *v1alpha1.AnalysisRun {
	run := &v1alpha1.AnalysisRun{Spec: spec}
	if run.Name = o.name; run.Name == "" {
		run.GenerateName = cmp.Or(o.generateName, template+"-")
	}
	if o.instance != "" {
		run.Labels = map[string]string{v1alpha1.InstanceIDLabel: o.instance}
	}
	return run
}

// specs are templates by what refers to them.
type specs map[v1alpha1.AnalysisTemplateRef]*v1alpha1.AnalysisTemplateSpec

// templatesOf reads the templates of a file; the first is the one to run.
func (a *app) templatesOf(ctx context.Context, name string, into specs) (v1alpha1.AnalysisTemplateRef, error) {
	var root v1alpha1.AnalysisTemplateRef
	objects, err := a.objects(ctx, name)
	if err != nil {
		return root, err
	}
	for _, o := range objects {
		n, _ := kindOf(o)
		if n.kind != templateNoun.kind && n.kind != clusterTemplateNoun.kind || o.Name == "" {
			continue
		}
		var template v1alpha1.AnalysisTemplate // Both kinds have the same spec.
		if err := decode(name, o, &template); err != nil {
			return root, err
		}
		ref := v1alpha1.AnalysisTemplateRef{TemplateName: o.Name, ClusterScope: n.wide}
		into[ref] = &template.Spec
		if root.TemplateName == "" {
			root = ref
		}
	}
	if root.TemplateName == "" {
		return root, &failure{
			code: ExitError, what: shownSource(name) + " has no AnalysisTemplate or ClusterAnalysisTemplate with a name",
			next: "name another file with --from-file",
		}
	}
	return root, nil
}

// runBuilder makes the spec of a run of templates of a file and of the cluster.
type runBuilder struct {
	read  analysis.Lookup
	found specs
	args  []v1alpha1.Argument // of all templates that were looked up
}

func (b *runBuilder) spec(root v1alpha1.AnalysisTemplateRef, args []v1alpha1.Argument) (v1alpha1.AnalysisRunSpec, error) {
	spec, err := b.flatten(root, args)
	if err != nil {
		return spec, b.explained(root, args, err)
	}
	for _, arg := range spec.Args {
		if from := arg.ValueFrom; arg.Value == nil && from != nil && from.FieldRef != nil {
			return spec, &failure{
				code: ExitError, what: fmt.Sprintf("argument %s has no value", arg.Name),
				why:  fmt.Sprintf("the template reads it from the field %s of a Rollout, and there is none", from.FieldRef.FieldPath),
				next: fmt.Sprintf("give it with -a %s=VALUE", arg.Name),
			}
		}
	}
	path := field.NewPath("spec")
	errs := v1alpha1.ValidateMetrics(spec.Metrics, path.Child("metrics"))
	if errs = append(errs, v1alpha1.ValidateRules(spec.DryRun, spec.MeasurementRetention, path)...); len(errs) > 0 {
		return spec, &failure{code: ExitError, what: "template '" + root.TemplateName + "' cannot be run", why: reason(errs[0]), next: "correct the template"}
	}
	return spec, nil
}

func (b *runBuilder) flatten(root v1alpha1.AnalysisTemplateRef, args []v1alpha1.Argument) (v1alpha1.AnalysisRunSpec, error) {
	b.args = nil
	return analysis.Flatten([]v1alpha1.AnalysisTemplateRef{root}, b.lookup, analysis.Overrides{Args: args})
}

func (b *runBuilder) lookup(ref v1alpha1.AnalysisTemplateRef) (*v1alpha1.AnalysisTemplateSpec, error) {
	spec := b.found[ref]
	if spec == nil {
		var err error
		if spec, err = b.read(ref); err != nil {
			return nil, err
		}
		b.found[ref] = spec
	}
	b.args = append(b.args, spec.Args...)
	return spec, nil
}

// template reads a template of the cluster.
func (s session) template(ctx context.Context, ref v1alpha1.AnalysisTemplateRef) (*v1alpha1.AnalysisTemplateSpec, error) {
	if ref.ClusterScope {
		var template v1alpha1.ClusterAnalysisTemplate
		err := s.Get(ctx, client.ObjectKey{Name: ref.TemplateName}, &template)
		return &template.Spec, clusterTemplateNoun.attempt("reading clusteranalysistemplate '"+ref.TemplateName+"'", "get", s.namespace).failed(err)
	}
	var template v1alpha1.AnalysisTemplate
	err := s.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: ref.TemplateName}, &template)
	return &template.Spec, templateNoun.attempt("reading analysistemplate '"+ref.TemplateName+"'", "get", s.namespace).failed(err)
}

// explained turns the error of templates that do not make a run into one that
// says what to do. Arguments without a value are all named at once: that they
// are the cause is seen by giving them one.
func (b *runBuilder) explained(root v1alpha1.AnalysisTemplateRef, args []v1alpha1.Argument, err error) error {
	missing := b.missing(args)
	tried := slices.Clone(args)
	placeholder := ""
	for _, name := range missing {
		tried = append(tried, v1alpha1.Argument{Name: name, Value: &placeholder})
	}
	if len(missing) > 0 {
		if _, again := b.flatten(root, tried); again == nil {
			f := &failure{code: ExitError, what: "argument " + missing[0] + " has no value", why: "the template gives no default", next: "give it with -a " + missing[0] + "=VALUE"}
			if len(missing) > 1 {
				f.what, f.why = "arguments "+strings.Join(missing, ", ")+" have no value", "the templates give no defaults"
				f.next = "give them with -a " + strings.Join(missing, "=VALUE -a ") + "=VALUE"
			}
			return f
		}
	}
	var f *failure
	if errors.As(err, &f) {
		return f
	}
	return &failure{code: ExitError, what: "template '" + root.TemplateName + "' cannot be run", why: reason(err), next: "correct the template"}
}

// missing are the arguments that no template and nobody else gives a value.
func (b *runBuilder) missing(given []v1alpha1.Argument) []string {
	var names []string
	for _, arg := range b.args {
		same := func(other v1alpha1.Argument) bool {
			return other.Name == arg.Name && (other.Value != nil || other.ValueFrom != nil)
		}
		if !slices.ContainsFunc(b.args, same) && !slices.ContainsFunc(given, same) && !slices.Contains(names, arg.Name) {
			names = append(names, arg.Name)
		}
	}
	return names
}

// unused are the arguments that were given and that no template has.
func (b *runBuilder) unused(given []v1alpha1.Argument) []string {
	var names []string
	for _, arg := range given {
		if !slices.ContainsFunc(b.args, func(has v1alpha1.Argument) bool { return has.Name == arg.Name }) {
			names = append(names, arg.Name)
		}
	}
	return names
}

// known says which arguments there are.
func (b *runBuilder) known() string {
	var names []string
	for _, arg := range b.args {
		if !slices.Contains(names, arg.Name) {
			names = append(names, arg.Name)
		}
	}
	if len(names) == 0 {
		return "there are none"
	}
	return "there are: " + strings.Join(names, ", ")
}
