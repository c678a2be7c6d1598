package cmd

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/headway-rollouts/headway/kubectl-plugin/lint"
	"github.com/headway-rollouts/headway/kubectl-plugin/view"
)

// lintKind is the kind of the document of lint -o json.
const lintKind = "LintReport"

// lintReport is the document of lint -o json.
type lintReport struct {
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	Checked    int            `json:"checked"`
	Errors     int            `json:"errors"`
	Warnings   int            `json:"warnings"`
	Findings   []lint.Finding `json:"findings"`
}

type lintOptions struct {
	format format
	files  []string
	strict bool
}

func (a *app) lintCommand() *cobra.Command {
	o := &lintOptions{format: newFormat(formatText, formatJSON, formatYAML)}
	c := &cobra.Command{
		Use:   "lint",
		Short: "Find mistakes in files before a cluster sees them",
		Long: `Checks Rollouts, AnalysisTemplates, ClusterAnalysisTemplates, AnalysisRuns and
Experiments, and against the Rollouts the Services, Ingresses and
VirtualServices of the same files. No cluster is asked. Errors are what would be
refused, and end with code 1; warnings are what is hardly meant.`,
		Example: "  kubectl rollouts lint -f cart.yaml\n  kubectl rollouts lint -f cart.yaml -f success-rate.yaml --strict -o json",
		Args:    cobra.NoArgs,
		RunE:    action(func(ctx context.Context, _ []string) error { return a.lint(ctx, o) }),
	}
	c.Flags().StringArrayVarP(&o.files, "filename", "f", nil, "file or http address to check; - is standard input")
	c.Flags().BoolVar(&o.strict, "strict", false, "fail on warnings too")
	o.format.add(c.Flags())
	return c
}

func (a *app) lint(ctx context.Context, o *lintOptions) error {
	if err := o.format.check(); err != nil {
		return err
	}
	if len(o.files) == 0 {
		return usage("lint needs a file", "for example: kubectl rollouts lint -f cart.yaml")
	}
	files := make([]lint.File, 0, len(o.files))
	for _, name := range o.files {
		text, err := a.readSource(ctx, name)
		if err != nil {
			return err
		}
		files = append(files, lint.File{Name: name, Text: text})
	}
	// Scripts of the served plugin know unknown fields as errors.
	report := reportOf(lint.Check(files, lint.Options{UnknownFieldsFail: a.served}))
	if err := a.printReport(report, o.format.value); err != nil {
		return err
	}
	return report.verdict(o.strict)
}

func reportOf(result lint.Result) lintReport {
	r := lintReport{
		APIVersion: view.APIVersion, Kind: lintKind, Findings: result.Findings,
		Checked: result.Checked, Errors: result.Errors, Warnings: result.Warnings,
	}
	for i := range r.Findings {
		f := &r.Findings[i]
		f.Name, f.Kind, f.Path, f.Message = view.Clean(f.Name), view.Clean(f.Kind), view.Clean(f.Path), view.Clean(f.Message)
	}
	return r
}

func (a *app) printReport(r lintReport, format string) error {
	if format != formatText {
		return a.document(r, format, false)
	}
	for _, f := range r.Findings {
		if err := a.printf("%s\n", findingLine(f)); err != nil {
			return err
		}
	}
	switch more := r.Errors + r.Warnings - len(r.Findings); {
	case more > 0:
		a.say("%s not shown: correct these first\n", number(more, "finding"))
	case len(r.Findings) == 0 && !a.served:
		a.say("%s checked, nothing found\n", number(r.Checked, "object"))
	}
	return nil
}

// findingLine is a finding as compilers write theirs, which editors can follow.
func findingLine(f lint.Finding) string {
	place := shownSource(f.File)
	if f.Line > 0 {
		place = fmt.Sprintf("%s:%d", place, f.Line)
	}
	parts := []string{place, string(f.Severity)}
	if what := strings.TrimSpace(f.Kind + " " + f.Name); what != "" {
		parts = append(parts, what)
	}
	if f.Path != "" {
		parts = append(parts, f.Path)
	}
	return strings.Join(append(parts, f.Message), ": ") + " [" + string(f.Rule) + "]"
}

// verdict is the end of lint: a failure when there is something to correct.
func (r lintReport) verdict(strict bool) error {
	switch {
	case r.Errors > 0:
		what := number(r.Errors, "error")
		if r.Warnings > 0 {
			what += " and " + number(r.Warnings, "warning")
		}
		return &failure{code: ExitError, what: what + " found", next: "correct the files; each line says what to do"}
	case strict && r.Warnings > 0:
		return &failure{code: ExitError, what: number(r.Warnings, "warning") + " found", why: "with --strict a warning is an error", next: "correct the files; each line says what to do"}
	}
	return nil
}

// number is a count with its noun.
func number(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
