package aws

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/headway-rollouts/headway/analysis/egress"
)

// Operation is an operation of a service of AWS.
type Operation struct {
	// Service has the name of the SDK, such as CloudWatch, and Host that of its
	// addresses, such as monitoring.
	Service, Host string
	// Target is what the protocol calls it.
	Target string
	// Input is what it is asked, as JSON.
	Input any
}

// Codes of errors that AWS has for credentials that it does not take any more,
// and for too many calls.
var (
	stale     = []string{"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException"}
	throttled = []string{"Throttling", "ThrottlingException", "ThrottledException", "RequestLimitExceeded", "TooManyRequestsException", "LimitExceededFault"}
)

// Ask has an operation done with the JSON protocol of AWS: what limits replies
// counts the parts of a text, so it does not fit the binary protocols.
func (s *Signer) Ask(ctx context.Context, client *egress.Client, operation Operation, into any) error {
	err := client.AskJSON(ctx, egress.Request{
		Method:  http.MethodPost,
		URL:     s.Endpoint(ctx, operation.Service, operation.Host),
		Header:  http.Header{"Content-Type": {"application/x-amz-json-1.0"}, "X-Amz-Target": {operation.Target}},
		JSON:    operation.Input,
		Options: egress.Options{Signer: s},
	}, into)
	var answer *egress.StatusError
	if !errors.As(err, &answer) {
		return err
	}
	code, why := refusal(answer)
	if slices.Contains(stale, code) {
		s.Rejected()
	}
	return why
}

// refusal is the code and the sentence of an error of AWS.
func refusal(answer *egress.StatusError) (code string, why error) {
	var said struct {
		Type    string `json:"__type"`
		Message string // or message: the decoder takes both
	}
	if err := json.Unmarshal(answer.Body, &said); err != nil || said.Type == "" {
		return "", answer
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
