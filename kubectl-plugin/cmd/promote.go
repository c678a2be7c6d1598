package cmd

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/kubectl-plugin/view"
)

// promoteTries is how often a promotion is sent while the controller writes
// the status at the same time.
const promoteTries = 5

type promoteOptions struct {
	mutation
	full, current, all bool
}

func (a *app) promoteCommand() *cobra.Command {
	o := &promoteOptions{}
	c := &cobra.Command{
		Use:     "promote NAME...",
		Short:   "Let a rollout go on: end its pause, or skip its step",
		Example: "  kubectl rollouts promote cart\n  kubectl rollouts promote cart --full",
		Args:    atLeast(1, "cart"),
		RunE:    action(func(ctx context.Context, args []string) error { return a.promote(ctx, o, args) }),
	}
	c.Flags().BoolVar(&o.full, "full", false, "skip all remaining steps, pauses and analysis")
	c.Flags().BoolVarP(&o.current, "skip-current-step", "c", false, "skip the step that is being worked on")
	c.Flags().BoolVarP(&o.all, "skip-all-steps", "a", false, "skip all remaining steps")
	_ = c.Flags().MarkDeprecated("skip-current-step", "use promote without it")
	_ = c.Flags().MarkDeprecated("skip-all-steps", "use --full")
	o.add(c.Flags())
	o.addYes(c.Flags())
	return c
}

func (o *promoteOptions) kind() (promotionKind, error) {
	switch {
	case o.current && o.all, o.full && (o.current || o.all):
		return "", usage("--full, --skip-current-step and --skip-all-steps exclude each other", "give one of them")
	case o.full:
		return promoteFull, nil
	case o.current:
		return skipCurrentStep, nil
	case o.all:
		return skipAllSteps, nil
	}
	return promoteNext, nil
}

func (a *app) promote(ctx context.Context, o *promoteOptions, args []string) error {
	if err := o.check(); err != nil {
		return err
	}
	kind, err := o.kind()
	if err != nil {
		return err
	}
	names, err := rolloutNames("promote", args)
	if err != nil {
		return err
	}
	s, err := a.connect(a.flags)
	if err != nil {
		return err
	}
	return a.each(names, func(name string) error {
		p := &promoter{app: a, session: s, options: o, kind: kind, name: name}
		return s.changing("promoting", name).failed(p.run(ctx))
	})
}

// promoter promotes one rollout.
type promoter struct {
	app     *app
	session session
	options *promoteOptions
	kind    promotionKind
	name    string
}

func (p *promoter) run(ctx context.Context) error {
	ro, err := p.session.rollout(ctx, p.name)
	if err != nil {
		return err
	}
	first := askedOf(ro)
	if p.kind == promoteFull {
		if err := p.app.confirm(fullQuestion(p.app.look(ro, view.Owned{})), p.options.yes); err != nil {
			return err
		}
	}
	for range promoteTries {
		err = p.send(ctx, ro)
		if !apierrors.IsConflict(err) {
			break
		}
		if ro, err = p.session.rollout(ctx, p.name); err != nil {
			return err
		}
		if !p.holds(first, ro) {
			return &failure{
				code: ExitError, what: fmt.Sprintf("rollout '%s' was not promoted", p.name),
				why:  "it changed while the command ran, so this would promote something else",
				next: p.app.command("get rollout") + p.name + ", then promote again if it is still wanted",
			}
		}
		err = fmt.Errorf("the rollout changed %d times while the command ran: %w", promoteTries, errBusy)
	}
	if err != nil {
		return err
	}
	return p.say()
}

var errBusy = fmt.Errorf("it is busy; run the command again")

// holds reports whether the rollout is still as it was when the promotion was
// asked for. A full promotion is about the revision only.
func (p *promoter) holds(first asked, ro *v1alpha1.Rollout) bool {
	now := askedOf(ro)
	if p.kind == promoteFull {
		return now.hash == first.hash
	}
	return now == first
}

// send writes the promotion. The patch of the status names the version that
// was read: when anything was written since, the API server refuses it, and so
// a step is advanced at most once, also when an answer is lost.
func (p *promoter) send(ctx context.Context, ro *v1alpha1.Rollout) error {
	promotion, err := promotionOf(ro, p.kind)
	if err != nil {
		return err
	}
	version := ro.ResourceVersion
	if promotion.unpause {
		after, err := p.session.patchSpec(ctx, p.name, document{"spec": document{"paused": false}}, &p.options.mutation)
		if err != nil {
			return err
		}
		if !p.options.dry() {
			version = after.ResourceVersion
		}
	}
	if promotion.pending {
		p.app.say("rollout '%s' was promoted before; the controller has not acted on it yet\n", p.name)
	}
	if promotion.status == nil {
		return nil
	}
	patch := document{"status": promotion.status, "metadata": document{"resourceVersion": version}}
	return p.session.patchStatus(ctx, p.name, patch, &p.options.mutation)
}

func (p *promoter) say() error {
	verb := "promoted"
	if p.kind == promoteFull {
		verb = "fully promoted"
	}
	return p.app.printf("rollout '%s' %s%s\n", p.name, verb, p.options.suffix())
}

func fullQuestion(v view.RolloutView) string {
	q := fmt.Sprintf("Promote revision %d of rollout '%s' fully", v.Revision, v.Name)
	if v.Step != nil {
		q += fmt.Sprintf(", skipping %d of %d steps with their pauses and analysis", v.Step.Count-v.Step.Index, v.Step.Count)
	}
	if v.Weight != nil {
		q += fmt.Sprintf(" (weight %d → %d)", v.Weight.Actual, v.Weight.Max)
	}
	return q + "?"
}
