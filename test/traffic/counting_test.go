package traffic

import (
	"bufio"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/headway-rollouts/headway/test/kube"
	"github.com/headway-rollouts/headway/test/traffic/load"
)

// shows waits until requests are shared as a weight says: the proxy takes a change
// 0.4 to 1.8 s after it was written, and nothing may be counted before.
func (s *scene) shows(tag string, weight int) {
	s.Helper()
	start := time.Now()
	kube.Eventually(s, within, func() error {
		got := s.load.Burst(s.Context(), 100)
		if off := got.Versions[tag] - weight; off < -2 || off > 2 {
			return fmt.Errorf("%s answers %d of 100: %s", tag, got.Versions[tag], got)
		}
		return nil
	})
	s.Logf("%s has %d %% of the traffic %s after it was waited for", tag, weight, time.Since(start).Round(10*time.Millisecond))
}

// share counts the answers of a release among n requests, with the stream held back.
// Traefik gives out requests in turn, so the share is exact; but it begins anew when
// its configuration changes, which other scenes cause, and each change may move a
// request. One change more may be under way at either end.
func (s *scene) share(tag string, weight, n int) {
	s.Helper()
	before := s.reloads()
	got := s.load.Burst(s.Context(), n)
	changes := s.reloads() - before
	want, answered, moved := n*weight/100, got.Versions[tag], changes+2
	s.Logf("at weight %d %s answers %d of %d requests (%.2f %%); the proxy's configuration changed %d times meanwhile",
		weight, tag, answered, n, 100*float64(answered)/float64(n), changes)
	if off := answered - want; off > moved || off < -moved {
		s.Errorf("%s answers %d of %d requests, want %d within %d", tag, answered, n, want, moved)
	}
	if off := 100 * (answered - want); off > 4*n || off < -4*n {
		s.Errorf("%s answers %d of %d requests: more than 4 points from %d %%", tag, answered, n, weight)
	}
}

// reloads is how often the proxy has taken a new configuration.
func (s *scene) reloads() int {
	s.Helper()
	resp, err := fetch(s.Context(), proxyMetrics)
	if err != nil {
		s.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "traefik_config_reloads_total "); ok {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				s.Fatal(err)
			}
			return int(n)
		}
	}
	s.Fatal("the proxy does not say how often it was configured")
	return 0
}

// only counts n requests, all of which a release must answer.
func (s *scene) only(tag string, n int) {
	s.Helper()
	s.shows(tag, 100)
	got := s.load.Burst(s.Context(), n)
	s.Logf("after it, %d of %d requests are answered by %s", got.Versions[tag], n, tag)
	if got.Versions[tag] != n {
		s.Errorf("not all by %s: %s", tag, got)
	}
}

// lostNothing ends the stream, when enough requests were sent, and reports every loss.
func (s *scene) lostNothing() load.Counts {
	s.Helper()
	kube.Eventually(s, within, func() error {
		if got := s.load.Counts(); got.Total < enough {
			return errors.New("too few requests: " + got.String())
		}
		return nil
	})
	got := s.load.Stop()
	s.Logf("in all: %s", got)
	if got.Lost > 0 {
		s.Errorf("%d of %d requests were lost", got.Lost, got.Total)
	}
	return got
}

// failedOnPurpose reports releases that failed requests and should not have.
func (s *scene) failedOnPurpose(got load.Counts, tags ...string) {
	s.Helper()
	if who := slices.Sorted(maps.Keys(got.Deliberate)); !slices.Equal(who, tags) {
		s.Errorf("%v failed requests, want %v", who, tags)
	}
}
