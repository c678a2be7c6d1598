// Package metricdata makes the question for GetMetricData, an operation of
// CloudWatch, of the queries of a metric. It asks nobody.
package metricdata

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// defaultInterval is how much time a metric looks at unless it says otherwise.
const defaultInterval = 5 * time.Minute

// Input is what GetMetricData is asked; its times are seconds of Unix time.
type Input struct {
	StartTime, EndTime int64
	MetricDataQueries  []dataQuery
}

type dataQuery struct {
	Id         string      `json:",omitempty"` //nolint:revive // The name is that of AWS.
	Expression *string     `json:",omitempty"`
	Label      *string     `json:",omitempty"`
	MetricStat *metricStat `json:",omitempty"`
	Period     *int32      `json:",omitempty"`
	ReturnData *bool       `json:",omitempty"`
}

type metricStat struct {
	Metric metricName
	Period int32
	Stat   string
	Unit   string `json:",omitempty"`
}

type metricName struct {
	Namespace  *string     `json:",omitempty"`
	MetricName string      `json:",omitempty"`
	Dimensions []dimension `json:",omitempty"`
}

type dimension struct{ Name, Value string }

// Of asks the queries of a metric for the time until now.
func Of(metric *v1alpha1.CloudWatchMetric, now time.Time) (Input, error) {
	interval, err := intervalOf(metric)
	if err != nil {
		return Input{}, err
	}
	if len(metric.MetricDataQueries) == 0 {
		return Input{}, errors.New("the metric has no cloudWatch.metricDataQueries")
	}
	out := Input{StartTime: now.Add(-interval).Unix(), EndTime: now.Unix()}
	for i, query := range metric.MetricDataQueries {
		made, err := queryOf(query)
		if err != nil {
			return Input{}, fmt.Errorf("cloudWatch.metricDataQueries[%d].%w", i, err)
		}
		out.MetricDataQueries = append(out.MetricDataQueries, made)
	}
	return out, nil
}

func queryOf(query v1alpha1.CloudWatchMetricDataQuery) (dataQuery, error) {
	out := dataQuery{Id: query.Id, Expression: query.Expression, Label: query.Label, ReturnData: query.ReturnData}
	if query.Period != nil {
		period, err := seconds(*query.Period)
		if err != nil {
			return dataQuery{}, err
		}
		out.Period = &period
	}
	if query.MetricStat == nil {
		return out, nil
	}
	period, err := seconds(query.MetricStat.Period)
	if err != nil {
		return dataQuery{}, fmt.Errorf("metricStat.%w", err)
	}
	metric := query.MetricStat.Metric
	stat := metricStat{
		Metric: metricName{Namespace: metric.Namespace, MetricName: metric.MetricName},
		Period: period, Stat: query.MetricStat.Stat, Unit: query.MetricStat.Unit,
	}
	for _, d := range metric.Dimensions {
		stat.Metric.Dimensions = append(stat.Metric.Dimensions, dimension{Name: d.Name, Value: d.Value})
	}
	out.MetricStat = &stat
	return out, nil
}

// seconds is a period, which may be a text.
func seconds(period intstr.IntOrString) (int32, error) {
	parsed, err := strconv.ParseInt(period.String(), 10, 32)
	if err != nil || parsed < 1 {
		return 0, errors.New("period should be a number of seconds, such as 300")
	}
	return int32(parsed), nil
}

// intervalOf is how much time a metric looks at.
func intervalOf(metric *v1alpha1.CloudWatchMetric) (time.Duration, error) {
	if metric.Interval == "" {
		return defaultInterval, nil
	}
	interval, err := metric.Interval.Duration()
	if err != nil {
		return 0, fmt.Errorf("cloudWatch.interval: %w", err)
	}
	if interval < time.Second {
		return 0, errors.New("cloudWatch.interval should be a second or more, such as 5m")
	}
	return interval, nil
}
