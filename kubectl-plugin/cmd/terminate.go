package cmd

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

func (a *app) terminateCommand() *cobra.Command {
	terminate := &cobra.Command{
		Use:   "terminate",
		Short: "End an AnalysisRun or an experiment now",
		Args:  cobra.NoArgs,
		RunE: action(func(context.Context, []string) error {
			return usage("terminate needs to know what", "for example: kubectl rollouts terminate experiment cart-ab")
		}),
	}
	terminate.AddCommand(
		a.terminateKind(ending{
			noun: runNoun, called: "analysisRun", aliases: []string{"ar", "analysisruns"},
			empty: func() client.Object { return &v1alpha1.AnalysisRun{} },
			long: `Sets spec.terminate. No further measurement is taken; a metric that did not fail
so far counts as passed, and what waits for the run goes on.`,
			asks: "Terminate AnalysisRun '%s'? What it did not measure counts as passed.",
		}),
		a.terminateKind(ending{
			noun: experimentNoun, called: "experiment", aliases: []string{"exp", "experiments"},
			empty: func() client.Object { return &v1alpha1.Experiment{} },
			long: `Sets spec.terminate. Its analyses are stopped, its pods are removed after
scaleDownDelaySeconds, and it ends Successful unless an analysis failed before.`,
			asks: "Terminate experiment '%s'? It ends Successful, unless an analysis failed.",
		}),
	)
	return terminate
}

// ending is how objects of one kind are ended. called is their kind in the message, as scripts know it.
type ending struct {
	noun       noun
	called     string
	aliases    []string
	empty      func() client.Object
	long, asks string
}

func (a *app) terminateKind(e ending) *cobra.Command {
	m := &mutation{}
	c := &cobra.Command{
		Use:     e.noun.word + " NAME...",
		Aliases: e.aliases,
		Short:   fmt.Sprintf("End %s %s now", e.noun.article, e.noun.word),
		Long:    e.long,
		Example: fmt.Sprintf("  kubectl rollouts terminate %s %s", e.noun.word, e.noun.example),
		Args:    e.noun.atLeast(1, e.noun.example),
		RunE:    action(func(ctx context.Context, args []string) error { return a.terminate(ctx, e, m, args) }),
	}
	m.add(c.Flags())
	m.addYes(c.Flags())
	return c
}

func (a *app) terminate(ctx context.Context, e ending, m *mutation, args []string) error {
	if err := m.check(); err != nil {
		return err
	}
	names, err := e.noun.names("terminate", args)
	if err != nil {
		return err
	}
	s, err := a.connect(a.flags)
	if err != nil {
		return err
	}
	return a.each(names, func(name string) error {
		if err := a.confirm(fmt.Sprintf(e.asks, name), m.yes); err != nil {
			return err
		}
		object := e.empty()
		object.SetNamespace(s.namespace)
		object.SetName(name)
		if err := s.patch(ctx, object, document{"spec": document{"terminate": true}}, m); err != nil {
			return e.noun.attempt(fmt.Sprintf("terminating %s '%s'", e.noun.word, name), "patch", s.namespace).failed(err)
		}
		return a.printf("%s '%s' terminated%s\n", e.called, name, m.suffix())
	})
}
