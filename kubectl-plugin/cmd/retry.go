package cmd

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

func (a *app) retryCommand() *cobra.Command {
	m := &mutation{}
	ofRollouts := action(func(ctx context.Context, args []string) error {
		return a.setAbort(ctx, abortion{mutation: m, doing: "retrying", done: "retried", verb: "retry"}, args)
	})
	ofExperiments := action(func(ctx context.Context, args []string) error { return a.retryExperiments(ctx, m, args) })
	retry := &cobra.Command{
		Use:   "retry",
		Short: "Start an aborted update or an ended experiment again",
		Args:  atLeast(1, "rollout cart"),
		RunE: func(c *cobra.Command, args []string) error {
			if nounOf(args, []noun{experimentNoun}, rolloutNoun).kind == experimentNoun.kind {
				return ofExperiments(c, args)
			}
			return ofRollouts(c, args)
		},
	}
	m.add(retry.Flags())
	rollout := &cobra.Command{
		Use:     "rollout NAME...",
		Aliases: []string{"ro", "rollouts"},
		Short:   "Start an aborted update again from its first step",
		Example: "  kubectl rollouts retry rollout cart",
		Args:    atLeast(1, "cart"),
		RunE:    ofRollouts,
	}
	m.add(rollout.Flags())
	experiment := &cobra.Command{
		Use:     "experiment NAME...",
		Aliases: []string{"exp", "experiments"},
		Short:   "Start an experiment again from its beginning",
		Long: `Sets the status to null. Pods that still run are used again, unless their
template has changed; the analyses are taken anew.`,
		Example: "  kubectl rollouts retry experiment cart-ab",
		Args:    experimentNoun.atLeast(1, "cart-ab"),
		RunE:    ofExperiments,
	}
	m.add(experiment.Flags())
	retry.AddCommand(rollout, experiment)
	return retry
}

func (a *app) retryExperiments(ctx context.Context, m *mutation, args []string) error {
	if err := m.check(); err != nil {
		return err
	}
	names, err := experimentNoun.names("retry", args)
	if err != nil {
		return err
	}
	s, err := a.connect(a.flags)
	if err != nil {
		return err
	}
	return a.each(names, func(name string) error {
		e := &v1alpha1.Experiment{}
		e.Namespace, e.Name = s.namespace, name
		if err := s.patch(ctx, e, document{"status": nil}, m); err != nil {
			return experimentNoun.attempt(fmt.Sprintf("retrying experiment '%s'", name), "patch", s.namespace).failed(err)
		}
		if e.Spec.Terminate {
			a.say("warning: spec.terminate of experiment '%s' is true, so it ends again at once; next: kubectl patch experiments.argoproj.io %s -n %s --type merge -p '%s'\n",
				name, name, s.namespace, `{"spec":{"terminate":false},"status":null}`)
		}
		return a.printf("experiment '%s' retried%s\n", name, m.suffix())
	})
}
