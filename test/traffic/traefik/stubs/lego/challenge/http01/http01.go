// Package http01 answers no challenges.
package http01

import "time"

// PathPrefix is where challenges are asked for.
const PathPrefix = "/.well-known/acme-challenge/"

// Option is how to answer.
type Option func()

// SetDelay is no option.
func SetDelay(time.Duration) Option { return nil }
