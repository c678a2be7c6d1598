// Command prometheus is a small Prometheus in one process: the real scraper,
// database and query engine behind /api/v1/query, /api/v1/query_range and /-/ready.
//
// It is not a product: it scrapes the targets of its command line and forgets all
// at exit. Package test/kube builds and starts it for tests and the demo.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

type settings struct {
	listen        string
	targets       targetList
	interval      time.Duration
	dir           string
	dieWithParent bool
}

// targetList is a flag that may be given many times.
type targetList []string

func (l *targetList) String() string { return strings.Join(*l, ",") }

func (l *targetList) Set(v string) error {
	*l = append(*l, v)
	return nil
}

func main() {
	var s settings
	flag.StringVar(&s.listen, "listen", "127.0.0.1:0", "address to serve on")
	flag.Var(&s.targets, "target", "URL to scrape, repeatable")
	flag.DurationVar(&s.interval, "scrape-interval", time.Second, "time between two scrapes")
	flag.StringVar(&s.dir, "dir", "", "data folder (default a temporary folder, removed at exit)")
	flag.BoolVar(&s.dieWithParent, "die-with-parent", false, "stop when standard input ends")
	flag.Parse()
	if err := serve(s); err != nil {
		fmt.Fprintln(os.Stderr, "prometheus:", err)
		os.Exit(1)
	}
}

// serve scrapes and answers queries until it is told to stop.
func serve(s settings) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if s.dieWithParent {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			stop()
		}()
	}
	if s.dir == "" {
		tmp, err := os.MkdirTemp("", "prometheus-")
		if err != nil {
			return fmt.Errorf("making the data folder: %w", err)
		}
		defer func() { _ = os.RemoveAll(tmp) }()
		s.dir = tmp
	}
	db, err := openDatabase(s.dir)
	if err != nil {
		return fmt.Errorf("opening the database: %w", err)
	}
	defer func() { _ = db.Close() }()
	stopScraping, err := scrapeTargets(db, s.targets, s.interval)
	if err != nil {
		return fmt.Errorf("starting to scrape: %w", err)
	}
	defer stopScraping()

	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.listen)
	if err != nil {
		return fmt.Errorf("opening the listener: %w", err)
	}
	server := &http.Server{Handler: newQueryAPI(db).handler(), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	fmt.Printf("READY address=http://%s\n", ln.Addr())
	select {
	case err := <-served:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	if err := server.Close(); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("closing the server: %w", err)
	}
	return nil
}
