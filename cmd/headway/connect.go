package main

import (
	"fmt"
	"os"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	serviceAccountNamespace = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"
	// fallbackNamespace is where the incumbent keeps its Lease when nothing says otherwise.
	fallbackNamespace = "argo-rollouts"
)

// place is how to reach the API server, and the one namespace to serve or "" for all.
type place struct {
	config    *rest.Config
	namespace string
}

// connect finds the API server.
func (o *options) connect() (place, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.kubeconfig
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &o.overrides)
	cfg, err := loader.ClientConfig()
	if err != nil {
		return place{}, fmt.Errorf("finding the API server (use --kubeconfig, or run in a pod): %w", err)
	}
	cfg.UserAgent = "headway/" + version
	cfg.QPS, cfg.Burst = o.qps, o.burst
	cfg.WarningHandler = rest.NoWarnings{} // They are for who writes a manifest, and would be told at each write.
	if !o.namespaced {
		return place{config: cfg}, nil
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return place{}, fmt.Errorf("finding the namespace to serve: %w", err)
	}
	return place{cfg, namespace}, nil
}

// leaseNamespace is POD_NAMESPACE, else the namespace of the pod's service account, else the incumbent's.
func leaseNamespace(getenv func(string) string, serviceAccountFile string) string {
	if ns := getenv("POD_NAMESPACE"); ns != "" {
		return ns
	}
	if text, err := os.ReadFile(serviceAccountFile); err == nil {
		if ns := strings.TrimSpace(string(text)); ns != "" {
			return ns
		}
	}
	return fallbackNamespace
}
