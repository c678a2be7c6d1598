package traffic

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/test/e2e/headway"
	"github.com/headway-rollouts/headway/test/kube"
	"github.com/headway-rollouts/headway/test/traffic/kubelet"
	"github.com/headway-rollouts/headway/test/traffic/parts"
)

// Every port of the namespace is free, so these are fixed.
const (
	proxyAddress   = "127.0.0.1:8000"
	metricsAddress = "127.0.0.1:8001"
	proxyMetrics   = "http://" + metricsAddress + "/metrics"
	kubeletAddress = "127.0.0.1:8002"
	podMetrics     = "http://" + kubeletAddress + "/metrics"
)

// world is what the scenarios share.
type world struct {
	cluster    *kube.Cluster
	client     client.Client
	kubelet    *kubelet.Kubelet
	metrics    *http.Server // of all pods
	traefik    *exec.Cmd
	proxyLog   *bytes.Buffer
	prometheus *kube.Prometheus
	controller *headway.Process
	end        context.CancelFunc
}

var shared struct {
	once  sync.Once
	world *world
	err   error
}

// theWorld is started by the first test that asks for it.
func theWorld(t *testing.T) *world {
	t.Helper()
	if notChecked != "" {
		t.Skip(notChecked)
	}
	cluster := kube.Shared(t)
	shared.once.Do(func() {
		start := time.Now()
		ctx, end := context.WithCancel(context.Background())
		shared.world = &world{cluster: cluster, end: end, proxyLog: &bytes.Buffer{}}
		shared.err = shared.world.start(ctx)
		t.Logf("the world was ready after %s", time.Since(start).Round(time.Millisecond))
	})
	if shared.err != nil {
		t.Fatalf("starting the world: %v", shared.err)
	}
	return shared.world
}

func (w *world) start(ctx context.Context) error {
	built, err := parts.Find(ctx)
	if err != nil {
		return err
	}
	for _, crds := range append(built.CRDs, kube.Root()+"/config/crd") {
		if err := w.cluster.InstallCRDs(ctx, crds); err != nil {
			return err
		}
	}
	if err := w.cluster.Apply(ctx, "default", []byte(infrastructure)); err != nil {
		return err
	}
	if err := v1alpha1.AddToScheme(clientgoscheme.Scheme); err != nil {
		return err
	}
	if w.client, err = client.New(w.cluster.Config, client.Options{Scheme: clientgoscheme.Scheme}); err != nil {
		return err
	}
	clients, err := kubernetes.NewForConfig(w.cluster.Config)
	if err != nil {
		return err
	}
	if w.kubelet, err = kubelet.Start(ctx, clients, kubelet.Images{"example.com/web": built.App}); err != nil {
		return err
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", kubeletAddress)
	if err != nil {
		return err
	}
	w.metrics = &http.Server{Handler: w.kubelet, ReadHeaderTimeout: time.Minute}
	go func() { _ = w.metrics.Serve(ln) }()
	if err := w.startProxy(ctx, built.Traefik); err != nil {
		return err
	}
	if w.prometheus, err = kube.StartPrometheus(ctx, kube.PrometheusOptions{Targets: []string{proxyMetrics, podMetrics}}); err != nil {
		return err
	}
	w.controller, err = headway.Run(headway.Options{Kubeconfig: w.cluster.Kubeconfig})
	return err
}

// infrastructure is what an administrator installs with the proxy.
const infrastructure = `
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: nginx}
spec: {controller: k8s.io/ingress-nginx}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: traefik}
spec: {controllerName: traefik.io/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: traffic, namespace: default}
spec:
  gatewayClassName: traefik
  listeners:
  - {name: web, port: 8000, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}
`

// proxyArgs make Traefik serve all kinds of routes on one port. It neither retries
// nor waits before it takes a change: a retry would hide a loss.
var proxyArgs = []string{
	"--global.checkNewVersion=false", "--global.sendAnonymousUsage=false", "--log.level=ERROR",
	"--entryPoints.web.address=" + proxyAddress,
	"--entryPoints.metrics.address=" + metricsAddress,
	"--metrics.prometheus.entryPoint=metrics", "--metrics.prometheus.addServicesLabels=true",
	"--providers.providersThrottleDuration=100ms",
	"--providers.kubernetesIngressNGINX=true",
	"--providers.kubernetesIngressNGINX.httpEntryPoint=web",
	"--providers.kubernetesIngressNGINX.proxyNextUpstream=off",
	"--providers.kubernetesGateway=true",
	"--providers.kubernetesCRD=true",
}

// startProxy starts Traefik and waits until it serves its metrics.
func (w *world) startProxy(ctx context.Context, path string) error {
	w.traefik = exec.Command(path, proxyArgs...)
	w.traefik.Env = append(os.Environ(), "KUBECONFIG="+w.cluster.Kubeconfig)
	w.traefik.Stdout, w.traefik.Stderr = w.proxyLog, w.proxyLog
	w.traefik.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := w.traefik.Start(); err != nil {
		return fmt.Errorf("starting Traefik: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		_, err := fetch(ctx, proxyMetrics)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for Traefik: %w\n%s", err, w.proxyLog)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// stop ends everything, and shows the logs when something went wrong.
func (w *world) stop(failed bool) {
	if w.controller != nil {
		w.controller.Stop()
	}
	w.end()
	if w.prometheus != nil {
		w.prometheus.Stop()
	}
	if w.traefik != nil && w.traefik.Process != nil {
		_ = w.traefik.Process.Kill()
		_ = w.traefik.Wait()
	}
	if w.metrics != nil {
		_ = w.metrics.Close()
	}
	if w.kubelet != nil {
		w.kubelet.Wait()
	}
	if failed && w.controller != nil {
		fmt.Fprintf(os.Stderr, "log of the controller:\n%s\nlog of the proxy:\n%s\n", w.controller.Log(), w.proxyLog)
	}
}

func fetch(ctx context.Context, url string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	return http.DefaultClient.Do(req)
}
