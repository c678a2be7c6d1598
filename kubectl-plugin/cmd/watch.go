package cmd

import (
	"context"
	"encoding/json"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/kubectl-plugin/view"
)

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

// watcher follows one object and shows it again and again.
type watcher[T client.Object] struct {
	app     *app
	session session
	display display[T]
	options *getOptions

	show   func(portrait) error
	every  time.Duration
	name   string
	object T
	seen   bool
	owned  view.Owned
	readAt time.Time
	dirty  bool
}

func (w *watcher[T]) follow(ctx context.Context, name string) error {
	a, format := w.app, w.options.format.value
	w.options.timeout.warn(a)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	w.name, w.every = name, reread
	size, isTerminal := a.terminal(a.streams.Out)
	if isTerminal && (format == formatTree || format == formatWide) && size.height > 0 {
		screen := &screen{app: a, wide: format == formatWide}
		w.show, w.every = screen.draw, redraw
		screen.enter()
		defer screen.leave()
	} else {
		lines := &lines{app: a, format: format, since: a.clock.Now()}
		w.show = lines.draw
	}
	f := &follower[T]{session: w.session, scope: scope{name: name, namespace: w.session.namespace}, family: w.display.family, clock: a.clock}
	return w.run(ctx, f.start(ctx), w.options.timeout.expiry(a.clock))
}

func (w *watcher[T]) run(ctx context.Context, sightings <-chan sighting[T], expired <-chan time.Time) error {
	var draw <-chan time.Time
	for {
		select {
		case seen, open := <-sightings:
			if !open {
				return interrupted("the watch")
			}
			if seen.err != nil {
				return w.display.family.reading(w.session, w.name).failed(seen.err)
			}
			first := !w.seen
			w.object, w.seen = seen.object, true
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

func (w *watcher[T]) draw(ctx context.Context) error {
	now := w.app.clock.Now()
	if w.dirty || now.Sub(w.readAt) >= reread {
		w.owned, w.readAt, w.dirty = w.display.owned(ctx, w.session, w.object), now, false
	}
	return w.show(w.display.look(w.app, w.object, w.owned))
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

func (l *lines) draw(p portrait) error {
	now := l.app.clock.Now()
	switch l.format {
	case formatJSON, formatYAML:
		text, err := json.Marshal(p.still)
		if err != nil || string(text) == l.last {
			return err //nolint:wrapcheck // A view has no value that does not encode.
		}
		l.last = string(text)
		return l.app.document(p.model, l.format, true)
	case formatName:
		if l.last == "" {
			l.last = p.name
			return l.app.printf("%s\n", p.resource())
		}
		return nil
	}
	line := p.name + " " + p.summary
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
