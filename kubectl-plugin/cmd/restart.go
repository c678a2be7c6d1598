package cmd

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) restartCommand() *cobra.Command {
	m := &mutation{}
	var in time.Duration
	c := &cobra.Command{
		Use:   "restart NAME...",
		Short: "Replace the pods of a rollout by new ones of the same revision",
		Long: `Sets spec.restartAt. Pods that were made before that time are evicted within
maxUnavailable and what PodDisruptionBudgets allow, those of the stable revision first.`,
		Example: "  kubectl rollouts restart cart\n  kubectl rollouts restart cart --in 10m",
		Args:    atLeast(1, "cart"),
		RunE:    action(func(ctx context.Context, args []string) error { return a.restart(ctx, m, in, args) }),
	}
	c.Flags().DurationVarP(&in, "in", "i", 0, "restart after this long, for example 10m; 0 is now")
	m.add(c.Flags())
	return c
}

func (a *app) restart(ctx context.Context, m *mutation, in time.Duration, args []string) error {
	if err := m.check(); err != nil {
		return err
	}
	if in < 0 {
		return usage(fmt.Sprintf("--in is %s, which is in the past", in), "leave it out to restart now")
	}
	names, err := rolloutNames("restart", args)
	if err != nil {
		return err
	}
	s, err := a.connect(a.flags)
	if err != nil {
		return err
	}
	at := a.clock.Now().Add(in).UTC().Format(time.RFC3339)
	return a.each(names, func(name string) error {
		if _, err := s.patchSpec(ctx, name, document{"spec": document{"restartAt": at}}, m); err != nil {
			doing := attempt{
				doing: fmt.Sprintf("restarting rollout '%s'", name), verb: "patch",
				resource: "rollouts.argoproj.io", namespace: s.namespace,
			}
			return doing.failed(err)
		}
		return a.printf("rollout '%s' restarts in %s%s\n", name, in, m.suffix())
	})
}
