package skywalking

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/analysis/egress"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

const (
	// timeout is how long a query may take.
	timeout = 30 * time.Second
	// defaultInterval is the window of time of a query that names none.
	defaultInterval = 5 * time.Minute
	// minute is how the server writes times in steps of a minute.
	minute = "2006-01-02 1504"
)

// Provider measures with SkyWalking.
type Provider struct{ client *egress.Client }

// New makes a provider. client reaches the servers that metrics name.
func New(client *egress.Client) *Provider {
	return &Provider{client: client}
}

// Measure runs the query.
func (p *Provider) Measure(ctx context.Context, q analysis.Query) analysis.Reply {
	metric := q.Metric.Provider.SkyWalking
	if metric == nil {
		return analysis.Failure(errors.New("the metric has no skywalking query"))
	}
	reply, err := p.measure(ctx, metric, q.Now)
	if err != nil {
		return analysis.Failure(err)
	}
	return reply
}

func (p *Provider) measure(ctx context.Context, metric *v1alpha1.SkyWalkingMetric, now time.Time) (analysis.Reply, error) {
	address, err := url.JoinPath(metric.Address, "graphql")
	if err != nil {
		return analysis.Reply{}, errors.New("skywalking: the address is not a URL")
	}
	body, err := question(metric, now)
	if err != nil {
		return analysis.Reply{}, fmt.Errorf("skywalking: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var a answer
	err = p.client.AskJSON(ctx, egress.Request{
		Method: http.MethodPost, URL: address, Body: body,
		Header: http.Header{"Content-Type": {"application/json; charset=utf-8"}, "Accept": {"application/json; charset=utf-8"}},
	}, &a)
	if err != nil {
		return analysis.Reply{}, explain(err)
	}
	return a.reply()
}

// question is the body of a request. The query may use the variable $duration.
func question(metric *v1alpha1.SkyWalkingMetric, now time.Time) ([]byte, error) {
	interval := defaultInterval
	if metric.Interval != "" {
		var err error
		if interval, err = metric.Interval.Duration(); err != nil {
			return nil, fmt.Errorf("interval: %w", err)
		}
	}
	if interval <= 0 {
		return nil, errors.New("the interval must be above 0; write for example 5m")
	}
	duration := map[string]string{
		"start": now.Add(-interval).UTC().Format(minute), "end": now.UTC().Format(minute), "step": "MINUTE",
	}
	body, err := json.Marshal(map[string]any{"query": metric.Query, "variables": map[string]any{"duration": duration}})
	if err != nil {
		return nil, fmt.Errorf("encoding the query: %w", err)
	}
	return body, nil
}

// answer is what a server says, in the form of GraphQL.
type answer struct {
	Data   json.RawMessage `json:"data"`
	Errors []struct {
		Message string `json:"message"`
	} `json:"errors"`
}

// reply is what the answer means. Data beside errors is not whole, and does not count.
func (a answer) reply() (analysis.Reply, error) {
	if len(a.Errors) > 0 {
		return analysis.Reply{}, fmt.Errorf("skywalking refused the query: %s", egress.Brief(a.Errors[0].Message))
	}
	if a.Data == nil {
		return analysis.Reply{}, errors.New("the reply has neither data nor errors; the address may lead to something else than skywalking")
	}
	var result any
	var text bytes.Buffer
	if err := errors.Join(json.Unmarshal(a.Data, &result), json.Compact(&text, a.Data)); err != nil {
		return analysis.Reply{}, errors.New("the data of the reply cannot be decoded; ask for fewer fields")
	}
	if result == nil {
		reply := analysis.Failure(errors.New("skywalking has no data for the query"))
		reply.NoData = true
		return reply, nil
	}
	// Runes replace each byte that is no text, as decoding does.
	return analysis.Reply{Result: result, Value: string([]rune(text.String()))}, nil
}

// explain tells what the server says against the query, where it says so with a status.
func explain(err error) error {
	var refused *egress.StatusError
	var a answer
	if errors.As(err, &refused) && json.Unmarshal(refused.Body, &a) == nil && len(a.Errors) > 0 {
		_, err := a.reply()
		return err
	}
	return egress.Explain("skywalking", err)
}
