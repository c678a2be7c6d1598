package cmd

import (
	"strings"
	"testing"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

func TestCommandsThatAreNamedHaveTheNameThePluginWasCalledBy(t *testing.T) {
	reported := func(ro *v1alpha1.Rollout) {
		ro.Status.Why = &v1alpha1.Why{Code: "PausedByStep", Message: "Step 2/4 is a pause.", Unblock: "kubectl rollouts promote cart, or kubectl rollouts abort cart"}
	}
	for name, c := range map[string]struct {
		line   string
		change func(*v1alpha1.Rollout)
		names  string // A command that is named, without the plugin's name.
	}{
		"to go on, as the plugin concludes it":  {"why cart", aborted, " retry rollout cart -n shop"},
		"to go on, as the controller reports":   {"why cart", reported, " promote cart, or "},
		"and all of what the controller says":   {"get rollout cart", reported, " abort cart"},
		"in the document":                       {"why cart -o json", reported, " abort cart"},
		"a verb of kubectl's own":               {"history cart", nil, " get rollout cart"},
		"that it does not have":                 {"undo cart", nil, " has no command undo"},
		"a workload of kubectl's own":           {"status deployment/web", nil, " does not handle deployment/web"},
		"where to look for a name":              {"get rollout nope", nil, " list rollouts -n shop"},
		"after a wrong command line":            {"get rollout", nil, " get rollout cart"},
		"after a wait for a person":             {"status cart --for=healthy", nil, " promote cart"},
		"in an example of the help":             {"promote --help", nil, " promote cart --full"},
		"in the help, before the flags":         {"--help", nil, " --context prod list"},
		"in the example of a command below one": {"set image --help", nil, " set image cart app=cart:2.8.0"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.change == nil {
				c.change = func(*v1alpha1.Rollout) {}
			}
			for called, shown := range map[string]string{"kubectl-rollouts ": "kubectl rollouts", "kubectl-argo-rollouts ": "kubectl argo rollouts"} {
				r := newRig(t, cart(c.change))
				r.run(called + c.line)
				said := r.out.String() + r.err.String()
				if !strings.Contains(said, shown+c.names) {
					t.Errorf("%s%s does not name %q:\n%s", called, c.line, shown+c.names, said)
				}
				if shown == "kubectl argo rollouts" && strings.Contains(said, "kubectl rollouts") {
					t.Errorf("%s%s names another program:\n%s", called, c.line, said)
				}
			}
		})
	}
}
