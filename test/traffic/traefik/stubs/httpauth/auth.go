// Package auth stands in for the fork that Traefik authenticates with, which does
// not resolve as a module. It has what Traefik names, and refuses everybody: a test
// that asks for authentication must fail loudly, not pass unauthenticated.
package auth

import "net/http"

// SecretProvider is how a password is looked up.
type SecretProvider func(user, realm string) string

// CheckSecret accepts no password.
func CheckSecret(_, _ string) bool { return false }

// DigestAuthParams reads no header.
func DigestAuthParams(string) map[string]string { return nil }

// BasicAuth refuses.
type BasicAuth struct {
	Realm   string
	Secrets SecretProvider
}

// RequireAuth refuses the request.
func (*BasicAuth) RequireAuth(w http.ResponseWriter, _ *http.Request) { refuse(w) }

// DigestAuth refuses.
type DigestAuth struct{}

// NewDigestAuthenticator returns what refuses.
func NewDigestAuthenticator(string, SecretProvider) *DigestAuth { return &DigestAuth{} }

// CheckAuth knows nobody.
func (*DigestAuth) CheckAuth(*http.Request) (user string, info *string) { return "", nil }

// RequireAuth refuses the request.
func (*DigestAuth) RequireAuth(w http.ResponseWriter, _ *http.Request) { refuse(w) }

// RequireAuthStale refuses the request.
func (*DigestAuth) RequireAuthStale(w http.ResponseWriter, _ *http.Request) { refuse(w) }

func refuse(w http.ResponseWriter) {
	http.Error(w, "this build of Traefik has no authentication", http.StatusUnauthorized)
}
