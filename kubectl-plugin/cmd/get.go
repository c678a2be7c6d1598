package cmd

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/kubectl-plugin/view"
)

type getOptions struct {
	format  format
	watch   bool
	timeout timeout
}

func (a *app) getCommand() *cobra.Command {
	o := &getOptions{format: newFormat(formatTree, formatWide, formatJSON, formatYAML, formatName)}
	ofRollouts, ofExperiments := action(getter(a, o, rolloutDisplay)), action(getter(a, o, experimentDisplay))
	get := &cobra.Command{
		Use:   "get",
		Short: "Show one rollout or experiment and what belongs to it",
		Args:  atLeast(1, "rollout cart"),
		RunE: func(c *cobra.Command, args []string) error {
			if nounOf(args, []noun{experimentNoun}, rolloutNoun).kind == experimentNoun.kind {
				return ofExperiments(c, args)
			}
			return ofRollouts(c, args)
		},
	}
	o.add(get.Flags())
	rollout := &cobra.Command{
		Use:     "rollout NAME...",
		Aliases: []string{"ro", "rollouts"},
		Short:   "Show one rollout, its revisions, pods and analyses",
		Example: "  kubectl rollouts get rollout cart\n  kubectl rollouts get rollout cart -w\n  kubectl rollouts get rollout cart -o json",
		Args:    atLeast(1, "cart"),
		RunE:    ofRollouts,
	}
	o.add(rollout.Flags())
	experiment := &cobra.Command{
		Use:     "experiment NAME...",
		Aliases: []string{"exp", "experiments"},
		Short:   "Show one experiment, its templates, pods and analyses",
		Example: "  kubectl rollouts get experiment cart-ab\n  kubectl rollouts get experiment cart-ab -w",
		Args:    experimentNoun.atLeast(1, "cart-ab"),
		RunE:    ofExperiments,
	}
	o.add(experiment.Flags())
	get.AddCommand(rollout, experiment)
	return get
}

// display is how a kind of object is shown.
type display[T client.Object] struct {
	family family[T]
	// owned reads what belongs to an object.
	owned func(context.Context, session, T) view.Owned
	look  func(*app, T, view.Owned) portrait
}

var (
	rolloutDisplay = display[*v1alpha1.Rollout]{
		family: rollouts,
		owned: func(ctx context.Context, s session, ro *v1alpha1.Rollout) view.Owned {
			return s.owned(ctx, ro)
		},
		look: func(a *app, ro *v1alpha1.Rollout, owned view.Owned) portrait {
			return rolloutPortrait(a.look(ro, owned))
		},
	}
	experimentDisplay = display[*v1alpha1.Experiment]{
		family: experiments,
		owned: func(ctx context.Context, s session, e *v1alpha1.Experiment) view.Owned {
			return s.ownedByExperiment(ctx, e)
		},
		look: func(a *app, e *v1alpha1.Experiment, owned view.Owned) portrait {
			return experimentPortrait(a.lookAtExperiment(e, owned))
		},
	}
)

func (o *getOptions) add(flags *pflag.FlagSet) {
	o.format.add(flags)
	flags.BoolVarP(&o.watch, "watch", "w", false, "go on showing it as it changes")
	flags.Var(&o.timeout, "timeout", "with -w, how long to go on; 0 is for ever")
	flags.Var(bareSeconds{&o.timeout}, "timeout-seconds", "the older name of --timeout")
	_ = flags.MarkHidden("timeout-seconds")
}

// getter is the get command of one kind.
func getter[T client.Object](a *app, o *getOptions, d display[T]) func(context.Context, []string) error {
	return func(ctx context.Context, args []string) error {
		if err := o.format.check(); err != nil {
			return err
		}
		names, err := d.family.noun.names("get", args)
		if err != nil {
			return err
		}
		if o.watch && len(names) > 1 {
			return usage(fmt.Sprintf("-w follows one %s, not several", d.family.noun.word), fmt.Sprintf("kubectl rollouts list %ss -w follows all", d.family.noun.word))
		}
		s, err := a.connect(a.flags)
		if err != nil {
			return err
		}
		if o.watch {
			w := &watcher[T]{app: a, session: s, display: d, options: o}
			return w.follow(ctx, names[0])
		}
		return shower[T]{app: a, session: s, display: d}.all(ctx, o, names)
	}
}

// shower shows objects of one kind.
type shower[T client.Object] struct {
	app     *app
	session session
	display display[T]
}

func (w shower[T]) all(ctx context.Context, o *getOptions, names []string) error {
	for i, name := range names {
		object, err := w.display.family.read(ctx, w.session, name)
		if err != nil {
			return err
		}
		if i > 0 && o.format.value == formatTree {
			_ = w.app.printf("\n")
		}
		seen := w.display.look(w.app, object, w.display.owned(ctx, w.session, object))
		if err := w.app.show(seen, o.format.value, len(names) > 1); err != nil {
			return err
		}
	}
	return nil
}

// show prints one object once.
func (a *app) show(p portrait, format string, stream bool) error {
	style, err := a.style()
	if err != nil {
		return err
	}
	switch format {
	case formatJSON, formatYAML:
		return a.document(p.model, format, stream)
	case formatName:
		return a.printf("%s\n", p.resource())
	case formatWide:
		style.Width = 0
	}
	return a.printf("%s", p.tree(style))
}
