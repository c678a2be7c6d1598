package main

import (
	_ "embed"
	"strings"
)

// cartYAML is the Rollout and what judges it.
//
//go:embed manifests/cart.yaml
var cartYAML []byte

// networkYAML is the Ingress and the two Services that the Rollout moves.
//
//go:embed manifests/network.yaml
var networkYAML []byte

// Names in the manifests.
const (
	namespace = "shop"
	name      = "cart"
	container = "cart"
)

// visibleYAML is the part of cart.yaml that makes a canary of a Deployment: the
// strategy, and what is measured.
func visibleYAML() string {
	_, strategy, _ := strings.Cut(string(cartYAML), "\n  strategy:\n")
	rollout, template, _ := strings.Cut(strategy, "---\n")
	_, spec, _ := strings.Cut(template, "\nspec:\n")
	return "  strategy:\n" + rollout + "---\n# AnalysisTemplate success-rate\n" + spec
}
