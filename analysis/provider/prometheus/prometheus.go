package prometheus

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/headway-rollouts/headway/analysis"
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

// maxMessage is how much of what a server says is passed on.
const maxMessage = 200

// Provider measures with PromQL. It keeps connections, so there is one for
// all queries.
type Provider struct {
	address          string
	strict, trusting http.RoundTripper
	decoding         chan struct{}
}

// New makes a provider. address is the server of metrics that name none; it
// may be empty.
func New(address string) *Provider {
	return &Provider{
		address: address, strict: newTransport(false), trusting: newTransport(true),
		decoding: make(chan struct{}, maxDecoding),
	}
}

// Measure runs the query and judges its value.
func (p *Provider) Measure(ctx context.Context, q analysis.Query) analysis.Reply {
	metric := q.Metric.Provider.Prometheus
	if metric == nil {
		return analysis.Failure(errors.New("the metric has no prometheus query"))
	}
	reply, err := p.measure(ctx, metric, q)
	if err != nil {
		reply = analysis.Failure(err)
	}
	reply.MetricMetadata = map[string]string{ResolvedQuery: metric.Query}
	return reply
}

func (p *Provider) measure(ctx context.Context, metric *v1alpha1.PrometheusMetric, q analysis.Query) (analysis.Reply, error) {
	timeout, err := timeoutOf(metric)
	if err != nil {
		return analysis.Reply{}, err
	}
	turn := &turn{places: p.decoding}
	defer turn.leave()
	client, err := p.client(metric, turn)
	if err != nil {
		return analysis.Reply{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	answer, warnings, err := ask(ctx, client, metric, q.Now)
	if err != nil {
		return analysis.Reply{}, explain(err)
	}
	value, text, err := valueOf(answer)
	if err != nil {
		return analysis.Reply{}, err
	}
	outcome := expr.Evaluate(expr.Conditions{Success: q.Metric.SuccessCondition, Failure: q.Metric.FailureCondition}, value, q.Now)
	return analysis.Reply{
		Phase: outcome.Phase, Message: outcome.Message, Value: text, Metadata: warned(warnings),
	}, nil
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

// client makes the client of one query; the connections under it are shared.
func (p *Provider) client(metric *v1alpha1.PrometheusMetric, turn *turn) (promv1.API, error) {
	address, err := p.addressOf(metric)
	if err != nil {
		return nil, err
	}
	if err := served(metric.Authentication); err != nil {
		return nil, err
	}
	transport := p.strict
	if metric.Insecure {
		transport = p.trusting
	}
	client, err := api.NewClient(api.Config{Address: address, Client: &http.Client{
		Transport:     exchange{next: transport, headers: metric.Headers, basic: metric.Authentication.BasicAuth, turn: turn},
		CheckRedirect: sameHost,
	}})
	if err != nil {
		return nil, fmt.Errorf("making the client of prometheus: %w", err)
	}
	return promv1.NewAPI(client), nil
}

func (p *Provider) addressOf(metric *v1alpha1.PrometheusMetric) (string, error) {
	address := metric.Address
	if address == "" {
		address = p.address
	}
	if address == "" {
		return "", errors.New("no prometheus address: set address in the metric, " +
			"or ARGO_ROLLOUTS_PROMETHEUS_ADDRESS for the controller")
	}
	// The error of the parser repeats the address, which may hold a password.
	parsed, err := url.Parse(address)
	if err != nil || parsed.Host == "" || (parsed.Scheme != "http" && parsed.Scheme != "https") {
		return "", errors.New("the prometheus address is not a URL such as http://prometheus:9090")
	}
	return address, nil
}

// served reports ways to authenticate that this version does not know.
// Asking without them would only fail later, with a message that says less.
func served(auth v1alpha1.Authentication) error {
	switch {
	case auth.OAuth2.TokenURL != "" || auth.OAuth2.ClientID != "" || auth.OAuth2.ClientSecret != "":
		return errors.New("authentication.oauth2 is not served for prometheus by this version of Headway; use headers or basicAuth")
	case auth.Sigv4 != (v1alpha1.Sigv4Config{}):
		return errors.New("authentication.sigv4 is not served for prometheus by this version of Headway; use a signing proxy")
	}
	return nil
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

// explain makes a short sentence of an error; what a server says is cut.
func explain(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("prometheus did not answer in time")
	}
	// The error of the client starts with a URL, which may have been chosen by
	// the server, by a redirect.
	var request *url.Error
	if errors.As(err, &request) {
		err = request.Err
	}
	text := strings.Join(strings.Fields(err.Error()), " ")
	if len(text) > maxMessage {
		text = strings.ToValidUTF8(text[:maxMessage], "") + "…"
	}
	return fmt.Errorf("querying prometheus: %s", text)
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
