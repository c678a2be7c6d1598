package view

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

func analysisRunOf(run *v1alpha1.AnalysisRun) AnalysisRunView {
	v := AnalysisRunView{
		Name:      clean(run.Name),
		Type:      clean(run.Labels[v1alpha1.RolloutTypeLabel]),
		Phase:     run.Status.Phase,
		Message:   clean(run.Status.Message),
		CreatedAt: run.CreationTimestamp.UTC(),
	}
	if v.Phase == "" {
		v.Phase = v1alpha1.AnalysisPhasePending
	}
	values := argumentsOf(run)
	for i := range run.Spec.Metrics {
		metric := metricOf(run, resolved(run.Spec.Metrics[i], values))
		v.Counts = v.Counts.plus(metric.Counts)
		v.Metrics = append(v.Metrics, metric)
	}
	return v
}

// argumentsOf are the values of the run's arguments, as its controller knows them before it reads a Secret.
func argumentsOf(run *v1alpha1.AnalysisRun) map[string]string {
	values, secrets, err := analysis.ArgValues(run.Spec.Args)
	if err != nil {
		return nil
	}
	for _, secret := range secrets {
		values[secret.Name] = analysis.Redacted
	}
	return values
}

// resolved is a metric with the arguments filled in: by that name its results are found, and those are
// the limits they are held to. One that names an argument without a value stays as it is written.
func resolved(metric v1alpha1.Metric, values map[string]string) *v1alpha1.Metric {
	metric.Provider = v1alpha1.MetricProvider{} // It is not shown, and an error in it says nothing about the rest.
	if filled, err := analysis.ResolveMetric(metric, values); err == nil {
		return &filled
	}
	return &metric
}

func (c CountsView) plus(d CountsView) CountsView {
	return CountsView{
		Successful:   c.Successful + d.Successful,
		Failed:       c.Failed + d.Failed,
		Inconclusive: c.Inconclusive + d.Inconclusive,
		Error:        c.Error + d.Error,
	}
}

func (c CountsView) total() int32 { return c.Successful + c.Failed + c.Inconclusive + c.Error }

func metricOf(run *v1alpha1.AnalysisRun, metric *v1alpha1.Metric) MetricView {
	v := MetricView{
		Name:             clean(metric.Name),
		Phase:            v1alpha1.AnalysisPhasePending,
		SuccessCondition: clean(metric.SuccessCondition),
		FailureCondition: clean(metric.FailureCondition),
		FailureLimit:     limit(metric.FailureLimit, 0),
		ErrorLimit:       limit(metric.ConsecutiveErrorLimit, v1alpha1.DefaultConsecutiveErrorLimit),
		Planned:          planned(metric),
	}
	for i := range run.Status.MetricResults {
		if run.Status.MetricResults[i].Name == metric.Name {
			v.measured(&run.Status.MetricResults[i])
		}
	}
	return v
}

// measured fills in what the status says about the metric.
func (v *MetricView) measured(result *v1alpha1.MetricResult) {
	v.Phase, v.Message, v.DryRun = result.Phase, clean(result.Message), result.DryRun
	v.ConsecutiveErrors = result.ConsecutiveError
	v.Counts = CountsView{
		Successful:   result.Successful,
		Failed:       result.Failed,
		Inconclusive: result.Inconclusive,
		Error:        result.Error,
	}
	for i := range result.Measurements {
		m := measurementOf(&result.Measurements[i])
		v.Measurements = append(v.Measurements, m)
		if m.Phase.Completed() {
			v.Last = &m
		}
	}
}

func measurementOf(m *v1alpha1.Measurement) MeasurementView {
	v := MeasurementView{
		Phase:   m.Phase,
		Value:   clean(m.Value),
		Number:  number(m.Value),
		Message: clean(m.Message),
	}
	switch {
	case m.FinishedAt != nil:
		v.At = m.FinishedAt.UTC()
	case m.StartedAt != nil:
		v.At = m.StartedAt.UTC()
	}
	return v
}

// number reads a value that is one finite number, alone or in a list of one.
func number(value string) *float64 {
	value = strings.TrimSpace(value)
	if strings.HasPrefix(value, "[") {
		var list []float64
		if err := json.Unmarshal([]byte(value), &list); err != nil || len(list) != 1 {
			return nil
		}
		return &list[0]
	}
	f, err := strconv.ParseFloat(value, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return nil
	}
	return &f
}

// limit resolves a number that may be a string; text that is no number gives the default.
func limit(given *intstr.IntOrString, otherwise int32) int32 {
	if given == nil {
		return otherwise
	}
	if given.Type == intstr.Int {
		return given.IntVal
	}
	n, err := strconv.ParseInt(given.StrVal, 10, 32)
	if err != nil {
		return otherwise
	}
	return int32(n)
}

// planned is the number of measurements; 0 is endless.
func planned(metric *v1alpha1.Metric) int32 {
	if metric.Count == nil && metric.Interval == "" {
		return 1
	}
	return limit(metric.Count, 0)
}
