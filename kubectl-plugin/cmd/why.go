package cmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/headway-rollouts/headway/kubectl-plugin/view"
)

func (a *app) whyCommand() *cobra.Command {
	format := newFormat(formatText, formatJSON, formatYAML)
	c := &cobra.Command{
		Use:   "why [rollout|experiment|analysisrun] NAME",
		Short: "Say why a rollout, an experiment or an analysis is not further, and how to go on",
		Example: "  kubectl rollouts why cart\n  kubectl rollouts why experiment cart-ab\n" +
			"  kubectl rollouts why analysisrun cart-6d9f-42",
		Args: atLeast(1, "cart"),
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

// reasons are why an object is where it is: a document, and how it is drawn.
type reasons struct {
	document view.Explanation
	text     func(view.Style) string
}

func (a *app) why(ctx context.Context, format string, args []string) error {
	n := nounOf(args, []noun{experimentNoun, runNoun}, rolloutNoun)
	name, err := n.one("why", args)
	if err != nil {
		return err
	}
	s, err := a.connect(a.flags)
	if err != nil {
		return err
	}
	explain := map[string]func(context.Context, session, string) (reasons, error){
		rolloutNoun.kind: a.whyRollout, experimentNoun.kind: a.whyExperiment, runNoun.kind: a.whyRun,
	}[n.kind]
	found, err := explain(ctx, s, name)
	if err != nil {
		return err
	}
	if format != formatText {
		return a.document(found.document, format, false)
	}
	style, err := a.style()
	if err != nil {
		return err
	}
	return a.printf("%s", found.text(style))
}

func (a *app) whyRollout(ctx context.Context, s session, name string) (reasons, error) {
	ro, err := s.rollout(ctx, name)
	if err != nil {
		return reasons{}, err
	}
	v := a.look(ro, s.owned(ctx, ro))
	return reasons{view.Explain(v), func(style view.Style) string { return view.Why(v, style) }}, nil
}

func (a *app) whyExperiment(ctx context.Context, s session, name string) (reasons, error) {
	e, err := experiments.read(ctx, s, name)
	if err != nil {
		return reasons{}, err
	}
	v := a.lookAtExperiment(e, s.ownedByExperiment(ctx, e))
	return reasons{view.ExplainExperiment(v), func(style view.Style) string { return view.WhyExperiment(v, style) }}, nil
}

func (a *app) whyRun(ctx context.Context, s session, name string) (reasons, error) {
	run, err := runs.read(ctx, s, name)
	if err != nil {
		return reasons{}, err
	}
	e := view.ExplainRun(run, a.clock.Now())
	a.nameWhy(e.Why)
	return reasons{e, func(style view.Style) string { return view.WhyRun(e, style) }}, nil
}
