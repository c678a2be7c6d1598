// Package ondemand reads objects of kinds that a cluster may not serve, such as those of a mesh, from a
// cache that is filled once somebody asks for the kind. A cluster without the kind costs nothing, and one
// that gets it is noticed without a restart.
//
// It knows no router and no Rollout: the Rollout controller calls it, and hears of what it watches.
package ondemand

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// ErrBehind says that the cache of a kind is still being filled: ask again in a moment.
var ErrBehind = errors.New("the cache of a kind that was just asked for is still being filled")

// Options are what Objects need.
type Options struct {
	// Client writes, and reads the kinds with Go types.
	Client client.Client
	// Cache holds the objects of the kinds without.
	Cache cache.Cache
	// Live reads from the API server: whether a kind may be listed is asked before it is watched, since a
	// watch that is refused would try for ever and tell nobody.
	Live client.Reader
	// Namespace is the only one that is watched; empty is all of them.
	Namespace string
	// Indexes are the functions that answer for the fields which lists may match, for every kind.
	Indexes map[string]func(metav1.Object) []string
	// Watch begins to hear of the objects of a kind; it is called once for each, before the first is read.
	Watch func(schema.GroupVersionKind) error
	// WatchDefinitions begins to hear of CustomResourceDefinitions; it is called once, before the first kind
	// is asked for. nil where their watch is not permitted: a missing kind is then looked for again after a
	// while, and one whose definition goes is not noticed.
	WatchDefinitions func() error
	// Now is the time.
	Now func() time.Time
}

const (
	// forgotten is for how long a missing kind is believed to be missing where definitions are not heard of.
	forgotten = 20 * time.Second
	// unsettled is how long after its definition came a kind may seem to be missing: the API server
	// tells of it a moment later.
	unsettled = 30 * time.Second
)

// Objects is a client of all kinds: what it is asked of unstructured objects it answers from the cache,
// and all else the wrapped client does. A kind that is not served is an error for which
// meta.IsNoMatchError is true.
type Objects struct {
	client.Client

	options Options

	mu          sync.Mutex
	definitions bool
	watched     map[schema.GroupVersionKind]schema.GroupResource
	gone        map[schema.GroupResource]bool
	missing     map[schema.GroupVersionKind]missing
	welcomed    map[string]time.Time // by group
}

// missing is a kind that the API server did not know, and when.
type missing struct {
	err error
	at  time.Time
	// unanswered says that the API server did not say so: it is asked again after a while.
	unanswered bool
}

var _ client.Client = (*Objects)(nil)

// New makes Objects.
func New(options Options) *Objects {
	return &Objects{
		Client: options.Client, options: options,
		watched: map[schema.GroupVersionKind]schema.GroupResource{}, gone: map[schema.GroupResource]bool{},
		missing: map[schema.GroupVersionKind]missing{}, welcomed: map[string]time.Time{},
	}
}

// Get reads from the cache, and begins to fill it with the first question for a kind.
func (o *Objects) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	if _, foreign := obj.(*unstructured.Unstructured); !foreign {
		return o.Client.Get(ctx, key, obj, opts...) //nolint:wrapcheck // It stands in for the client it wraps.
	}
	kind := obj.GetObjectKind().GroupVersionKind()
	if only := o.options.Namespace; only != "" && key.Namespace != only {
		return apierrors.NewForbidden(schema.GroupResource{Group: kind.Group, Resource: kind.Kind}, key.Name,
			fmt.Errorf("this controller serves namespace %s alone, not %s", only, key.Namespace))
	}
	if err := o.ready(ctx, kind); err != nil {
		return err
	}
	return o.options.Cache.Get(ctx, key, obj, opts...) //nolint:wrapcheck // As above.
}

// List reads from the cache. A list that matches an index asks for what is known already: it does not
// begin to fill the cache of a kind, and finds nothing of one that nobody asked for.
func (o *Objects) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	if _, foreign := list.(*unstructured.UnstructuredList); !foreign {
		return o.Client.List(ctx, list, opts...) //nolint:wrapcheck // It stands in for the client it wraps.
	}
	kind := list.GetObjectKind().GroupVersionKind()
	kind.Kind = strings.TrimSuffix(kind.Kind, "List")
	var matches client.ListOptions
	if matches.ApplyOptions(opts); matches.FieldSelector != nil && !o.asked(kind) {
		return nil
	}
	if err := o.ready(ctx, kind); err != nil {
		if matches.FieldSelector != nil {
			return nil // nothing is known yet; whoever names an object of the kind is told
		}
		return err
	}
	return o.options.Cache.List(ctx, list, opts...) //nolint:wrapcheck // As above.
}

// RESTMapper knows that a kind is gone whose definition was deleted, which the one that is wrapped forgets to ask.
func (o *Objects) RESTMapper() meta.RESTMapper { return mapper{o.Client.RESTMapper(), o} }

// Drop forgets a kind whose definition was deleted. It reports whether anybody asked for it.
func (o *Objects) Drop(ctx context.Context, resource schema.GroupResource) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.gone[resource] = true
	dropped := false
	for kind, of := range o.watched {
		if of != resource {
			continue
		}
		delete(o.watched, kind)
		// Its error would say that there is no such informer.
		_ = o.options.Cache.RemoveInformer(ctx, empty(kind))
		dropped = true
	}
	return dropped
}

// Welcome notes that the definition of a kind is there.
func (o *Objects) Welcome(resource schema.GroupResource) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.gone, resource)
	o.welcomed[resource.Group] = o.options.Now()
	maps.DeleteFunc(o.missing, func(kind schema.GroupVersionKind, _ missing) bool { return kind.Group == resource.Group })
}

