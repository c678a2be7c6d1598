package analysis

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// MaxTemplates is how many templates one run may be made of, nested ones included.
const MaxTemplates = 100

// Lookup finds a template. The error says what to do when there is none.
type Lookup func(v1alpha1.AnalysisTemplateRef) (*v1alpha1.AnalysisTemplateSpec, error)

// Overrides is what the user of templates adds to them.
type Overrides struct {
	// Args win over the defaults of the templates. Those that no template has are ignored.
	Args []v1alpha1.Argument
	// DryRun rules come before those of the templates.
	DryRun []v1alpha1.DryRun
	// MeasurementRetention rules come before those of the templates.
	MeasurementRetention []v1alpha1.MeasurementRetention
}

// Flatten makes one run of templates and of the templates they name. A
// template that is named twice counts once. Names of metrics and rules must be
// unique; templates that name each other in a circle are an error.
//
// Arguments with a fieldRef are left for the caller, who knows the object.
func Flatten(refs []v1alpha1.AnalysisTemplateRef, lookup Lookup, over Overrides) (v1alpha1.AnalysisRunSpec, error) {
	f := flattener{lookup: lookup, done: map[v1alpha1.AnalysisTemplateRef]bool{}}
	f.spec.DryRun = slices.Clone(over.DryRun)
	f.spec.MeasurementRetention = slices.Clone(over.MeasurementRetention)
	for _, ref := range refs {
		if err := f.add(ref, nil); err != nil {
			return v1alpha1.AnalysisRunSpec{}, err
		}
	}
	if err := f.unique(); err != nil {
		return v1alpha1.AnalysisRunSpec{}, err
	}
	if err := f.override(over.Args); err != nil {
		return v1alpha1.AnalysisRunSpec{}, err
	}
	return f.spec, nil
}

type flattener struct {
	lookup Lookup
	done   map[v1alpha1.AnalysisTemplateRef]bool
	spec   v1alpha1.AnalysisRunSpec
}

// add adds a template and those it names. path is how it was reached.
func (f *flattener) add(ref v1alpha1.AnalysisTemplateRef, path []v1alpha1.AnalysisTemplateRef) error {
	if slices.Contains(path, ref) {
		return fmt.Errorf("templates name each other in a circle: %s", circle(append(path, ref)))
	}
	if f.done[ref] {
		return nil
	}
	f.done[ref] = true
	if len(f.done) > MaxTemplates {
		return fmt.Errorf("more than %d templates in one run; name fewer", MaxTemplates)
	}
	spec, err := f.lookup(ref)
	if err != nil {
		return fmt.Errorf("looking up %s: %w", describe(ref), err)
	}
	if err := checkBytes(spec); err != nil {
		return fmt.Errorf("%s: %w", describe(ref), err)
	}
	f.spec.Metrics = append(f.spec.Metrics, spec.Metrics...)
	f.spec.DryRun = append(f.spec.DryRun, spec.DryRun...)
	f.spec.MeasurementRetention = append(f.spec.MeasurementRetention, spec.MeasurementRetention...)
	for _, arg := range spec.Args {
		if err := f.addArg(arg); err != nil {
			return fmt.Errorf("%s: %w", describe(ref), err)
		}
	}
	path = append(slices.Clone(path), ref)
	for _, nested := range spec.Templates {
		if err := f.add(nested, path); err != nil {
			return err
		}
	}
	return nil
}

// addArg merges an argument by name: a value beats none, two values must agree.
func (f *flattener) addArg(arg v1alpha1.Argument) error {
	i := slices.IndexFunc(f.spec.Args, func(a v1alpha1.Argument) bool { return a.Name == arg.Name })
	if i < 0 {
		f.spec.Args = append(f.spec.Args, arg)
		return nil
	}
	had := f.spec.Args[i]
	switch {
	case !given(arg):
	case !given(had):
		f.spec.Args[i] = arg
	case !equality.Semantic.DeepEqual(had, arg):
		return fmt.Errorf("Argument `%s` specified multiple times with different values", arg.Name) //nolint:staticcheck // The sentence is served API.
	}
	return nil
}

func given(arg v1alpha1.Argument) bool {
	return arg.Value != nil || arg.ValueFrom != nil
}

func (f *flattener) override(args []v1alpha1.Argument) error {
	for i := range f.spec.Args {
		arg := &f.spec.Args[i]
		for _, o := range args {
			if o.Name == arg.Name && given(o) {
				*arg = o
			}
		}
		if !given(*arg) {
			return unresolved(arg.Name)
		}
	}
	return nil
}

func (f *flattener) unique() error {
	if name := twice(f.spec.Metrics, func(m v1alpha1.Metric) string { return m.Name }); name != "" {
		return fmt.Errorf("two metrics have the same name '%s'", name)
	}
	if name := twice(f.spec.DryRun, func(r v1alpha1.DryRun) string { return r.MetricName }); name != "" {
		return fmt.Errorf("two Dry-Run metric rules have the same name '%s'", name)
	}
	if name := twice(f.spec.MeasurementRetention, func(r v1alpha1.MeasurementRetention) string { return r.MetricName }); name != "" {
		return fmt.Errorf("two Measurement Retention metric rules have the same name '%s'", name)
	}
	return nil
}

// twice is the first name that occurs twice; empty when none does.
func twice[T any](items []T, name func(T) string) string {
	seen := make(map[string]bool, len(items))
	for _, item := range items {
		if n := name(item); seen[n] {
			return n
		}
		seen[name(item)] = true
	}
	return ""
}

func checkBytes(spec *v1alpha1.AnalysisTemplateSpec) error {
	text, err := json.Marshal(spec)
	if err != nil {
		return fmt.Errorf("encoding: %w", err)
	}
	if len(text) > MaxBytes {
		return fmt.Errorf("the template has %d bytes, above the limit of %d", len(text), MaxBytes)
	}
	return nil
}

func describe(ref v1alpha1.AnalysisTemplateRef) string {
	if ref.ClusterScope {
		return fmt.Sprintf("ClusterAnalysisTemplate '%s'", ref.TemplateName)
	}
	return fmt.Sprintf("AnalysisTemplate '%s'", ref.TemplateName)
}

func circle(path []v1alpha1.AnalysisTemplateRef) string {
	names := make([]string, len(path))
	for i, ref := range path {
		names[i] = describe(ref)
	}
	return strings.Join(names, " -> ")
}
