package main

import (
	"fmt"
	"os"

	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/cluster"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/headway-rollouts/headway/analysis/provider/datadog"
	"github.com/headway-rollouts/headway/controllers/analysisrun"
	"github.com/headway-rollouts/headway/controllers/experiment"
	"github.com/headway-rollouts/headway/controllers/rollout"
	"github.com/headway-rollouts/headway/trafficrouting/alb"
)

// prometheusAddress names the variable with the server of metrics that name none.
const prometheusAddress = "ARGO_ROLLOUTS_PROMETHEUS_ADDRESS"

// kubernetesHost names the variable with the address of the API server within the cluster.
const kubernetesHost = "KUBERNETES_SERVICE_HOST"

// addControllers adds what --controllers asks for.
func addControllers(mgr manager.Manager, o *options, around surroundings) error {
	// Users read core/v1 Events, with the reasons and the source that they always had.
	recorder := mgr.GetEventRecorderFor(eventComponent) //nolint:staticcheck // the recorder of events.k8s.io writes other fields.
	if err := addAnalysisRuns(mgr, o, recorder); err != nil {
		return err
	}
	if !o.runsRollouts() {
		return nil
	}
	if err := addExperiments(mgr, o, recorder); err != nil {
		return err
	}
	return addRollouts(mgr, o, recorder, around)
}

// surroundings are what the Rollout controller reads beside its own cache.
type surroundings struct {
	sights cache.Cache
	// mesh is nil unless Istio's objects are in another cluster.
	mesh cluster.Cluster
	// loadBalancers is nil unless AWS is asked what they serve.
	loadBalancers alb.LoadBalancers
	// namespace is the only one; empty is all of them.
	namespace string
}

func addAnalysisRuns(mgr manager.Manager, o *options, recorder record.EventRecorder) error {
	jobs, err := jobPlace(mgr, os.Getenv)
	if err != nil {
		return err
	}
	r := analysisrun.New(analysisrun.Options{
		Client:            mgr.GetClient(),
		APIReader:         mgr.GetAPIReader(),
		Recorder:          recorder,
		Clock:             clock.RealClock{},
		Concurrency:       o.analysisThreads,
		PrometheusAddress: os.Getenv(prometheusAddress),
		Jobs:              jobs,
		Datadog: datadog.Environment{
			APIKey: os.Getenv("DD_API_KEY"), AppKey: os.Getenv("DD_APP_KEY"), Address: os.Getenv("DD_ADDRESS"),
		},
		Addresses: o.addresses.WithKubernetes(os.Getenv(kubernetesHost)),
		Namespace: leaseNamespace(os.Getenv, serviceAccountNamespace),
	})
	if err := r.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("adding the controller of AnalysisRuns: %w", err)
	}
	return nil
}

func addExperiments(mgr manager.Manager, o *options, recorder record.EventRecorder) error {
	r := experiment.New(experiment.Options{
		Client:           mgr.GetClient(),
		APIReader:        mgr.GetAPIReader(),
		Recorder:         recorder,
		Clock:            clock.RealClock{},
		Concurrency:      o.experimentThreads,
		ClusterTemplates: !o.namespaced,
		Resync:           o.resync(),
	})
	if err := r.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("adding the controller of Experiments: %w", err)
	}
	return nil
}

func addRollouts(mgr manager.Manager, o *options, recorder record.EventRecorder, around surroundings) error {
	r := rollout.New(rollout.Options{
		Client:           mgr.GetClient(),
		Live:             mgr.GetAPIReader(),
		Sights:           around.sights,
		Cache:            mgr.GetCache(),
		Mesh:             around.mesh,
		LoadBalancers:    around.loadBalancers,
		Namespace:        around.namespace,
		Recorder:         recorder,
		Clock:            clock.RealClock{},
		Concurrency:      o.rolloutThreads,
		ClusterTemplates: !o.namespaced,
		Resync:           o.resync(),
	})
	if err := r.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("adding the controller of Rollouts: %w", err)
	}
	return nil
}
