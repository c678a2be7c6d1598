package cmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/headway-rollouts/headway/kubectl-plugin/view"
)

func (a *app) whyCommand() *cobra.Command {
	format := newFormat(formatText, formatJSON, formatYAML)
	c := &cobra.Command{
		Use:   "why NAME",
		Short: "Say why a rollout is not further, and how to go on",
		Args:  atLeast(1, "cart"),
		RunE: action(func(ctx context.Context, args []string) error {
			if err := format.check(); err != nil {
				return err
			}
			return a.why(ctx, format.value, args)
		}),
	}
	format.add(c.Flags())
	return c
}

func (a *app) why(ctx context.Context, format string, args []string) error {
	name, err := one("why", args)
	if err != nil {
		return err
	}
	s, err := a.connect(a.flags)
	if err != nil {
		return err
	}
	ro, err := s.rollout(ctx, name)
	if err != nil {
		return err
	}
	v := a.look(ro, s.owned(ctx, ro))
	if format != formatText {
		return a.document(view.Explain(v), format, false)
	}
	style, err := a.style()
	if err != nil {
		return err
	}
	return a.printf("%s", view.Why(v, style))
}
