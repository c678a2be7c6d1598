package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// addServers opens the ports and hands the servers to the manager, which starts them first: probes
// are answered while caches fill. The manager logs each with its address.
func addServers(ctx context.Context, mgr manager.Manager, o *options) error {
	longest, err := longestReconcile(metrics.Registry)
	if err != nil {
		return err
	}
	live := &healthz.Handler{Checks: map[string]healthz.Checker{"ping": healthz.Ping, "workers": workersMove(longest)}}
	ready := &healthz.Handler{Checks: map[string]healthz.Checker{"caches": cachesSynced(mgr.GetCache())}}
	for _, s := range []struct {
		name, address string
		handler       http.Handler
	}{
		{"health", portAddress(o.healthzPort), healthRoutes(live, ready)},
		{"metrics", portAddress(o.metricsPort), metricsRoutes()},
		{"pprof", o.pprofAddress, pprofRoutes()},
	} {
		if s.address == "" {
			continue
		}
		server, err := listen(ctx, s.name, s.address)
		if err != nil {
			return err
		}
		server.Server.Handler = s.handler
		if err := mgr.Add(server); err != nil {
			return fmt.Errorf("adding the %s server: %w", s.name, err)
		}
	}
	return nil
}

// portAddress is empty for a port that is switched off.
func portAddress(port int) string {
	if port == portOff {
		return ""
	}
	return net.JoinHostPort("", strconv.Itoa(port))
}

func listen(ctx context.Context, name, address string) (*manager.Server, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening for %s on %s: %w", name, address, err)
	}
	patience := 5 * time.Second
	return &manager.Server{
		Name:            name,
		Listener:        listener,
		ShutdownTimeout: &patience,
		Server: &http.Server{
			MaxHeaderBytes:    16 << 10,
			ReadHeaderTimeout: 10 * time.Second,
			IdleTimeout:       90 * time.Second,
		},
	}, nil
}

func healthRoutes(live, ready http.Handler) http.Handler {
	mux := http.NewServeMux()
	for path, h := range map[string]http.Handler{"/healthz": live, "/readyz": ready} {
		mux.Handle(path, http.StripPrefix(path, h))
		mux.Handle(path+"/", http.StripPrefix(path, h))
	}
	return mux
}

func metricsRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(metrics.Registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}))
	return mux
}

func pprofRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}
