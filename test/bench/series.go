package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Series that a controller may serve. One that does not serve them lacks the
// figures that rest on them.
const (
	lateSeries = "headway_measurement_late_seconds"
	heapSeries = "go_memstats_heap_alloc_bytes"
)

// wanted are the beginnings of the series that are kept: a controller of thousands
// of objects serves some for each.
var wanted = []string{lateSeries, heapSeries}

// series are the values of a scrape, by name and labels as they were written.
type series map[string]float64

// scrape asks a controller for its series. Without an address there are none.
func scrape(ctx context.Context, address string) (series, error) {
	if address == "" {
		return nil, nil
	}
	var found series
	err := fetch(ctx, address+"/metrics", func(text io.Reader) (err error) {
		found, err = parseSeries(text)
		return err
	})
	return found, err
}

// fetch hands over what an address answers.
func fetch(ctx context.Context, address string, read func(io.Reader) error) (err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return fmt.Errorf("asking the controller: %w", err)
	}
	reply, err := http.DefaultClient.Do(r)
	if err != nil {
		return fmt.Errorf("asking the controller: %w", err)
	}
	defer func() { err = errors.Join(err, reply.Body.Close()) }()
	if reply.StatusCode != http.StatusOK {
		return fmt.Errorf("asking the controller for %s: %s", r.URL.Path, reply.Status)
	}
	return read(reply.Body)
}

// parseSeries reads the wanted series of Prometheus' text format.
func parseSeries(text io.Reader) (series, error) {
	found := series{}
	lines := bufio.NewScanner(text)
	for lines.Scan() {
		line := lines.Text()
		if !slices.ContainsFunc(wanted, func(name string) bool { return strings.HasPrefix(line, name) }) {
			continue
		}
		// Labels may hold spaces; behind the value there may be a time.
		end := strings.LastIndex(line, "}") + 1
		if end == 0 {
			end = max(strings.Index(line, " "), 0)
		}
		fields := strings.Fields(line[end:])
		if len(fields) == 0 {
			return nil, fmt.Errorf("the series %q has no value", line)
		}
		value, err := strconv.ParseFloat(fields[0], 64)
		if err != nil {
			return nil, fmt.Errorf("reading the series %q: %w", line, err)
		}
		found[line[:end]] = value
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading series: %w", err)
	}
	return found, nil
}

// since is what was added after an earlier scrape.
func (s series) since(earlier series) series {
	added := make(series, len(s))
	for name, value := range s {
		added[name] = value - earlier[name]
	}
	return added
}

// bucket counts the observations up to a bound, those of smaller buckets included.
type bucket struct{ upTo, count float64 }

// buckets are those of a histogram without labels, the smallest first.
func (s series) buckets(name string) []bucket {
	var found []bucket
	for key, count := range maps.All(s) {
		rest, isBucket := strings.CutPrefix(key, name+`_bucket{le="`)
		bound, whole := strings.CutSuffix(rest, `"}`)
		upTo, err := strconv.ParseFloat(bound, 64)
		if isBucket && whole && err == nil {
			found = append(found, bucket{upTo, count})
		}
	}
	slices.SortFunc(found, func(a, b bucket) int { return cmp.Compare(a.upTo, b.upTo) })
	return found
}

// quantile is the value that a share q of the observations does not exceed: within
// its bucket they are taken to be spread evenly. bound is that of the bucket, the
// most that the value may be; in the last bucket it is infinite, and the value is
// the most that is known. ok is false without observations.
func quantile(buckets []bucket, q float64) (value, bound float64, ok bool) {
	if len(buckets) == 0 || buckets[len(buckets)-1].count <= 0 {
		return 0, 0, false
	}
	rank := q * buckets[len(buckets)-1].count
	var below bucket
	for _, b := range buckets {
		if b.count < rank || b.count == below.count {
			below = b
			continue
		}
		if math.IsInf(b.upTo, 1) {
			return below.upTo, b.upTo, true
		}
		return below.upTo + (b.upTo-below.upTo)*(rank-below.count)/(b.count-below.count), b.upTo, true
	}
	return below.upTo, math.Inf(1), true
}
