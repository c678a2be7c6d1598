// Command cluster runs one test cluster for a developer: make cluster. It builds the
// cluster's binary if it must, installs Headway's CRDs, and runs until Ctrl-C.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/headway-rollouts/headway/test/kube"
)

func main() {
	var opts kube.Options
	flag.IntVar(&opts.Nodes, "nodes", 2, "number of simulated nodes")
	flag.StringVar(&opts.Dir, "dir", "", "folder for the cluster's files (default a temporary one)")
	flag.IntVar(&opts.Verbosity, "v", 0, "verbosity of the cluster's log")
	buildOnly := flag.Bool("build", false, "only build the binaries that tests use")
	flag.Parse()
	if err := run(opts, *buildOnly); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

func run(opts kube.Options, buildOnly bool) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if buildOnly {
		return kube.Build(ctx)
	}
	c, err := kube.Start(ctx, opts)
	if err != nil {
		if ctx.Err() != nil {
			return nil // Ctrl-C while building or starting.
		}
		return err
	}
	defer c.Stop()
	crds := filepath.Join(kube.Root(), "config", "crd")
	if _, err := os.Stat(crds); err == nil {
		if err := c.InstallCRDs(ctx, crds); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("looking for CRDs: %w", err)
	}
	fmt.Printf("The cluster is ready. Use it from another shell:\n\n  export KUBECONFIG=%s\n  kubectl get nodes\n\nCtrl-C stops it and removes its data.\n", c.Kubeconfig)
	select {
	case <-ctx.Done():
		return nil
	case <-c.Done():
		return errors.New("the cluster ended by itself")
	}
}
