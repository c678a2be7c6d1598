package kayenta

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/analysis/egress"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// judgement is how far a judgement is, and what came of it.
type judgement struct {
	Complete *bool  `json:"complete"`
	Status   string `json:"status"`
	Result   struct {
		JudgeResult struct {
			Score struct {
				Score *float64 `json:"score"`
			} `json:"score"`
		} `json:"judgeResult"`
	} `json:"result"`
	Exception json.RawMessage `json:"exception"`
}

// look reads a judgement that is under way.
func (p *Provider) look(ctx context.Context, q analysis.Query) (analysis.Reply, error) {
	metric, id := q.Metric.Provider.Kayenta, execution(q)
	if id == "" {
		return analysis.Reply{}, errors.New("the measurement has no canaryExecutionId, so its judgement cannot be found")
	}
	var seen judgement
	at := address(metric, []string{"canary", id}, url.Values{"storageAccountName": {metric.StorageAccountName}})
	if err := p.ask(ctx, egress.Request{URL: at}, &seen); err != nil {
		return analysis.Reply{}, err
	}
	score := seen.Result.JudgeResult.Score.Score
	switch {
	case seen.Complete == nil:
		return analysis.Reply{}, errors.New("querying kayenta: the reply is not the state of a judgement; check the address")
	case !*seen.Complete:
		return running(q.Now), nil
	case score == nil:
		return analysis.Reply{}, fmt.Errorf("the judgement of kayenta ended without a score: %s", seen.why())
	}
	return judge(*score, metric.Threshold), nil
}

// why is what Kayenta says of a judgement that failed. What does not read as
// an exception is left out: it is there for people alone.
func (j judgement) why() string {
	var exception struct {
		Details struct {
			Error  string   `json:"error"`
			Errors []string `json:"errors"`
		} `json:"details"`
	}
	_ = json.Unmarshal(j.Exception, &exception)
	parts := append([]string{"status " + j.Status, exception.Details.Error}, exception.Details.Errors...)
	return egress.Brief(strings.Join(parts, " "))
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
