package cmd

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/kubectl-plugin/view"
)

// shownName is what people type to call the plugin.
func shownName(a *app) string {
	if a.served {
		return "kubectl argo rollouts"
	}
	return view.Command
}

// named is a text whose commands have the name that the plugin was called by: the controller, the
// view and the messages of this package know only one, and the other may be the only one installed.
func (a *app) named(text string) string {
	return strings.ReplaceAll(text, view.Command+" ", shownName(a)+" ")
}

// nameExamples does so in the help of a command and those below it.
func (a *app) nameExamples(c *cobra.Command) {
	c.Long, c.Example = a.named(c.Long), a.named(c.Example)
	for _, below := range c.Commands() {
		a.nameExamples(below)
	}
}

// look is the view of a rollout as it is now.
func (a *app) look(ro *v1alpha1.Rollout, owned view.Owned) view.RolloutView {
	v := view.Of(ro, owned, a.clock.Now())
	a.nameWhy(v.Why)
	return v
}

// lookAtExperiment is the view of an experiment as it is now.
func (a *app) lookAtExperiment(e *v1alpha1.Experiment, owned view.Owned) view.ExperimentView {
	v := view.OfExperiment(e, owned, a.clock.Now())
	a.nameWhy(v.Why)
	return v
}

func (a *app) nameWhy(why *view.WhyView) {
	if why != nil {
		why.Unblock = a.named(why.Unblock)
	}
}
