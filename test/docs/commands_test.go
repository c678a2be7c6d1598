package docs

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/headway-rollouts/headway/kubectl-plugin/cmd"
)

// A command of the plugin is asked for its help: that parses every word and
// flag of it and touches no cluster. An example that shows an error must fail.
func TestEveryPluginCommandExists(t *testing.T) {
	seen := 0
	for _, p := range pages(t) {
		for _, c := range p.commands("kubectl rollouts") {
			seen++
			problem := try(c.line)
			switch {
			case strings.HasPrefix(c.below, "error:") && problem == "":
				t.Errorf("%s: %q is shown to fail, and it does not", p.name, c.line)
			case !strings.HasPrefix(c.below, "error:") && problem != "":
				t.Errorf("%s: %q: %s", p.name, c.line, problem)
			}
		}
	}
	if seen < 30 {
		t.Errorf("only %d commands of the plugin are found in the pages", seen)
	}
}

func TestAWrongPluginCommandIsNoticed(t *testing.T) {
	for line, want := range map[string]bool{
		"kubectl rollouts": true,
		"kubectl rollouts get rollout cart -n shop -w":     true,
		"kubectl rollouts --context prod list rollouts -A": true,
		"kubectl rollouts promote cart --fully":            false,
		"kubectl rollouts fly cart":                        false,
		"kubectl rollouts retry cart":                      false,
		"kubectl rollouts get experiment cart":             true,
		"kubectl rollouts get analysisrun cart":            false,
	} {
		if problem := try(line); (problem == "") != want {
			t.Errorf("%q: %q", line, problem)
		}
	}
}

var usage = regexp.MustCompile(`(?m)^Usage:\n  kubectl rollouts(( [a-z]+)*)`)

// try says what is wrong with a command line of the plugin; empty when nothing is.
func try(line string) string {
	line, _, _ = strings.Cut(line, " | ")
	words := strings.Fields(line)[2:]
	streams, _, out, errOut := genericiooptions.NewTestIOStreams()
	code := cmd.Execute(append(append([]string{"kubectl-rollouts"}, words...), "--help"), streams)
	if code != cmd.ExitDone {
		first, _, _ := strings.Cut(errOut.String(), "\n")
		return first
	}
	found := usage.FindStringSubmatch(out.String())
	if found == nil {
		return "its help shows no usage: " + out.String()
	}
	path := strings.Fields(found[1])
	if !strings.Contains(out.String(), "Available Commands:") {
		return ""
	}
	// It has commands of its own, and the word after it is none of them.
	at := slices.Index(words, strings.Join(path[max(0, len(path)-1):], ""))
	if rest := words[at+1:]; len(path) > 0 && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		return "there is no command " + rest[0] + " below " + strings.Join(path, " ")
	}
	return ""
}
