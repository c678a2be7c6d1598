package graphite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/analysis/egress"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

const (
	// timeout is how long a query may take.
	timeout = 10 * time.Second
	// maxPoints is how many points a query may return. A condition looks at all
	// of them, and nobody reads more.
	maxPoints = 10_000
	// allowed are the parameters a query may hold. An argument with & in it
	// makes another one, which is refused.
	allowed = "target, from, until, tz, maxDataPoints, noNullPoints, xFilesFactor, noCache, cacheTimeout, format"
)

// Provider measures with Graphite.
type Provider struct{ client *egress.Client }

// New makes a provider. client reaches the servers that metrics name.
func New(client *egress.Client) *Provider {
	return &Provider{client: client}
}

// Measure runs the query.
func (p *Provider) Measure(ctx context.Context, q analysis.Query) analysis.Reply {
	metric := q.Metric.Provider.Graphite
	if metric == nil {
		return analysis.Failure(errors.New("the metric has no graphite query"))
	}
	values, err := p.measure(ctx, metric)
	if err != nil {
		return analysis.Failure(err)
	}
	return analysis.Reply{Result: values, Value: analysis.Numbers(values), NoData: len(values) == 0}
}

func (p *Provider) measure(ctx context.Context, metric *v1alpha1.GraphiteMetric) ([]float64, error) {
	sent, err := sentOf(metric.Query)
	if err != nil {
		return nil, fmt.Errorf("graphite: %w", err)
	}
	address, err := url.Parse(metric.Address)
	if err != nil {
		return nil, errors.New("graphite: the address is not a URL")
	}
	address = address.JoinPath("render")
	address.RawQuery = sent.Encode()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var reply []series
	if err := p.client.AskJSON(ctx, egress.Request{URL: address.String()}, &reply); err != nil {
		return nil, egress.Explain("graphite", err)
	}
	return valuesOf(reply)
}

// sentOf reads the parameters of a query, such as target=a.b&from=-5min. Only
// the first target counts, so only that one is sent.
func sentOf(query string) (url.Values, error) {
	sent, err := url.ParseQuery(strings.Join(strings.Fields(query), ""))
	if err != nil {
		return nil, errors.New("the query cannot be read; write % as %25 and ; as %3B")
	}
	for _, name := range slices.Sorted(maps.Keys(sent)) {
		switch {
		case !slices.Contains(strings.Split(allowed, ", "), name):
			return nil, fmt.Errorf("the query holds the parameter %q, and may hold %s; write & within a target as %%26", egress.Brief(name), allowed)
		case name != "target" && len(sent[name]) > 1:
			return nil, fmt.Errorf("the query holds the parameter %s twice; leave one", name)
		}
	}
	target := sent.Get("target")
	if target == "" {
		return nil, errors.New("the query has no target; write for example target=sumSeries(app.*.count)&from=-5min")
	}
	sent.Set("target", target)
	sent.Set("format", "json")
	return sent, nil
}

// series is what one target gives. A point is a value, which may be null, and
// its time.
type series struct {
	Datapoints [][2]json.Number `json:"datapoints"`
}

// valuesOf are the points of the first series that have a value.
func valuesOf(reply []series) ([]float64, error) {
	if reply == nil || (len(reply) > 0 && reply[0].Datapoints == nil) {
		return nil, errors.New("the reply is no list of series; the address may lead to something else than graphite")
	}
	values := []float64{}
	if len(reply) == 0 {
		return values, nil
	}
	points := reply[0].Datapoints
	if len(points) > maxPoints {
		return nil, fmt.Errorf("the query returns %d points, above the limit of %d; summarize() them", len(points), maxPoints)
	}
	for _, point := range points {
		if point[0] != "" {
			value, _ := point[0].Float64() // infinity comes as 1e9999, and is told to be out of range
			values = append(values, value)
		}
	}
	return values, nil
}
