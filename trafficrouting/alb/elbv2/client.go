// Package elbv2 asks AWS what Application Load Balancers serve, for an alb.Verifier.
//
// It reads and never writes, remembers only where a load balancer is found, and leaves deadlines and
// repetition to its caller.
package elbv2

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	sdk "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/headway-rollouts/headway/trafficrouting/alb"
)

const (
	// DefaultTagKey is the tag that the AWS Load Balancer Controller gives target groups, with the
	// Ingress and the Service that they are for.
	DefaultTagKey = "ingress.k8s.aws/resource"

	// balancersPerPage is how many load balancers one request lists.
	balancersPerPage = 300
	// maxPages is how many pages of one list are read: 6,000 load balancers, or 2,000 rules.
	maxPages = 20
	// tagsPerRequest is how many resources AWS tells the tags of at once.
	tagsPerRequest = 20
	// maxReply is the longest reply that is read, in bytes. A page of load balancers has some 600 KB.
	maxReply = 8 << 20
	// maxFound is how many load balancers are remembered by their DNS names.
	maxFound = 2000
)

// Client asks AWS. It is safe for several callers at a time.
type Client struct {
	api    *sdk.Client
	tagKey string

	mu    sync.Mutex
	found map[string]found
}

// found is a load balancer by its DNS name, which it keeps for life.
type found struct{ name, arn string }

var _ alb.LoadBalancers = (*Client)(nil)

// New makes a Client with the configuration of the process. An empty tagKey is the default one.
func New(cfg aws.Config, tagKey string) *Client {
	if tagKey == "" {
		tagKey = DefaultTagKey
	}
	once := func(o *sdk.Options) {
		// A second try would only use up the time of the pass that asks: the next pass asks again.
		o.Retryer = aws.NopRetryer{}
		o.HTTPClient = whole{o.HTTPClient}
	}
	return &Client{api: sdk.NewFromConfig(cfg, once), tagKey: tagKey, found: map[string]found{}}
}

// FromEnvironment makes a Client with the region and the credentials that the environment gives: its
// variables, files, and the role of the ServiceAccount or the node.
func FromEnvironment(ctx context.Context, tagKey string) (*Client, error) {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration of AWS: %w", err)
	}
	return New(cfg, tagKey), nil
}

// Describe finds a load balancer by its DNS name, its target groups and what its rules forward.
func (c *Client) Describe(ctx context.Context, hostname string) (alb.LoadBalancer, error) {
	at, err := c.find(ctx, hostname)
	if err != nil {
		return alb.LoadBalancer{}, err
	}
	lb := alb.LoadBalancer{Name: at.name, ARN: at.arn}
	if lb.Groups, err = c.groups(ctx, at.arn); err == nil {
		lb.Forwards, err = c.forwards(ctx, at.arn)
	}
	if errors.Is(err, alb.ErrNoLoadBalancer) {
		c.forget(hostname) // Another one may have the name soon.
	}
	if err != nil {
		return alb.LoadBalancer{}, fmt.Errorf("load balancer %s: %w", at.name, err)
	}
	return lb, nil
}

// Targets lists the registered targets of a target group, healthy or not, without those that are
// being taken out.
func (c *Client) Targets(ctx context.Context, targetGroup string) ([]alb.Target, error) {
	out, err := c.api.DescribeTargetHealth(ctx, &sdk.DescribeTargetHealthInput{TargetGroupArn: &targetGroup})
	if err != nil {
		return nil, plain("listing its targets", err)
	}
	var targets []alb.Target
	for _, d := range out.TargetHealthDescriptions {
		going := d.TargetHealth != nil &&
			(d.TargetHealth.State == types.TargetHealthStateEnumDraining || d.TargetHealth.State == types.TargetHealthStateEnumUnhealthyDraining)
		if d.Target != nil && !going {
			targets = append(targets, alb.Target{ID: aws.ToString(d.Target.Id), Port: aws.ToInt32(d.Target.Port)})
		}
	}
	return targets, nil
}

// whole reads a reply to its end before it hands it on, and no reply that is too long. The client of
// AWS closes the request as soon as it has the head of the reply; when the connection is then still at
// the end of the request, it is closed in the middle of the reply.
type whole struct{ client sdk.HTTPClient }

// Do sends one request.
func (w whole) Do(request *http.Request) (*http.Response, error) {
	reply, err := w.client.Do(request)
	if err != nil {
		return reply, err //nolint:wrapcheck // The client of AWS wraps it.
	}
	body, err := io.ReadAll(io.LimitReader(reply.Body, maxReply+1))
	if closing := reply.Body.Close(); err == nil {
		err = closing
	}
	switch {
	case err != nil:
		return nil, err
	case len(body) > maxReply:
		return nil, fmt.Errorf("the reply of AWS is longer than %d bytes", maxReply)
	}
	reply.Body = io.NopCloser(bytes.NewReader(body))
	return reply, nil
}

// plain is an error of AWS in its own words, and without the history of the request.
func plain(doing string, err error) error {
	var says interface { // of AWS, in whatever version of its client
		error
		ErrorCode() string
		ErrorMessage() string
	}
	if !errors.As(err, &says) {
		return fmt.Errorf("%s: %w", doing, err)
	}
	text := fmt.Sprintf("%s: %s: %s", doing, says.ErrorCode(), says.ErrorMessage())
	var gone *types.LoadBalancerNotFoundException
	switch {
	case errors.As(err, &gone):
		return fmt.Errorf("%s: %w", text, alb.ErrNoLoadBalancer)
	case retry.IsErrorThrottles(retry.DefaultThrottles).IsErrorThrottle(err) == aws.TrueTernary:
		return fmt.Errorf("%s: %w", text, alb.ErrThrottled)
	}
	return errors.New(text)
}
