// Package scopes are the comparisons that a Kayenta metric asks for, with their
// spans of time.
package scopes

import (
	"errors"
	"fmt"
	"time"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// Scope is one comparison, as the server reads it.
type Scope struct {
	Control    v1alpha1.ScopeDetail `json:"controlScope"`
	Experiment v1alpha1.ScopeDetail `json:"experimentScope"`
}

// Of are the comparisons of a metric by their names. One without an end
// ends now, and one without a start covers one interval of the metric, or with
// lookback all of the run.
func Of(q analysis.Query) (map[string]Scope, error) {
	out := map[string]Scope{}
	for _, given := range q.Metric.Provider.Kayenta.Scopes {
		if _, twice := out[given.Name]; twice {
			return nil, fmt.Errorf("scope %q is there twice; names of scopes must differ", given.Name)
		}
		filled, err := fill(Scope{Control: given.ControlScope, Experiment: given.ExperimentScope}, q)
		if err != nil {
			return nil, fmt.Errorf("scope %q: %w", given.Name, err)
		}
		out[given.Name] = filled
	}
	return out, nil
}

func fill(s Scope, q analysis.Query) (Scope, error) {
	switch {
	case (s.Control.Start == "") != (s.Experiment.Start == ""):
		return s, errors.New("set start in both controlScope and experimentScope, or in none")
	case (s.Control.End == "") != (s.Experiment.End == ""):
		return s, errors.New("set end in both controlScope and experimentScope, or in none")
	}
	if s.Control.Start == "" {
		start, err := startOf(q)
		if err != nil {
			return s, err
		}
		s.Control.Start, s.Experiment.Start = stamp(start), stamp(start)
	}
	if s.Control.End == "" {
		s.Control.End, s.Experiment.End = stamp(q.Now), stamp(q.Now)
	}
	return s, nil
}

// startOf is the start of a comparison that names none: that of the run with
// lookback, and otherwise one interval ago.
func startOf(q analysis.Query) (time.Time, error) {
	if q.Metric.Provider.Kayenta.Lookback && !q.Started.IsZero() {
		return q.Started, nil
	}
	interval, err := q.Metric.Interval.Duration()
	if err != nil || interval <= 0 {
		return time.Time{}, errors.New("without a start the metric needs an interval, which is what is compared; " +
			"set interval, or start in controlScope and experimentScope")
	}
	return q.Now.Add(-interval), nil
}

func stamp(at time.Time) string {
	return at.UTC().Format(time.RFC3339)
}
