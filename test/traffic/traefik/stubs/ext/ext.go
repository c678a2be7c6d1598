// Package ext stands in for the extension points of Traefik's configuration,
// which are a nested module that does not resolve. Nobody extends it here.
package ext

// HTTP would extend the HTTP configuration.
type HTTP struct{}

// Router would extend a router.
type Router struct{}
