// Package datadog measures with Datadog queries over a window of time: a
// timeseries query with version 1 of its API, scalar queries and formulas with
// version 2. The conditions of the metric judge the value. It never reads the
// environment: the one who makes the provider passes what it says. It is asked
// by the controller of AnalysisRuns; it knows nothing of runs.
package datadog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/analysis/egress"
	"github.com/headway-rollouts/headway/analysis/provider/datadog/api"
	v1 "github.com/headway-rollouts/headway/analysis/provider/datadog/v1"
	v2 "github.com/headway-rollouts/headway/analysis/provider/datadog/v2"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

const (
	defaultInterval = 5 * time.Minute
	defaultTimeout  = 10 * time.Second
)

// Environment is what the environment of the controller says of Datadog.
type Environment = api.Environment

// Provider measures with Datadog queries.
type Provider struct {
	client      *egress.Client
	environment api.Environment
}

// New makes a provider. environment is what the environment of the controller
// says of Datadog.
func New(client *egress.Client, environment api.Environment) *Provider {
	return &Provider{client: client, environment: environment}
}

// Measure runs the query.
func (p *Provider) Measure(ctx context.Context, q analysis.Query) analysis.Reply {
	metric := q.Metric.Provider.Datadog
	if metric == nil {
		return analysis.Failure(errors.New("the metric has no datadog query"))
	}
	reply, err := p.measure(ctx, metric, q)
	if err != nil {
		reply = analysis.Failure(err)
	}
	// The caller hides what it read from Secrets; it does not know these keys.
	return analysis.RedactReply(reply, []string{p.environment.APIKey, p.environment.AppKey})
}

func (p *Provider) measure(ctx context.Context, metric *v1alpha1.DatadogMetric, q analysis.Query) (analysis.Reply, error) {
	if err := check(metric); err != nil {
		return analysis.Reply{}, fmt.Errorf("datadog: %w", err)
	}
	window, err := duration("interval", metric.Interval, defaultInterval)
	if err != nil {
		return analysis.Reply{}, err
	}
	timeout, err := duration("requestTimeout", metric.RequestTimeout, defaultTimeout)
	if err != nil {
		return analysis.Reply{}, err
	}
	account, err := p.environment.Account(ctx, q)
	if err != nil {
		return analysis.Reply{}, fmt.Errorf("finding the datadog credentials: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	site, between := api.Site{Client: p.client, Account: account}, [2]time.Time{q.Now.Add(-window), q.Now}
	if metric.APIVersion == "v2" {
		return v2.Scalar(ctx, site, metric, between)
	}
	return v1.Timeseries(ctx, site, metric.Query, between)
}

// check reports a metric that its version of the API cannot answer.
func check(metric *v1alpha1.DatadogMetric) error {
	switch metric.APIVersion {
	case "", "v1":
		if len(metric.Queries) > 0 || metric.Formula != "" || metric.Aggregator != "" {
			return errors.New("queries, formula and aggregator need apiVersion v2; with v1 set query alone")
		}
	case "v2":
	default:
		return errors.New("apiVersion must be v1 or v2")
	}
	switch {
	case metric.Query == "" && len(metric.Queries) == 0:
		return errors.New("there is no query; set query, or queries with apiVersion v2")
	case metric.Query != "" && len(metric.Queries) > 0:
		return errors.New("set query or queries, not both")
	case metric.Formula != "" && len(metric.Queries) == 0:
		return errors.New("formula needs queries, which it names")
	case metric.Formula == "" && len(metric.Queries) > 1:
		return errors.New("several queries need a formula that makes one value of them")
	}
	return nil
}

func duration(field string, text v1alpha1.DurationString, otherwise time.Duration) (time.Duration, error) {
	if text == "" {
		return otherwise, nil
	}
	parsed, err := text.Duration()
	if err != nil || parsed <= 0 {
		return 0, fmt.Errorf("datadog: %s must be a duration above 0, for example 30s", field)
	}
	return parsed, nil
}
