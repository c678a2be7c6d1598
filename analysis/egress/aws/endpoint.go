package aws

import (
	"context"
	"strings"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
)

// partition is a part of AWS with names of its own.
type partition struct {
	// prefix of its regions.
	prefix string
	// suffix of its host names, and of those that have IPv6 addresses too.
	suffix, dualStack string
}

var partitions = []partition{
	{"cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn"},
	{"eusc-", "amazonaws.eu", "api.amazonwebservices.eu"},
	{"us-isob-", "sc2s.sgov.gov", "api.aws.scloud"},
	{"us-isof-", "csp.hci.ic.gov", "api.aws.hci.ic.gov"},
	{"us-iso-", "c2s.ic.gov", "api.aws.ic.gov"},
	{"eu-isoe-", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"},
	{"", "amazonaws.com", "api.aws"},
}

// source is a place of the AWS configuration: the environment or a profile.
type source interface {
	GetIgnoreConfiguredEndpoints(context.Context) (bool, bool, error)
	GetServiceBaseEndpoint(context.Context, string) (string, bool, error)
	GetUseFIPSEndpoint(context.Context) (sdk.FIPSEndpointState, bool, error)
	GetUseDualStackEndpoint(context.Context) (sdk.DualStackEndpointState, bool, error)
}

// Endpoint is the address of a service: the one that the operator set, with
// AWS_ENDPOINT_URL_CLOUDWATCH for the name "CloudWatch" for example, or the one
// of AWS in the region, which starts with host.
func (s *Signer) Endpoint(ctx context.Context, name, host string) string {
	sources := s.chain.config.ConfigSources
	ignored := first(sources, func(s source) (bool, bool, error) { return s.GetIgnoreConfiguredEndpoints(ctx) })
	address := first(sources, func(s source) (string, bool, error) { return s.GetServiceBaseEndpoint(ctx, name) })
	if base := s.chain.config.BaseEndpoint; address == "" && base != nil {
		address = *base
	}
	if address != "" && !ignored {
		return address
	}
	fips := first(sources, func(s source) (sdk.FIPSEndpointState, bool, error) { return s.GetUseFIPSEndpoint(ctx) })
	dual := first(sources, func(s source) (sdk.DualStackEndpointState, bool, error) { return s.GetUseDualStackEndpoint(ctx) })
	return "https://" + hostOf(host, s.Region(), fips == sdk.FIPSEndpointStateEnabled, dual == sdk.DualStackEndpointStateEnabled)
}

// first is what the first place says that has a setting.
func first[T any](places []any, read func(source) (T, bool, error)) T {
	for _, place := range places {
		from, ok := place.(source)
		if !ok {
			continue
		}
		if value, found, err := read(from); err == nil && found {
			return value
		}
	}
	var none T
	return none
}

// hostOf is the host of a service in a region. GovCloud has one for FIPS alone.
func hostOf(host, region string, fips, dualStack bool) string {
	var in partition
	for _, in = range partitions {
		if strings.HasPrefix(region, in.prefix) {
			break
		}
	}
	suffix := in.suffix
	if dualStack {
		suffix = in.dualStack
	}
	if fips && (dualStack || !strings.HasPrefix(region, "us-gov-")) {
		host += "-fips"
	}
	return host + "." + region + "." + suffix
}
