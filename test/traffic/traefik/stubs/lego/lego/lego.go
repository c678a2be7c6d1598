// Package lego stands in for the ACME client that Traefik gets certificates with,
// which does not resolve as a module. It has what Traefik names, and refuses to
// make a client: no test has certificates.
package lego

import (
	"crypto/x509"
	"errors"
	"net/http"
	"time"

	"github.com/go-acme/lego/v5/certificate"
	"github.com/go-acme/lego/v5/challenge"
	"github.com/go-acme/lego/v5/challenge/dns01"
	"github.com/go-acme/lego/v5/challenge/http01"
	"github.com/go-acme/lego/v5/challenge/tlsalpn01"
	"github.com/go-acme/lego/v5/registration"
)

// DirectoryURLLetsEncrypt is the default of an option.
const DirectoryURLLetsEncrypt = "https://acme.invalid/directory"

var errRefused = errors.New("this build of Traefik has no ACME")

// Config is how to make a client.
type Config struct {
	CADirURL, UserAgent string
	HTTPClient          *http.Client
	Certificate         struct{ Timeout time.Duration }
}

// NewConfig is an empty configuration.
func NewConfig(any) *Config { return &Config{} }

// Client is never made.
type Client struct {
	Certificate  *certificate.Certifier
	Challenge    *Challenges
	Registration *registration.Registrar
}

// NewClient refuses.
func NewClient(*Config) (*Client, error) { return nil, errRefused }

// CreateCertPool refuses.
func CreateCertPool([]string, bool) (*x509.CertPool, error) { return nil, errRefused }

// Challenges refuses.
type Challenges struct{}

// SetDNS01Provider refuses.
func (*Challenges) SetDNS01Provider(challenge.Provider, ...dns01.Option) error { return errRefused }

// SetHTTP01Provider refuses.
func (*Challenges) SetHTTP01Provider(challenge.Provider, ...http01.Option) error { return errRefused }

// SetTLSALPN01Provider refuses.
func (*Challenges) SetTLSALPN01Provider(challenge.Provider, ...tlsalpn01.Option) error {
	return errRefused
}
