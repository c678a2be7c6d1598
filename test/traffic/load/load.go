package load

import (
	"context"
	"sync"
	"time"
)

// Load is a steady stream of requests.
type Load struct {
	asker *asker
	stop  context.CancelFunc
	// steady is held while the stream may send, and taken to hold it back.
	steady sync.Mutex
	under  sync.WaitGroup // requests of the stream that are not answered yet
	ended  chan struct{}

	mu     sync.Mutex
	counts Counts
}

// Start sends so many requests a second until Stop.
func Start(ctx context.Context, target Target, perSecond int) *Load {
	ctx, stop := context.WithCancel(ctx)
	l := &Load{asker: newAsker(target), stop: stop, ended: make(chan struct{})}
	go l.stream(ctx, time.Second/time.Duration(perSecond))
	return l
}

// stream sends a request at every tick. Requests under way when the context ends
// are answered and counted: to break them off would look like a loss.
func (l *Load) stream(ctx context.Context, every time.Duration) {
	defer close(l.ended)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		l.steady.Lock()
		l.under.Add(1)
		l.steady.Unlock()
		go func() {
			defer l.under.Done()
			l.count(l.asker.ask(context.WithoutCancel(ctx)))
		}()
	}
}

func (l *Load) count(a Answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.add(a)
}

// workers of a burst send one request after another.
const workers = 12

// Burst sends n requests while the stream is held back, and counts them alone. They
// are counted in the Load's own counts too.
func (l *Load) Burst(ctx context.Context, n int) Counts {
	l.steady.Lock()
	defer l.steady.Unlock()
	l.under.Wait()
	var mu sync.Mutex
	var counts Counts
	var done sync.WaitGroup
	turns := make(chan struct{}, n)
	for range n {
		turns <- struct{}{}
	}
	close(turns)
	for range workers {
		done.Go(func() {
			for range turns {
				a := l.asker.ask(ctx)
				l.count(a)
				mu.Lock()
				counts.add(a)
				mu.Unlock()
			}
		})
	}
	done.Wait()
	return counts
}

// Counts are the answers so far.
func (l *Load) Counts() Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts.clone()
}

// Stop ends the stream, waits for what is under way and returns all counts.
func (l *Load) Stop() Counts {
	l.stop()
	<-l.ended
	l.under.Wait()
	l.asker.close()
	return l.Counts()
}
