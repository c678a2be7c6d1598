// Package newrelic measures with NRQL, the query language of New Relic, over
// NerdGraph, its GraphQL API. The conditions of the metric judge the rows. It
// uses no other API of New Relic. It is asked by the controller of
// AnalysisRuns; it knows nothing of runs.
package newrelic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"k8s.io/utils/ptr"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/analysis/egress"
	"github.com/headway-rollouts/headway/analysis/provider/newrelic/nerdgraph"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// ResolvedQuery is a key of the metadata of a metric: the query with every
// argument filled in. It is served API.
const ResolvedQuery = "ResolvedNewRelicQuery"

const (
	// defaultTimeout is how long a query may take unless the metric says otherwise.
	defaultTimeout = 5 * time.Second
	// grace is the time for the way to New Relic and back, so that it can say
	// itself that a query took too long.
	grace = 5 * time.Second
)

var errNoRows = errors.New("the NRQL query returned no rows")

// Provider measures with NRQL.
type Provider struct{ client *egress.Client }

// New makes a provider.
func New(client *egress.Client) *Provider { return &Provider{client: client} }

// Measure runs the query.
func (p *Provider) Measure(ctx context.Context, q analysis.Query) analysis.Reply {
	metric := q.Metric.Provider.NewRelic
	if metric == nil {
		return analysis.Failure(errors.New("the metric has no newRelic query"))
	}
	reply, err := p.measure(ctx, metric, q.Secrets)
	if err != nil {
		reply = analysis.Failure(err)
		reply.NoData = errors.Is(err, errNoRows)
	}
	reply.MetricMetadata = map[string]string{ResolvedQuery: metric.Query}
	return reply
}

func (p *Provider) measure(ctx context.Context, metric *v1alpha1.NewRelicMetric, secrets analysis.SecretReader) (analysis.Reply, error) {
	timeout, err := egress.Timeout("newrelic timeout", ptr.Deref(metric.Timeout, 0), defaultTimeout)
	if err != nil {
		return analysis.Reply{}, err
	}
	account, err := nerdgraph.Read(ctx, secrets, metric.Profile)
	if err != nil {
		return analysis.Reply{}, fmt.Errorf("finding the newrelic credentials: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout+grace)
	defer cancel()
	rows, err := account.Rows(ctx, p.client, metric.Query, timeout)
	if err != nil {
		return analysis.Reply{}, err
	}
	return valueOf(rows)
}

// valueOf is the value of a query: a map for one row, a list of maps for several.
func valueOf(rows []any) (analysis.Reply, error) {
	var value any = rows
	switch len(rows) {
	case 0:
		return analysis.Reply{}, errNoRows
	case 1:
		if row, ok := rows[0].(map[string]any); ok && len(row) == 0 {
			return analysis.Reply{}, errNoRows
		}
		value = rows[0]
	}
	text, err := json.Marshal(value)
	if err != nil {
		return analysis.Reply{}, fmt.Errorf("encoding the rows: %w", err)
	}
	return analysis.Reply{Result: value, Value: string(text)}, nil
}
