package load

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Answer is what became of one request. The zero Answer was never sent.
type Answer struct {
	// Version and Pod are what answered; empty when nothing did.
	Version, Pod string
	// Deliberate is set when a bad release failed on purpose.
	Deliberate bool
	// Lost says why the request was lost; empty when it was answered.
	Lost string
}

// Counts are answers, added up.
type Counts struct {
	Total, Lost int
	// Versions and Pods are the requests that each answered, Deliberate those that it failed on purpose.
	Versions, Deliberate, Pods map[string]int
	// Losses are the first of the reasons for which requests were lost.
	Losses []string
}

// mostLosses is how many reasons are kept: a broken proxy loses thousands.
const mostLosses = 5

func (c *Counts) add(a Answer) {
	c.Total++
	if a.Lost != "" {
		c.Lost++
		if len(c.Losses) < mostLosses {
			c.Losses = append(c.Losses, a.Lost)
		}
		return
	}
	for _, m := range []*map[string]int{&c.Versions, &c.Deliberate, &c.Pods} {
		if *m == nil {
			*m = map[string]int{}
		}
	}
	c.Versions[a.Version]++
	c.Pods[a.Pod]++
	if a.Deliberate {
		c.Deliberate[a.Version]++
	}
}

func (c *Counts) clone() Counts {
	out := *c
	out.Versions, out.Deliberate, out.Pods = maps.Clone(c.Versions), maps.Clone(c.Deliberate), maps.Clone(c.Pods)
	out.Losses = slices.Clone(c.Losses)
	return out
}

// String is a line for the log of a test.
func (c Counts) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d requests, %d lost", c.Total, c.Lost)
	for _, v := range slices.Sorted(maps.Keys(c.Versions)) {
		fmt.Fprintf(&b, ", %s %d", v, c.Versions[v])
		if n := c.Deliberate[v]; n > 0 {
			fmt.Fprintf(&b, " (%d failed on purpose)", n)
		}
	}
	for _, why := range c.Losses {
		fmt.Fprintf(&b, "\n  %s", why)
	}
	return b.String()
}
