package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// floor measures the cluster without any controller of ours: what a bare client
// needs, nobody can beat. Its kubelet is simulated and has a pace of its own.
func (b *bench) floor(ctx context.Context) (rows figures, err error) {
	sc := &scene{bench: b}
	defer func() { err = errors.Join(err, sc.close(ctx)) }()
	if err := sc.prepare(ctx); err != nil {
		return nil, err
	}
	out := &sheet{scenario: "floor"}
	if err := sc.bareCreates(ctx, out); err != nil {
		return nil, fmt.Errorf("creating ReplicaSets one by one: %w", err)
	}
	if err := sc.barePods(ctx, out); err != nil {
		return nil, fmt.Errorf("creating ReplicaSets at once: %w", err)
	}
	return out.rows, nil
}

// bareCreates times a create, from its start until a watch tells of the object.
func (sc *scene) bareCreates(ctx context.Context, out *sheet) error {
	var samples []time.Duration
	for i := range sc.bench.opts.samples {
		rs := bareReplicaSet(sc.namespace, fmt.Sprintf("single%03d", i), 0)
		started := time.Now()
		if err := sc.bench.client.Create(ctx, rs); err != nil {
			return fmt.Errorf("creating a ReplicaSet: %w", err)
		}
		at, err := sc.seenAfter(ctx, revisionKey(rs.Name, image(firstTag)), started)
		if err != nil {
			return err
		}
		samples = append(samples, at.Sub(started))
	}
	out.latencies("bare create of a ReplicaSet to its watch event", samples)
	return nil
}

// barePods times the start of two pods for each of many ReplicaSets.
func (sc *scene) barePods(ctx context.Context, out *sheet) error {
	for i := range sc.bench.opts.n {
		sc.rollouts = append(sc.rollouts, rollout(sc.namespace, fmt.Sprintf("many%03d", i)))
	}
	started := time.Now()
	err := sc.each(ctx, func(ctx context.Context, named *v1alpha1.Rollout) error {
		return sc.bench.client.Create(ctx, bareReplicaSet(sc.namespace, named.Name, 2))
	})
	if err != nil {
		return err
	}
	created := time.Since(started)
	err = until(ctx, "all pods to be ready", func() bool { return sc.readyPods(ctx) == 2*sc.bench.opts.n })
	if err != nil {
		return err
	}
	out.add(fmt.Sprintf("%d bare ReplicaSets created", sc.bench.opts.n), "s", created.Seconds())
	out.add("their pods ready", "s", time.Since(started).Seconds())
	return nil
}

func (sc *scene) readyPods(ctx context.Context) int {
	var sets appsv1.ReplicaSetList
	if sc.reader.List(ctx, &sets, inPlace) != nil {
		return 0
	}
	var ready int
	for i := range sets.Items {
		ready += int(sets.Items[i].Status.ReadyReplicas)
	}
	return ready
}

const (
	// bareRuns is how many AnalysisRuns the floor writes to, and bareWrites how often
	// to each.
	bareRuns, bareWrites = 200, 10
)

// writeFloor measures how many statuses of AnalysisRuns the cluster takes from a bare
// client that writes inParallel of them at once.
func (b *bench) writeFloor(ctx context.Context) (rows figures, err error) {
	namespace, err := b.newNamespace(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.removeNamespaces(ctx, namespace)) }()
	names := make([]string, bareRuns)
	for i := range names {
		names[i] = fmt.Sprintf("r%05d", i)
	}
	err = each(ctx, names, func(ctx context.Context, name string) error {
		return b.client.Create(ctx, analysisRun(namespace, name, asking("http://nobody", 0)))
	})
	if err != nil {
		return nil, fmt.Errorf("creating AnalysisRuns: %w", err)
	}
	started := time.Now()
	err = each(ctx, names, func(ctx context.Context, name string) error {
		for n := range bareWrites {
			if err := b.client.Patch(ctx, analysisRun(namespace, name), patchStatus(int32(n)+1)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("writing statuses: %w", err)
	}
	out := &sheet{scenario: "floor"}
	out.add(fmt.Sprintf("bare status writes per second, %d at once", inParallel), "", bareRuns*bareWrites/time.Since(started).Seconds())
	return out.rows, nil
}

func bareReplicaSet(namespace, name string, replicas int32) *appsv1.ReplicaSet {
	labels := map[string]string{"app": name}
	return &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels},
		Spec: appsv1.ReplicaSetSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: image(firstTag)}}},
			},
		},
	}
}