// ready reports no error when the cache of a kind is filled.
func (o *Objects) ready(ctx context.Context, kind schema.GroupVersionKind) error {
	if err := o.begin(ctx, kind); err != nil {
		return err
	}
	informer, err := o.options.Cache.GetInformer(ctx, empty(kind), cache.BlockUntilSynced(false))
	if err != nil {
		return fmt.Errorf("watching every %s: %w", kind.Kind, err)
	}
	if !informer.HasSynced() {
		return fmt.Errorf("reading every %s: %w", kind.Kind, ErrBehind)
	}
	return nil
}

func (o *Objects) asked(kind schema.GroupVersionKind) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, asked := o.watched[kind]
	return asked
}

// Begin begins to watch a kind as if somebody had asked for one of its objects.
func (o *Objects) Begin(ctx context.Context, kind schema.GroupVersionKind) error {
	return o.begin(ctx, kind)
}

// begin watches a kind, once, if it is served and may be listed.
func (o *Objects) begin(ctx context.Context, kind schema.GroupVersionKind) error {
	if o.asked(kind) {
		return nil
	}
	mapping, err := o.RESTMapper().RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return fmt.Errorf("looking for %s: %w", kind, err)
	}
	if err := o.permitted(ctx, kind); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, asked := o.watched[kind]; asked {
		return nil
	}
	for field, keys := range o.options.Indexes {
		index := func(obj client.Object) []string { return keys(obj) }
		if err := o.options.Cache.IndexField(ctx, empty(kind), field, index); err != nil && !strings.Contains(err.Error(), "indexer conflict") {
			return fmt.Errorf("indexing every %s by %s: %w", kind.Kind, field, err)
		}
	}
	if err := o.options.Watch(kind); err != nil {
		return fmt.Errorf("watching every %s: %w", kind.Kind, err)
	}
	o.watched[kind] = mapping.Resource.GroupResource()
	return nil
}

// permitted asks for one object of the kind.
func (o *Objects) permitted(ctx context.Context, kind schema.GroupVersionKind) error {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
	opts := []client.ListOption{client.Limit(1)}
	if o.options.Namespace != "" {
		opts = append(opts, client.InNamespace(o.options.Namespace))
	}
	err := o.options.Live.List(ctx, list, opts...)
	if apierrors.IsNotFound(err) { // its definition has just been deleted
		return &meta.NoKindMatchError{GroupKind: kind.GroupKind(), SearchedVersions: []string{kind.Version}}
	}
	if err != nil {
		return fmt.Errorf("asking whether every %s may be read: %w", kind.Kind, err)
	}
	return nil
}

// hear begins to hear of definitions, once.
func (o *Objects) hear() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.definitions || o.options.WatchDefinitions == nil {
		return
	}
	if err := o.options.WatchDefinitions(); err != nil {
		o.options.WatchDefinitions = nil // without the right to it there is none
		return
	}
	o.definitions = true
}

func (o *Objects) isGone(resource schema.GroupResource) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.gone[resource]
}

func empty(kind schema.GroupVersionKind) *unstructured.Unstructured {
	obj := &unstructured.Unstructured{}
	obj.SetGroupVersionKind(kind)
	return obj
}

// recall is the error of a kind that was missing when it was last looked for; nil when it is to be looked for.
func (o *Objects) recall(kind schema.GroupVersionKind) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	known, ok := o.missing[kind]
	if !ok || (!o.definitions || known.unanswered) && o.options.Now().Sub(known.at) > forgotten {
		return nil
	}
	return known.err
}

// miss remembers that a kind was missing at a time, unless its definition has come since, or a moment before.
func (o *Objects) miss(kind schema.GroupVersionKind, at time.Time, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if came, ok := o.welcomed[kind.Group]; !ok || at.Sub(came) > unsettled {
		o.missing[kind] = missing{err: err, at: at}
	}
}

// unanswered remembers that nobody said whether a kind is served.
func (o *Objects) unanswered(kind schema.GroupVersionKind, at time.Time, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.missing[kind] = missing{err, at, true}
}

// mapper is a RESTMapper that believes the definitions. Whoever asks it for a kind hears of its coming
// and going, and a kind that is missing is not looked for again until it comes.
type mapper struct {
	meta.RESTMapper

	objects *Objects
}

// RESTMapping is as that of the mapper that is wrapped.
func (m mapper) RESTMapping(kind schema.GroupKind, versions ...string) (*meta.RESTMapping, error) {
	m.objects.hear()
	if len(versions) != 1 {
		return m.find(kind, versions...)
	}
	one := kind.WithVersion(versions[0])
	if err := m.objects.recall(one); err != nil {
		return nil, err
	}
	asked := m.objects.options.Now()
	mapping, err := m.find(kind, versions...)
	switch {
	case meta.IsNoMatchError(err):
		m.objects.miss(one, asked, err)
	case err != nil:
		// A cluster that does not answer serves nothing for a while: what does not need the kind goes on.
		err = errors.Join(err, &meta.NoKindMatchError{GroupKind: kind, SearchedVersions: versions})
		m.objects.unanswered(one, asked, err)
	}
	return mapping, err
}

func (m mapper) find(kind schema.GroupKind, versions ...string) (*meta.RESTMapping, error) {
	mapping, err := m.RESTMapper.RESTMapping(kind, versions...)
	if err != nil {
		return nil, err //nolint:wrapcheck // It stands in for the mapper it wraps.
	}
	if m.objects.isGone(mapping.Resource.GroupResource()) {
		return nil, &meta.NoKindMatchError{GroupKind: kind, SearchedVersions: versions}
	}
	return mapping, nil
}
