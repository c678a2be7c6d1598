package main

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
)

// release is what the tag of an image says.
type release struct {
	tag     string
	bad     uint64 // percent of requests that fail on purpose
	abrupt  bool   // does not drain
	unready bool
}

func parseRelease(tag string) (release, error) {
	r := release{tag: tag}
	parts := strings.Split(tag, "-")
	for _, part := range parts[1:] {
		percent, isBad := strings.CutPrefix(part, "bad")
		switch {
		case part == "abrupt":
			r.abrupt = true
		case part == "unready":
			r.unready = true
		case isBad:
			n, err := strconv.ParseUint(percent, 10, 7)
			if err != nil || n > 100 {
				return release{}, fmt.Errorf("reading the tag %q: %q is not a percentage", tag, percent)
			}
			r.bad = n
		default:
			return release{}, fmt.Errorf("reading the tag %q: what is %q", tag, part)
		}
	}
	return r, nil
}

// turns decides which requests fail. They take turns instead of chances, so that
// every hundred requests hold exactly the share that the tag says.
type turns struct {
	percent uint64
	asked   atomic.Uint64
}

func (t *turns) fails() bool {
	n := t.asked.Add(1)
	return n*t.percent/100 != (n-1)*t.percent/100
}
