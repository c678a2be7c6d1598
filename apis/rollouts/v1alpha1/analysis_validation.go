package v1alpha1

import (
	"fmt"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// MaxExpressionBytes is the longest condition that is accepted. It is far
// above what people write and far below what can exhaust a compiler.
const MaxExpressionBytes = 4096

// DefaultConsecutiveErrorLimit is how many errors in a row a metric accepts
// that gives no consecutiveErrorLimit.
const DefaultConsecutiveErrorLimit = 4

// ValidateMetrics checks the metrics of a template or a run. Text that still
// holds {{args.name}} is checked when the arguments are known.
func ValidateMetrics(metrics []Metric, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := make(map[string]bool, len(metrics))
	for i := range metrics {
		at := path.Index(i)
		name := metrics[i].Name
		switch {
		case name == "":
			errs = append(errs, field.Required(at.Child("name"), "a metric needs a name"))
		case seen[name]:
			errs = append(errs, field.Duplicate(at.Child("name"), name))
		}
		seen[name] = true
		errs = append(errs, ValidateMetric(&metrics[i], at)...)
	}
	return errs
}

// ValidateMetric checks one metric.
func ValidateMetric(metric *Metric, path *field.Path) field.ErrorList {
	errs := validateLimits(metric, path)
	errs = append(errs, validateDuration(metric.Interval, path.Child("interval"))...)
	errs = append(errs, validateDuration(metric.InitialDelay, path.Child("initialDelay"))...)
	errs = append(errs, validateExpression(metric.SuccessCondition, path.Child("successCondition"))...)
	errs = append(errs, validateExpression(metric.FailureCondition, path.Child("failureCondition"))...)
	errs = append(errs, validateNoData(metric.NoData, path.Child("noData"))...)
	errs = append(errs, validateMinSamples(metric, path.Child("minSamples"))...)
	return append(errs, validateProvider(&metric.Provider, path.Child("provider"))...)
}

// limit is the value of a limit; known is false when it is not set, does not
// parse or waits for an argument.
type limit struct {
	value int
	known bool
}

func validateLimits(metric *Metric, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	read := func(value *intstr.IntOrString, name string, least int) limit {
		got, err := readLimit(value, path.Child(name), least)
		errs = append(errs, err...)
		return got
	}
	count := read(metric.Count, "count", 0)
	failure := read(metric.FailureLimit, "failureLimit", -1)
	inconclusive := read(metric.InconclusiveLimit, "inconclusiveLimit", 0)
	read(metric.ConsecutiveErrorLimit, "consecutiveErrorLimit", 0)
	success := read(metric.ConsecutiveSuccessLimit, "consecutiveSuccessLimit", 0)

	if failure.value == -1 && success.value <= 0 && (success.known || metric.ConsecutiveSuccessLimit == nil) {
		errs = append(errs, field.Invalid(path.Child("failureLimit"), -1,
			"-1 turns the limit off, so consecutiveSuccessLimit must be above 0"))
	}
	if !count.known || count.value == 0 {
		return errs
	}
	at := path.Child("count")
	if count.value > 1 && metric.Interval == "" {
		errs = append(errs, field.Required(path.Child("interval"), "interval must be specified when count > 1"))
	}
	if failure.value >= 0 && count.value < failure.value+success.value {
		errs = append(errs, field.Invalid(at, count.value, fmt.Sprintf(
			"count must be >= failureLimit + consecutiveSuccessLimit (%d), otherwise the limits are never reached",
			failure.value+success.value)))
	}
	if count.value < inconclusive.value {
		errs = append(errs, field.Invalid(at, count.value, fmt.Sprintf(
			"count must be >= inconclusiveLimit (%d), otherwise the limit is never reached", inconclusive.value)))
	}
	return errs
}

// readLimit reads a limit of at least least. 32 bits are enough: the counters
// it is compared with have no more.
func readLimit(value *intstr.IntOrString, path *field.Path, least int) (limit, field.ErrorList) {
	if value == nil {
		return limit{}, nil
	}
	text := value.String()
	if templated(text) {
		return limit{}, nil
	}
	number, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return limit{}, field.ErrorList{field.Invalid(path, text, "must be a whole number or an argument such as {{args.count}}")}
	}
	if int(number) < least {
		return limit{}, field.ErrorList{field.Invalid(path, text, fmt.Sprintf("must be >= %d", least))}
	}
	return limit{value: int(number), known: true}, nil
}

