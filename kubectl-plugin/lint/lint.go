package lint

import (
	"cmp"
	"slices"
	"strings"

	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/kubectl-plugin/manifest"
)

// Severity says how bad a finding is.
type Severity string

// The severities.
const (
	// Error is what the API server or a controller refuses.
	Error Severity = "error"
	// Warning is what works and is hardly meant.
	Warning Severity = "warning"
)

// Rule is the kind of a finding.
type Rule string

// The rules.
const (
	// RuleSyntax is about text that cannot be read.
	RuleSyntax Rule = "syntax"
	// RuleUnknownField is about fields that the API does not have.
	RuleUnknownField Rule = "unknown-field"
	// RuleValidation is about values that the API does not take.
	RuleValidation Rule = "validation"
	// RuleReference is about objects that do not fit the Rollout that names them.
	RuleReference Rule = "reference"
	// RuleTemplate is about analysis templates that make no run.
	RuleTemplate Rule = "template"
	// RuleArgument is about arguments that are never used or never given.
	RuleArgument Rule = "argument"
	// RuleNoData is about gates that are content without data.
	RuleNoData Rule = "no-data"
	// RuleEndless is about what waits for a metric that never ends.
	RuleEndless Rule = "endless"
)

// Finding is one thing that is wrong.
type Finding struct {
	// File it is in, as it was named.
	File string `json:"file"`
	// Document is the number of the YAML document, from 1; absent when it is about the whole file.
	Document int `json:"document,omitempty"`
	// Line it is on; absent when that is not known.
	Line int `json:"line,omitempty"`
	// Severity is error or warning.
	Severity Severity `json:"severity"`
	// Rule is the kind of the finding, in one stable word.
	Rule Rule `json:"rule"`
	// Kind of the object.
	Kind string `json:"kind,omitempty"`
	// Name of the object.
	Name string `json:"name,omitempty"`
	// Path of the field.
	Path string `json:"path,omitempty"`
	// Message says what is wrong and what to do.
	Message string `json:"message"`
}

// File is a text to check.
type File struct {
	// Name of the file, for its findings.
	Name string
	// Text of the file.
	Text []byte
}

// Options say what is an error.
type Options struct {
	// UnknownFieldsFail makes unknown fields errors instead of warnings.
	UnknownFieldsFail bool
}

// maxFindings is how many findings are kept: nobody reads more at once.
const maxFindings = 1000

// Result is what came of a check.
type Result struct {
	// Findings in the order of the files and their lines, at most 1000.
	Findings []Finding
	// Errors and Warnings count all findings.
	Errors, Warnings int
	// Checked is the number of objects that were judged.
	Checked int
}

// Check checks files together: an object of one may refer to those of another.
func Check(files []File, options Options) Result {
	l := &linter{options: options}
	for i, file := range files {
		l.read(i, file)
	}
	// Templates come first: who uses one that is wrong says nothing more about it.
	for _, templates := range []bool{true, false} {
		for _, o := range l.objects {
			if strings.HasSuffix(o.Kind.Kind, "AnalysisTemplate") == templates {
				l.judge(o)
			}
		}
	}
	slices.SortStableFunc(l.findings, func(a, b placed) int {
		return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.Document, b.Document), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Severity, b.Severity))
	})
	result := Result{Findings: make([]Finding, 0, len(l.findings)), Errors: l.errors, Warnings: l.warnings, Checked: l.checked}
	for _, f := range l.findings {
		result.Findings = append(result.Findings, f.Finding)
	}
	return result
}

// object is an object of a file with its type, where it is one that matters here.
type object struct {
	manifest.Object
	file   int
	source string
	typed  any
	failed bool // with an error
}

// placed is a finding with the number of its file.
type placed struct {
	Finding
	file int
}

type linter struct {
	options  Options
	objects  []*object
	findings []placed

	errors, warnings, checked int
}

func (l *linter) read(number int, file File) {
	found, problems := manifest.Read(file.Text)
	for _, p := range problems {
		l.keep(placed{Finding{File: file.Name, Document: p.Document, Line: p.Line, Severity: Error, Rule: RuleSyntax, Message: p.Message}, number})
	}
	for _, o := range found {
		it := &object{Object: o, file: number, source: file.Name}
		l.objects = append(l.objects, it)
		l.decode(it)
	}
}

// about is what a finding is about.
type about struct {
	*object
	path string
}

func (o *object) at(path string) about         { return about{o, path} }
func (o *object) field(path *field.Path) about { return about{o, path.String()} }

func (l *linter) fail(at about, rule Rule, message string) {
	at.failed = true
	l.add(at, Error, rule, message)
}

func (l *linter) warn(at about, rule Rule, message string) { l.add(at, Warning, rule, message) }

// keep counts a finding, and keeps it unless there are many.
func (l *linter) keep(f placed) {
	if f.Severity == Error {
		l.errors++
	} else {
		l.warnings++
	}
	if len(l.findings) < maxFindings {
		l.findings = append(l.findings, f)
	}
}

func (l *linter) add(at about, severity Severity, rule Rule, message string) {
	l.keep(placed{Finding{
		File: at.source, Document: at.Document, Line: at.LineOf(at.path),
		Severity: severity, Rule: rule, Kind: at.Kind.Kind, Name: cmp.Or(at.Name, at.GenerateName),
		Path: at.path, Message: message,
	}, at.file})
}

// invalid reports what a validation found.
func (l *linter) invalid(o *object, errs field.ErrorList) {
	for _, err := range errs {
		l.fail(o.at(err.Field), RuleValidation, err.ErrorBody())
	}
}

// judge checks one object of this API.
func (l *linter) judge(o *object) {
	if o.Kind.Group != v1alpha1.GroupVersion.Group || o.typed == nil {
		return
	}
	l.checked++
	l.named(o)
	switch it := o.typed.(type) {
	case *v1alpha1.Rollout:
		l.rollout(o, it)
	case *v1alpha1.AnalysisTemplate:
		l.template(o, &it.Spec)
	case *v1alpha1.ClusterAnalysisTemplate:
		l.template(o, &it.Spec)
	case *v1alpha1.AnalysisRun:
		l.run(o, it)
	case *v1alpha1.Experiment:
		l.experiment(o, it)
	}
}

// named checks the name as the API server does.
func (l *linter) named(o *object) {
	if o.Name == "" && o.GenerateName == "" {
		l.fail(o.at("metadata.name"), RuleValidation, "Required value: name the object")
		return
	}
	if o.Name == "" {
		return
	}
	for _, message := range apivalidation.NameIsDNSSubdomain(o.Name, false) {
		l.fail(o.at("metadata.name"), RuleValidation, message)
	}
}

// near reports whether two objects may be in one namespace: a file need not say.
func near(a, b string) bool { return a == "" || b == "" || a == b }
