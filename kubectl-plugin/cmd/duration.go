package cmd

import (
	"fmt"
	"strconv"
	"time"
)

// timeout is a duration flag; 0 is for ever. A bare number is taken as
// seconds, as older scripts write it.
type timeout struct {
	time.Duration
	// bare is true when the number had no unit, which is worth a warning.
	bare bool
}

// String is the duration as Go writes it.
func (t *timeout) String() string { return t.Duration.String() }

// Type is the word for the value in the help.
func (*timeout) Type() string { return "duration" }

// Set reads a duration such as 90s or 5m, or a number of seconds.
func (t *timeout) Set(text string) error {
	if n, err := strconv.ParseInt(text, 10, 32); err == nil && n >= 0 {
		t.Duration, t.bare = time.Duration(n)*time.Second, text != "0"
		return nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return fmt.Errorf("%q is no duration such as 90s or 5m", text)
	}
	t.Duration, t.bare = d, false
	return nil
}

// bareSeconds is the flag whose name says the unit, so a bare number is no mistake.
type bareSeconds struct{ *timeout }

// Set reads the value as timeout does, and does not warn.
func (b bareSeconds) Set(text string) error {
	err := b.timeout.Set(text)
	b.bare = false
	return err
}

// warn says on standard error that a number had no unit.
func (t *timeout) warn(a *app) {
	if t.bare {
		a.say("warning: a timeout without a unit is taken as seconds; write %s\n", t.Duration)
	}
}

// expiry is a channel that gets a value when the time is up; nil when there is no limit.
func (t *timeout) expiry(c clock) <-chan time.Time {
	if t.Duration == 0 {
		return nil
	}
	return c.After(t.Duration)
}
