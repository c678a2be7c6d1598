package main

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// chronicle is what was seen of one release.
type chronicle struct {
	last facts
	// weights that the release had, one after the other, and since when.
	weights []int
	since   []time.Time
	// dark is since when some requests have had no pod; left is true when that took too long.
	dark time.Time
	left bool
}

// watchLag is how far the watches of two kinds may be apart on a busy machine:
// for so long a weight may be seen before the pods that it is for.
const watchLag = 2 * time.Second

// add notes the facts of a moment and returns what is new.
func (c *chronicle) add(now facts, at time.Time) []string {
	before := c.last
	before.Tag = now.Tag
	if c.weight() != now.Percent {
		c.weights = append(c.weights, now.Percent)
		c.since = append(c.since, at)
	}
	switch {
	case now.Answered:
		c.dark = time.Time{}
	case c.dark.IsZero():
		c.dark = at
	case at.Sub(c.dark) > watchLag:
		c.left = true
	}
	c.last = now
	return news(before, now)
}

// weight is the last that was seen; a release begins with none.
func (c *chronicle) weight() int {
	if len(c.weights) == 0 {
		return 0
	}
	return c.weights[len(c.weights)-1]
}

// exposed is the time from the first weight of the release to its last.
func (c *chronicle) exposed() time.Duration {
	if len(c.since) == 0 {
		return 0
	}
	return c.since[len(c.since)-1].Sub(c.since[0])
}

// checkGood says what is missing in the story of a good release.
func (c *chronicle) checkGood() error {
	if want := []int{10, 50, 100}; !slices.Equal(c.weights, want) {
		return fmt.Errorf("the weights were %v %%, not %v", c.weights, want)
	}
	if len(c.last.Measurements) == 0 || c.last.failed() > 0 {
		return fmt.Errorf("it was promoted without good measurements only: %s", c.last.describe())
	}
	return c.checkAnswered()
}

// checkBad says what is missing in the story of a bad release.
func (c *chronicle) checkBad() error {
	if want := []int{10, 0}; !slices.Equal(c.weights, want) {
		return fmt.Errorf("the weights were %v %%, not %v", c.weights, want)
	}
	if c.last.failed() == 0 {
		return fmt.Errorf("it was rolled back without a bad measurement: %s", c.last.describe())
	}
	return c.checkAnswered()
}

func (c *chronicle) checkAnswered() error {
	if c.left {
		return errors.New("requests were sent to a revision without a pod that is ready")
	}
	return nil
}
