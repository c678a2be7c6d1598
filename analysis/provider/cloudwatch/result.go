package cloudwatch

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/analysis/egress"
)

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

// complete is the status of a result that has all its data.
const complete = "Complete"

// reply is what the results mean. Data that is not all there decides nothing.
func (o output) reply(asked input) analysis.Reply {
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
	span := time.Duration(asked.EndTime-asked.StartTime) * time.Second
	reply.NoData = true
	reply.Message = fmt.Sprintf("the metric has no data: cloudwatch has no values of the last %s", span)
	return reply
}

func (o output) results() ([]MetricDataResult, error) {
	if o.MetricDataResults == nil {
		return nil, errors.New("querying cloudwatch: the reply has no MetricDataResults; the endpoint may be something else")
	}
	out := make([]MetricDataResult, 0, len(o.MetricDataResults))
	for _, each := range o.MetricDataResults {
		if each.StatusCode != complete {
			return nil, fmt.Errorf("cloudwatch gives not all data of query %q: its status is %q%s",
				egress.Brief(each.Id), egress.Brief(each.StatusCode), because(each.Messages))
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
func (o output) notes() map[string]string {
	parts := texts("", o.Messages)
	for _, result := range o.MetricDataResults {
		parts = append(parts, texts(egress.Brief(result.Id)+": ", result.Messages)...)
	}
	if len(parts) == 0 {
		return nil
	}
	return map[string]string{Messages: strings.Join(parts, "; ")}
}

func because(messages []MessageData) string {
	if len(messages) == 0 {
		return ""
	}
	return ": " + egress.Brief(strings.Join(texts("", messages), "; "))
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
