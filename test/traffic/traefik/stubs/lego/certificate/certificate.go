// Package certificate obtains no certificates.
package certificate

import (
	"context"
	"errors"

	"github.com/go-acme/lego/v5/certcrypto"
)

var errRefused = errors.New("this build of Traefik has no ACME")

// Resource is a certificate with its key.
type Resource struct {
	ID                      string
	Domains                 []string
	PrivateKey, Certificate []byte
}

// ObtainRequest asks for a certificate.
type ObtainRequest struct {
	Domains, EmailAddresses  []string
	Bundle, EnableCommonName bool
	Profile, PreferredChain  string
	KeyType                  certcrypto.KeyType
}

// RenewOptions are how to renew one.
type RenewOptions struct {
	EmailAddresses           []string
	Bundle, EnableCommonName bool
	Profile, PreferredChain  string
}

// Certifier refuses.
type Certifier struct{}

// Obtain refuses.
func (*Certifier) Obtain(context.Context, ObtainRequest) (*Resource, error) { return nil, errRefused }

// Renew refuses.
func (*Certifier) Renew(context.Context, Resource, *RenewOptions) (*Resource, error) {
	return nil, errRefused
}
