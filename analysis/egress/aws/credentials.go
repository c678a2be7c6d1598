package aws

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/headway-rollouts/headway/analysis/egress"
)

const (
	// maxChains is how many identities are kept. Beyond it all are dropped and
	// looked up again: so many different ones at once is a mistake or an attack.
	maxChains = 500
	// freshFor is how long keys that do not expire are kept: the operator may
	// have put others into the file they came from.
	freshFor = 10 * time.Minute
	// patience is how long a request waits for credentials.
	patience = 10 * time.Second
	// session is what the log of AWS calls the controller in an assumed role.
	session = "headway-analysis"
)

// Identity is whose credentials sign, and for which region. What is empty is the
// controller's own.
type Identity struct {
	Region, Profile, RoleARN string
}

var regionForm = regexp.MustCompile(`^[a-z0-9-]{0,63}$`)

// check refuses what no identity is. The region becomes part of a host name.
func (i Identity) check() error {
	if !regionForm.MatchString(i.Region) {
		return errors.New("the AWS region should be a name such as eu-west-1")
	}
	if len(i.Profile) > 256 || len(i.RoleARN) > 2048 {
		return errors.New("the AWS profile or role is too long to be one")
	}
	return nil
}

// Credentials are those of the controller. They are looked up when the first
// request is signed. Several may use them at once.
type Credentials struct {
	// client reaches what gives credentials: STS, and services of the node at
	// addresses that metrics may not reach.
	client *awshttp.BuildableClient
	// Now is the time; a test may set another before the first use.
	Now func() time.Time

	mu     sync.Mutex
	chains map[Identity]*chain
}

// chain gives the credentials of one identity.
type chain struct {
	config sdk.Config
	source sdk.CredentialsProvider
	signer *v4.Signer
	loaded time.Time
}

// New makes the credentials of a controller. It asks nothing yet.
func New() *Credentials {
	return &Credentials{
		client: awshttp.NewBuildableClient().WithTimeout(patience / 2),
		Now:    time.Now,
		chains: map[Identity]*chain{},
	}
}

// Signer signs requests for a service, such as "monitoring". It reads the
// configuration of the controller; the credentials are asked for when it signs.
func (c *Credentials) Signer(ctx context.Context, service string, who Identity) (*Signer, error) {
	if err := who.check(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	found, err := c.chainOf(ctx, who)
	if err != nil {
		return nil, err
	}
	return &Signer{room: c, chain: found, who: who, service: service}, nil
}

// chainOf is the chain of an identity. Of those who load it at the same time,
// the first wins, so that all wait for the same credentials.
func (c *Credentials) chainOf(ctx context.Context, who Identity) (*chain, error) {
	if kept := c.kept(who); kept != nil {
		return kept, nil
	}
	loaded, err := c.load(ctx, who)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if kept := c.chains[who]; kept != nil {
		return kept, nil
	}
	if len(c.chains) >= maxChains {
		clear(c.chains)
	}
	c.chains[who] = loaded
	return loaded, nil
}

func (c *Credentials) kept(who Identity) *chain {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.chains[who]
}

// drop makes the next signer of an identity load it again.
func (c *Credentials) drop(who Identity, old *chain) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.chains[who] == old {
		delete(c.chains, who)
	}
}

func (c *Credentials) load(ctx context.Context, who Identity) (*chain, error) {
	early := func(o *sdk.CredentialsCacheOptions) { o.ExpiryWindow = time.Minute }
	options := []func(*config.LoadOptions) error{
		config.WithHTTPClient(c.client),
		config.WithRetryMaxAttempts(2),
		config.WithCredentialsCacheOptions(early),
	}
	if who.Region != "" {
		options = append(options, config.WithRegion(who.Region))
	}
	if who.Profile != "" {
		options = append(options, config.WithSharedConfigProfile(who.Profile))
	}
	loaded, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("reading the AWS configuration of the controller: %s", egress.Brief(err.Error()))
	}
	if loaded.Region == "" {
		return nil, errors.New("no AWS region is set; set AWS_REGION for the controller, or the region of the metric where it has one")
	}
	source := loaded.Credentials
	if who.RoleARN != "" {
		source = sdk.NewCredentialsCache(stscreds.NewAssumeRoleProvider(sts.NewFromConfig(loaded), who.RoleARN,
			func(o *stscreds.AssumeRoleOptions) { o.RoleSessionName = session }), early)
	}
	return &chain{config: loaded, source: source, signer: v4.NewSigner(), loaded: c.Now()}, nil
}
