package elbv2

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/headway-rollouts/headway/trafficrouting/alb"
)

// page is one page of a list: the marker of the next one is nil after the last.
type page[T any] func(ctx context.Context, marker *string) ([]T, *string, error)

// list reads pages until one holds what enough says, or the last.
func list[T any](ctx context.Context, doing string, read page[T], enough func(T) bool) ([]T, error) {
	var all []T
	var marker *string
	for range maxPages {
		some, next, err := read(ctx, marker)
		if err != nil {
			return nil, plain(doing, err)
		}
		all = append(all, some...)
		if aws.ToString(next) == "" || slices.ContainsFunc(some, enough) {
			return all, nil
		}
		marker = next
	}
	return nil, fmt.Errorf("%s: there are more than %d pages of them", doing, maxPages)
}

func never[T any](T) bool { return false }

// find looks a DNS name up in the list of all load balancers, which AWS cannot be asked for less of.
func (c *Client) find(ctx context.Context, hostname string) (found, error) {
	c.mu.Lock()
	known, ok := c.found[hostname]
	c.mu.Unlock()
	if ok {
		return known, nil
	}
	is := func(lb types.LoadBalancer) bool { return strings.EqualFold(aws.ToString(lb.DNSName), hostname) }
	all, err := list(ctx, "listing the load balancers", func(ctx context.Context, marker *string) ([]types.LoadBalancer, *string, error) {
		out, err := c.api.DescribeLoadBalancers(ctx, &sdk.DescribeLoadBalancersInput{Marker: marker, PageSize: aws.Int32(balancersPerPage)})
		if err != nil {
			return nil, nil, err //nolint:wrapcheck // list does.
		}
		return out.LoadBalancers, out.NextMarker, nil
	}, is)
	if err != nil {
		return found{}, err
	}
	at := slices.IndexFunc(all, is)
	if at < 0 {
		return found{}, fmt.Errorf("%s: %w", hostname, alb.ErrNoLoadBalancer)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.found) >= maxFound {
		clear(c.found)
	}
	lb := found{aws.ToString(all[at].LoadBalancerName), aws.ToString(all[at].LoadBalancerArn)}
	c.found[hostname] = lb
	return lb, nil
}

func (c *Client) forget(hostname string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.found, hostname)
}

// groups lists the target groups of a load balancer with what their tags say.
func (c *Client) groups(ctx context.Context, balancer string) ([]alb.TargetGroup, error) {
	all, err := list(ctx, "listing its target groups", func(ctx context.Context, marker *string) ([]types.TargetGroup, *string, error) {
		out, err := c.api.DescribeTargetGroups(ctx, &sdk.DescribeTargetGroupsInput{Marker: marker, LoadBalancerArn: &balancer})
		if err != nil {
			return nil, nil, err //nolint:wrapcheck // list does.
		}
		return out.TargetGroups, out.NextMarker, nil
	}, never)
	if err != nil {
		return nil, err
	}
	groups := make([]alb.TargetGroup, 0, len(all))
	var arns []string
	for _, g := range all {
		groups = append(groups, alb.TargetGroup{Name: aws.ToString(g.TargetGroupName), ARN: aws.ToString(g.TargetGroupArn)})
		arns = append(arns, aws.ToString(g.TargetGroupArn))
	}
	resources, err := c.resources(ctx, arns)
	for i := range groups {
		groups[i].Resource = resources[groups[i].ARN]
	}
	return groups, err
}

// resources are the values of the tag, by ARN.
func (c *Client) resources(ctx context.Context, arns []string) (map[string]string, error) {
	values := map[string]string{}
	for some := range slices.Chunk(arns, tagsPerRequest) {
		out, err := c.api.DescribeTags(ctx, &sdk.DescribeTagsInput{ResourceArns: some})
		if err != nil {
			return nil, plain("listing the tags of its target groups", err)
		}
		for _, d := range out.TagDescriptions {
			for _, tag := range d.Tags {
				if aws.ToString(tag.Key) == c.tagKey {
					values[aws.ToString(d.ResourceArn)] = aws.ToString(tag.Value)
				}
			}
		}
	}
	return values, nil
}

// forwards are the forward actions of all rules of all listeners, the default ones too.
func (c *Client) forwards(ctx context.Context, balancer string) ([][]alb.Share, error) {
	listeners, err := list(ctx, "listing its listeners", func(ctx context.Context, marker *string) ([]types.Listener, *string, error) {
		out, err := c.api.DescribeListeners(ctx, &sdk.DescribeListenersInput{Marker: marker, LoadBalancerArn: &balancer})
		if err != nil {
			return nil, nil, err //nolint:wrapcheck // list does.
		}
		return out.Listeners, out.NextMarker, nil
	}, never)
	if err != nil {
		return nil, err
	}
	var forwards [][]alb.Share
	for _, listener := range listeners {
		rules, err := list(ctx, "listing its rules", func(ctx context.Context, marker *string) ([]types.Rule, *string, error) {
			out, err := c.api.DescribeRules(ctx, &sdk.DescribeRulesInput{Marker: marker, ListenerArn: listener.ListenerArn})
			if err != nil {
				return nil, nil, err //nolint:wrapcheck // list does.
			}
			return out.Rules, out.NextMarker, nil
		}, never)
		if err != nil {
			return nil, err
		}
		for _, rule := range rules {
			forwards = append(forwards, forwardsOf(rule)...)
		}
	}
	return forwards, nil
}

func forwardsOf(rule types.Rule) [][]alb.Share {
	var forwards [][]alb.Share
	for _, action := range rule.Actions {
		if action.ForwardConfig == nil {
			continue
		}
		var shares []alb.Share
		for _, g := range action.ForwardConfig.TargetGroups {
			shares = append(shares, alb.Share{TargetGroup: aws.ToString(g.TargetGroupArn), Weight: aws.ToInt32(g.Weight)})
		}
		forwards = append(forwards, shares)
	}
	return forwards
}
