// Package cloudwatch measures with Amazon CloudWatch: all queries of a metric in
// one call of GetMetricData, over the time until now. The controller's own AWS
// configuration says where and as whom. It is asked by the controller of
// AnalysisRuns; it knows nothing of runs.
package cloudwatch

import (
	"context"
	"errors"
	"time"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/analysis/egress"
	"github.com/headway-rollouts/headway/analysis/egress/aws"
	"github.com/headway-rollouts/headway/analysis/provider/cloudwatch/metricdata"
	"github.com/headway-rollouts/headway/analysis/provider/cloudwatch/results"
)

// timeout is how long a call may take.
const timeout = 30 * time.Second

// getMetricData is the operation, in the first version of CloudWatch's API.
const getMetricData = "GraniteServiceVersion20100801.GetMetricData"

// Provider measures with CloudWatch.
type Provider struct {
	client      *egress.Client
	credentials *aws.Credentials
}

// New makes a provider. client reaches CloudWatch.
func New(client *egress.Client, credentials *aws.Credentials) *Provider {
	return &Provider{client: client, credentials: credentials}
}

// Measure runs the queries.
func (p *Provider) Measure(ctx context.Context, q analysis.Query) analysis.Reply {
	metric := q.Metric.Provider.CloudWatch
	if metric == nil {
		return analysis.Failure(errors.New("the metric has no cloudWatch queries"))
	}
	asked, err := metricdata.Of(metric, q.Now)
	if err != nil {
		return analysis.Failure(err)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var said results.Output
	signer, err := p.credentials.Signer(ctx, "monitoring", aws.Identity{})
	if err == nil {
		err = signer.Ask(ctx, p.client, aws.Operation{Service: "CloudWatch", Host: "monitoring", Target: getMetricData, Input: asked}, &said)
	}
	if err != nil {
		return analysis.Failure(egress.Explain("cloudwatch", err))
	}
	return said.Reply(time.Duration(asked.EndTime-asked.StartTime) * time.Second)
}
