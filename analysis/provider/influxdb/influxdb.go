package influxdb

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/analysis/annotatedcsv"
	"github.com/headway-rollouts/headway/analysis/egress"
)

const (
	// DefaultProfile is the Secret of a metric that names none.
	DefaultProfile = "influxdb"
	// timeout is how long a query may take.
	timeout = 30 * time.Second
)

// Provider measures with InfluxDB.
type Provider struct{ client *egress.Client }

// New makes a provider. client reaches the servers that Secrets name.
func New(client *egress.Client) *Provider {
	return &Provider{client: client}
}

// Measure runs the query.
func (p *Provider) Measure(ctx context.Context, q analysis.Query) analysis.Reply {
	if q.Metric.Provider.Influxdb == nil {
		return analysis.Failure(errors.New("the metric has no influxdb query"))
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	text, err := p.ask(ctx, q)
	if err != nil {
		return analysis.Failure(err)
	}
	values, err := annotatedcsv.Values(string(text))
	if err != nil {
		return analysis.Failure(fmt.Errorf("influxdb: %s", egress.Brief(err.Error())))
	}
	reply := analysis.Reply{Result: values, Value: fmt.Sprint(values)}
	if len(values) == 0 {
		reply = analysis.Failure(errors.New("influxdb has no rows for the query"))
		reply.NoData = true
	}
	return reply
}

func (p *Provider) ask(ctx context.Context, q analysis.Query) ([]byte, error) {
	name := cmp.Or(q.Metric.Provider.Influxdb.Profile, DefaultProfile)
	secret, err := q.Secrets(ctx, "", name)
	if err != nil {
		return nil, fmt.Errorf("reading Secret %s for influxdb: %w", name, err)
	}
	address, token, org := strings.TrimSpace(secret["address"]), strings.TrimSpace(secret["authToken"]), strings.TrimSpace(secret["org"])
	if address == "" || token == "" || org == "" {
		return nil, fmt.Errorf("the controller's Secret %s lacks one of address, authToken and org; add it", name)
	}
	// Only the annotations say what type a value is.
	body, err := json.Marshal(map[string]any{
		"query": q.Metric.Provider.Influxdb.Query, "type": "flux",
		"dialect": map[string]any{"annotations": []string{"datatype", "group", "default"}, "delimiter": ",", "header": true},
	})
	if err != nil {
		return nil, fmt.Errorf("encoding the query: %w", err)
	}
	text, err := p.client.Ask(ctx, egress.Request{
		Method: http.MethodPost, Body: body,
		URL: strings.TrimSuffix(address, "/") + "/api/v2/query?" + url.Values{"org": {org}}.Encode(),
		Header: http.Header{
			"Authorization": {"Token " + token}, "Content-Type": {"application/json"}, "Accept": {"application/csv"},
		},
	})
	return text, explain(err)
}

// explain tells what the server says against the query.
func explain(err error) error {
	var refused *egress.StatusError
	var body struct{ Code, Message string }
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused) && json.Unmarshal(refused.Body, &body) == nil && body.Message != "":
		return fmt.Errorf("influxdb refused the query: %s", egress.Brief(body.Code+": "+body.Message))
	default:
		return egress.Explain("influxdb", err)
	}
}
