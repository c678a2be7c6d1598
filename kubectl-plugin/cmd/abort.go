package cmd

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/headway-rollouts/headway/kubectl-plugin/view"
)

func (a *app) abortCommand() *cobra.Command {
	m := &mutation{}
	c := &cobra.Command{
		Use:     "abort NAME...",
		Short:   "Stop an update and send all traffic to the stable revision",
		Example: "  kubectl rollouts abort cart",
		Args:    atLeast(1, "cart"),
		RunE: action(func(ctx context.Context, args []string) error {
			return a.setAbort(ctx, abortion{mutation: m, abort: true, doing: "aborting", done: "aborted", verb: "abort"}, args)
		}),
	}
	m.add(c.Flags())
	m.addYes(c.Flags())
	return c
}

// abortion sets or clears the abort flag: abort and retry are one write.
type abortion struct {
	*mutation
	abort             bool
	verb, doing, done string
}

func (a *app) setAbort(ctx context.Context, o abortion, args []string) error {
	if err := o.check(); err != nil {
		return err
	}
	names, err := rolloutNames(o.verb, args)
	if err != nil {
		return err
	}
	s, err := a.connect(a.flags)
	if err != nil {
		return err
	}
	return a.each(names, func(name string) error {
		if o.abort {
			if err := a.askAbort(ctx, s, name, o.yes); err != nil {
				return err
			}
		}
		patch := document{"status": document{"abort": o.abort}}
		if err := s.patchStatus(ctx, name, patch, o.mutation); err != nil {
			return s.changing(o.doing, name).failed(err)
		}
		return a.printf("rollout '%s' %s%s\n", name, o.done, o.suffix())
	})
}

// askAbort shows what an abort does. It reads the rollout only when there is
// somebody to ask, so that an abort in a script is a single request.
func (a *app) askAbort(ctx context.Context, s session, name string, yes bool) error {
	if _, in := a.terminal(a.streams.In); yes || a.served || !in {
		return nil
	}
	ro, err := s.rollout(ctx, name)
	if err != nil {
		return err
	}
	v := a.look(ro, view.Owned{})
	q := fmt.Sprintf("Abort revision %d of rollout '%s'", v.Revision, name)
	if v.Weight != nil {
		q += fmt.Sprintf(" (weight %d → 0)", v.Weight.Actual)
	}
	return a.confirm(q+"?", false)
}