func validateDuration(value DurationString, path *field.Path) field.ErrorList {
	if value == "" || templated(string(value)) {
		return nil
	}
	parsed, err := value.Duration()
	if err != nil {
		return field.ErrorList{field.Invalid(path, string(value), "must be a duration such as 30s, 5m or 1h30m")}
	}
	if parsed < 0 {
		return field.ErrorList{field.Invalid(path, string(value), "must not be negative")}
	}
	return nil
}

func validateExpression(text string, path *field.Path) field.ErrorList {
	if len(text) <= MaxExpressionBytes {
		return nil
	}
	return field.ErrorList{field.TooLong(path, "", MaxExpressionBytes)}
}

func validateNoData(policy NoDataPolicy, path *field.Path) field.ErrorList {
	switch policy {
	case "", NoDataFail, NoDataInconclusive, NoDataIgnore, NoDataPass:
		return nil
	}
	return field.ErrorList{field.NotSupported(path, policy, []NoDataPolicy{NoDataFail, NoDataInconclusive, NoDataIgnore, NoDataPass})}
}

// validateMinSamples refuses what could never be counted: it would be no data
// for ever.
func validateMinSamples(metric *Metric, path *field.Path) field.ErrorList {
	if metric.MinSamples == nil {
		return nil
	}
	_, errs := readLimit(&metric.MinSamples.Least, path.Child("least"), 1)
	switch provider := &metric.Provider; {
	case len(provider.Kinds()) != 1: // that is wrong enough
	case provider.judges():
		errs = append(errs, field.Forbidden(path,
			"a job, a kayenta or a plugin judges by itself and gives no value that has samples; take minSamples out"))
	case metric.MinSamples.Query != "" && !provider.AsksQuery():
		errs = append(errs, field.Forbidden(path.Child("query"),
			"this provider asks no query of one text; leave it out to count the values of the result, or use one of "+
				"prometheus, datadog with query, newRelic, wavefront, graphite, influxdb, skywalking"))
	}
	return errs
}

// judges reports a provider that says itself whether a measurement is good.
func (p *MetricProvider) judges() bool {
	return p.Job != nil || p.Kayenta != nil || len(p.Plugin) > 0
}

// AsksQuery reports a provider whose question is one text, so that another text
// can be asked in the same way.
func (p *MetricProvider) AsksQuery() bool {
	if p.Datadog != nil {
		return p.Datadog.Query != ""
	}
	return p.Prometheus != nil || p.NewRelic != nil || p.Wavefront != nil ||
		p.Graphite != nil || p.Influxdb != nil || p.SkyWalking != nil
}

func validateProvider(provider *MetricProvider, path *field.Path) field.ErrorList {
	kinds := provider.Kinds()
	switch len(kinds) {
	case 1:
		if job := provider.Job; job != nil && job.Spec.Malformed != "" && !templated(string(job.Spec.Raw)) {
			return field.ErrorList{field.Invalid(path.Child("job", "spec"), "", "not a Job spec: "+job.Spec.Malformed)}
		}
		return nil
	case 0:
		return field.ErrorList{field.Required(path, "no provider specified")}
	default:
		return field.ErrorList{field.Invalid(path, strings.Join(kinds, ", "), "multiple providers specified; set exactly one")}
	}
}

// Kinds lists the providers that are set, by their field names.
func (p *MetricProvider) Kinds() []string {
	fields := []struct {
		name string
		set  bool
	}{
		{"prometheus", p.Prometheus != nil},
		{"kayenta", p.Kayenta != nil},
		{"web", p.Web != nil},
		{"datadog", p.Datadog != nil},
		{"wavefront", p.Wavefront != nil},
		{"newRelic", p.NewRelic != nil},
		{"job", p.Job != nil},
		{"cloudWatch", p.CloudWatch != nil},
		{"graphite", p.Graphite != nil},
		{"influxdb", p.Influxdb != nil},
		{"skywalking", p.SkyWalking != nil},
		{"plugin", len(p.Plugin) > 0},
	}
	var kinds []string
	for _, f := range fields {
		if f.set {
			kinds = append(kinds, f.name)
		}
	}
	return kinds
}

func templated(text string) bool {
	return strings.Contains(text, "{{")
}
