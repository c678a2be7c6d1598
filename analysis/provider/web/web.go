package web

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/analysis/authentication"
	"github.com/headway-rollouts/headway/analysis/egress"
	"github.com/headway-rollouts/headway/analysis/jsonpath"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// defaultTimeout is how long a request may take unless the metric says otherwise.
const defaultTimeout = 10 * time.Second

// Provider measures with HTTP requests.
type Provider struct{ client *egress.Client }

// New makes a provider. client reaches the servers that metrics name.
func New(client *egress.Client) *Provider { return &Provider{client: client} }

// Measure sends the request.
func (p *Provider) Measure(ctx context.Context, q analysis.Query) analysis.Reply {
	metric := q.Metric.Provider.Web
	if metric == nil {
		return analysis.Failure(errors.New("the metric has no web request"))
	}
	reply, err := p.measure(ctx, metric)
	if err != nil {
		reply = analysis.Failure(err)
		reply.NoData = errors.Is(err, jsonpath.ErrNothing)
	}
	return reply
}

func (p *Provider) measure(ctx context.Context, metric *v1alpha1.WebMetric) (analysis.Reply, error) {
	path, err := jsonpath.Parse(cmp.Or(metric.JSONPath, jsonpath.Whole))
	if err != nil {
		return analysis.Reply{}, fmt.Errorf("web.jsonPath: %s", egress.Brief(err.Error()))
	}
	request, err := p.request(metric)
	if err != nil {
		return analysis.Reply{}, fmt.Errorf("web: %w", err)
	}
	timeout, err := egress.Timeout("web.timeoutSeconds", metric.TimeoutSeconds, defaultTimeout)
	if err != nil {
		return analysis.Reply{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	body, err := p.client.Ask(ctx, request)
	if err != nil {
		return analysis.Reply{}, egress.Explain("the web address", err)
	}
	return valueOf(path, body)
}

// request is what a metric asks to send.
func (p *Provider) request(metric *v1alpha1.WebMetric) (egress.Request, error) {
	request := egress.Request{
		Method: string(cmp.Or(metric.Method, v1alpha1.WebMetricMethodGet)), URL: metric.URL, Header: http.Header{},
		Options: egress.Options{Insecure: metric.Insecure},
	}
	switch metric.Method {
	case "", v1alpha1.WebMetricMethodGet:
		if metric.Body != "" || len(metric.JSONBody) > 0 {
			return egress.Request{}, errors.New("GET sends no body; set method to POST or PUT, or leave body and jsonBody out")
		}
	case v1alpha1.WebMetricMethodPost, v1alpha1.WebMetricMethodPut:
	default:
		return egress.Request{}, errors.New("method must be GET, POST or PUT")
	}
	switch {
	case metric.Body != "" && len(metric.JSONBody) > 0:
		return egress.Request{}, errors.New("set body or jsonBody, not both")
	case len(metric.JSONBody) > 0:
		request.Body = metric.JSONBody
		request.Header.Set("Content-Type", "application/json")
	default:
		request.Body = []byte(metric.Body)
	}
	auth := metric.Authentication
	if auth.Sigv4 != (v1alpha1.Sigv4Config{}) || auth.BasicAuth != (v1alpha1.BasicAuthConfig{}) {
		return egress.Request{}, errors.New("authentication is oauth2 alone; for a user and a password send the header Authorization")
	}
	var err error
	request.Signer, err = authentication.Of(p.client, auth, metric.Headers, metric.Insecure)
	return request, err
}

// valueOf is what the path finds in a reply. A reply that is not JSON is a text,
// for the path that asks for all of it: an empty one is a check that only asks
// for a status.
func valueOf(path jsonpath.Path, body []byte) (analysis.Reply, error) {
	var document any
	if err := json.Unmarshal(body, &document); err != nil {
		switch {
		case path.String() != jsonpath.Whole && len(body) == 0:
			return analysis.Reply{}, jsonpath.ErrNothing
		case path.String() != jsonpath.Whole:
			return analysis.Reply{}, errors.New("the reply is not JSON, so jsonPath finds nothing in it; without jsonPath it is a text")
		}
		return analysis.Reply{Result: string(body), Value: string(body)}, nil
	}
	value, err := path.Find(document)
	if err != nil {
		return analysis.Reply{}, err
	}
	text, err := json.Marshal(value)
	if err != nil {
		return analysis.Reply{}, fmt.Errorf("encoding the value: %w", err)
	}
	return analysis.Reply{Result: value, Value: string(text)}, nil
}
