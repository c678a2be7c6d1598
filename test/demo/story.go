package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// chapterLimit bounds each chapter. A quiet machine needs 3, 15 and 8 s; the rest is
// for machines that are busy.
const chapterLimit = 90 * time.Second

// story tells what happens to shop/cart. It changes nothing but the image; every
// line is read from the cluster, and what does not happen is an error.
type story struct {
	screen *screen
	reader client.Reader
	app    *application
	// users start to send requests when it is called.
	users func()
	// plugin runs kubectl-rollouts and returns what it printed.
	plugin func(context.Context, ...string) (string, error)
	// telling is false until there are users: before, a weight is no news.
	telling bool
	// limit bounds each chapter.
	limit time.Duration
	// broken is why the story cannot go on, e.g. a controller that ended.
	broken func() error
}

// tell plays all chapters.
func (s *story) tell(ctx context.Context) error {
	chapters := []struct {
		what string
		play func(context.Context) error
	}{
		{"the first release becomes healthy", s.first},
		{"the good release is promoted by its measurements", s.good},
		{"the bad release is rolled back by its measurements", s.bad},
		{"the plugin says why", s.explain},
	}
	for _, c := range chapters {
		err := func() error {
			limited, cancel := context.WithTimeoutCause(ctx, s.limit, fmt.Errorf("it took longer than %s", s.limit))
			defer cancel()
			return c.play(limited)
		}()
		if err != nil {
			return fmt.Errorf("this part of the story did not happen: %s: %w", c.what, err)
		}
	}
	return nil
}

func (s *story) first(ctx context.Context) error {
	if _, err := s.follow(ctx, "2.7.4", facts.servesAll); err != nil {
		return err
	}
	s.users()
	s.telling = true
	s.screen.at(fmt.Sprintf("%s/%s 2.7.4 is healthy and gets %d requests a second", namespace, name, perSecond))
	return nil
}

func (s *story) good(ctx context.Context) error {
	if err := s.release(ctx, "good", "2.8.0"); err != nil {
		return err
	}
	seen, err := s.follow(ctx, "2.8.0", facts.over)
	if err != nil {
		return err
	}
	if err := seen.checkGood(); err != nil {
		return err
	}
	s.screen.at("✔ 2.8.0 is promoted by its measurements and serves everything")
	return nil
}

func (s *story) bad(ctx context.Context) error {
	before := s.app.seen().all().total()
	if err := s.release(ctx, "bad", "2.9.0"); err != nil {
		return err
	}
	seen, err := s.follow(ctx, "2.9.0", facts.over)
	if err != nil {
		return err
	}
	if err := seen.checkBad(); err != nil {
		return err
	}
	after := s.app.seen()
	s.screen.at(fmt.Sprintf("✖ 2.9.0 is rolled back by itself %.1f s after its first request; %s of %s requests failed; 2.8.0 serves everything again",
		seen.exposed().Seconds(), count(int(after.of("2.9.0").Bad)), count(int(after.all().total()-before))))
	return nil
}

// explain runs the plugin as a person would, and checks that the bad release gets
// nothing any more.
func (s *story) explain(ctx context.Context) error {
	if err := s.ask(ctx, []string{"success-rate", "0.95"}, "why", name, "-n", namespace); err != nil {
		return err
	}
	served := s.app.seen().of("2.9.0").total()
	if err := s.ask(ctx, []string{name, "Degraded", "2.9.0"}, "get", "rollout", name, "-n", namespace); err != nil {
		return err
	}
	if now := s.app.seen().of("2.9.0").total(); now > served {
		return fmt.Errorf("2.9.0 got %.0f more requests after it was rolled back", now-served)
	}
	return nil
}

// answerLimit is how far the status may be behind the route that was seen to change.
const answerLimit = 5 * time.Second

// ask shows what the plugin answers. The answer must hold some words.
func (s *story) ask(ctx context.Context, words []string, args ...string) error {
	ticker := time.NewTicker(10 * tick)
	defer ticker.Stop()
	asked, limit := time.Now(), min(answerLimit, s.limit/2)
	for {
		answer, err := s.plugin(ctx, args...)
		if err != nil {
			return err
		}
		missing := slices.IndexFunc(words, func(word string) bool { return !strings.Contains(answer, word) })
		if missing < 0 || time.Since(asked) > limit {
			s.screen.line("")
			s.screen.at("$ kubectl rollouts " + strings.Join(args, " "))
			s.screen.block(answer)
		}
		switch {
		case missing < 0:
			return nil
		case time.Since(asked) > limit:
			return fmt.Errorf("kubectl rollouts %s does not mention %q", strings.Join(args, " "), words[missing])
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("asking the plugin: %w", context.Cause(ctx))
		case <-ticker.C:
		}
	}
}

// release asks for another image with the plugin.
func (s *story) release(ctx context.Context, kind, tag string) error {
	s.screen.line("")
	s.screen.at(fmt.Sprintf("a %s release, %s: %s %% of its requests fail", kind, tag, percentOf(errorRates[tag])))
	args := []string{"set", "image", name, fmt.Sprintf("%s=shop/cart:%s", container, tag), "-n", namespace}
	s.screen.at("$ kubectl rollouts " + strings.Join(args, " "))
	_, err := s.plugin(ctx, args...)
	return err
}

// percentOf writes a fraction as a percentage.
func percentOf(fraction float64) string {
	return strings.TrimSuffix(fmt.Sprintf("%.1f", 100*fraction), ".0")
}

// follow watches a release until the facts are as wanted and tells the news on the
// way. It returns all that was seen.
func (s *story) follow(ctx context.Context, tag string, wanted func(facts) bool) (chronicle, error) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	var seen chronicle
	for {
		now, err := readFacts(ctx, s.reader)
		if err := errors.Join(err, s.app.failure(), s.broken()); err != nil {
			return seen, err
		}
		if now.Tag == tag { // the watch may be behind the change of the image
			s.report(seen.add(now, time.Now()))
			if wanted(now) {
				return seen, nil
			}
		}
		select {
		case <-ctx.Done():
			return seen, fmt.Errorf("%w; the last that was seen: %s", context.Cause(ctx), now.describe())
		case <-ticker.C:
		}
	}
}

// report tells the news.
func (s *story) report(lines []string) {
	for _, line := range lines {
		if s.telling {
			s.screen.at(line)
		}
	}
}
