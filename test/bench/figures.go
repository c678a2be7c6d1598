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

// pace adds what the statuses say of how often was measured.
func (s *sheet) pace(before, after readings) {
	s.add("measurements per second", "", after.rate(before))
	s.add("measurements that failed", "", float64(after.failed(before)))
	mean, largest := after.drift(before, measuredEvery)
	s.add("drift, all runs", "ms", milliseconds(mean))
	s.add("drift, largest of a run", "ms", milliseconds(largest))
}

// cost adds what was asked and used between two moments, with so many measurements
// per second.
func (s *sheet) cost(measurements float64, from, to mark) {
	elapsed := to.at.Sub(from.at).Seconds()
	queries := float64(to.queries-from.queries) / elapsed
	s.add("queries per second", "", queries)
	if queries > 0 {
		s.add("measurements per query", "", measurements/queries)
	}
	s.add("CPU seconds per second", "s", (to.used.CPU-from.used.CPU).Seconds()/elapsed)
	s.add("memory", "MiB", to.used.Resident)
	added := to.counts.since(from.counts)
	s.add("writes per second", "", float64(added.total(isWrite).Requests)/elapsed)
	s.add("writes refused", "", float64(added.total(isWrite).Refused))
	s.add("Events per second", "", float64(added.total(isEvent).Requests)/elapsed)
	s.add("reads per second", "", float64(added.total(isRead).Requests)/elapsed)
}

// lateness adds how late measurements were, of a controller that tells. Quantiles
// are those of a histogram: each has the bound of its bucket behind it, unless there
// is none.
func (s *sheet) lateness(name string, buckets []bucket) {
	for _, p := range []struct {
		name string
		q    float64
	}{{"p50", 0.5}, {"p99", 0.99}} {
		value, bound, ok := quantile(buckets, p.q)
		if !ok {
			continue
		}
		s.add(name+" "+p.name, "ms", value*1000)
		if !math.IsInf(bound, 1) {
			s.add(name+" "+p.name+", at most", "ms", bound*1000)
		}
	}
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
