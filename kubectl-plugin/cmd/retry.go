package cmd

import (
	"context"

	"github.com/spf13/cobra"
)

func (a *app) retryCommand() *cobra.Command {
	m := &mutation{}
	run := action(func(ctx context.Context, args []string) error {
		return a.setAbort(ctx, abortion{mutation: m, doing: "retrying", done: "retried", verb: "retry"}, args)
	})
	retry := &cobra.Command{
		Use:   "retry",
		Short: "Start an aborted update again from its first step",
		Args:  atLeast(1, "rollout cart"),
		RunE:  run,
	}
	m.add(retry.Flags())
	rollout := &cobra.Command{
		Use:     "rollout NAME...",
		Aliases: []string{"ro", "rollouts"},
		Short:   "Start an aborted update again from its first step",
		Example: "  kubectl rollouts retry rollout cart",
		Args:    atLeast(1, "cart"),
		RunE:    run,
	}
	m.add(rollout.Flags())
	retry.AddCommand(rollout)
	return retry
}
