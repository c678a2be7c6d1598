package main

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// perSecond is the number of requests that the simulated users send.
	perSecond = 120
	// tick is how often the split is looked at.
	tick = 50 * time.Millisecond
)

// application is the simulated application with its users. Its metrics are served
// over HTTP for a real Prometheus; where requests go is read from the real cluster.
type application struct {
	reader client.Reader
	server *http.Server
	// Address is the URL of the metrics.
	Address string

	mu      sync.Mutex
	traffic traffic
	err     error
}

// startApplication serves metrics; no requests are sent before run.
func startApplication(reader client.Reader) (*application, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening as the application: %w", err)
	}
	a := &application{reader: reader, Address: "http://" + ln.Addr().String() + "/metrics", traffic: traffic{}}
	a.server = &http.Server{Handler: a, ReadHeaderTimeout: time.Minute}
	go func() { _ = a.server.Serve(ln) }()
	return a, nil
}

func (a *application) close() { _ = a.server.Close() }

// ServeHTTP serves the metrics.
func (a *application) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	_ = a.seen().write(w) // a scraper that goes away is its own business
}

// run sends requests by the wall clock until the context ends.
func (a *application) run(ctx context.Context) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for last := time.Now(); ; {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			a.advance(ctx, now.Sub(last))
			last = now
		}
	}
}

// advance answers the requests of a stretch of time in the shares of now.
func (a *application) advance(ctx context.Context, d time.Duration) {
	routes, err := readObjects(ctx, a.reader)
	var split []share
	if err == nil {
		split, err = routes.shares()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		err = a.traffic.serve(perSecond*d.Seconds(), split)
	}
	if a.err == nil && ctx.Err() == nil {
		a.err = err
	}
}

// seen is a copy of what was answered so far.
func (a *application) seen() traffic {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.traffic)
}

// failure is the first thing that went wrong with the traffic.
func (a *application) failure() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		return fmt.Errorf("sending requests: %w", a.err)
	}
	return nil
}
