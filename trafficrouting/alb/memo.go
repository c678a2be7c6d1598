package alb

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// memory is how long an answer of AWS is good, and how long nobody asks again after a failure.
const memory = 5 * time.Second

// memo remembers answers for a moment, and lets only one ask for each of them at a time.
type memo[V any] struct {
	clock clock.PassiveClock

	mu      sync.Mutex
	entries map[string]*answer[V]
	swept   time.Time
}

// answer is what was said, once it was.
type answer[V any] struct {
	turn  chan struct{} // holds the right to ask
	asked time.Time
	value V
	err   error
}

func newMemo[V any](c clock.PassiveClock) *memo[V] {
	return &memo[V]{clock: c, entries: map[string]*answer[V]{}, swept: c.Now()}
}

// get returns what was said of a key, if that was asked since the time given and is not too old, and
// otherwise asks.
func (m *memo[V]) get(ctx context.Context, key string, since time.Time, ask func(context.Context) (V, error)) (V, error) {
	entry := m.entry(key)
	select {
	case entry.turn <- struct{}{}:
		defer func() { <-entry.turn }()
	case <-ctx.Done():
		var none V
		return none, fmt.Errorf("waiting for another who asks the same: %w", ctx.Err())
	}
	now := m.clock.Now()
	m.mu.Lock()
	asked, value, err := entry.asked, entry.value, entry.err
	m.mu.Unlock()
	if !asked.IsZero() && !asked.Before(since) && now.Sub(asked) < memory {
		return value, err
	}
	value, err = ask(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	entry.asked, entry.value, entry.err = now, value, err
	return value, err
}

func (m *memo[V]) entry(key string) *answer[V] {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sweep(m.clock.Now())
	entry, there := m.entries[key]
	if !there {
		entry = &answer[V]{turn: make(chan struct{}, 1)}
		m.entries[key] = entry
	}
	return entry
}

// sweep forgets what is too old, at most once in that time.
func (m *memo[V]) sweep(now time.Time) {
	if now.Sub(m.swept) < memory {
		return
	}
	m.swept = now
	for key, entry := range m.entries {
		if len(entry.turn) == 0 && now.Sub(entry.asked) >= memory {
			delete(m.entries, key)
		}
	}
}
