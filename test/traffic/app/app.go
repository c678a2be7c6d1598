package main

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// The headers of an answer. They are metadata of a gRPC answer.
const (
	versionHeader    = "x-version"
	podHeader        = "x-pod"
	deliberateHeader = "x-deliberate"
)

const (
	// work is what a request takes, so that there are always some under way.
	work = 4 * time.Millisecond

	// A proxy that learns of a change in 2 s sends nothing after drainAtLeast, and one
	// that is slower still sends something within quiet. drainAtMost ends what never is quiet.
	drainAtLeast = 3 * time.Second
	quiet        = 1 * time.Second
	drainAtMost  = 15 * time.Second
)

// app answers requests of both protocols.
type app struct {
	release  release
	pod      string
	turns    turns
	draining atomic.Bool
	last     atomic.Int64 // when a request came last, in nanoseconds

	answered, failed atomic.Uint64
}

// answer takes a request, and reports whether it fails on purpose.
func (a *app) answer() (fails bool) {
	a.last.Store(time.Now().UnixNano())
	time.Sleep(work)
	if fails = a.turns.fails(); fails {
		a.failed.Add(1)
	} else {
		a.answered.Add(1)
	}
	return fails
}

// drain waits until the proxy has stopped sending requests.
func (a *app) drain() {
	a.draining.Store(true)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for start := time.Now(); time.Since(start) < drainAtMost; <-tick.C {
		if time.Since(start) > drainAtLeast && time.Since(time.Unix(0, a.last.Load())) > quiet {
			return
		}
	}
}

func (a *app) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/live", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/ready", func(w http.ResponseWriter, _ *http.Request) {
		if a.draining.Load() || a.release.unready {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, "app_requests_total{failed=\"false\"} %d\napp_requests_total{failed=\"true\"} %d\n", a.answered.Load(), a.failed.Load())
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		fails := a.answer()
		w.Header().Set(versionHeader, a.release.tag)
		w.Header().Set(podHeader, a.pod)
		if fails {
			w.Header().Set(deliberateHeader, "true")
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = fmt.Fprintln(w, a.release.tag)
	})
	return mux
}

// service is the health service, whose one method stands for all calls: its code
// comes with gRPC and need not be generated.
type service struct {
	grpc_health_v1.UnimplementedHealthServer

	app *app
}

// Check answers, or fails on purpose.
func (s *service) Check(ctx context.Context, _ *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	fails := s.app.answer()
	header := metadata.Pairs(versionHeader, s.app.release.tag, podHeader, s.app.pod)
	if fails {
		header.Set(deliberateHeader, "true")
	}
	if err := grpc.SetHeader(ctx, header); err != nil {
		return nil, err
	}
	if fails {
		return nil, status.Error(codes.Internal, "this release is bad")
	}
	return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVING}, nil
}
