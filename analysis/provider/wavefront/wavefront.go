package wavefront

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/analysis/egress"
)

const (
	// SecretName is the Secret of the controller that holds a token per address.
	SecretName = "wavefront-api-tokens"
	// timestamps, drift and warnings are keys of a measurement's metadata, which
	// are served API: when the points were, seconds after now, what else was said.
	timestamps, drift, warnings = "timestamps", "drift", "warnings"
	timeout                     = 30 * time.Second // of a query
)

// Provider measures with Wavefront.
type Provider struct{ client *egress.Client }

// New makes a provider. client reaches the servers that metrics name.
func New(client *egress.Client) *Provider {
	return &Provider{client: client}
}

// Measure runs the query.
func (p *Provider) Measure(ctx context.Context, q analysis.Query) analysis.Reply {
	metric := q.Metric.Provider.Wavefront
	if metric == nil {
		return analysis.Failure(errors.New("the metric has no wavefront query"))
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	tokens, err := q.Secrets(ctx, "", SecretName)
	if err != nil {
		return analysis.Failure(fmt.Errorf("reading Secret %s for wavefront: %w", SecretName, err))
	}
	token := strings.TrimSpace(tokens[metric.Address])
	if token == "" {
		return analysis.Failure(fmt.Errorf("the controller's Secret %s has no token for the address; write it as a key there, "+
			"such as example.wavefront.com", SecretName))
	}
	header := http.Header{"Authorization": {"Bearer " + token}, "Accept": {"application/json"}}
	request := egress.Request{URL: question(metric.Address, metric.Query, q.Now), Header: header}
	var c chart
	if err := p.client.AskJSON(ctx, request, &c); err != nil {
		return analysis.Failure(explain(err))
	}
	return c.reply(float64(q.Now.Unix()))
}

// question is the URL of a query. Its window has no width, so a series is asked
// for also when its points are outside, and the closest of them is returned.
func question(address, query string, now time.Time) string {
	if !strings.Contains(address, "://") {
		address = "https://" + address
	}
	at := strconv.FormatInt(now.Unix()*1000, 10)
	return strings.TrimSuffix(address, "/") + "/api/v2/chart/api?" + url.Values{
		"q": {query}, "s": {at}, "e": {at}, "g": {"s"}, "p": {"1"}, "i": {"true"},
		"autoEvents": {"false"}, "listmode": {"false"}, "strict": {"false"}, "includeObsoleteMetrics": {"false"},
	}.Encode()
}

// explain tells what the server says against the query.
func explain(err error) error {
	var refused *egress.StatusError
	var body struct{ Status struct{ Message string } }
	if errors.As(err, &refused) && json.Unmarshal(refused.Body, &body) == nil && body.Status.Message != "" {
		return fmt.Errorf("wavefront refused the query with status %d: %s", refused.Code, egress.Brief(body.Status.Message))
	}
	return egress.Explain("wavefront", err)
}

// chart is the reply to a query, which it repeats also where it has no series.
// A point is its time in seconds and its value.
type chart struct {
	Query                             *string
	Timeseries                        []struct{ Data [][2]json.Number }
	Warnings, ErrorType, ErrorMessage string
}

// reply is a number for one series, and a list for several. Among several, NaN
// stands where one has no points, so that the others keep their places.
func (c chart) reply(now float64) analysis.Reply {
	if c.ErrorType != "" || c.ErrorMessage != "" {
		return analysis.Failure(fmt.Errorf("wavefront refused the query: %s", egress.Brief(c.ErrorType+": "+c.ErrorMessage)))
	}
	if c.Query == nil && c.Timeseries == nil {
		return analysis.Failure(errors.New("the reply is no chart; the address may lead to something else than wavefront"))
	}
	var values, times, drifts []float64
	for _, s := range c.Timeseries {
		value, at := closest(s.Data, now)
		values, times, drifts = append(values, value), append(times, at), append(drifts, at-now)
	}
	reply := analysis.Reply{Result: values, Value: list(values), Metadata: map[string]string{timestamps: list(times), drift: list(drifts)}}
	switch {
	case !slices.ContainsFunc(times, func(at float64) bool { return !math.IsNaN(at) }):
		reply = analysis.Failure(errors.New("wavefront has no points for the query"))
		reply.NoData, reply.Metadata = true, map[string]string{}
	case len(values) == 1:
		reply.Result = values[0]
	}
	if c.Warnings != "" {
		reply.Metadata[warnings] = egress.Brief(c.Warnings)
	}
	return reply
}

// closest is the value at the time closest to now, and that time; NaN when there is none.
func closest(points [][2]json.Number, now float64) (value, at float64) {
	value, at = math.NaN(), math.NaN()
	for _, point := range points {
		when, err := point[0].Float64()
		if err == nil && point[1] != "" && !(math.Abs(when-now) >= math.Abs(at-now)) { // NaN is no distance
			value, _ = point[1].Float64() // what is out of range is infinite
			at = when
		}
	}
	return value, at
}

// list is a number as text, or several in brackets.
func list(values []float64) string {
	if len(values) == 1 {
		return analysis.Number(values[0])
	}
	return analysis.Numbers(values)
}
