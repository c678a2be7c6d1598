package cmd

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// followAgain is the pause before a watch that ended is opened again. It is
// also the interval of polling for those who may read but not watch.
const followAgain = 2 * time.Second

// sighting is a rollout as it was just seen, or why nothing is seen any more.
type sighting struct {
	rollout *v1alpha1.Rollout
	gone    bool
	err     error
}

// scope is which rollouts to follow: one by name, else a namespace, else all.
type scope struct {
	name      string
	namespace string
}

// follow sends rollouts as they change until ctx ends. The channel is closed
// at the end; an error that will not pass is sent before. Only the rollouts
// asked for are watched.
func (a *app) follow(ctx context.Context, s session, sc scope) <-chan sighting {
	out := make(chan sighting)
	f := &follower{session: s, scope: sc, ctx: ctx, out: out}
	go func() {
		defer close(out)
		for {
			if err := f.once(); err != nil {
				f.send(sighting{err: err})
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-a.clock.After(followAgain):
			}
		}
	}()
	return out
}

type follower struct {
	session
	scope
	ctx  context.Context //nolint:containedctx // It lives as long as the follower.
	out  chan<- sighting
	seen bool
}

// once watches until the watch ends. It returns only errors that will not pass.
func (f *follower) once() error {
	opts := &client.ListOptions{Namespace: f.scope.namespace}
	if f.name != "" {
		opts.FieldSelector = fields.OneTermEqualSelector("metadata.name", f.name)
	}
	// The watch is opened before the read, so that no change falls between the
	// two. Without it the read alone remains, which is polling.
	events, err := f.Watch(f.ctx, &v1alpha1.RolloutList{}, opts)
	if err == nil {
		defer events.Stop()
	}
	rollouts, readErr := f.read()
	if readErr != nil {
		if f.seen && !final(readErr) {
			return nil
		}
		return readErr
	}
	f.seen = true
	for i := range rollouts {
		if !f.send(sighting{rollout: &rollouts[i]}) {
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

func (f *follower) read() ([]v1alpha1.Rollout, error) {
	if f.name == "" {
		var list v1alpha1.RolloutList
		err := f.List(f.ctx, &list, client.InNamespace(f.scope.namespace))
		return list.Items, err //nolint:wrapcheck // follow's callers say what was being read.
	}
	var ro v1alpha1.Rollout
	if err := f.Get(f.ctx, client.ObjectKey{Namespace: f.scope.namespace, Name: f.name}, &ro); err != nil {
		return nil, err //nolint:wrapcheck // follow's callers say what was being read.
	}
	return []v1alpha1.Rollout{ro}, nil
}

// pass sends the events of a watch until it ends.
func (f *follower) pass(events watch.Interface) error {
	for {
		var event watch.Event
		var open bool
		select {
		case <-f.ctx.Done():
			return nil
		case event, open = <-events.ResultChan():
		}
		ro, isRollout := event.Object.(*v1alpha1.Rollout)
		if !open || !isRollout {
			return nil
		}
		if f.name != "" && ro.Name != f.name {
			continue
		}
		gone := event.Type == watch.Deleted
		if gone && f.name != "" {
			return apierrors.NewNotFound(v1alpha1.GroupVersion.WithResource("rollouts").GroupResource(), f.name)
		}
		if !f.send(sighting{rollout: ro, gone: gone}) {
			return nil
		}
	}
}

// send reports false when nobody listens any more.
func (f *follower) send(s sighting) bool {
	select {
	case f.out <- s:
		return true
	case <-f.ctx.Done():
		return false
	}
}
