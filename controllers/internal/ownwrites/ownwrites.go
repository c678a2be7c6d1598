// Package ownwrites tells a controller whether its cache has seen its own
// writes. A plan made on a cache that has not would repeat them, or decide on
// a world that is already gone.
//
// It knows nothing of other writers: preconditions on the writes cover those.
package ownwrites

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// patience is how long an object that the cache does not have is waited for: it
// may have been deleted meanwhile, and then the cache never shows it. One that
// the cache has in an older version is waited for however long it takes: after
// an outage of the API server a cache can lag behind the writes for half a minute.
const patience = 5 * time.Second

// Log remembers the writes of each reconciled object until the cache shows them.
// The zero value is ready to use.
type Log struct {
	mu      sync.Mutex
	pending map[types.NamespacedName][]write
}

// write is what is remembered: an empty object of the kind, with the name and the
// version alone. What was written may be large, and many writes are remembered.
type write struct {
	object client.Object
	until  time.Time
}

// Client is a client that remembers what it writes on behalf of owner.
func (l *Log) Client(c client.Client, owner types.NamespacedName, now time.Time) client.Client {
	return recording{Client: c, note: func(written client.Object) {
		l.note(owner, write{versionOf(written, c.Scheme()), now.Add(patience)})
	}}
}

// versionOf is an object of the kind of another, with its name and version alone.
func versionOf(written client.Object, scheme *runtime.Scheme) client.Object {
	var out client.Object
	switch o := written.(type) {
	case *metav1.PartialObjectMetadata:
		// The cache has objects of this kind, and would make another one for metadata.
		made, err := scheme.New(o.GroupVersionKind())
		typed, ok := made.(client.Object)
		if err != nil || !ok {
			return written
		}
		out = typed
	case *unstructured.Unstructured:
		unknown := &unstructured.Unstructured{}
		unknown.SetGroupVersionKind(o.GroupVersionKind())
		out = unknown
	default:
		typed, ok := reflect.New(reflect.TypeOf(written).Elem()).Interface().(client.Object)
		if !ok {
			return written
		}
		out = typed
	}
	out.SetNamespace(written.GetNamespace())
	out.SetName(written.GetName())
	out.SetResourceVersion(written.GetResourceVersion())
	return out
}

// same reports whether two objects have one kind and name.
func same(a, b client.Object) bool {
	return reflect.TypeOf(a) == reflect.TypeOf(b) && client.ObjectKeyFromObject(a) == client.ObjectKeyFromObject(b)
}

func (l *Log) note(owner types.NamespacedName, w write) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pending == nil {
		l.pending = map[types.NamespacedName][]write{}
	}
	l.pending[owner] = append(l.pending[owner], w)
}

// Seen reports whether the cache shows every write made on behalf of owner, and
// forgets those it shows.
func (l *Log) Seen(ctx context.Context, cache client.Reader, owner types.NamespacedName, now time.Time) (bool, error) {
	return l.seen(owner, now, func(w write) (sight, error) { return look(ctx, cache, w.object) })
}

// seen is Seen for one way to look for a write.
func (l *Log) seen(owner types.NamespacedName, now time.Time, look func(write) (sight, error)) (bool, error) {
	l.mu.Lock()
	pending := l.pending[owner]
	delete(l.pending, owner)
	l.mu.Unlock()

	var failure error
	fresh := true
	for _, w := range pending {
		sight, err := look(w)
		if err == nil && (sight == shown || sight == absent && !now.Before(w.until)) {
			continue
		}
		fresh, failure = false, errors.Join(failure, err)
		l.note(owner, w)
	}
	return fresh, failure
}

// Read reads the object that is named by its namespace and name, and reports
// whether the cache shows every write made on its behalf: those of the object
// itself by the version that was read. The error of an object that is gone is
// NotFound.
func (l *Log) Read(ctx context.Context, cache client.Reader, object client.Object, now time.Time) (bool, error) {
	key := client.ObjectKeyFromObject(object)
	if err := cache.Get(ctx, key, object); err != nil {
		return false, fmt.Errorf("reading the object: %w", err)
	}
	fresh, err := l.seen(key, now, func(w write) (sight, error) {
		if same(w.object, object) {
			return compare(object, w.object), nil
		}
		return look(ctx, cache, w.object)
	})
	if err != nil {
		return false, fmt.Errorf("checking for own writes: %w", err)
	}
	return fresh, nil
}

// Forget drops the writes on behalf of an owner that is gone: the cache may never show them.
func (l *Log) Forget(owner types.NamespacedName) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.pending, owner)
}

// sight is what the cache shows of a write.
type sight int

const (
	absent sight = iota // no such object
	older               // the object as it was before
	shown               // the write, or what became of it
)

func look(ctx context.Context, cache client.Reader, written client.Object) (sight, error) {
	cached, ok := written.DeepCopyObject().(client.Object)
	if !ok {
		return shown, nil
	}
	// Only the version is read, so the object of the cache need not be copied.
	err := cache.Get(ctx, client.ObjectKeyFromObject(written), cached, client.UnsafeDisableDeepCopy)
	if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) { // its kind may be gone with it
		return absent, nil
	}
	if err != nil {
		return older, fmt.Errorf("looking for an own write in the cache: %w", err)
	}
	return compare(cached, written), nil
}

// compare says whether a cached object is as a write left it, or later.
func compare(cached, written client.Object) sight {
	order, err := resourceversion.CompareResourceVersion(cached.GetResourceVersion(), written.GetResourceVersion())
	if err == nil && order < 0 {
		return older
	}
	// A server with opaque versions cannot be compared; preconditions protect.
	return shown
}

// recording is a client that notes what it wrote.
type recording struct {
	client.Client

	note func(client.Object)
}

func (r recording) Create(ctx context.Context, obj client.Object, opts ...client.CreateOption) error {
	if err := r.Client.Create(ctx, obj, opts...); err != nil {
		return err //nolint:wrapcheck // It stands in for the client it wraps.
	}
	r.note(obj)
	return nil
}

func (r recording) Patch(ctx context.Context, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
	if err := r.Client.Patch(ctx, obj, patch, opts...); err != nil {
		return err //nolint:wrapcheck // It stands in for the client it wraps.
	}
	r.note(obj)
	return nil
}

func (r recording) Status() client.SubResourceWriter {
	return recordingStatus{SubResourceWriter: r.Client.Status(), note: r.note}
}

type recordingStatus struct {
	client.SubResourceWriter

	note func(client.Object)
}

func (r recordingStatus) Patch(ctx context.Context, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
	if err := r.SubResourceWriter.Patch(ctx, obj, patch, opts...); err != nil {
		return err //nolint:wrapcheck // It stands in for the writer it wraps.
	}
	r.note(obj)
	return nil
}
