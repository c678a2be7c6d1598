package main

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// inPlace reads the watches' memory without a copy; nobody here changes an object.
var inPlace = &client.ListOptions{Namespace: namespace, UnsafeDisableDeepCopy: new(true)}

// watchShop follows the shop's namespace until the context ends.
func watchShop(ctx context.Context, cfg *rest.Config) (client.Reader, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("making the scheme: %w", err)
		}
	}
	c, err := cache.New(cfg, cache.Options{Scheme: scheme, DefaultNamespaces: map[string]cache.Config{namespace: {}}})
	if err != nil {
		return nil, fmt.Errorf("making the watches: %w", err)
	}
	followed := []client.Object{
		&v1alpha1.Rollout{}, &v1alpha1.AnalysisRun{},
		&appsv1.ReplicaSet{}, &corev1.Service{}, &networkingv1.Ingress{},
	}
	for _, obj := range followed {
		if _, err := c.GetInformer(ctx, obj, cache.BlockUntilSynced(false)); err != nil {
			return nil, fmt.Errorf("watching %T: %w", obj, err)
		}
	}
	go func() { _ = c.Start(ctx) }()
	if !c.WaitForCacheSync(ctx) {
		return nil, fmt.Errorf("the watches did not begin: %w", context.Cause(ctx))
	}
	return c, nil
}

// readObjects reads what decides where a request goes.
func readObjects(ctx context.Context, reader client.Reader) (objects, error) {
	var (
		ingresses networkingv1.IngressList
		services  corev1.ServiceList
		sets      appsv1.ReplicaSetList
	)
	for _, list := range []client.ObjectList{&ingresses, &services, &sets} {
		if err := reader.List(ctx, list, inPlace); err != nil {
			return objects{}, fmt.Errorf("reading the routes: %w", err)
		}
	}
	return objects{Ingresses: ingresses.Items, Services: services.Items, ReplicaSets: sets.Items}, nil
}

// readFacts reads everything that the story tells of.
func readFacts(ctx context.Context, reader client.Reader) (facts, error) {
	var ro v1alpha1.Rollout
	if err := reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &ro); err != nil {
		if apierrors.IsNotFound(err) {
			return facts{}, nil // the watch is behind what was applied
		}
		return facts{}, fmt.Errorf("reading the Rollout: %w", err)
	}
	var runs v1alpha1.AnalysisRunList
	if err := reader.List(ctx, &runs, inPlace); err != nil {
		return facts{}, fmt.Errorf("reading the AnalysisRuns: %w", err)
	}
	routes, err := readObjects(ctx, reader)
	if err != nil {
		return facts{}, err
	}
	split, err := routes.shares()
	if err != nil {
		return facts{}, fmt.Errorf("following the routes: %w", err)
	}
	return factsOf(&ro, runs.Items, split), nil
}
