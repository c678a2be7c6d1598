package analysis

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// maxSteps is how long the rules of a run may take: the size of each, times
// the letters of all names. It is a tenth of a second.
const maxSteps = 10_000_000

// applyRules marks the metrics of dry runs and sets how much is kept. A rule
// that matches nothing is a mistake in it.
func applyRules(out []judgement, spec *v1alpha1.AnalysisRunSpec, values map[string]string) error {
	dryRun, err := substitute(spec.DryRun, values)
	if err != nil {
		return fmt.Errorf("dryRun: %w", err)
	}
	kept, err := substitute(spec.MeasurementRetention, values)
	if err != nil {
		return fmt.Errorf("measurementRetention: %w", err)
	}
	if errs := v1alpha1.ValidateRules(dryRun, kept, nil); len(errs) > 0 {
		return errs[0]
	}
	c := chooser{metrics: out, steps: maxSteps}
	for i, rule := range dryRun {
		if err := c.each(rule.MetricName, func(j *judgement) { j.dryRun = true }); err != nil {
			return fmt.Errorf("dryRun[%d]: %w", i, err)
		}
	}
	for i, rule := range kept {
		err := c.each(rule.MetricName, func(j *judgement) {
			if rule.Limit > 0 {
				j.keep = int(min(rule.Limit, maxRetention))
			}
		})
		if err != nil {
			return fmt.Errorf("measurementRetention[%d]: %w", i, err)
		}
	}
	return nil
}

// chooser finds metrics by rules that were validated.
type chooser struct {
	metrics []judgement
	steps   int
}

// each does something to every metric whose name matches: * matches all,
// anything else is a regular expression found anywhere in the name.
func (c *chooser) each(rule string, do func(*judgement)) error {
	if rule == "*" {
		rule = ".*"
	}
	size, err := v1alpha1.PatternSize(rule, v1alpha1.MaxRuleSize)
	if err != nil {
		return fmt.Errorf("metricName: %w", err)
	}
	for i := range c.metrics {
		c.steps -= size * (1 + len(c.metrics[i].name))
	}
	if c.steps < 0 {
		return errors.New("looking for the rules in the names of all metrics takes too long; use fewer or simpler rules")
	}
	pattern, err := regexp.Compile(rule)
	if err != nil {
		return fmt.Errorf("metricName: %w", err)
	}
	matched := false
	for i := range c.metrics {
		if pattern.MatchString(c.metrics[i].name) {
			matched = true
			do(&c.metrics[i])
		}
	}
	if !matched {
		return fmt.Errorf("Rule didn't match any metric name(s)") //nolint:staticcheck // The sentence is served API.
	}
	return nil
}
