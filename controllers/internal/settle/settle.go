// Package settle holds back status writes that only count pods: pods come one
// by one, and the write that matters follows within moments. It does not know
// what a status is; its callers say which writes may wait.
package settle

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// Time is how long such a write may wait for company.
const Time = time.Second

// Log remembers since when each object waits. The zero value is ready to use.
type Log struct {
	mu    sync.Mutex
	since map[types.NamespacedName]time.Time
}

// Wait is how long a write that may wait still does; 0 or less when its time is over.
func (l *Log) Wait(key types.NamespacedName, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	began, waiting := l.since[key]
	if !waiting {
		if l.since == nil {
			l.since = map[types.NamespacedName]time.Time{}
		}
		began, l.since[key] = now, now
	}
	return Time - now.Sub(began)
}

// Forget ends the waiting of an object that was written or is gone.
func (l *Log) Forget(key types.NamespacedName) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.since, key)
}
