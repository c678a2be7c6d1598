package cmd

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// followAgain is the pause before a watch that ended is opened again. It is
// also the interval of polling for those who may read but not watch.
const followAgain = 2 * time.Second

// family is a kind of object that commands show and follow, and how to make empty ones.
type family[T client.Object] struct {
	noun  noun
	empty func() T
	list  func() client.ObjectList
}

var (
	rollouts = family[*v1alpha1.Rollout]{
		noun:  rolloutNoun,
		empty: func() *v1alpha1.Rollout { return &v1alpha1.Rollout{} },
		list:  func() client.ObjectList { return &v1alpha1.RolloutList{} },
	}
	experiments = family[*v1alpha1.Experiment]{
		noun:  experimentNoun,
		empty: func() *v1alpha1.Experiment { return &v1alpha1.Experiment{} },
		list:  func() client.ObjectList { return &v1alpha1.ExperimentList{} },
	}
	runs = family[*v1alpha1.AnalysisRun]{
		noun:  runNoun,
		empty: func() *v1alpha1.AnalysisRun { return &v1alpha1.AnalysisRun{} },
		list:  func() client.ObjectList { return &v1alpha1.AnalysisRunList{} },
	}
)

// read reads one object.
func (f family[T]) read(ctx context.Context, s session, name string) (T, error) {
	object := f.empty()
	if err := s.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: name}, object); err != nil {
		return object, f.reading(s, name).failed(err)
	}
	return object, nil
}

// reading is the attempt to read one object.
func (f family[T]) reading(s session, name string) attempt {
	return f.noun.attempt(fmt.Sprintf("reading %s '%s'", f.noun.word, name), "get", s.namespace)
}

// listing is the attempt to read all objects.
func (f family[T]) listing(s session) attempt {
	return f.noun.attempt("listing "+f.noun.word+"s", "list", s.namespace)
}

// all reads the objects of the session's namespace, which may be all namespaces.
func (f family[T]) all(ctx context.Context, s session) ([]T, error) {
	list := f.list()
	if err := s.List(ctx, list, client.InNamespace(s.namespace)); err != nil {
		return nil, err //nolint:wrapcheck // The caller says what was being listed.
	}
	var out []T
	err := meta.EachListItem(list, func(object runtime.Object) error {
		if item, ok := object.(T); ok {
			out = append(out, item)
		}
		return nil
	})
	return out, err //nolint:wrapcheck // A list of the scheme has items.
}

// sighting is an object as it was just seen, or why nothing is seen any more.
type sighting[T client.Object] struct {
	object T
	gone   bool
	err    error
}

// scope is which objects to follow: one by name, else a namespace, else all.
type scope struct {
	name      string
	namespace string
}

// follow sends rollouts as they change until ctx ends.
func (a *app) follow(ctx context.Context, s session, sc scope) <-chan sighting[*v1alpha1.Rollout] {
	return (&follower[*v1alpha1.Rollout]{session: s, scope: sc, family: rollouts, clock: a.clock}).start(ctx)
}

type follower[T client.Object] struct {
	session
	scope
	family family[T]
	clock  clock
	ctx    context.Context //nolint:containedctx // It lives as long as the follower.
	out    chan<- sighting[T]
	seen   bool
}

// start sends objects as they change until ctx ends. The channel is closed at
// the end; an error that will not pass is sent before. Only the objects asked
// for are watched.
func (f *follower[T]) start(ctx context.Context) <-chan sighting[T] {
	out := make(chan sighting[T])
	f.ctx, f.out = ctx, out
	go func() {
		defer close(out)
		for {
			if err := f.once(); err != nil {
				f.send(sighting[T]{err: err})
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-f.clock.After(followAgain):
			}
		}
	}()
	return out
}

// once watches until the watch ends. It returns only errors that will not pass.
func (f *follower[T]) once() error {
	opts := &client.ListOptions{Namespace: f.scope.namespace}
	if f.name != "" {
		opts.FieldSelector = fields.OneTermEqualSelector("metadata.name", f.name)
	}
	// The watch is opened before the read, so that no change falls between the
	// two. Without it the read alone remains, which is polling.
	events, err := f.Watch(f.ctx, f.family.list(), opts)
	if err == nil {
		defer events.Stop()
	}
	objects, readErr := f.read()
	if readErr != nil {
		if f.seen && !final(readErr) {
			return nil
		}
		return readErr
	}
	f.seen = true
	for _, object := range objects {
		if !f.send(sighting[T]{object: object}) {
			return nil
		}
	}
	if err != nil {
		return nil
	}
	return f.pass(events)
}

// final reports whether an error will be the same the next time.
func final(err error) bool {
	return apierrors.IsNotFound(err) || apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err)
}

func (f *follower[T]) read() ([]T, error) {
	if f.name == "" {
		s := f.session
		s.namespace = f.scope.namespace
		return f.family.all(f.ctx, s)
	}
	object := f.family.empty()
	if err := f.Get(f.ctx, client.ObjectKey{Namespace: f.scope.namespace, Name: f.name}, object); err != nil {
		return nil, err //nolint:wrapcheck // follow's callers say what was being read.
	}
	return []T{object}, nil
}

// pass sends the events of a watch until it ends.
func (f *follower[T]) pass(events watch.Interface) error {
	for {
		var event watch.Event
		var open bool
		select {
		case <-f.ctx.Done():
			return nil
		case event, open = <-events.ResultChan():
		}
		object, expected := event.Object.(T)
		if !open || !expected {
			return nil
		}
		if f.name != "" && object.GetName() != f.name {
			continue
		}
		gone := event.Type == watch.Deleted
		if gone && f.name != "" {
			return apierrors.NewNotFound(schema.ParseGroupResource(f.family.noun.resource), f.name)
		}
		if !f.send(sighting[T]{object: object, gone: gone}) {
			return nil
		}
	}
}

// send reports false when nobody listens any more.
func (f *follower[T]) send(s sighting[T]) bool {
	select {
	case f.out <- s:
		return true
	case <-f.ctx.Done():
		return false
	}
}
