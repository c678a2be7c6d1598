package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	aggregator "k8s.io/kube-aggregator/pkg/client/clientset_generated/clientset"
)

// api is the cluster's own API, as its administrator.
type api struct {
	config     *rest.Config
	client     kubernetes.Interface
	aggregator aggregator.Interface
}

func connect(kubeconfig string) (*api, error) {
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	cfg.QPS = -1
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	agg, err := aggregator.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("making a client of the aggregator: %w", err)
	}
	return &api{config: cfg, client: client, aggregator: agg}, nil
}

// waitReady waits for the API server with all its post-start hooks, among them the
// one that makes the RBAC bootstrap roles.
func (a *api) waitReady(ctx context.Context) error {
	return poll(ctx, func() error {
		var code int
		result := a.client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).StatusCode(&code)
		if err := result.Error(); err != nil {
			return err
		}
		if code != http.StatusOK {
			return fmt.Errorf("readyz says %d", code)
		}
		return nil
	})
}

// waitUsable waits until a pod could be made and would run: nodes Ready and free of
// taints, the default service account, and pod metrics.
func (a *api) waitUsable(ctx context.Context, nodes int) error {
	return poll(ctx, func() error {
		list, err := a.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return fmt.Errorf("listing nodes: %w", err)
		}
		ready := 0
		for i := range list.Items {
			if schedulable(&list.Items[i]) {
				ready++
			}
		}
		if ready < nodes {
			return fmt.Errorf("%d of %d nodes ready", ready, nodes)
		}
		_, err = a.client.CoreV1().ServiceAccounts("default").Get(ctx, "default", metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("looking for the default service account: %w", err)
		}
		return a.metricsServed(ctx)
	})
}

func schedulable(node *corev1.Node) bool {
	if len(node.Spec.Taints) > 0 {
		return false
	}
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// poll tries every 25 ms until try succeeds; the process's start limit ends it.
func poll(ctx context.Context, try func() error) error {
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(25 * time.Millisecond):
		}
	}
}
