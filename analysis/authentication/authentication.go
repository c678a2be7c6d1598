// Package authentication makes the signers of requests that the authentication
// of a metric asks for. It knows the fields of the API and no kind of server. It
// is used by providers.
package authentication

import (
	"fmt"
	"net/http"

	"github.com/headway-rollouts/headway/analysis/egress"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// Signers authenticate a request one after the other; what a later one sets wins.
type Signers []egress.Signer

// Sign has all of them sign.
func (s Signers) Sign(request *http.Request) error {
	for _, each := range s {
		if err := each.Sign(request); err != nil {
			return fmt.Errorf("authenticating: %w", err)
		}
	}
	return nil
}

// Rejected tells all of them.
func (s Signers) Rejected() {
	for _, each := range s {
		each.Rejected()
	}
}

// Of has the headers of a metric, and the user or the token that its
// authentication asks for; sigv4 is for the caller. insecure skips the
// verification of the certificate of the token's server. An error names the
// field.
func Of(client *egress.Client, asked v1alpha1.Authentication, headers []v1alpha1.WebMetricHeader, insecure bool) (Signers, error) {
	out := Signers{egress.SignerFunc(func(r *http.Request) error {
		for _, header := range headers {
			r.Header.Set(header.Key, header.Value)
		}
		return nil
	})}
	if asked.BasicAuth != (v1alpha1.BasicAuthConfig{}) {
		out = append(out, egress.SignerFunc(func(r *http.Request) error {
			r.SetBasicAuth(asked.BasicAuth.Username, asked.BasicAuth.Password)
			return nil
		}))
	}
	o := asked.OAuth2
	if o.TokenURL == "" && o.ClientID == "" && o.ClientSecret == "" && len(o.Scopes) == 0 {
		return out, nil
	}
	token, err := client.OAuth2(egress.ClientCredentials{
		TokenURL: o.TokenURL, ClientID: o.ClientID, ClientSecret: o.ClientSecret, Scopes: o.Scopes, Insecure: insecure,
	})
	if err != nil {
		return nil, fmt.Errorf("authentication.%w", err)
	}
	return append(out, token), nil
}
