package prometheus

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/headway-rollouts/headway/analysis/egress"
	"github.com/headway-rollouts/headway/analysis/egress/aws"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

const (
	// managed is a part of every address of Amazon Managed Service for Prometheus.
	managed = "aps-workspaces"
	// Sigv4 is the key of a metric's metadata that says why nothing was signed.
	Sigv4 = "sigv4"
)

// signers authenticate a request one after the other; what a later one sets wins.
type signers []egress.Signer

// Sign has all of them sign.
func (s signers) Sign(request *http.Request) error {
	for _, each := range s {
		if err := each.Sign(request); err != nil {
			return fmt.Errorf("authenticating: %w", err)
		}
	}
	return nil
}

// Rejected tells all of them.
func (s signers) Rejected() {
	for _, each := range s {
		each.Rejected()
	}
}

// signer adds the headers of a metric and what authenticates it.
func (p *Provider) signer(ctx context.Context, metric *v1alpha1.PrometheusMetric, address string) (egress.Signer, error) {
	auth := metric.Authentication
	out := signers{headers(metric.Headers)}
	if auth.BasicAuth != (v1alpha1.BasicAuthConfig{}) {
		out = append(out, egress.SignerFunc(func(r *http.Request) error {
			r.SetBasicAuth(auth.BasicAuth.Username, auth.BasicAuth.Password)
			return nil
		}))
	}
	if o := auth.OAuth2; o.TokenURL != "" || o.ClientID != "" || o.ClientSecret != "" || len(o.Scopes) > 0 {
		token, err := p.client.OAuth2(egress.ClientCredentials{
			TokenURL: o.TokenURL, ClientID: o.ClientID, ClientSecret: o.ClientSecret, Scopes: o.Scopes, Insecure: metric.Insecure,
		})
		if err != nil {
			return nil, fmt.Errorf("authentication.%w", err)
		}
		out = append(out, token)
	}
	if strings.Contains(address, managed) {
		signature, err := p.sigv4(ctx, auth.Sigv4)
		if err != nil {
			return nil, err
		}
		out = append(out, signature)
	}
	return out, nil
}

// sigv4 signs last, since it signs the other headers too. Whoever asks Amazon
// has to, so it needs nothing in the metric.
func (p *Provider) sigv4(ctx context.Context, asked v1alpha1.Sigv4Config) (egress.Signer, error) {
	if p.home.AWS == nil {
		return nil, errors.New("authentication.sigv4: the controller has no AWS credentials")
	}
	who := aws.Identity{Region: asked.Region, Profile: asked.Profile, RoleARN: asked.RoleARN}
	signature, err := p.home.AWS.Signer(ctx, "aps", who)
	if err != nil {
		return nil, fmt.Errorf("authentication.sigv4: %w", err)
	}
	return signature, nil
}

// described is the metadata of a metric. A signature that is asked for and not
// made is told there: it is no error, since a proxy may sign.
func (p *Provider) described(metric *v1alpha1.PrometheusMetric) map[string]string {
	out := map[string]string{ResolvedQuery: metric.Query}
	_, address := p.server(metric)
	if metric.Authentication.Sigv4 != (v1alpha1.Sigv4Config{}) && !strings.Contains(address, managed) {
		out[Sigv4] = "not signed: the address has no " + managed + " in it, so it is not Amazon Managed Service for Prometheus"
	}
	return out
}

func headers(list []v1alpha1.WebMetricHeader) egress.Signer {
	return egress.SignerFunc(func(r *http.Request) error {
		for _, header := range list {
			r.Header.Set(header.Key, header.Value)
		}
		return nil
	})
}
