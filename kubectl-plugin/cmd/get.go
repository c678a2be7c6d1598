package cmd

import (
	"context"
	"encoding/json"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

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
	run := action(func(ctx context.Context, args []string) error { return a.get(ctx, o, args) })
	get := &cobra.Command{
		Use:   "get",
		Short: "Show one rollout, its revisions, pods and analyses",
		Args:  atLeast(1, "rollout cart"),
		RunE:  run,
	}
	o.add(get.Flags())
	rollout := &cobra.Command{
		Use:     "rollout NAME...",
		Aliases: []string{"ro", "rollouts"},
		Short:   "Show one rollout, its revisions, pods and analyses",
		Example: "  kubectl rollouts get rollout cart\n  kubectl rollouts get rollout cart -w\n  kubectl rollouts get rollout cart -o json",
		Args:    atLeast(1, "cart"),
		RunE:    run,
	}
	o.add(rollout.Flags())
	get.AddCommand(rollout)
	return get
}

func (o *getOptions) add(flags *pflag.FlagSet) {
	o.format.add(flags)
	flags.BoolVarP(&o.watch, "watch", "w", false, "go on showing it as it changes")
	flags.Var(&o.timeout, "timeout", "with -w, how long to go on; 0 is for ever")
	flags.Var(bareSeconds{&o.timeout}, "timeout-seconds", "the older name of --timeout")
	_ = flags.MarkHidden("timeout-seconds")
}

func (a *app) get(ctx context.Context, o *getOptions, args []string) error {
	if err := o.format.check(); err != nil {
		return err
	}
	names, err := rolloutNames("get", args)
	if err != nil {
		return err
	}
	if o.watch && len(names) > 1 {
		return usage("-w follows one rollout, not several", "kubectl rollouts list rollouts -w follows all")
	}
	s, err := a.connect(a.flags)
	if err != nil {
		return err
	}
	if o.watch {
		return a.watchOne(ctx, s, o, names[0])
	}
	for i, name := range names {
		ro, err := s.rollout(ctx, name)
		if err != nil {
			return err
		}
		if i > 0 && o.format.value == formatTree {
			_ = a.printf("\n")
		}
		if err := a.show(a.look(ro, s.owned(ctx, ro)), o.format.value, len(names) > 1); err != nil {
			return err
		}
	}
	return nil
}

// show prints one view once.
func (a *app) show(v view.RolloutView, format string, stream bool) error {
	style, err := a.style()
	if err != nil {
		return err
	}
	switch format {
	case formatJSON, formatYAML:
		return a.document(v, format, stream)
	case formatName:
		return a.printf("%s\n", resourceName(v))
	case formatWide:
		style.Width = 0
	}
	return a.printf("%s", view.Tree(v, style))
}

const (
	// leastGap is the shortest time between two drawings, so that a burst of
	// changes does not flicker.
	leastGap = 200 * time.Millisecond
	// redraw is how often ages and countdowns are drawn anew on a terminal.
	redraw = time.Second
	// reread is how often pods and analyses are read while the rollout itself does not change.
	reread = 2 * time.Second
	// heartbeat is how often a watch without a terminal says that it is alive.
	heartbeat = time.Minute
)

// watcher follows one rollout and shows it again and again.
type watcher struct {
	app     *app
	session session
	show    func(view.RolloutView) error
	every   time.Duration
	ro      *v1alpha1.Rollout
	owned   view.Owned
	readAt  time.Time
	dirty   bool
}

func (a *app) watchOne(ctx context.Context, s session, o *getOptions, name string) error {
	o.timeout.warn(a)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	w := &watcher{app: a, session: s, every: reread}
	size, isTerminal := a.terminal(a.streams.Out)
	if isTerminal && (o.format.value == formatTree || o.format.value == formatWide) && size.height > 0 {
		screen := &screen{app: a, wide: o.format.value == formatWide}
		w.show, w.every = screen.draw, redraw
		screen.enter()
		defer screen.leave()
	} else {
		lines := &lines{app: a, format: o.format.value, since: a.clock.Now()}
		w.show = lines.draw
	}
	return w.run(ctx, a.follow(ctx, s, scope{name: name, namespace: s.namespace}), o.timeout.expiry(a.clock))
}

func (w *watcher) run(ctx context.Context, sightings <-chan sighting, expired <-chan time.Time) error {
	var draw <-chan time.Time
	for {
		select {
		case seen, open := <-sightings:
			if !open {
				return interrupted("the watch")
			}
			if seen.err != nil {
				return w.session.reading(w.name()).failed(seen.err)
			}
			first := w.ro == nil
			w.ro = seen.rollout
			if !w.dirty {
				draw = w.app.clock.After(leastGap)
			}
			w.dirty = true
			if !first {
				continue
			}
			draw = w.app.clock.After(0)
		case <-draw:
			if err := w.draw(ctx); err != nil {
				return err
			}
			draw = w.app.clock.After(w.every)
		case <-expired:
			return w.app.timedOut("the watch")
		case <-ctx.Done():
			return interrupted("the watch")
		}
	}
}

func (w *watcher) name() string {
	if w.ro == nil {
		return ""
	}
	return w.ro.Name
}

func (w *watcher) draw(ctx context.Context) error {
	now := w.app.clock.Now()
	if w.dirty || now.Sub(w.readAt) >= reread {
		w.owned, w.readAt, w.dirty = w.session.owned(ctx, w.ro), now, false
	}
	return w.show(w.app.look(w.ro, w.owned))
}

// timedOut ends a watch; the served plugin's watches end quietly.
func (a *app) timedOut(what string) error {
	if a.served {
		return nil
	}
	return &failure{code: ExitTimeout, what: what + " reached its timeout", next: "give more time with --timeout"}
}

// lines shows a watch where there is no terminal: one line or document for
// each change, and a sign of life.
type lines struct {
	app    *app
	format string
	last   string
	since  time.Time
}

func (l *lines) draw(v view.RolloutView) error {
	now := l.app.clock.Now()
	switch l.format {
	case formatJSON, formatYAML:
		bare := v
		bare.ObservedAt = time.Time{}
		text, err := json.Marshal(bare)
		if err != nil || string(text) == l.last {
			return err //nolint:wrapcheck // A view has no value that does not encode.
		}
		l.last = string(text)
		return l.app.document(v, l.format, true)
	case formatName:
		if l.last == "" {
			l.last = v.Name
			return l.app.printf("%s\n", resourceName(v))
		}
		return nil
	}
	line := v.Name + " " + view.Summary(v)
	if line != l.last {
		l.last, l.since = line, now
		return l.app.printf("%s %s\n", now.UTC().Format(time.RFC3339), line)
	}
	if now.Sub(l.since) >= heartbeat {
		l.since = now
		l.app.say("%s %s    still the same\n", now.UTC().Format(time.RFC3339), line)
	}
	return nil
}
