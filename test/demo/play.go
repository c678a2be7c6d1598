package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/headway-rollouts/headway/test/demo/process"
	"github.com/headway-rollouts/headway/test/kube"
	"github.com/headway-rollouts/headway/test/kube/scratch"
)

const (
	opening = `Headway: a good release is promoted by its measurements, a bad one is rolled back by them.
Real: the Kubernetes control plane, Prometheus, the controller, its RBAC, the plugin.
Simulated: the nodes, the application and its users. They send 120 requests a second;
the live weight of the canary says which release answers, the release how often it fails.
`
	closing = `For real, on a cluster of yours with an NGINX ingress controller and Prometheus:
    kubectl apply --server-side -k config/default
    kubectl apply -f config/samples/nginx-canary.yaml
    kubectl rollouts set image web web=quay.io/brancz/prometheus-example-app:v0.5.0
    kubectl rollouts get rollout web --watch`
)

// stage is what the story plays on. Its parts are stopped in reverse order.
type stage struct {
	screen     *screen
	dir        string
	cluster    *kube.Cluster
	reader     client.Reader
	app        *application
	controller *process.Process
	cleanups   []func() error
}

// play sets the stage, tells the story and clears the stage, however it ends.
func play(ctx context.Context, on *screen) (err error) {
	ctrllog.SetLogger(logr.Discard()) // what a watch logs is no part of the story
	klog.SetLogger(logr.Discard())
	ctx, cancel := context.WithCancel(ctx)
	st := &stage{screen: on}
	defer func() {
		cancel()
		err = errors.Join(err, st.clear())
	}()
	on.line(opening)
	if err := st.set(ctx); err != nil {
		return err
	}
	on.start()
	if err := st.story(ctx).tell(ctx); err != nil {
		return err
	}
	on.line("")
	on.line("The YAML that made it (the rest is an ordinary pod template, Services and Ingress):")
	on.block(visibleYAML())
	on.line("")
	on.line(closing)
	on.line("")
	on.line(fmt.Sprintf("Done in %s.", on.elapsed().Round(time.Second)))
	return nil
}

// later keeps something to be done when the stage is cleared.
func (st *stage) later(cleanup func() error) { st.cleanups = append(st.cleanups, cleanup) }

// clear undoes everything, the last thing first.
func (st *stage) clear() error {
	var errs []error
	for i := len(st.cleanups) - 1; i >= 0; i-- {
		errs = append(errs, st.cleanups[i]())
	}
	return errors.Join(errs...)
}

// set starts everything that the story needs.
func (st *stage) set(ctx context.Context) error {
	dir, err := scratch.Dir("demo")
	if err != nil {
		return err
	}
	st.dir = dir
	st.later(func() error { return os.RemoveAll(dir) })
	for _, step := range []func(context.Context) error{st.build, st.startCluster, st.createShop, st.startHeadway, st.createCart} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (st *stage) build(ctx context.Context) error {
	st.screen.line("Building the controller and the plugin (minutes the first time, then seconds).")
	return process.Build(ctx, kube.Root(), st.screen.line, "headway", "kubectl-rollouts")
}

func (st *stage) startCluster(ctx context.Context) error {
	st.screen.line("Starting the control plane and Prometheus (built first if need be: 5 to 10 minutes, once).")
	started := time.Now()
	cluster, err := kube.Start(ctx, kube.Options{})
	if err != nil {
		return err
	}
	st.cluster = cluster
	st.later(func() error { cluster.Stop(); return nil })
	st.screen.line(fmt.Sprintf("Control plane ready in %.1f s.", time.Since(started).Seconds()))
	return nil
}

// createShop makes the namespace of the application.
func (st *stage) createShop(ctx context.Context) error {
	clients, err := kubernetes.NewForConfig(st.cluster.Config)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	_, err = clients.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("creating the namespace: %w", err)
	}
	return nil
}

// startHeadway installs it from config/ and runs it with the rights that gives.
func (st *stage) startHeadway(ctx context.Context) error {
	in, err := install(ctx, st.cluster)
	if err != nil {
		return fmt.Errorf("installing Headway: %w", err)
	}
	// Only now can Rollouts be watched.
	if st.reader, err = watchShop(ctx, st.cluster.Config); err != nil {
		return err
	}
	if st.app, err = startApplication(st.reader); err != nil {
		return err
	}
	st.later(func() error { st.app.close(); return nil })
	prometheus, err := kube.StartPrometheus(ctx, kube.PrometheusOptions{Targets: []string{st.app.Address}, ScrapeInterval: time.Second})
	if err != nil {
		return err
	}
	st.later(func() error { prometheus.Stop(); return nil })
	kubeconfig := filepath.Join(st.dir, "headway.kubeconfig")
	if err := writeTokenKubeconfig(ctx, st.cluster.Config, in, kubeconfig); err != nil {
		return err
	}
	st.controller, err = startController(ctx, surroundings{
		Namespace: in.Namespace, Kubeconfig: kubeconfig, Prometheus: prometheus.Address, Dir: st.dir,
	})
	if err != nil {
		return err
	}
	st.later(st.controller.Stop)
	st.screen.line(fmt.Sprintf("Headway installed from config/default: %d CRDs and %d other objects.", in.CRDs, in.Others))
	st.screen.line(fmt.Sprintf("Its pods would be simulated too, so the Deployment has no replicas; the controller runs here instead,\n"+
		"with nothing but the token of ServiceAccount %s/%s.", in.Namespace, in.ServiceAccount))
	return nil
}

// createCart creates the Rollout and what it needs.
func (st *stage) createCart(ctx context.Context) error {
	for _, manifests := range [][]byte{networkYAML, cartYAML} {
		if err := st.cluster.Apply(ctx, namespace, manifests); err != nil {
			return fmt.Errorf("creating %s/%s: %w", namespace, name, err)
		}
	}
	st.screen.line("")
	return nil
}

// story is the story on this stage.
func (st *stage) story(ctx context.Context) *story {
	return &story{
		screen: st.screen, reader: st.reader, app: st.app, limit: chapterLimit,
		broken: st.controller.Failure,
		users:  func() { go st.app.run(ctx) },
		plugin: func(ctx context.Context, args ...string) (string, error) {
			return process.Output(ctx, process.Program{
				Path: filepath.Join(kube.Root(), "bin", "kubectl-rollouts"),
				Args: append(args, "--kubeconfig", st.cluster.Kubeconfig),
			})
		},
	}
}
