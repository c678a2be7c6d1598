package kayenta

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/analysis/egress"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// ExecutionID is a key of the metadata of a measurement: the judgement at the
// server. It is served API.
const ExecutionID = "canaryExecutionId"

const (
	// pause is the time between two looks at a judgement.
	pause = 15 * time.Second
	// timeout is how long the server may take for one answer.
	timeout = 15 * time.Second
)

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
	metric := q.Metric.Provider.Kayenta
	scopes, err := scopesOf(q)
	if err != nil {
		return analysis.Reply{}, fmt.Errorf("kayenta: %w", err)
	}
	body, err := json.Marshal(map[string]any{"scopes": scopes, "thresholds": metric.Threshold})
	if err != nil {
		return analysis.Reply{}, fmt.Errorf("encoding the kayenta judgement: %w", err)
	}
	config, err := p.config(ctx, metric)
	if err != nil {
		return analysis.Reply{}, err
	}
	var started struct {
		ID string `json:"canaryExecutionId"`
	}
	at := address(metric, []string{"canary", config}, url.Values{
		"application":              {metric.Application},
		"metricsAccountName":       {metric.MetricsAccountName},
		"configurationAccountName": {metric.ConfigurationAccountName},
		"storageAccountName":       {metric.StorageAccountName},
	})
	request := egress.Request{Method: http.MethodPost, URL: at, Body: body, Header: http.Header{"Content-Type": {"application/json"}}}
	if err := p.ask(ctx, request, &started); err != nil {
		return analysis.Reply{}, err
	}
	if started.ID == "" {
		return analysis.Reply{}, errors.New("querying kayenta: the reply has no canaryExecutionId; check the address")
	}
	reply := running(q.Now)
	reply.Metadata = map[string]string{ExecutionID: started.ID}
	return reply, nil
}

// config finds the id of a canary configuration by its name.
func (p *Provider) config(ctx context.Context, metric *v1alpha1.KayentaMetric) (string, error) {
	var configs []struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	at := address(metric, []string{"canaryConfig"}, url.Values{
		"application":              {metric.Application},
		"configurationAccountName": {metric.ConfigurationAccountName},
	})
	if err := p.ask(ctx, egress.Request{URL: at}, &configs); err != nil {
		return "", err
	}
	for _, config := range configs {
		if config.Name == metric.CanaryConfigName && config.ID != "" {
			return config.ID, nil
		}
	}
	return "", fmt.Errorf("kayenta has no canary config %q for application %q in account %q; check canaryConfigName",
		metric.CanaryConfigName, metric.Application, metric.ConfigurationAccountName)
}

// address is where to ask. Accounts that are not named are left to the server.
func address(metric *v1alpha1.KayentaMetric, path []string, values url.Values) string {
	out := strings.TrimRight(metric.Address, "/")
	for _, part := range path {
		out += "/" + url.PathEscape(part)
	}
	for key := range values {
		if values.Get(key) == "" {
			values.Del(key)
		}
	}
	if len(values) > 0 {
		out += "?" + values.Encode()
	}
	return out
}

// ask sends a request. What Kayenta says of an error is in its message.
func (p *Provider) ask(ctx context.Context, request egress.Request, into any) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := p.client.AskJSON(ctx, request, into)
	if err == nil {
		return nil
	}
	return egress.ExplainStatus("kayenta", err, said, nil)
}

// said is what Kayenta says is wrong in a reply that is no success.
func said(body []byte) string {
	var c struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &c) != nil {
		return ""
	}
	return egress.Brief(c.Message)
}
