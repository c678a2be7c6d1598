// Package registration registers no accounts.
package registration

import (
	"context"
	"errors"

	"github.com/go-acme/lego/v5/acme"
)

var errRefused = errors.New("this build of Traefik has no ACME")

// RegisterOptions are how to register.
type RegisterOptions struct{ TermsOfServiceAgreed bool }

// RegisterEABOptions are how to register with an account elsewhere.
type RegisterEABOptions struct {
	TermsOfServiceAgreed bool
	Kid, HmacEncoded     string
}

// Registrar refuses.
type Registrar struct{}

// Register refuses.
func (*Registrar) Register(context.Context, RegisterOptions) (*acme.ExtendedAccount, error) {
	return nil, errRefused
}

// RegisterWithExternalAccountBinding refuses.
func (*Registrar) RegisterWithExternalAccountBinding(context.Context, RegisterEABOptions) (*acme.ExtendedAccount, error) {
	return nil, errRefused
}
