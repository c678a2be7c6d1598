package newrelic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/analysis/egress"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// ResolvedQuery is a key of the metadata of a metric: the query with every
// argument filled in. It is served API.
const ResolvedQuery = "ResolvedNewRelicQuery"

const (
	// defaultTimeout is how long a query may take unless the metric says
	// otherwise, and maxTimeout the longest it may say.
	defaultTimeout = 5 * time.Second
	maxTimeout     = time.Hour
	// grace is the time for the way to New Relic and back, so that it can say
	// itself that a query took too long.
	grace = 5 * time.Second
)

// nrql is the question of GraphQL that carries a query.
const nrql = `query($accountId: Int!, $query: Nrql!, $timeout: Seconds!) {` +
	` actor { account(id: $accountId) { nrql(query: $query, timeout: $timeout) { results } } } }`

var (
	errNoRows  = errors.New("the NRQL query returned no rows")
	errForeign = errors.New("querying newrelic: the reply is not one of NerdGraph; check base-url-nerdgraph")
)

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
	timeout, err := timeoutOf(metric)
	if err != nil {
		return analysis.Reply{}, err
	}
	account, err := read(ctx, secrets, metric.Profile)
	if err != nil {
		return analysis.Reply{}, fmt.Errorf("finding the newrelic credentials: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout+grace)
	defer cancel()
	rows, err := p.rows(ctx, account, map[string]any{
		"accountId": account.id, "query": metric.Query, "timeout": int64(timeout / time.Second),
	})
	if err != nil {
		return analysis.Reply{}, err
	}
	return valueOf(rows)
}

func timeoutOf(metric *v1alpha1.NewRelicMetric) (time.Duration, error) {
	switch {
	case metric.Timeout == nil || *metric.Timeout == 0:
		return defaultTimeout, nil
	case *metric.Timeout < 0:
		return 0, errors.New("newrelic timeout should not be negative; give seconds, or nothing for 5")
	default:
		return time.Duration(min(*metric.Timeout, int64(maxTimeout/time.Second))) * time.Second, nil
	}
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

// complaint is what NerdGraph says is wrong, also where the status is a success.
type complaint struct {
	Errors []struct {
		Message string `json:"message"`
	} `json:"errors"`
}

func (c complaint) text() string {
	var texts []string
	for _, e := range c.Errors {
		// NerdGraph warns of fields to come to an end, and answers all the same.
		if !strings.HasPrefix(e.Message, "This field is deprecated!") {
			texts = append(texts, e.Message)
		}
	}
	return egress.Brief(strings.Join(texts, "; "))
}

// rows asks NerdGraph for the rows of a query.
func (p *Provider) rows(ctx context.Context, a account, variables map[string]any) ([]any, error) {
	body, err := json.Marshal(map[string]any{"query": nrql, "variables": variables})
	if err != nil {
		return nil, fmt.Errorf("encoding the newrelic query: %w", err)
	}
	var reply struct {
		complaint
		Data struct {
			Actor struct {
				Account struct {
					NRQL *struct {
						Results []any `json:"results"`
					} `json:"nrql"`
				} `json:"account"`
			} `json:"actor"`
		} `json:"data"`
	}
	header := http.Header{}
	header.Set("Content-Type", "application/json")
	header.Set("Api-Key", a.key)
	err = p.client.AskJSON(ctx, egress.Request{Method: http.MethodPost, URL: a.url, Header: header, Body: body}, &reply)
	switch {
	case err != nil:
		return nil, egress.ExplainStatus("newrelic", err, said, advice)
	case reply.text() != "":
		return nil, fmt.Errorf("newrelic rejects the query: %s", reply.text())
	case reply.Data.Actor.Account.NRQL == nil:
		return nil, errForeign
	}
	return reply.Data.Actor.Account.NRQL.Results, nil
}

const checkAccount = "check personal-api-key, account-id and region"

var advice = map[int]string{
	http.StatusUnauthorized: checkAccount, http.StatusForbidden: checkAccount,
	http.StatusTooManyRequests: "measure less often",
}

// said is what NerdGraph says is wrong in a reply that is no success.
func said(body []byte) string {
	var c complaint
	if json.Unmarshal(body, &c) != nil {
		return ""
	}
	return c.text()
}
