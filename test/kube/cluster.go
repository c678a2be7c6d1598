package kube

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
)

// Options are how a cluster differs from the usual one.
type Options struct {
	// Nodes is the number of simulated nodes; 0 is 2.
	Nodes int
	// Dir keeps the cluster's files; empty is a temporary folder.
	Dir string
	// Verbosity of the cluster's log, which is the file log in its folder.
	Verbosity int
}

// Cluster is a running cluster of one process.
type Cluster struct {
	// Config is the administrator's, without a limit on requests.
	Config *rest.Config
	// Kubeconfig is the path of a file with the same access.
	Kubeconfig string

	process *process
	client  kubernetes.Interface
	dynamic dynamic.Interface
	mapper  *restmapper.DeferredDiscoveryRESTMapper
}

// Start builds the cluster's binary if it must and starts a cluster. Each call
// starts another; stop it with Stop.
func Start(ctx context.Context, opts Options) (*Cluster, error) {
	path, err := clusterProgram.build(ctx)
	if err != nil {
		return nil, fmt.Errorf("building the cluster: %w", err)
	}
	args := []string{"--v", strconv.Itoa(opts.Verbosity)}
	if opts.Nodes > 0 {
		args = append(args, "--nodes", strconv.Itoa(opts.Nodes))
	}
	if opts.Dir != "" {
		args = append(args, "--dir", opts.Dir)
	}
	p, err := startProcess(ctx, path, "kubeconfig", args...)
	if err != nil {
		return nil, fmt.Errorf("starting the cluster: %w", err)
	}
	c := &Cluster{Kubeconfig: p.ready, process: p}
	if err := c.connect(); err != nil {
		c.Stop()
		return nil, fmt.Errorf("connecting to the cluster: %w", err)
	}
	return c, nil
}

func (c *Cluster) connect() error {
	cfg, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
	if err != nil {
		return fmt.Errorf("reading the kubeconfig: %w", err)
	}
	cfg.QPS = -1
	c.Config = cfg
	if c.client, err = kubernetes.NewForConfig(cfg); err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	if c.dynamic, err = dynamic.NewForConfig(cfg); err != nil {
		return fmt.Errorf("making a dynamic client: %w", err)
	}
	c.mapper = newMapper(c.client.Discovery())
	return nil
}

// Stop ends the cluster and removes its files.
func (c *Cluster) Stop() { c.process.stop() }

// shared is the one cluster of a test binary.
var shared struct {
	once    sync.Once
	cluster *Cluster
	err     error
}

// Shared is the test binary's cluster, started by the first test that asks for it.
// With -short it skips the test. Main stops it; without Main it ends with the binary.
func Shared(t testing.TB) *Cluster {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a cluster: not with -short")
	}
	shared.once.Do(func() {
		shared.cluster, shared.err = Start(context.Background(), Options{})
	})
	if shared.err != nil {
		t.Fatalf("no shared cluster: %v", shared.err)
	}
	return shared.cluster
}

// Main runs the tests, stops the shared cluster and returns the exit code.
func Main(m *testing.M) int {
	code := m.Run()
	if shared.cluster != nil {
		shared.cluster.Stop()
	}
	return code
}

// Done is closed when the cluster's process has ended.
func (c *Cluster) Done() <-chan struct{} { return c.process.exited }
