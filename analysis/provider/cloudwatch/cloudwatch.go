package cloudwatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/analysis/egress"
	"github.com/headway-rollouts/headway/analysis/egress/aws"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// Messages is the key of a measurement's metadata with what CloudWatch says
// about its data. It is served API.
const Messages = "messages"

const (
	// defaultInterval is how much time a metric looks at unless it says otherwise.
	defaultInterval = 5 * time.Minute
	// timeout is how long a call may take.
	timeout = 30 * time.Second
)

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
	asked, err := inputOf(metric, q.Now)
	if err != nil {
		return analysis.Failure(err)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	said, err := p.ask(ctx, asked)
	if err != nil {
		return analysis.Failure(egress.Explain("cloudwatch", err))
	}
	return said.reply(asked)
}

// ask calls GetMetricData with the JSON protocol of AWS: what limits replies
// counts the parts of a text, so it does not fit the binary protocols.
func (p *Provider) ask(ctx context.Context, asked input) (output, error) {
	signer, err := p.credentials.Signer(ctx, "monitoring", aws.Identity{})
	if err != nil {
		return output{}, err
	}
	body, err := json.Marshal(asked)
	if err != nil {
		return output{}, fmt.Errorf("encoding the queries: %w", err)
	}
	var said output
	err = p.client.AskJSON(ctx, egress.Request{
		Method: http.MethodPost,
		URL:    signer.Endpoint(ctx, "CloudWatch", "monitoring"),
		Header: http.Header{
			"Content-Type": {"application/x-amz-json-1.0"},
			"X-Amz-Target": {"GraniteServiceVersion20100801.GetMetricData"},
		},
		Body:    body,
		Options: egress.Options{Signer: signer},
	}, &said)
	var refused *egress.StatusError
	if errors.As(err, &refused) {
		code, why := refusal(refused)
		if slices.Contains(stale, code) {
			signer.Rejected()
		}
		return output{}, why
	}
	return said, err
}

// Codes of errors that AWS has for credentials that it does not take any more,
// and for too many calls.
var (
	stale     = []string{"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException"}
	throttled = []string{"Throttling", "ThrottlingException", "ThrottledException", "RequestLimitExceeded", "TooManyRequestsException", "LimitExceededFault"}
)

// refusal is the code and the sentence of an error of AWS.
func refusal(refused *egress.StatusError) (code string, why error) {
	var said struct {
		Type    string `json:"__type"`
		Message string // or message: the decoder takes both
	}
	if err := json.Unmarshal(refused.Body, &said); err != nil || said.Type == "" {
		return "", refused
	}
	code = egress.Brief(said.Type[strings.LastIndex(said.Type, "#")+1:])
	switch {
	case slices.Contains(throttled, code):
		return code, errors.New("too many calls of AWS; make the interval of the metric longer")
	case said.Message == "":
		return code, errors.New(code)
	default:
		return code, fmt.Errorf("%s: %s", code, egress.Brief(said.Message))
	}
}

// intervalOf is how much time a metric looks at.
func intervalOf(metric *v1alpha1.CloudWatchMetric) (time.Duration, error) {
	if metric.Interval == "" {
		return defaultInterval, nil
	}
	interval, err := metric.Interval.Duration()
	if err != nil {
		return 0, fmt.Errorf("cloudWatch.interval: %w", err)
	}
	if interval < time.Second {
		return 0, errors.New("cloudWatch.interval should be a second or more, such as 5m")
	}
	return interval, nil
}
