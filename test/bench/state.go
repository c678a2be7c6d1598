package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// canaryWeight is the annotation through which NGINX is told the weight.
const canaryWeight = "nginx.ingress.kubernetes.io/canary-weight"

// state follows one namespace with watches of its own, beside the proxy.
type state struct {
	reader client.Reader
	stop   context.CancelFunc

	mu sync.Mutex
	// When a new ReplicaSet or weight was last told, by revisionKey and weightKey.
	seen map[string]time.Time
}

// watch follows a namespace until the state is closed.
func watch(ctx context.Context, cfg *rest.Config, scheme *runtime.Scheme, namespace string) (*state, error) {
	ctx, cancel := context.WithCancel(ctx)
	s := &state{stop: cancel, seen: map[string]time.Time{}}
	c, err := cache.New(cfg, cache.Options{
		Scheme:            scheme,
		DefaultNamespaces: map[string]cache.Config{namespace: {}},
		DefaultTransform:  cache.TransformStripManagedFields(),
	})
	if err != nil {
		cancel()
		return nil, fmt.Errorf("making the watches: %w", err)
	}
	s.reader = c
	if err := s.follow(ctx, c); err != nil {
		cancel()
		return nil, fmt.Errorf("starting the watches: %w", err)
	}
	return s, nil
}

func (s *state) follow(ctx context.Context, c cache.Cache) error {
	for _, obj := range []client.Object{&v1alpha1.Rollout{}, &appsv1.ReplicaSet{}, &networkingv1.Ingress{}} {
		informer, err := c.GetInformer(ctx, obj, cache.BlockUntilSynced(false))
		if err != nil {
			return fmt.Errorf("watching %T: %w", obj, err)
		}
		if _, err := informer.AddEventHandler(s.handler()); err != nil {
			return fmt.Errorf("listening to %T: %w", obj, err)
		}
	}
	go func() { _ = c.Start(ctx) }()
	if !c.WaitForCacheSync(ctx) {
		return fmt.Errorf("the watches did not begin: %w", context.Cause(ctx))
	}
	return nil
}

func (s *state) handler() toolscache.ResourceEventHandler {
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) {
			switch o := obj.(type) {
			case *appsv1.ReplicaSet:
				s.note(revisionKey(o.Labels["app"], imageOf(o)))
			case *networkingv1.Ingress:
				s.note(weightKey(o.Name, o.Annotations[canaryWeight]))
			}
		},
		UpdateFunc: func(before, after any) {
			o, ok := after.(*networkingv1.Ingress)
			old, both := before.(*networkingv1.Ingress)
			if ok && both && o.Annotations[canaryWeight] != old.Annotations[canaryWeight] {
				s.note(weightKey(o.Name, o.Annotations[canaryWeight]))
			}
		},
	}
}

func revisionKey(name, image string) string   { return "ReplicaSet of " + name + " with " + image }
func weightKey(ingress, weight string) string { return "weight " + weight + " of Ingress " + ingress }

func imageOf(rs *appsv1.ReplicaSet) string { return rs.Spec.Template.Spec.Containers[0].Image }

// note keeps the time at which something was last told.
func (s *state) note(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[what] = time.Now()
}

// seenAfter waits until something is told after a moment and returns when it was.
func (s *state) seenAfter(ctx context.Context, what string, after time.Time) (time.Time, error) {
	var at time.Time
	err := until(ctx, what, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		at = s.seen[what]
		return at.After(after)
	})
	return at, err
}

// inPlace reads the cache without a copy: 500 Rollouts are looked at 50 times a second.
var inPlace = &client.ListOptions{UnsafeDisableDeepCopy: new(true)}

// all waits until every Rollout of the namespace is as wanted.
func (s *state) all(ctx context.Context, what string, want func(*v1alpha1.Rollout) bool) error {
	var list v1alpha1.RolloutList
	var listErr error
	err := until(ctx, what, func() bool {
		if listErr = s.reader.List(ctx, &list, inPlace); listErr != nil {
			return true
		}
		for i := range list.Items {
			if !want(&list.Items[i]) {
				return false
			}
		}
		return len(list.Items) > 0
	})
	if listErr != nil {
		return fmt.Errorf("listing Rollouts: %w", listErr)
	}
	return err
}

// is waits until one Rollout is as wanted.
func (s *state) is(ctx context.Context, what string, ro *v1alpha1.Rollout, want func(*v1alpha1.Rollout) bool) error {
	key := client.ObjectKeyFromObject(ro)
	return until(ctx, what, func() bool {
		var now v1alpha1.Rollout
		return s.reader.Get(ctx, key, &now) == nil && want(&now)
	})
}

// settled waits until only the ReplicaSets of stable revisions have pods.
func (s *state) settled(ctx context.Context, replicas int32) error {
	return until(ctx, "old ReplicaSets to be scaled down", func() bool {
		var sets appsv1.ReplicaSetList
		var rollouts v1alpha1.RolloutList
		if s.reader.List(ctx, &sets, inPlace) != nil || s.reader.List(ctx, &rollouts, inPlace) != nil {
			return false
		}
		var pods int32
		for i := range sets.Items {
			pods += sets.Items[i].Status.Replicas
		}
		return pods == replicas*int32(len(rollouts.Items)) //nolint:gosec // a few hundred
	})
}

// healthyWith is a Rollout whose given image is stable and serves alone.
func healthyWith(image string) func(*v1alpha1.Rollout) bool {
	return func(ro *v1alpha1.Rollout) bool {
		return current(ro) && ro.Status.Phase == v1alpha1.RolloutPhaseHealthy &&
			ro.Spec.Template.Spec.Containers[0].Image == image &&
			ro.Status.CurrentPodHash != "" && ro.Status.StableRS == ro.Status.CurrentPodHash
	}
}

// inPhase is a Rollout whose last spec was seen and led to the phase.
func inPhase(phase v1alpha1.RolloutPhase) func(*v1alpha1.Rollout) bool {
	return func(ro *v1alpha1.Rollout) bool { return current(ro) && ro.Status.Phase == phase }
}

func current(ro *v1alpha1.Rollout) bool {
	return ro.Status.ObservedGeneration == strconv.FormatInt(ro.Generation, 10)
}

// patchImage is the one change that starts an update.
func patchImage(image string) client.Patch {
	return client.RawPatch("application/merge-patch+json",
		fmt.Appendf(nil, `{"spec":{"template":{"spec":{"containers":[{"name":"app","image":%q}]}}}}`, image))
}

func rollout(namespace, name string) *v1alpha1.Rollout {
	return &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
}
