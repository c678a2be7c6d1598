// Package results reads what GetMetricData, an operation of CloudWatch, answers.
// It judges only whether all of the data is there.
package results

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/analysis/egress"
)

// Messages is the key of a measurement's metadata with what CloudWatch says
// about its data. It is served API.
const Messages = "messages"

// MetricDataResult is the result of one query, as conditions see it. Its names
// are those of the SDK of AWS, which users write.
type MetricDataResult struct {
	// Id of the query, and Label of the result.
	Id, Label string //nolint:revive // The name is what users write.
	// StatusCode is always Complete: all else is an error.
	StatusCode string
	// Timestamps are those of the Values, the latest first.
	Timestamps []time.Time
	Values     []float64
	// Messages of CloudWatch about the data.
	Messages []MessageData
}

// MessageData is a message of CloudWatch.
type MessageData struct{ Code, Value string }

// Reply is what the results of a span of time mean. Data that is not all there
// decides nothing.
func (o Output) Reply(span time.Duration) analysis.Reply {
	results, err := o.results()
	notes := o.notes()
	if err != nil {
		reply := analysis.Failure(err)
		reply.Metadata = notes
		return reply
	}
	reply := analysis.Reply{Result: results, Value: textOf(results), Metadata: notes}
	for _, result := range results {
		if len(result.Values) > 0 {
			return reply
		}
	}
	reply.NoData = true
	reply.Message = fmt.Sprintf("the metric has no data: cloudwatch has no values of the last %s", span)
	return reply
}

func (o Output) results() ([]MetricDataResult, error) {
	if o.MetricDataResults == nil {
		return nil, errors.New("querying cloudwatch: the reply has no MetricDataResults; the endpoint may be something else")
	}
	out := make([]MetricDataResult, 0, len(o.MetricDataResults))
	for _, each := range o.MetricDataResults {
		if each.StatusCode != "Complete" {
			why := append([]string{fmt.Sprintf("its status is %q", egress.Brief(each.StatusCode))}, texts("", each.Messages)...)
			return nil, fmt.Errorf("cloudwatch gives not all data of query %q: %s", egress.Brief(each.Id), egress.Brief(strings.Join(why, ": ")))
		}
		result := MetricDataResult{Id: each.Id, Label: each.Label, StatusCode: each.StatusCode, Messages: each.Messages}
		for _, at := range each.Timestamps {
			result.Timestamps = append(result.Timestamps, at.time())
		}
		for _, value := range each.Values {
			result.Values = append(result.Values, float64(value))
		}
		out = append(out, result)
	}
	if o.NextToken != "" {
		return nil, errors.New("cloudwatch gives not all data in one reply; make the interval shorter or the periods longer")
	}
	return out, nil
}

// notes keeps messages in the metadata of the measurement; nil without any.
func (o Output) notes() map[string]string {
	parts := texts("", o.Messages)
	for _, result := range o.MetricDataResults {
		parts = append(parts, texts(egress.Brief(result.Id)+": ", result.Messages)...)
	}
	if len(parts) == 0 {
		return nil
	}
	return map[string]string{Messages: strings.Join(parts, "; ")}
}

func texts(prefix string, messages []MessageData) []string {
	var out []string
	for _, message := range messages {
		out = append(out, prefix+egress.Brief(message.Code+": "+message.Value))
	}
	return out
}

// textOf is the values of each result, such as [[1,2],[3]].
func textOf(results []MetricDataResult) string {
	parts := make([]string, len(results))
	for i, result := range results {
		parts[i] = analysis.Numbers(result.Values)
	}
	return "[" + strings.Join(parts, ",") + "]"
}

// Output is what GetMetricData says.
type Output struct {
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
