package main

import (
	"context"
	"fmt"
	"path/filepath"

	kcm "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	kcmoptions "k8s.io/kubernetes/cmd/kube-controller-manager/app/options"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	scheduleroptions "k8s.io/kubernetes/cmd/kube-scheduler/app/options"
)

// startControllerManager runs the controllers of Kubernetes itself.
func startControllerManager(ctx context.Context, w *workFolder, kubeconfig string, failed chan<- error) error {
	opts, err := kcmoptions.NewKubeControllerManagerOptions()
	if err != nil {
		return fmt.Errorf("making options: %w", err)
	}
	known, off, aliases := kcm.KnownControllers(), kcm.ControllersDisabledByDefault(), kcm.ControllerAliases()
	sets := opts.Flags(known, off, aliases)
	opts.ParsedFlags = &sets
	if err := parse(sets, controllerManagerFlags(w, kubeconfig)); err != nil {
		return err
	}
	cfg, err := opts.Config(ctx, known, off, aliases)
	if err != nil {
		return fmt.Errorf("making the configuration: %w", err)
	}
	go func() {
		if err := kcm.Run(ctx, cfg.Complete()); err != nil {
			failed <- fmt.Errorf("running the controller manager: %w", err)
		}
	}()
	return nil
}

// controllerManagerFlags are fast where Kubernetes is patient: an autoscaler that
// looks every second and trusts a pod's first metric makes a test of seconds.
func controllerManagerFlags(w *workFolder, kubeconfig string) []string {
	file := func(name string) string { return filepath.Join(w.dir, name) }
	return []string{
		"--kubeconfig=" + kubeconfig,
		"--kube-api-qps=500",
		"--kube-api-burst=1000",
		"--leader-elect=false",
		"--secure-port=0",
		"--profiling=false",
		"--enable-garbage-collector=true",
		"--root-ca-file=" + file(authorityCert),
		"--service-account-private-key-file=" + file(serviceAccountKey),
		"--controllers=*," +
			"-node-ipam-controller,-persistentvolume-attach-detach-controller," +
			"-persistentvolume-expander-controller,-bootstrap-signer-controller,-token-cleaner-controller",
		"--allocate-node-cidrs=false",
		"--horizontal-pod-autoscaler-sync-period=1s",
		"--horizontal-pod-autoscaler-initial-readiness-delay=1s",
		"--horizontal-pod-autoscaler-cpu-initialization-period=1s",
		"--horizontal-pod-autoscaler-downscale-stabilization=5s",
	}
}

// startScheduler runs the scheduler.
func startScheduler(ctx context.Context, kubeconfig string, failed chan<- error) error {
	opts := scheduleroptions.NewOptions()
	err := parse(*opts.Flags, []string{
		"--kubeconfig=" + kubeconfig,
		"--kube-api-qps=500",
		"--kube-api-burst=1000",
		"--leader-elect=false",
		"--secure-port=0",
		"--profiling=false",
	})
	if err != nil {
		return err
	}
	cfg, sched, err := scheduler.Setup(ctx, opts)
	if err != nil {
		return fmt.Errorf("setting up: %w", err)
	}
	go func() {
		if err := scheduler.Run(ctx, cfg, sched); err != nil {
			failed <- fmt.Errorf("running the scheduler: %w", err)
		}
	}()
	return nil
}
