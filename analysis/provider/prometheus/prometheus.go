package prometheus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/analysis/egress"
	"github.com/headway-rollouts/headway/analysis/egress/aws"
	"github.com/headway-rollouts/headway/analysis/expr"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// Keys of the metadata of a metric and of a measurement. They are served API.
const (
	// ResolvedQuery is the query with every argument filled in.
	ResolvedQuery = "ResolvedPrometheusQuery"
	// Warnings are what the server says about the query besides its result.
	Warnings = "warnings"
)

// defaultTimeout is how long a query may take unless the metric says otherwise.
const defaultTimeout = 30 * time.Second

// Provider measures with PromQL.
type Provider struct {
	client *egress.Client
	home   Home
}

// Home is what the operator chose: the server of metrics that name none, which
// may be where other metrics may not reach, such as beside the controller, and
// who signs for AWS.
type Home struct {
	// Address of the server; may be empty.
	Address string
	// Client reaches it.
	Client *egress.Client
	// AWS has the credentials for Amazon Managed Service for Prometheus.
	AWS *aws.Credentials
}

// New makes a provider. client reaches the servers that metrics name.
func New(client *egress.Client, home Home) *Provider {
	return &Provider{client: client, home: home}
}

// Measure runs the query.
func (p *Provider) Measure(ctx context.Context, q analysis.Query) analysis.Reply {
	metric := q.Metric.Provider.Prometheus
	if metric == nil {
		return analysis.Failure(errors.New("the metric has no prometheus query"))
	}
	reply, err := p.measure(ctx, metric, q)
	if err != nil {
		reply = analysis.Failure(err)
	}
	reply.MetricMetadata = p.described(metric)
	return reply
}

func (p *Provider) measure(ctx context.Context, metric *v1alpha1.PrometheusMetric, q analysis.Query) (analysis.Reply, error) {
	timeout, err := timeoutOf(metric)
	if err != nil {
		return analysis.Reply{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	client, err := p.api(ctx, metric)
	if err != nil {
		return analysis.Reply{}, err
	}
	answer, warnings, err := ask(ctx, client, metric, q.Now)
	if err != nil {
		return analysis.Reply{}, explain(err)
	}
	value, text, err := valueOf(answer)
	if err != nil {
		return analysis.Reply{}, err
	}
	return analysis.Reply{Result: value, Value: text, Metadata: warned(warnings)}, nil
}

func timeoutOf(metric *v1alpha1.PrometheusMetric) (time.Duration, error) {
	switch {
	case metric.Timeout == nil || *metric.Timeout == 0:
		return defaultTimeout, nil
	case *metric.Timeout < 0:
		return 0, errors.New("prometheus timeout should not be negative; give seconds, or nothing for 30")
	case *metric.Timeout > int64(time.Hour/time.Second):
		return time.Hour, nil
	default:
		return time.Duration(*metric.Timeout) * time.Second, nil
	}
}

// api makes the client of one query; the connections under it are shared.
func (p *Provider) api(ctx context.Context, metric *v1alpha1.PrometheusMetric) (promv1.API, error) {
	client, address := p.server(metric)
	if address == "" {
		return nil, errors.New("no prometheus address: set address in the metric, " +
			"or ARGO_ROLLOUTS_PROMETHEUS_ADDRESS for the controller")
	}
	if err := egress.CheckURL(address); err != nil {
		return nil, fmt.Errorf("prometheus: %w", err)
	}
	signer, err := p.signer(ctx, metric, address)
	if err != nil {
		return nil, err
	}
	made, err := api.NewClient(api.Config{
		Address: address, Client: client.HTTP(egress.Options{Insecure: metric.Insecure, Signer: signer}),
	})
	if err != nil {
		return nil, fmt.Errorf("making the client of prometheus: %w", err)
	}
	return promv1.NewAPI(made), nil
}

// server is the one that a metric names, or else that of the operator.
func (p *Provider) server(metric *v1alpha1.PrometheusMetric) (*egress.Client, string) {
	if metric.Address == "" {
		return p.home.Client, p.home.Address
	}
	return p.client, metric.Address
}

func ask(ctx context.Context, client promv1.API, metric *v1alpha1.PrometheusMetric, now time.Time) (model.Value, promv1.Warnings, error) {
	if metric.RangeQuery == nil {
		answer, warnings, _, err := client.Query(ctx, metric.Query, now)
		return answer, warnings, err //nolint:wrapcheck // explain does.
	}
	span, err := spanOf(metric.RangeQuery, now)
	if err != nil {
		return nil, nil, err
	}
	answer, warnings, _, err := client.QueryRange(ctx, metric.Query, span)
	return answer, warnings, err //nolint:wrapcheck // explain does.
}

// explain makes a sentence of an error. What is said of a reply that cannot be
// read repeats pieces of it, and it may come from anywhere.
func explain(err error) error {
	var said *promv1.Error
	if errors.As(err, &said) && said.Type == promv1.ErrBadResponse && !strings.HasPrefix(said.Msg, "unexpected value type") {
		return errors.New("querying prometheus: the reply is not one of Prometheus; the address may lead to something else")
	}
	return egress.Explain("prometheus", err)
}

// spanOf reads the range of a query. Its ends are expressions over now().
func spanOf(args *v1alpha1.PrometheusRangeQueryArgs, now time.Time) (promv1.Range, error) {
	start, err := expr.Time(args.Start, now)
	if err != nil {
		return promv1.Range{}, fmt.Errorf("rangeQuery.start: %w", err)
	}
	end, err := expr.Time(args.End, now)
	if err != nil {
		return promv1.Range{}, fmt.Errorf("rangeQuery.end: %w", err)
	}
	step, err := args.Step.Duration()
	if err != nil {
		return promv1.Range{}, fmt.Errorf("rangeQuery.step: %w", err)
	}
	if step <= 0 || end.Before(start) {
		return promv1.Range{}, errors.New("rangeQuery: the step must be above 0 and the end after the start")
	}
	return promv1.Range{Start: start, End: end, Step: step}, nil
}

// warned keeps warnings in the form of the served API.
func warned(warnings promv1.Warnings) map[string]string {
	if len(warnings) == 0 {
		return nil
	}
	quoted := make([]string, len(warnings))
	for i, warning := range warnings {
		quoted[i] = strconv.Quote(warning)
	}
	return map[string]string{Warnings: strings.Join(quoted, ", ")}
}
