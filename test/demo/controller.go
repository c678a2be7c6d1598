package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	"github.com/headway-rollouts/headway/test/demo/process"
	"github.com/headway-rollouts/headway/test/kube"
)

// surroundings are what the controller finds where it runs.
type surroundings struct {
	// Namespace of the installation, which has its Lease.
	Namespace string
	// Kubeconfig holds its token.
	Kubeconfig string
	// Prometheus is the address for metrics that name none.
	Prometheus string
	// Dir receives its log.
	Dir string
}

// startController runs bin/headway as its Deployment would, leader election
// included. It returns once the controller reports ready.
func startController(ctx context.Context, in surroundings) (*process.Process, error) {
	port, err := process.FreePort()
	if err != nil {
		return nil, fmt.Errorf("choosing the health port: %w", err)
	}
	p, err := process.Start(process.Program{
		Path: filepath.Join(kube.Root(), "bin", "headway"),
		Args: []string{"--kubeconfig", in.Kubeconfig, "--healthzPort", strconv.Itoa(port), "--metricsPort", "0"},
		Env:  []string{"POD_NAMESPACE=" + in.Namespace, "ARGO_ROLLOUTS_PROMETHEUS_ADDRESS=" + in.Prometheus},
		Log:  filepath.Join(in.Dir, "headway.log"),
	})
	if err != nil {
		return nil, fmt.Errorf("starting the controller: %w", err)
	}
	if err := waitReady(ctx, p, fmt.Sprintf("http://127.0.0.1:%d/readyz", port)); err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return p, nil
}

// readyLimit bounds the start of the controller.
const readyLimit = 60 * time.Second

func waitReady(ctx context.Context, p *process.Process, url string) error {
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	for {
		err := ready(ctx, url)
		if err == nil {
			return nil
		}
		select {
		case <-p.Exited():
			return p.Failure()
		case <-ctx.Done():
			return fmt.Errorf("waiting for the controller to be ready: %w; its log ends with:\n%s", errors.Join(context.Cause(ctx), err), p.LogTail())
		case <-time.After(tick):
		}
	}
}

func ready(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("asking for readiness: %w", err)
	}
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("asking for readiness: %w", err)
	}
	_ = reply.Body.Close()
	if reply.StatusCode != http.StatusOK {
		return fmt.Errorf("readiness says %s", reply.Status)
	}
	return nil
}
