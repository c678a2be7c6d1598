// Package kayenta measures by having a Kayenta server judge a canary. The
// server works for minutes: a measurement starts a judgement, is looked at
// every 15 seconds, and ends with the score, which is held against the
// thresholds of the metric. A judgement that is started and forgotten, or whose
// run is terminated, comes to its end at the server, and nobody reads it. It is
// asked by the controller of AnalysisRuns; it knows nothing of runs.
package kayenta

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/analysis/egress"
	"github.com/headway-rollouts/headway/analysis/provider/kayenta/scopes"
	"github.com/headway-rollouts/headway/analysis/provider/kayenta/server"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// ExecutionID is a key of the metadata of a measurement: the judgement at the
// server. It is served API.
const ExecutionID = "canaryExecutionId"

// pause is the time between two looks at a judgement.
const pause = 15 * time.Second

// Provider measures by judgements of Kayenta.
type Provider struct{ client *egress.Client }

// New makes a provider.
func New(client *egress.Client) *Provider { return &Provider{client: client} }

// Measure starts a judgement, looks at it, or gives it up. A judgement that was
// started and not stored is started again; the first one harms nobody.
func (p *Provider) Measure(ctx context.Context, q analysis.Query) analysis.Reply {
	if q.Metric.Provider.Kayenta == nil {
		return analysis.Failure(errors.New("the metric has no kayenta judgement"))
	}
	reply, err := p.measure(ctx, q)
	if err != nil {
		reply = analysis.Failure(err)
	}
	if id := execution(q); id != "" {
		reply.Metadata = map[string]string{ExecutionID: id}
	}
	return reply
}

func (p *Provider) measure(ctx context.Context, q analysis.Query) (analysis.Reply, error) {
	switch q.Verb {
	case analysis.Take:
		return p.start(ctx, q)
	case analysis.Resume:
		return p.look(ctx, q)
	case analysis.Terminate:
		return analysis.Reply{Phase: v1alpha1.AnalysisPhaseInconclusive, Message: "the judgement was given up with the run"}, nil
	}
	return analysis.Reply{}, fmt.Errorf("unknown verb %q", q.Verb)
}

// execution is the judgement that is under way; empty when there is none.
func execution(q analysis.Query) string {
	if q.UnderWay == nil {
		return ""
	}
	return q.UnderWay.Metadata[ExecutionID]
}

func running(now time.Time) analysis.Reply {
	return analysis.Reply{Phase: v1alpha1.AnalysisPhaseRunning, ResumeAt: now.Add(pause)}
}

// start has the server begin a judgement.
func (p *Provider) start(ctx context.Context, q analysis.Query) (analysis.Reply, error) {
	asked, err := scopes.Of(q)
	if err != nil {
		return analysis.Reply{}, fmt.Errorf("kayenta: %w", err)
	}
	id, err := p.server(q).Start(ctx, asked)
	if err != nil {
		return analysis.Reply{}, err
	}
	reply := running(q.Now)
	reply.Metadata = map[string]string{ExecutionID: id}
	return reply, nil
}

// look reads a judgement that is under way.
func (p *Provider) look(ctx context.Context, q analysis.Query) (analysis.Reply, error) {
	id := execution(q)
	if id == "" {
		return analysis.Reply{}, errors.New("the measurement has no canaryExecutionId, so its judgement cannot be found")
	}
	score, err := p.server(q).Score(ctx, id)
	switch {
	case err != nil:
		return analysis.Reply{}, err
	case score == nil:
		return running(q.Now), nil
	}
	return judge(*score, q.Metric.Provider.Kayenta.Threshold), nil
}

func (p *Provider) server(q analysis.Query) server.Server {
	return server.Server{Client: p.client, Metric: q.Metric.Provider.Kayenta}
}

func judge(score float64, threshold v1alpha1.KayentaThreshold) analysis.Reply {
	reply := analysis.Reply{Phase: v1alpha1.AnalysisPhaseSuccessful, Value: analysis.Number(score)}
	switch {
	case score >= float64(threshold.Pass):
	case score >= float64(threshold.Marginal):
		reply.Phase = v1alpha1.AnalysisPhaseInconclusive
		reply.Message = fmt.Sprintf("score %s is below threshold.pass %d", reply.Value, threshold.Pass)
	default:
		reply.Phase = v1alpha1.AnalysisPhaseFailed
		reply.Message = fmt.Sprintf("score %s is below threshold.marginal %d", reply.Value, threshold.Marginal)
	}
	return reply
}
