package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
)

const (
	httpPort = "8080"
	grpcPort = "9090"

	// finishLimit bounds the end of requests under way.
	finishLimit = 5 * time.Second
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "app:", err)
		os.Exit(1)
	}
}

// run serves until SIGTERM and drains.
func run() error {
	r, err := parseRelease(os.Getenv("IMAGE_TAG"))
	if err != nil {
		return err
	}
	a := &app{release: r, pod: os.Getenv("POD_NAME"), turns: turns{percent: r.bad}}
	ctx := context.Background()
	if !r.abrupt { // Without a handler, SIGTERM ends a program where it stands.
		var stop context.CancelFunc
		ctx, stop = signal.NotifyContext(ctx, syscall.SIGTERM)
		defer stop()
	}
	web := &http.Server{Handler: a.routes(), ReadHeaderTimeout: time.Minute}
	calls := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(calls, &service{app: a})
	ended := make(chan error, 2)
	for port, serve := range map[string]func(net.Listener) error{httpPort: web.Serve, grpcPort: calls.Serve} {
		ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(os.Getenv("POD_IP"), port))
		if err != nil {
			return fmt.Errorf("opening port %s: %w", port, err)
		}
		go func() { ended <- serve(ln) }()
	}
	select {
	case err := <-ended:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	a.drain()
	return finish(web, calls)
}

// finish ends the servers when they have answered what is under way.
func finish(web *http.Server, calls *grpc.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), finishLimit)
	defer cancel()
	answered := make(chan struct{})
	go func() {
		calls.GracefulStop()
		close(answered)
	}()
	err := web.Shutdown(ctx)
	select {
	case <-answered:
	case <-ctx.Done():
		calls.Stop()
	}
	return err
}
