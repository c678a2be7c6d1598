package cmd

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/kubectl-plugin/view"
)

type statusOptions struct {
	watch    bool
	timeout  timeout
	want     string
	revision int64
}

func (a *app) statusCommand() *cobra.Command {
	o := &statusOptions{}
	c := &cobra.Command{
		Use:   "status NAME",
		Short: "Wait for a rollout and say how it ends",
		Long: `Waits until the rollout is where --for wants it. Ends early when it cannot
get there by itself: degraded (3), paused for a person (5), or superseded (7).`,
		Example: "  kubectl rollouts status cart --timeout 10m\n  kubectl rollouts status cart --for=paused\n  kubectl rollouts status cart --watch=false",
		Args:    atLeast(1, "cart"),
		RunE:    action(func(ctx context.Context, args []string) error { return a.status(ctx, o, args) }),
	}
	c.Flags().BoolVarP(&o.watch, "watch", "w", true, "wait; without, say how it is now")
	c.Flags().VarP(&o.timeout, "timeout", "t", "how long to wait, for example 5m; 0 is for ever")
	c.Flags().StringVar(&o.want, "for", "", "what to wait for: healthy (default), paused, complete, step=N or degraded")
	c.Flags().Int64Var(&o.revision, "revision", 0, "wait for this revision only; 0 is the newest")
	return c
}

// waiting is one run of status.
type waiting struct {
	app     *app
	name    string
	goal    goal
	pinned  int64
	asked   bool
	last    view.RolloutView
	printed string
}

func (a *app) status(ctx context.Context, o *statusOptions, args []string) error {
	name, err := one("status", args)
	if err != nil {
		return err
	}
	w := &waiting{app: a, name: name, goal: goal{kind: goalHealthy}, pinned: o.revision, asked: o.want != ""}
	if w.asked {
		if w.goal, err = parseGoal(o.want); err != nil {
			return err
		}
	}
	s, err := a.connect(a.flags)
	if err != nil {
		return err
	}
	if !o.watch {
		return w.once(ctx, s)
	}
	o.timeout.warn(a)
	return w.follow(ctx, s, o.timeout)
}

// once is status without waiting: a report, and with --for a check.
func (w *waiting) once(ctx context.Context, s session) error {
	ro, err := s.rollout(ctx, w.name)
	if err != nil {
		return err
	}
	v := w.app.look(ro, view.Owned{})
	if err := w.app.printf("%s\n", phaseLine(v)); err != nil {
		return err
	}
	done, err := w.conclude(w.closer(ctx, s, ro, v))
	if done || !w.asked {
		return err
	}
	return w.late(v)
}

func (w *waiting) follow(ctx context.Context, s session, limit timeout) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	expired := limit.expiry(w.app.clock)
	beat := w.app.clock.After(heartbeat)
	sightings := w.app.follow(ctx, s, scope{name: w.name, namespace: s.namespace})
	for {
		select {
		case seen, open := <-sightings:
			if !open {
				return interrupted("waiting for rollout '" + w.name + "'")
			}
			if seen.err != nil {
				return rollouts.reading(s, w.name).failed(seen.err)
			}
			w.last = w.app.look(seen.object, view.Owned{})
			if err := w.print(); err != nil {
				return err
			}
			if done, err := w.conclude(w.closer(ctx, s, seen.object, w.last)); done {
				return err
			}
		case <-beat:
			beat = w.app.clock.After(heartbeat)
			w.stillWaiting()
		case <-expired:
			return w.late(w.last)
		case <-ctx.Done():
			return interrupted("waiting for rollout '" + w.name + "'")
		}
	}
}

// print writes one line for each change.
func (w *waiting) print() error {
	line := w.name + " " + view.Summary(w.last)
	if w.app.served {
		line = phaseLine(w.last)
	}
	if line == w.printed {
		return nil
	}
	w.printed = line
	if w.app.served {
		return w.app.printf("%s\n", line)
	}
	return w.app.printf("%s %s\n", w.app.clock.Now().UTC().Format(time.RFC3339), line)
}

func (w *waiting) stillWaiting() {
	if w.app.served || w.printed == "" {
		return
	}
	w.app.say("%s %s    still waiting\n", w.app.clock.Now().UTC().Format(time.RFC3339), w.printed)
}

// closer looks also at what a degraded rollout owns, so that the last line
// says what was measured. Waiting itself needs the rollout alone.
func (w *waiting) closer(ctx context.Context, s session, ro *v1alpha1.Rollout, v view.RolloutView) view.RolloutView {
	if v.Phase != v1alpha1.RolloutPhaseDegraded {
		return v
	}
	return w.app.look(ro, s.owned(ctx, ro))
}

// phaseLine is the line that scripts of the served plugin read.
func phaseLine(v view.RolloutView) string {
	switch v.Phase {
	case v1alpha1.RolloutPhaseProgressing, v1alpha1.RolloutPhasePaused:
		if v.Message != "" {
			return string(v.Phase) + " - " + v.Message
		}
	case v1alpha1.RolloutPhaseHealthy, v1alpha1.RolloutPhaseDegraded:
	}
	return string(v.Phase)
}

// conclude reports whether there is nothing to wait for any more, and how it ended.
func (w *waiting) conclude(v view.RolloutView) (done bool, err error) {
	why := w.app.command("why") + w.name
	switch judge(v, w.goal, w.pinned) {
	case outcomeMet:
		return true, nil
	case outcomeDegraded:
		return true, &failure{
			code: ExitDegraded, what: "The rollout is in a degraded state with message: " + v.Message,
			why: reasonOf(v), next: why,
		}
	case outcomePerson:
		if w.app.served && !w.asked {
			return false, nil
		}
		return true, &failure{
			code: ExitPaused, what: fmt.Sprintf("rollout '%s' is paused and waits for a person", w.name),
			why: reasonOf(v), next: w.app.command("promote") + w.name + ", or: " + w.app.command("abort") + w.name,
		}
	case outcomeSuperseded:
		return true, &failure{
			code: ExitSuperseded, what: fmt.Sprintf("revision %d of rollout '%s' was superseded by revision %d", w.pinned, w.name, v.Revision),
			next: w.app.command("status") + w.name,
		}
	case outcomeWaiting:
	}
	return false, nil
}

func reasonOf(v view.RolloutView) string {
	if cause := view.Cause(v); cause != v.Message {
		return cause
	}
	return ""
}

func (w *waiting) late(v view.RolloutView) error {
	f := &failure{code: ExitTimeout, what: "Rollout status watch exceeded timeout", why: "the rollout was not seen", next: w.app.command("why") + w.name}
	if v.Phase != "" {
		f.why = fmt.Sprintf("rollout '%s' is %s, not %s", w.name, view.Summary(v), w.goal)
	}
	return f
}

// String is the goal as --for writes it.
func (g goal) String() string {
	if g.kind == goalStep {
		return fmt.Sprintf("step=%d", g.step)
	}
	return string(g.kind)
}

// command is the start of a command line with the namespace the user gave.
func (a *app) command(verb string) string {
	line := shownName(a) + " " + verb + " "
	if a.flags.Namespace != nil && *a.flags.Namespace != "" {
		line += "-n " + *a.flags.Namespace + " "
	}
	return line
}
