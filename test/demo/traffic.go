package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// errorRates is how badly each release of the simulated application answers: the
// part of its requests that fail.
var errorRates = map[string]float64{"2.7.4": 0.01, "2.8.0": 0.01, "2.9.0": 0.3}

// answers are requests answered with 200 and with 500. They are fractions, because
// the application answers a number of requests a second and not single ones.
type answers struct{ Good, Bad float64 }

func (a answers) total() float64 { return a.Good + a.Bad }

// traffic is what was answered by each revision since the start. Requests that no
// pod could answer are bad ones of the revision they were sent to.
type traffic map[revision]answers

// serve answers a number of requests in the given shares.
func (t traffic) serve(requests float64, shares []share) error {
	for _, s := range shares {
		if s.Percent == 0 {
			continue
		}
		bad := 1.0
		if s.Ready {
			rate, known := errorRates[s.Revision.Tag]
			if !known {
				return fmt.Errorf("the simulated application has no release %q", s.Revision.Tag)
			}
			bad = rate
		}
		n := requests * float64(s.Percent) / 100
		was := t[s.Revision]
		t[s.Revision] = answers{Good: was.Good + n*(1-bad), Bad: was.Bad + n*bad}
	}
	return nil
}

// of adds up what the revisions of a release answered.
func (t traffic) of(tag string) answers {
	var sum answers
	for rev, a := range t {
		if rev.Tag == tag {
			sum = answers{Good: sum.Good + a.Good, Bad: sum.Bad + a.Bad}
		}
	}
	return sum
}

// all adds up what all revisions answered.
func (t traffic) all() answers {
	var sum answers
	for _, a := range t {
		sum = answers{Good: sum.Good + a.Good, Bad: sum.Bad + a.Bad}
	}
	return sum
}

// write writes the counters as Prometheus reads them.
func (t traffic) write(w io.Writer) error {
	revisions := slices.SortedFunc(maps.Keys(t), func(a, b revision) int { return strings.Compare(a.Hash, b.Hash) })
	_, err := fmt.Fprintln(w, "# TYPE http_requests_total counter")
	for _, rev := range revisions {
		for _, code := range []struct {
			code string
			n    float64
		}{{"200", t[rev].Good}, {"500", t[rev].Bad}} {
			if err == nil {
				_, err = fmt.Fprintf(w, "http_requests_total{app=%q,revision=%q,code=%q} %d\n", name, rev.Hash, code.code, int(code.n))
			}
		}
	}
	if err != nil {
		return fmt.Errorf("writing the metrics: %w", err)
	}
	return nil
}
