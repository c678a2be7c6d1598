// Package dns01 answers no challenges.
package dns01

import (
	"strings"
	"time"
)

// Option is how to answer.
type Option func()

// Options are the servers to ask.
type Options struct{ RecursiveNameservers []string }

// Client asks nobody.
type Client struct{}

// NewClient returns a client that asks nobody.
func NewClient(*Options) *Client { return &Client{} }

// SetDefaultClient forgets the client.
func SetDefaultClient(*Client) {}

// CondOptions is no option.
func CondOptions(bool, ...Option) Option { return nil }

// DisableAuthoritativeNssPropagationRequirement is no option.
func DisableAuthoritativeNssPropagationRequirement() Option { return nil }

// DisableRecursiveNSsPropagationRequirement is no option.
func DisableRecursiveNSsPropagationRequirement() Option { return nil }

// PropagationWait is no option.
func PropagationWait(time.Duration, bool) Option { return nil }

// UnFqdn is a name without the dot at its end. Traefik uses it beyond ACME.
func UnFqdn(name string) string { return strings.TrimSuffix(name, ".") }
