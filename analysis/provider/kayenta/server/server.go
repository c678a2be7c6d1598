// Package server is a Kayenta server, as far as a metric needs it: it begins
// judgements and tells how far they are. It decides nothing.
package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/headway-rollouts/headway/analysis/egress"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// timeout is how long the server may take for one answer.
const timeout = 15 * time.Second

// Server is the server of a metric, and who reaches it.
type Server struct {
	Client *egress.Client
	Metric *v1alpha1.KayentaMetric
}

// Start begins a judgement of scopes.
func (s Server) Start(ctx context.Context, scopes any) (id string, err error) {
	config, err := s.config(ctx)
	if err != nil {
		return "", err
	}
	var started struct {
		ID string `json:"canaryExecutionId"`
	}
	at := s.address(url.Values{
		"application":              {s.Metric.Application},
		"metricsAccountName":       {s.Metric.MetricsAccountName},
		"configurationAccountName": {s.Metric.ConfigurationAccountName},
		"storageAccountName":       {s.Metric.StorageAccountName},
	}, "canary", config)
	asked := map[string]any{"scopes": scopes, "thresholds": s.Metric.Threshold}
	err = s.ask(ctx, egress.Request{Method: http.MethodPost, URL: at, JSON: asked}, &started)
	if err == nil && started.ID == "" {
		err = errors.New("querying kayenta: the reply has no canaryExecutionId; check the address")
	}
	return started.ID, err
}

// config finds the id of the canary configuration by its name.
func (s Server) config(ctx context.Context) (string, error) {
	var configs []struct{ ID, Name string }
	at := s.address(url.Values{
		"application":              {s.Metric.Application},
		"configurationAccountName": {s.Metric.ConfigurationAccountName},
	}, "canaryConfig")
	if err := s.ask(ctx, egress.Request{URL: at}, &configs); err != nil {
		return "", err
	}
	for _, config := range configs {
		if config.Name == s.Metric.CanaryConfigName && config.ID != "" {
			return config.ID, nil
		}
	}
	return "", fmt.Errorf("kayenta has no canary config %q for application %q in account %q; check canaryConfigName",
		s.Metric.CanaryConfigName, s.Metric.Application, s.Metric.ConfigurationAccountName)
}

// Score is the score of a judgement; nil while it goes on.
func (s Server) Score(ctx context.Context, id string) (*float64, error) {
	var seen struct {
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
	at := s.address(url.Values{"storageAccountName": {s.Metric.StorageAccountName}}, "canary", id)
	if err := s.ask(ctx, egress.Request{URL: at}, &seen); err != nil {
		return nil, err
	}
	score := seen.Result.JudgeResult.Score.Score
	switch {
	case seen.Complete == nil:
		return nil, errors.New("querying kayenta: the reply is not the state of a judgement; check the address")
	case !*seen.Complete:
		return nil, nil //nolint:nilnil // It goes on.
	case score == nil:
		return nil, fmt.Errorf("the judgement of kayenta ended without a score: %s", because(seen.Status, seen.Exception))
	}
	return score, nil
}

// because is what Kayenta says of a judgement that failed. What does not read as
// an exception is left out: it is there for people alone.
func because(status string, text []byte) string {
	var exception struct {
		Details struct {
			Error  string   `json:"error"`
			Errors []string `json:"errors"`
		} `json:"details"`
	}
	_ = json.Unmarshal(text, &exception)
	parts := append([]string{"status " + status, exception.Details.Error}, exception.Details.Errors...)
	return egress.Brief(strings.Join(parts, " "))
}

// address is where to ask. Accounts that are not named are left to the server.
func (s Server) address(values url.Values, path ...string) string {
	out := strings.TrimRight(s.Metric.Address, "/")
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

func (s Server) ask(ctx context.Context, request egress.Request, into any) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := s.Client.AskJSON(ctx, request, into); err != nil {
		return egress.ExplainStatus("kayenta", err, &complaint{}, nil)
	}
	return nil
}

// complaint is what Kayenta says is wrong in a reply that is no success.
type complaint struct{ Message string }

// Text is the complaint on one line; empty when there is none.
func (c complaint) Text() string { return egress.Brief(c.Message) }
