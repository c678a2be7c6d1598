package main

import (
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// figure is one number that was measured.
type figure struct {
	Scenario string  `json:"scenario"`
	Name     string  `json:"name"`
	Unit     string  `json:"unit"`
	Value    float64 `json:"value"`
}

// figures is what a scenario measured, in the order of the table.
type figures []figure

// sheet collects the figures of one scenario.
type sheet struct {
	scenario string
	rows     figures
}

func (s *sheet) add(name, unit string, value float64) {
	s.rows = append(s.rows, figure{Scenario: s.scenario, Name: name, Unit: unit, Value: value})
}

// latencies adds p50 and p99 in milliseconds.
func (s *sheet) latencies(name string, samples []time.Duration) {
	s.add(name+" p50", "ms", milliseconds(percentile(samples, 50)))
	s.add(name+" p99", "ms", milliseconds(percentile(samples, 99)))
}

// calls adds what went through the proxy: writes in total and by kind, Events,
// reads, bytes.
func (s *sheet) calls(c counts) {
	writes := c.total(isWrite)
	s.add("writes besides Events", "", float64(writes.Requests))
	keys := slices.SortedFunc(maps.Keys(c), func(a, b call) int {
		if a.Resource != b.Resource {
			return strings.Compare(a.Resource, b.Resource)
		}
		return strings.Compare(a.Verb, b.Verb)
	})
	for _, k := range keys {
		if isWrite(k) {
			s.add("  "+k.Verb+" "+k.Resource, "", float64(c[k].Requests))
		}
	}
	s.add("writes refused", "", float64(writes.Refused))
	s.add("Events", "", float64(c.total(isEvent).Requests))
	s.add("reads", "", float64(c.total(isRead).Requests))
	all := c.total(isAny)
	s.add("bytes sent", "KiB", kib(all.Sent))
	s.add("bytes received", "KiB", kib(all.Received))
}

// percentile is the smallest sample that at least p percent of all do not exceed;
// 0 without samples.
func percentile(samples []time.Duration, p float64) time.Duration {
	if len(samples) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(samples))
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[max(rank, 1)-1]
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func kib(bytes int64) float64 { return float64(bytes) / 1024 }
