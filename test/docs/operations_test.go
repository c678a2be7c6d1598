package docs

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/test/kube"
)

const operations = "docs/operations.md"

// Each default of the page is that which the binary prints.
func TestTheFlagsOfThePageAreThoseOfTheBinary(t *testing.T) {
	defaults := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\s+(?:-\w, )?--([\w-]+)(?: \w+)? .*?(?:\(default "?([^")]+)"?\))?$`).FindAllStringSubmatch(binary(t, "--help"), -1) {
		defaults[m[1]] = m[2]
	}
	_, section, _ := strings.Cut(read(t, operations), "\n## Flags\n")
	section, _, _ = strings.Cut(section, "\nAccepted without effect")
	seen := 0
	for _, row := range rows(section) {
		flags := span.FindAllStringSubmatch(row[0], -1)
		values := strings.Split(row[1], ", ")
		for i, flag := range flags {
			has, exists := defaults[strings.TrimPrefix(flag[1], "--")]
			seen++
			says := values[min(i, len(values)-1)]
			if !exists || has != "" && has != says || has == "" && !slices.Contains([]string{"false", "none", "0", "all", "", "the pod's"}, says) {
				t.Errorf("%s: %s is %q, the binary has %q (%t)", operations, flag[1], says, has, exists)
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d flags are found", seen)
	}
	if version := binary(t, "--version"); !strings.HasPrefix(version, "headway ") {
		t.Errorf("headway --version prints %q", version)
	}
}

// binary runs the controller's binary with a flag that only prints.
func binary(t *testing.T, flag string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "run", "./cmd/headway", flag)
	command.Dir = kube.Root()
	out, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// contract are the series of the served API, apart from those of libraries.
var contract = strings.Fields(`
	rollout_info rollout_info_replicas_available rollout_info_replicas_unavailable rollout_info_replicas_desired
	rollout_info_replicas_updated rollout_phase rollout_reconcile rollout_reconcile_error rollout_events_total
	rollout_duration_seconds rollout_progression_duration_seconds rollout_manual_pause_duration_seconds
	analysis_run_info analysis_run_phase analysis_run_metric_type analysis_run_metric_phase analysis_run_reconcile
	analysis_run_reconcile_error analysis_template_info analysis_template_metric_info
	experiment_info experiment_phase experiment_reconcile experiment_reconcile_error
	notification_send notification_send_success notification_send_error controller_clientset_k8s_request_total
	argo_rollouts_controller_info build_info
`)

// countsErrors are series that exist once something failed; a walk without failures does not see them.
var countsErrors = []string{"rollout_reconcile_error", "analysis_run_reconcile_error", "experiment_reconcile_error"}

func TestThePagesNameExactlyTheMetricsThatAreServed(t *testing.T) {
	w := newWalk(t)
	w.apply(w.sample(), exampleOf(t, "docs/experiments.md", "Experiment"))
	w.phaseIs(v1alpha1.RolloutPhaseHealthy)
	w.does(newVersion)
	w.does("kubectl rollouts status web --for=paused --timeout 60s")
	var served []string
	kube.Eventually(t, within, func() error {
		var err error
		served, err = w.metrics(t.Context())
		if err == nil && !slices.Contains(served, "analysis_run_metric_phase") {
			return fmt.Errorf("no measurement was taken yet")
		}
		return err
	})
	_, section, _ := strings.Cut(read(t, operations), "\n## Metrics\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var patterns []string
	for _, row := range rows(section) {
		for _, m := range span.FindAllStringSubmatch(row[0], -1) {
			patterns = append(patterns, patternsOf(m[1])...)
		}
	}
	for _, name := range served {
		if !slices.ContainsFunc(patterns, func(p string) bool { return matches(p, name) }) {
			t.Errorf("%s does not name %s", operations, name)
		}
	}
	for _, p := range patterns {
		if !slices.ContainsFunc(served, func(name string) bool { return matches(p, name) }) && p != "leader_election_master_status" && !slices.Contains(countsErrors, p) {
			t.Errorf("%s names %s, which is not served", operations, p)
		}
	}
	w.notBuilt(served)
}

// notBuilt checks that docs/compatibility.md lists the series of the contract that are not served.
func (w walk) notBuilt(served []string) {
	w.Helper()
	line := regexp.MustCompile(`(?m)^Not built: (.*)\.$`).FindStringSubmatch(read(w.T, "docs/compatibility.md"))
	if line == nil {
		w.Fatal(`docs/compatibility.md has no line "Not built: …."`)
	}
	for _, name := range contract {
		isServed := slices.Contains(served, name) || slices.Contains(countsErrors, name)
		if listed := strings.Contains(line[1], "`"+name+"`"); listed == isServed {
			w.Errorf("docs/compatibility.md lists %s as not built: %t; it is served: %t", name, listed, isServed)
		}
	}
}

// patternsOf are the names in a cell such as name_{a,b}{label}: braces after an
// underscore are alternatives, others hold labels.
func patternsOf(cell string) []string {
	if m := regexp.MustCompile(`^(.*_)\{([\w,]+)\}`).FindStringSubmatch(cell); m != nil {
		var all []string
		for _, end := range strings.Split(m[2], ",") {
			all = append(all, m[1]+end)
		}
		return all
	}
	name, _, _ := strings.Cut(cell, "{")
	return []string{name}
}

func matches(pattern, name string) bool {
	start, isPattern := strings.CutSuffix(pattern, "*")
	return pattern == name || isPattern && strings.HasPrefix(name, start)
}

// metrics are the names of the series that the controller serves now.
func (w walk) metrics(ctx context.Context) ([]string, error) {
	address, err := w.controller.Address("metrics")
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (\w+) `).FindAllStringSubmatch(string(text), -1) {
		names = append(names, m[1])
	}
	return names, err
}
