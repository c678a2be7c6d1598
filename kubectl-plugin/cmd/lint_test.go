package cmd

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const gate = `apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata:
  name: errors
spec:
  metrics:
    - name: ratio
      failureCondition: result[0] > 0.05
      provider: {prometheus: {query: up}}
`

const gateWarning = "FILE:7: warning: AnalysisTemplate errors: spec.metrics[0]: a failureCondition alone finds nothing wrong with NaN, " +
	"which a service that nobody calls gives: set noData or minSamples to say what that means, or add a successCondition [no-data]\n"

func TestLintFailsOnErrorsAndWithStrictOnWarnings(t *testing.T) {
	broken := strings.Replace(gate, "failureCondition: result[0] > 0.05", "count: 3", 1)
	for name, c := range map[string]struct {
		line, text, out, err string
		code                 int
	}{
		"nothing is wrong": {
			"kubectl-rollouts lint -f FILE", strings.Replace(gate, "failure", "success", 1), "", "1 object checked, nothing found\n", ExitDone,
		},
		"nothing is wrong, by the served name": {"kubectl-argo-rollouts lint -f FILE", strings.Replace(gate, "failure", "success", 1), "", "", ExitDone},
		"a warning":                            {"kubectl-rollouts lint -f FILE", gate, gateWarning, "", ExitDone},
		"a warning with --strict": {
			"kubectl-rollouts lint -f FILE --strict", gate, gateWarning,
			"error: 1 warning found\n  why:  with --strict a warning is an error\n  next: correct the files; each line says what to do\n", ExitError,
		},
		"an error": {
			"kubectl-rollouts lint --filename FILE", broken,
			"FILE:7: error: AnalysisTemplate errors: spec.metrics[0].interval: Required value: interval must be specified when count > 1 [validation]\n" +
				"FILE:7: warning: AnalysisTemplate errors: spec.metrics[0]: the metric has no condition, so every value is good: add a successCondition [no-data]\n",
			"error: 1 error and 1 warning found\n  next: correct the files; each line says what to do\n", ExitError,
		},
		"bad YAML": {
			"kubectl-rollouts lint -f FILE", "a: [\n", "FILE:1: error: the YAML cannot be read: did not find expected node content [syntax]\n",
			"error: 1 error found\n  next: correct the files; each line says what to do\n", ExitError,
		},
		"a text that steers terminals": {
			"kubectl-rollouts lint -f FILE", gate + "  \"\\e\": 1\n",
			gateWarning + "FILE:10: warning: AnalysisTemplate errors: spec.\uFFFD: there is no such field, so the API server refuses or drops it: correct its name or its place [unknown-field]\n", "", ExitDone,
		},
		"no file": {"kubectl-rollouts lint", "", "", "error: lint needs a file\n  next: for example: kubectl rollouts lint -f cart.yaml\n", ExitUsage},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			path := file(t, c.text)
			code := r.run(strings.ReplaceAll(c.line, "FILE", path))
			if diff := cmp.Diff(strings.ReplaceAll(c.out, "FILE", path), r.out.String()); diff != "" || code != c.code {
				t.Errorf("exit code %d, want %d:\n%s", code, c.code, diff)
			}
			if diff := cmp.Diff(c.err, r.err.String()); diff != "" {
				t.Errorf("on standard error:\n%s", diff)
			}
		})
	}
}

func TestTheServedPluginFailsOnUnknownFields(t *testing.T) {
	text := strings.Replace(gate, "      failureCondition", "      succesCondition", 1)
	for called, want := range map[string]int{"kubectl-rollouts": ExitDone, "kubectl-argo-rollouts": ExitError} {
		r := newRig(t)
		if code := r.run(called + " lint -f " + file(t, text)); code != want || !strings.Contains(r.out.String(), "[unknown-field]") {
			t.Errorf("%s: exit code %d, want %d:\n%s", called, code, want, r.out)
		}
	}
}

func TestLintPrintsAReportForMachines(t *testing.T) {
	r := newRig(t)
	r.in = gate
	code := r.run("kubectl-rollouts lint -f - -o json")
	var report lintReport
	if err := json.Unmarshal([]byte(r.out.String()), &report); err != nil || code != ExitDone {
		t.Fatalf("exit code %d: %v: %s", code, err, r.out)
	}
	finding := report.Findings[0]
	if report.Kind != lintKind || report.Checked != 1 || report.Warnings != 1 || report.Errors != 0 || finding.Line != 7 || finding.Document != 1 || finding.Rule != "no-data" {
		t.Errorf("the report is %+v", report)
	}
	r = newRig(t)
	r.in = "# nothing\n"
	if r.run("kubectl-rollouts lint -f - -o json"); !strings.Contains(r.out.String(), `"findings": []`) {
		t.Errorf("without findings it prints %s", r.out)
	}
}

// twoGates is what the page about the plugin lints.
const twoGates = gate + "    - name: p99\n      count: 3\n      successCondition: result[0] < 400\n      provider: {prometheus: {query: up}}\n"

func TestTheGuideShowsWhatLintPrints(t *testing.T) {
	guide, err := os.ReadFile(filepath.Join("..", "..", "docs", "cli.md"))
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t)
	path := file(t, twoGates)
	r.run("kubectl-rollouts lint -f " + path)
	if want := "$ kubectl rollouts lint -f gate.yaml\n" + strings.ReplaceAll(r.out.String(), path, "gate.yaml") + "```\n"; !strings.Contains(string(guide), want) {
		t.Errorf("docs/cli.md does not show this:\n%s", want)
	}
}

func TestFilesAreLintedTogether(t *testing.T) {
	ro := `apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: cart}
spec:
  selector: {matchLabels: {app: cart}}
  template: {metadata: {labels: {app: cart}}, spec: {containers: [{name: a, image: b}]}}
  strategy: {canary: {steps: [{analysis: {templates: [{templateName: errors}]}}]}}
`
	template := strings.Replace(strings.Replace(gate, "failure", "success", 1), "spec:\n", "spec:\n  args: [{name: limit}]\n", 1)
	template = strings.Replace(template, "0.05", "{{args.limit}}", 1)
	r := newRig(t)
	one, two := file(t, ro), file(t, template)
	code := r.run("kubectl-rollouts lint -f " + one + " -f " + two)
	if want := one + ":7: error: Rollout cart: spec.strategy.canary.steps[0].analysis.templates: args.limit was not resolved"; code != ExitError || !strings.HasPrefix(r.out.String(), want) {
		t.Errorf("exit code %d:\n%s%s", code, r.out, r.err)
	}
}
