package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting/alb/elbv2"
)

// shutdownGrace leaves ten of a pod's thirty seconds to release the Lease and send the last Events.
const shutdownGrace = 20 * time.Second

// run wires everything and serves until the context ends or the Lease is lost.
func run(ctx context.Context, o *options, log logr.Logger) error {
	events := newBroadcaster()
	defer events.Shutdown()
	at, err := o.connect()
	if err != nil {
		return err
	}
	mgr, err := newManager(o, at, log, events)
	if err != nil {
		return err
	}
	sights, err := newSights(mgr, at.namespace)
	if err != nil {
		return err
	}
	if err := registerInfo(metrics.Registry, readBuild()); err != nil {
		return err
	}
	if err := addServers(ctx, mgr, o); err != nil {
		return err
	}
	mesh, err := meshCluster(ctx, mgr, at.namespace, log)
	if err != nil {
		return err
	}
	around := surroundings{sights: sights, mesh: mesh, namespace: at.namespace}
	if o.verifyTargets {
		if around.loadBalancers, err = elbv2.FromEnvironment(ctx, o.tagKey); err != nil {
			return fmt.Errorf("preparing --aws-verify-target-group: %w", err)
		}
	}
	if err := addControllers(mgr, o, around); err != nil { //nolint:contextcheck // SetupWithManager takes no context.
		return err
	}
	if err := warm(ctx, mgr.GetCache(), warmed(o)); err != nil {
		return err
	}
	if err := serve(ctx, mgr); err != nil {
		return fmt.Errorf("running the controllers: %w", err)
	}
	log.Info("Stopped")
	return nil
}

// serve runs the manager until the context ends. A manager that is told to stop while its caches cannot be
// filled never returns (controller-runtime spins until they are), and it has nothing to put down yet.
func serve(ctx context.Context, mgr manager.Manager) error {
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	if !filled(context.WithoutCancel(ctx), mgr.GetCache()) {
		return nil
	}
	return <-ended
}

// newSights makes the cache of the workloads' metadata, which the manager runs.
func newSights(mgr manager.Manager, namespace string) (cache.Cache, error) {
	opts := sightOptions(namespace)
	opts.HTTPClient, opts.Scheme, opts.Mapper = mgr.GetHTTPClient(), mgr.GetScheme(), mgr.GetRESTMapper()
	sights, err := cache.New(mgr.GetConfig(), opts)
	if err != nil {
		return nil, fmt.Errorf("making a cache of metadata: %w", err)
	}
	if err := mgr.Add(sights); err != nil {
		return nil, fmt.Errorf("adding a cache of metadata: %w", err)
	}
	return sights, nil
}

func newManager(o *options, at place, log logr.Logger, events record.EventBroadcaster) (manager.Manager, error) {
	scheme, err := newScheme()
	if err != nil {
		return nil, err
	}
	caches, err := cacheOptions(o, at.namespace)
	if err != nil {
		return nil, err
	}
	mgr, err := manager.New(at.config, manager.Options{
		Scheme: scheme,
		Logger: log,
		Cache:  caches,
		Client: client.Options{Cache: &client.CacheOptions{DisableFor: uncached(o)}},
		// The deprecation warns that a manager which ends before its process leaks it; ours never does.
		EventBroadcaster: events, //nolint:staticcheck // the only way to set the limits of eventCorrelation.
		Controller:       config.Controller{EnableWarmup: ptr.To(true), ReconciliationTimeout: reconcileTimeout},
		// addServers opens the ports itself, to know which one "any free port" is.
		Metrics: metricsserver.Options{BindAddress: "0"}, HealthProbeBindAddress: "0",
		GracefulShutdownTimeout: ptr.To(shutdownGrace),

		LeaderElection:                o.leaderElect,
		LeaderElectionID:              o.leaseName(),
		LeaderElectionNamespace:       leaseNamespace(os.Getenv, serviceAccountNamespace),
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 &o.leaseDuration,
		RenewDeadline:                 &o.renewDeadline,
		RetryPeriod:                   &o.retryPeriod,
	})
	if meta.IsNoMatchError(err) {
		return nil, fmt.Errorf("the API server does not serve argoproj.io/v1alpha1, install config/crd first: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", at.config.Host, err)
	}
	return mgr, nil
}

func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("registering the Kubernetes kinds: %w", err)
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("registering the kinds of argoproj.io: %w", err)
	}
	return scheme, nil
}

// warm asks for the informers now, so that they start on a standby as well and readiness waits for
// them. It does not wait for them itself.
func warm(ctx context.Context, informers cache.Informers, objects []client.Object) error {
	for _, obj := range objects {
		if _, err := informers.GetInformer(ctx, obj, cache.BlockUntilSynced(false)); err != nil {
			return fmt.Errorf("watching %T: %w", obj, err)
		}
	}
	return nil
}
