// Package tlsalpn01 answers no challenges.
package tlsalpn01

import (
	"errors"
	"time"
)

// ACMETLS1Protocol is the protocol by which a challenge is told from a request.
const ACMETLS1Protocol = "acme-tls/1"

// Option is how to answer.
type Option func()

// SetDelay is no option.
func SetDelay(time.Duration) Option { return nil }

// ChallengeBlocks refuses.
func ChallengeBlocks(_, _ string) (cert, key []byte, err error) {
	return nil, nil, errors.New("this build of Traefik has no ACME")
}
