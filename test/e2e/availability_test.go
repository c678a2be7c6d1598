package e2e

import (
	"context"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// tally counts the pods of a label that are ready and are not about to go,
// whoever owns them, at every moment.
type tally struct {
	mu     sync.Mutex
	ready  map[types.UID]bool
	now    int
	fewest int
	most   int
}

// count watches the pods of an app until the test ends.
func (w *world) count(app string) *tally {
	w.Helper()
	watching, err := client.NewWithWatch(w.cluster.Config, client.Options{})
	if err != nil {
		w.Fatal(err)
	}
	pods, err := watching.Watch(w.Context(), &corev1.PodList{}, client.InNamespace(w.namespace), client.MatchingLabels{"app": app})
	if err != nil {
		w.Fatal(err)
	}
	t := &tally{ready: map[types.UID]bool{}}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for e := range pods.ResultChan() {
			t.see(e)
		}
	}()
	context.AfterFunc(w.Context(), pods.Stop)
	w.Cleanup(func() { <-ended })
	return t
}

func (t *tally) see(e watch.Event) {
	pod, is := e.Object.(*corev1.Pod)
	if !is {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ready[pod.UID] = e.Type != watch.Deleted && pod.DeletionTimestamp.IsZero() && isReady(pod)
	t.now = 0
	for _, ready := range t.ready {
		if ready {
			t.now++
		}
	}
	t.fewest, t.most = min(t.fewest, t.now), max(t.most, t.now)
}

func isReady(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// from begins to remember the fewest and the most.
func (t *tally) from() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fewest, t.most = t.now, t.now
}

// bounds are the fewest and the most there were.
func (t *tally) bounds() (fewest, most int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.fewest, t.most
}
