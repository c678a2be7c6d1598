package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// inParallel is the number of requests the benchmark itself has under way at once.
const inParallel = 16

// scene is a namespace of Rollouts that a controller has made healthy.
type scene struct {
	*state
	bench     *bench
	namespace string
	rollouts  []*v1alpha1.Rollout
	// Nil before the controller runs, and for the floor.
	run *running
}

// cast is who is in a scene.
type cast struct {
	Count    int
	Steps    string
	Analysis string
	// Extra is YAML that is applied before the Rollouts.
	Extra []byte
}

// image is the image of a revision.
func image(tag string) string { return "bench/app:" + tag }

// open makes a namespace, starts the controller, creates the Rollouts and waits
// until all are healthy and the controller is quiet.
func (b *bench) open(ctx context.Context, s subject, c cast) (*scene, error) {
	sc := &scene{bench: b}
	if err := sc.prepare(ctx); err != nil {
		return nil, errors.Join(err, sc.close(ctx))
	}
	run, err := b.start(ctx, s)
	if err != nil {
		return nil, errors.Join(err, sc.close(ctx))
	}
	sc.run = run
	if err := errors.Join(sc.populate(ctx, c), sc.run.process.Failure()); err != nil {
		return nil, errors.Join(err, sc.close(ctx))
	}
	return sc, nil
}

// prepare makes the namespace and watches it.
func (sc *scene) prepare(ctx context.Context) error {
	var err error
	if sc.namespace, err = sc.bench.newNamespace(ctx); err != nil {
		return err
	}
	sc.state, err = watch(ctx, sc.bench.cluster.Config, sc.bench.scheme, sc.namespace)
	return err
}

// newNamespace makes a namespace and returns its name.
func (b *bench) newNamespace(ctx context.Context) (string, error) {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "bench-"}}
	if err := b.client.Create(ctx, ns); err != nil {
		return "", fmt.Errorf("creating a namespace: %w", err)
	}
	return ns.Name, nil
}

// populate creates the Rollouts and waits until they are healthy.
func (sc *scene) populate(ctx context.Context, c cast) error {
	if len(c.Extra) > 0 {
		if err := sc.bench.cluster.Apply(ctx, sc.namespace, c.Extra); err != nil {
			return fmt.Errorf("preparing the namespace: %w", err)
		}
	}
	for i := range c.Count {
		sc.rollouts = append(sc.rollouts, rollout(sc.namespace, fmt.Sprintf("c%03d", i)))
	}
	err := sc.each(ctx, func(ctx context.Context, ro *v1alpha1.Rollout) error {
		objects, err := canary{Name: ro.Name, Steps: c.Steps, Analysis: c.Analysis, ScaleDownDelay: sc.bench.opts.scaleDownDelay}.yaml()
		if err != nil {
			return err
		}
		return sc.bench.cluster.Apply(ctx, sc.namespace, objects)
	})
	if err != nil {
		return fmt.Errorf("creating Rollouts: %w", err)
	}
	if err := sc.all(ctx, "all Rollouts to be healthy", healthyWith(image(firstTag))); err != nil {
		return err
	}
	return sc.run.proxy.quiet(ctx, settleTime)
}

// each does something for every Rollout, several at once.
func (sc *scene) each(ctx context.Context, do func(context.Context, *v1alpha1.Rollout) error) error {
	return each(ctx, sc.rollouts, do)
}

// each does something for every item, several at once.
func each[T any](ctx context.Context, items []T, do func(context.Context, T) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(inParallel)
	for _, item := range items {
		group.Go(func() error { return do(ctx, item) })
	}
	return group.Wait()
}

// release changes the image of one Rollout.
func (sc *scene) release(ctx context.Context, ro *v1alpha1.Rollout, tag string) error {
	if err := sc.bench.client.Patch(ctx, ro.DeepCopy(), patchImage(image(tag))); err != nil {
		return fmt.Errorf("changing the image of %s: %w", ro.Name, err)
	}
	return nil
}

// cleanLimit bounds the removal of a namespace; the simulated kubelet deletes
// thousands of pods in it.
const cleanLimit = 5 * time.Minute

// close stops the controller and removes the namespace, so that the next scene
// starts on an empty cluster. It also works when the context has ended.
func (sc *scene) close(ctx context.Context) error {
	if sc.state != nil {
		sc.stop()
	}
	var stopped error
	if sc.run != nil {
		stopped = sc.run.stop()
	}
	if sc.namespace == "" {
		return stopped
	}
	return errors.Join(stopped, sc.bench.removeNamespaces(ctx, sc.namespace))
}

// removeNamespaces deletes namespaces and returns when they are gone. It also works
// when the context has ended.
func (b *bench) removeNamespaces(ctx context.Context, names ...string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanLimit)
	defer cancel()
	return each(ctx, names, func(ctx context.Context, name string) error {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if err := b.client.Delete(ctx, ns); err != nil {
			return fmt.Errorf("deleting the namespace: %w", err)
		}
		return until(ctx, "the namespace to be gone", func() bool {
			return apierrors.IsNotFound(b.client.Get(ctx, client.ObjectKeyFromObject(ns), ns))
		})
	})
}
