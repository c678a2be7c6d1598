package datadog

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

const (
	defaultInterval = 5 * time.Minute
	defaultTimeout  = 10 * time.Second
)

// Provider measures with Datadog queries.
type Provider struct {
	client      *egress.Client
	environment Environment
}

// New makes a provider. environment is what the environment of the controller
// says of Datadog.
func New(client *egress.Client, environment Environment) *Provider {
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
	account, err := p.account(ctx, metric.SecretRef, q)
	if err != nil {
		return analysis.Reply{}, fmt.Errorf("finding the datadog credentials: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	asked := question{metric: metric, account: account, to: q.Now.Unix(), from: q.Now.Unix() - int64(window.Seconds())}
	if metric.APIVersion == "v2" {
		return p.scalar(ctx, asked)
	}
	return p.timeseries(ctx, asked)
}

// question is a metric, whom it asks, and the window of time it is about, in
// seconds of Unix time.
type question struct {
	metric   *v1alpha1.DatadogMetric
	account  account
	from, to int64
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

// complaint is what Datadog says is wrong: a text in version 1, a text or a
// list in version 2, also where the status is a success.
type complaint struct {
	Error  string `json:"error"`
	Errors any    `json:"errors"`
}

func (c complaint) text() string {
	list, ok := c.Errors.([]any)
	if !ok && c.Errors != nil {
		list = []any{c.Errors}
	}
	for _, item := range list {
		c.Error = strings.TrimSpace(c.Error + " " + fmt.Sprint(item))
	}
	return egress.Brief(c.Error)
}

// ask sends a request to the account of a question.
func (p *Provider) ask(ctx context.Context, a account, request egress.Request, into any) error {
	request.URL = strings.TrimRight(a.address, "/") + request.URL
	request.Header = a.header()
	err := p.client.AskJSON(ctx, request, into)
	if err == nil {
		return nil
	}
	return egress.ExplainStatus("datadog", err, said, advice)
}

const checkAccount = "check api-key, the rights of app-key, and that address is the site of the account"

var advice = map[int]string{
	http.StatusUnauthorized: checkAccount, http.StatusForbidden: checkAccount,
	http.StatusTooManyRequests: "measure less often, or have Datadog raise the limit",
}

// said is what Datadog says is wrong in a reply that is no success.
func said(body []byte) string {
	var c complaint
	if json.Unmarshal(body, &c) != nil {
		return ""
	}
	return c.text()
}
