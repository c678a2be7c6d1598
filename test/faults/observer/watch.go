package observer

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	toolswatch "k8s.io/client-go/tools/watch"
)

// resources are what is watched.
var resources = map[Kind]schema.GroupVersionResource{
	Rollout:     {Group: "argoproj.io", Version: "v1alpha1", Resource: "rollouts"},
	AnalysisRun: {Group: "argoproj.io", Version: "v1alpha1", Resource: "analysisruns"},
	ReplicaSet:  {Group: "apps", Version: "v1", Resource: "replicasets"},
	Service:     {Version: "v1", Resource: "services"},
	Pod:         {Version: "v1", Resource: "pods"},
	Ingress:     {Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"},
}

// Observer watches a namespace.
type Observer struct {
	client    dynamic.Interface
	namespace string
	ctx       context.Context //nolint:containedctx // It is the life of the watches.

	mu      sync.Mutex
	changes []Change
	failure error
}

// Watch observes a namespace until the test ends. The config leads to the API
// server itself, never through what disturbs the controller.
func Watch(t testing.TB, cfg *rest.Config, namespace string) *Observer {
	t.Helper()
	client, err := dynamic.NewForConfig(cfg)
	if err != nil {
		t.Fatalf("making the client of the observer: %v", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	o := &Observer{client: client, namespace: namespace, ctx: ctx}
	var watches sync.WaitGroup
	t.Cleanup(func() {
		stop()
		watches.Wait()
	})
	for kind := range resources {
		events, err := o.begin(kind)
		if err != nil {
			t.Fatalf("watching %ss: %v", kind, err)
		}
		watches.Go(func() { o.follow(kind, events) })
	}
	return o
}

// begin records what exists and watches from there on.
func (o *Observer) begin(kind Kind) (*toolswatch.RetryWatcher, error) {
	resource := o.client.Resource(resources[kind]).Namespace(o.namespace)
	list, err := resource.List(o.ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("listing: %w", err)
	}
	for i := range list.Items {
		o.add(kind, &list.Items[i], false)
	}
	events, err := toolswatch.NewRetryWatcherWithContext(o.ctx, list.GetResourceVersion(), &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
			return resource.Watch(ctx, opts)
		},
	})
	if err != nil {
		return nil, fmt.Errorf("watching: %w", err)
	}
	return events, nil
}

func (o *Observer) follow(kind Kind, events *toolswatch.RetryWatcher) {
	defer events.Stop()
	for {
		select {
		case <-o.ctx.Done():
			return
		case event, open := <-events.ResultChan():
			if !open {
				o.fail(fmt.Errorf("the watch of %ss ended", kind))
				return
			}
			o.receive(kind, event)
		}
	}
}

func (o *Observer) receive(kind Kind, event watch.Event) {
	object, ok := event.Object.(*unstructured.Unstructured)
	switch event.Type {
	case watch.Added, watch.Modified, watch.Deleted:
		if ok {
			o.add(kind, object, event.Type == watch.Deleted)
		}
	case watch.Bookmark:
	case watch.Error:
		o.fail(fmt.Errorf("watching %ss: %v", kind, event.Object))
	}
}

func (o *Observer) add(kind Kind, object *unstructured.Unstructured, deleted bool) {
	version, err := strconv.ParseUint(object.GetResourceVersion(), 10, 64)
	if err != nil {
		o.fail(fmt.Errorf("reading the version of %s %s: %w", kind, object.GetName(), err))
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.changes = append(o.changes, Change{Version: version, Kind: kind, Name: object.GetName(), Deleted: deleted, Object: object})
}

func (o *Observer) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failure == nil && o.ctx.Err() == nil {
		o.failure = err
	}
}

// patience is how long the watches may lag behind.
const patience = 10 * time.Second

// History is all that happened up to now. It fails the test when a watch did
// not deliver: a history with a hole proves nothing.
func (o *Observer) History(t testing.TB) History {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		missing, err := o.missing(t.Context())
		switch {
		case err != nil:
			t.Fatalf("observing %s: %v", o.namespace, err)
		case missing == "":
			o.mu.Lock()
			defer o.mu.Unlock()
			return ordered(o.changes)
		case time.Now().After(deadline):
			t.Fatalf("observing %s: the watches did not deliver %s", o.namespace, missing)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Present are the objects of a kind as they were seen last, by name. It costs the
// API server nothing, and may be a moment behind.
func (o *Observer) Present(kind Kind) map[string]*unstructured.Unstructured {
	out := map[string]*unstructured.Unstructured{}
	for name, last := range o.newest(kind) {
		if !last.Deleted {
			out[name] = last.Object
		}
	}
	return out
}

// missing names what was not seen yet: the present version of an object, or that
// it is gone; empty when nothing is.
func (o *Observer) missing(ctx context.Context) (string, error) {
	for kind, resource := range resources {
		list, err := o.client.Resource(resource).Namespace(o.namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return "", fmt.Errorf("listing %ss: %w", kind, err)
		}
		seen := o.newest(kind)
		for i := range list.Items {
			object := &list.Items[i]
			if last, ok := seen[object.GetName()]; !ok || last.Deleted || last.Version < version(object) {
				return fmt.Sprintf("%s %s at version %s", kind, object.GetName(), object.GetResourceVersion()), nil
			}
			delete(seen, object.GetName())
		}
		for name, last := range seen {
			if !last.Deleted && last.Version < version(list) {
				return fmt.Sprintf("the end of %s %s", kind, name), nil
			}
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return "", o.failure
}

// newest is the last change of every object of a kind that was seen, by name.
func (o *Observer) newest(kind Kind) map[string]Change {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := map[string]Change{}
	for _, c := range o.changes {
		if last, ok := out[c.Name]; c.Kind == kind && (!ok || c.Version >= last.Version) {
			out[c.Name] = c
		}
	}
	return out
}

// version is the resource version of an object or list; 0 when it is no number.
func version(of interface{ GetResourceVersion() string }) uint64 {
	n, err := strconv.ParseUint(of.GetResourceVersion(), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
