package cloudwatch

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// input is what GetMetricData is asked.
type input struct {
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

// inputOf asks the queries of a metric for the time until now.
func inputOf(metric *v1alpha1.CloudWatchMetric, now time.Time) (input, error) {
	interval, err := intervalOf(metric)
	if err != nil {
		return input{}, err
	}
	if len(metric.MetricDataQueries) == 0 {
		return input{}, errors.New("the metric has no cloudWatch.metricDataQueries")
	}
	out := input{StartTime: now.Add(-interval).Unix(), EndTime: now.Unix()}
	for i, query := range metric.MetricDataQueries {
		made, err := queryOf(query)
		if err != nil {
			return input{}, fmt.Errorf("cloudWatch.metricDataQueries[%d].%w", i, err)
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

// output is what GetMetricData says.
type output struct {
	// MetricDataResults is nil when the reply is of something else.
	MetricDataResults []struct {
		Id, Label, StatusCode string //nolint:revive // The name is that of AWS.
		Timestamps            []sample
		Values                []sample
		Messages              []MessageData
	}
	Messages []MessageData
	// NextToken is there when not all data is.
	NextToken string
}

// sample is a number of JSON, or the name of one that JSON has not.
type sample float64

var named = map[string]float64{
	`"NaN"`: math.NaN(), `"Infinity"`: math.Inf(1), `"-Infinity"`: math.Inf(-1),
	`null`: math.NaN(), // The decoder would leave a zero.
}

// UnmarshalJSON reads a number, or the text NaN, Infinity or -Infinity.
func (s *sample) UnmarshalJSON(text []byte) error {
	if value, ok := named[string(text)]; ok {
		*s = sample(value)
		return nil
	}
	return json.Unmarshal(text, (*float64)(s)) //nolint:wrapcheck // The decoder that calls this says where.
}

// time is the moment of a sample that counts seconds.
func (s sample) time() time.Time {
	whole, part := math.Modf(float64(s))
	return time.Unix(int64(whole), int64(part*1e9)).UTC()
}
