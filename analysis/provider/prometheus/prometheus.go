// Package prometheus measures with PromQL: a query at this moment, or over a
// range of time. It judges nothing. It is asked by the controller of
// AnalysisRuns; it knows nothing of runs.
package prometheus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"k8s.io/utils/ptr"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/analysis/authentication"
	"github.com/headway-rollouts/headway/analysis/egress"
	"github.com/headway-rollouts/headway/analysis/egress/aws"
	"github.com/headway-rollouts/headway/analysis/provider/prometheus/promql"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// Keys of the metadata of a metric and of a measurement. They are served API.
const (
	// ResolvedQuery is the query with every argument filled in.
	ResolvedQuery = "ResolvedPrometheusQuery"
	// Warnings are what the server says about the query besides its result.
	Warnings = "warnings"
	// Sigv4 says why nothing was signed.
	Sigv4 = "sigv4"
)

const (
	// managed is a part of every address of Amazon Managed Service for Prometheus.
	managed = "aps-workspaces"
	// defaultTimeout is how long a query may take unless the metric says otherwise.
	defaultTimeout = 30 * time.Second
)

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
	timeout, err := egress.Timeout("prometheus timeout", ptr.Deref(metric.Timeout, 0), defaultTimeout)
	if err != nil {
		return analysis.Reply{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	client, err := p.api(ctx, metric)
	if err != nil {
		return analysis.Reply{}, err
	}
	reply, warnings, err := promql.Ask(ctx, client, metric, q.Now)
	if warnings != "" {
		reply.Metadata = map[string]string{Warnings: warnings}
	}
	return reply, err
}

// api makes the client of one query; the connections under it are shared.
func (p *Provider) api(ctx context.Context, metric *v1alpha1.PrometheusMetric) (promv1.API, error) {
	client, address := p.server(metric)
	if address == "" {
		return nil, errors.New("no prometheus address: set address in the metric, " +
			"or ARGO_ROLLOUTS_PROMETHEUS_ADDRESS for the controller")
	}
	signer, err := p.signer(ctx, metric, address)
	if err != nil {
		return nil, err
	}
	return promql.New(address, client.HTTP(egress.Options{Insecure: metric.Insecure, Signer: signer}))
}

// server is the one that a metric names, or else that of the operator.
func (p *Provider) server(metric *v1alpha1.PrometheusMetric) (*egress.Client, string) {
	if metric.Address == "" {
		return p.home.Client, p.home.Address
	}
	return p.client, metric.Address
}

// signer adds the headers of a metric and what authenticates it.
func (p *Provider) signer(ctx context.Context, metric *v1alpha1.PrometheusMetric, address string) (egress.Signer, error) {
	out, err := authentication.Of(p.client, metric.Authentication, metric.Headers, metric.Insecure)
	if err != nil || !strings.Contains(address, managed) {
		return out, err
	}
	if p.home.AWS == nil {
		return nil, errors.New("authentication.sigv4: the controller has no AWS credentials")
	}
	// Whoever asks Amazon has to sign, so that needs nothing in the metric. It is
	// last, since it signs the other headers too.
	asked := metric.Authentication.Sigv4
	signature, err := p.home.AWS.Signer(ctx, "aps", aws.Identity{Region: asked.Region, Profile: asked.Profile, RoleARN: asked.RoleARN})
	if err != nil {
		return nil, fmt.Errorf("authentication.sigv4: %w", err)
	}
	return append(out, signature), nil
}

// described is the metadata of a metric. A signature that is asked for and not
// made is told there: it is no error, since a proxy may sign.
func (p *Provider) described(metric *v1alpha1.PrometheusMetric) map[string]string {
	out := map[string]string{ResolvedQuery: metric.Query}
	_, address := p.server(metric)
	if metric.Authentication.Sigv4 != (v1alpha1.Sigv4Config{}) && !strings.Contains(address, managed) {
		out[Sigv4] = "not signed: the address has no " + managed + " in it, so it is not Amazon Managed Service for Prometheus"
	}
	return out
}
