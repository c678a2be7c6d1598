package v1alpha1

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Rules are read whenever their run is looked at, so they are few and small.
const (
	maxRules     = 100
	maxRuleBytes = 256
	// MaxRuleSize is how many instructions the regular expression of a rule may have.
	MaxRuleSize = 500
)

// unicodeEscape finds what may mean letters beyond ASCII.
var unicodeEscape = regexp.MustCompile(`\\[pPx]`)

// ValidateRules checks the rules of a template or a run that choose metrics by
// their names. Text that still holds {{args.name}} is checked when the
// arguments are known.
func ValidateRules(dryRun []DryRun, retention []MeasurementRetention, path *field.Path) field.ErrorList {
	names := make([]string, len(dryRun))
	for i, rule := range dryRun {
		names[i] = rule.MetricName
	}
	errs := validateRules(names, path.Child("dryRun"))
	names = make([]string, len(retention))
	for i, rule := range retention {
		names[i] = rule.MetricName
	}
	return append(errs, validateRules(names, path.Child("measurementRetention"))...)
}

func validateRules(names []string, path *field.Path) field.ErrorList {
	if len(names) > maxRules {
		return field.ErrorList{field.TooMany(path, len(names), maxRules)}
	}
	var errs field.ErrorList
	for i, name := range names {
		at := path.Index(i).Child("metricName")
		if len(name) > maxRuleBytes {
			errs = append(errs, field.TooLong(at, "", maxRuleBytes))
			continue
		}
		if name == "*" || templated(name) {
			continue
		}
		if err := checkRule(name); err != nil {
			errs = append(errs, field.Invalid(at, name, err.Error()))
		}
	}
	return errs
}

func checkRule(name string) error {
	if regexp.QuoteMeta(name) == name {
		return nil
	}
	// A class or a range of Unicode stands for up to 100,000 letters, and takes milliseconds to read.
	if strings.ContainsFunc(name, func(r rune) bool { return r > unicode.MaxASCII }) || unicodeEscape.MatchString(name) {
		return errors.New("a regular expression of letters beyond ASCII; write a name, or . for such a letter")
	}
	if _, err := PatternSize(name, MaxRuleSize); err != nil {
		return fmt.Errorf("neither a name nor a regular expression: %w", err)
	}
	return nil
}
