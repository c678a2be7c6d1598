package main

import (
	"fmt"

	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/headway-rollouts/headway/analysis/provider/job"
)

// The variables that say where the Jobs of metrics run. They are served API.
const (
	jobKubeconfig = "ARGO_ROLLOUTS_ANALYSIS_JOB_KUBECONFIG"
	jobNamespace  = "ARGO_ROLLOUTS_ANALYSIS_JOB_NAMESPACE"
)

// jobPlace is where the Jobs of metrics run: beside their runs, unless the
// environment names another namespace or another cluster.
func jobPlace(mgr manager.Manager, getenv func(string) string) (job.Place, error) {
	place := job.Place{Client: mgr.GetClient(), Reader: mgr.GetAPIReader(), Namespace: getenv(jobNamespace)}
	path := getenv(jobKubeconfig)
	if path == "" {
		return place, nil
	}
	cfg, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return job.Place{}, fmt.Errorf("reading %s: %w", jobKubeconfig, err)
	}
	cfg.UserAgent = "headway/" + version
	cfg.QPS = -1
	other, err := client.New(cfg, client.Options{Scheme: mgr.GetScheme()})
	if err != nil {
		return job.Place{}, fmt.Errorf("connecting to the cluster of %s: %w", jobKubeconfig, err)
	}
	place.Client, place.Reader, place.Elsewhere = other, other, true
	return place, nil
}
