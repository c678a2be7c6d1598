package analysis

import (
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/headway-rollouts/headway/analysis/expr"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

const (
	// errorRetry is the time from an error to the next measurement, whatever the interval.
	errorRetry = 10 * time.Second
	// minInterval keeps a metric with interval 0 from measuring without a pause.
	minInterval = time.Second
	// retention is how many measurements of a metric are kept by default.
	retention = 10
	// maxRetention is how many can be kept: they are all in one object.
	maxRetention = 100
)

// judgement is how one metric is timed and judged: the arguments are filled in
// and the defaults applied.
type judgement struct {
	index           int
	name            string
	interval, delay time.Duration
	// count is how many measurements to take; 0 is without end.
	count                                   int32
	failures, inconclusives, errors, passes int32
	dryRun                                  bool
	keep                                    int
	// success, failure and query are for the reader: Secrets are left out.
	success, failure, query string
	// phase is when within a second, or a tenth of the interval, it is measured.
	phase time.Duration
}

// judgements reads the metrics of a run. The error says what is wrong with the
// spec; a run with such a spec cannot start.
func judgements(spec *v1alpha1.AnalysisRunSpec) ([]judgement, error) {
	values, secrets, err := ArgValues(spec.Args)
	if err != nil {
		return nil, err
	}
	for _, secret := range secrets {
		values[secret.Name] = Redacted
	}
	metrics, err := resolved(spec.Metrics, values)
	if err != nil {
		return nil, err
	}
	out := make([]judgement, len(metrics))
	for i := range metrics {
		out[i] = judge(i, &metrics[i])
		out[i].query = asked(&metrics[i].Provider, values)
	}
	return out, applyRules(out, spec, values)
}

// resolved fills in the arguments of everything but the providers: those may
// hold secrets and are resolved when they are asked.
func resolved(metrics []v1alpha1.Metric, values map[string]string) ([]v1alpha1.Metric, error) {
	path := field.NewPath("metrics")
	if len(metrics) == 0 {
		return nil, field.Required(path, "no metrics specified")
	}
	out := make([]v1alpha1.Metric, len(metrics))
	for i, metric := range metrics {
		metric.Provider = v1alpha1.MetricProvider{}
		filled, err := ResolveMetric(metric, values)
		if err != nil {
			return nil, err
		}
		filled.Provider = metrics[i].Provider
		out[i] = filled
	}
	if errs := v1alpha1.ValidateMetrics(out, path); len(errs) > 0 {
		return nil, errs[0]
	}
	return out, checkConditions(out, path)
}

func checkConditions(metrics []v1alpha1.Metric, path *field.Path) error {
	for i, metric := range metrics {
		at := path.Index(i)
		if err := checkCondition(metric.SuccessCondition, at.Child("successCondition")); err != nil {
			return err
		}
		if err := checkCondition(metric.FailureCondition, at.Child("failureCondition")); err != nil {
			return err
		}
	}
	return nil
}

func checkCondition(source string, path *field.Path) error {
	if source == "" || strings.Contains(source, Redacted) {
		return nil // what a Secret holds is known only when the value is judged
	}
	if err := expr.Check(source); err != nil {
		return field.Invalid(path, shorten(source), err.Error())
	}
	return nil
}

// judge applies the defaults. The metric was validated.
func judge(index int, metric *v1alpha1.Metric) judgement {
	j := judgement{
		index:         index,
		name:          metric.Name,
		interval:      duration(metric.Interval),
		delay:         duration(metric.InitialDelay),
		count:         number(metric.Count, 0),
		failures:      number(metric.FailureLimit, 0),
		inconclusives: number(metric.InconclusiveLimit, 0),
		errors:        number(metric.ConsecutiveErrorLimit, v1alpha1.DefaultConsecutiveErrorLimit),
		passes:        number(metric.ConsecutiveSuccessLimit, 0),
		keep:          retention,
		success:       metric.SuccessCondition,
		failure:       metric.FailureCondition,
	}
	if metric.Interval == "" {
		// It is measured once; again only after an error, or when noData ignored it.
		j.interval = errorRetry
		if j.count == 0 {
			j.count = 1
		}
	}
	return j
}

func duration(text v1alpha1.DurationString) time.Duration {
	parsed, err := text.Duration()
	if err != nil {
		return 0
	}
	return parsed
}

func number(value *intstr.IntOrString, otherwise int32) int32 {
	if value == nil {
		return otherwise
	}
	parsed, err := strconv.ParseInt(value.String(), 10, 32)
	if err != nil {
		return otherwise
	}
	return int32(parsed)
}
