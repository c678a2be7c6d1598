package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"k8s.io/klog/v2"
)

// An API server makes much garbage: with Go's default of 100 percent it spends a
// quarter of its time on it. Memory is had more easily here than time, up to a limit.
const (
	garbagePercent = 400
	garbageLimit   = 4 << 30
)

// startLimit bounds a start; a quiet machine needs 3 s, a busy one 12 s.
const startLimit = 3 * time.Minute

type settings struct {
	dir           string
	nodes         int
	verbosity     int
	dieWithParent bool
}

func main() {
	var s settings
	flag.StringVar(&s.dir, "dir", "", "work folder (default a temporary folder, removed at exit)")
	flag.IntVar(&s.nodes, "nodes", 2, "number of simulated nodes")
	flag.IntVar(&s.verbosity, "v", 0, "log verbosity")
	flag.BoolVar(&s.dieWithParent, "die-with-parent", false, "stop when standard input ends")
	flag.Parse()
	debug.SetGCPercent(garbagePercent)
	debug.SetMemoryLimit(garbageLimit)
	if err := serve(s); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

// serve starts the cluster and returns when it is told to stop or a part of it fails.
func serve(s settings) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if s.dieWithParent {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			stop()
		}()
	}
	w, err := newWorkFolder(s.dir)
	if err != nil {
		return fmt.Errorf("making the work folder: %w", err)
	}
	defer w.remove()
	if err := logToFile(w.path("log"), s.verbosity); err != nil {
		return fmt.Errorf("opening the log: %w", err)
	}

	failed := make(chan error, 8)
	started := make(chan string, 1)
	go func() {
		kubeconfig, err := startCluster(ctx, w, s.nodes, failed)
		if err != nil {
			failed <- err
			return
		}
		started <- kubeconfig
	}()
	limit := time.After(startLimit)
	for {
		select {
		case kubeconfig := <-started:
			limit = nil
			fmt.Printf("READY kubeconfig=%s\n", kubeconfig)
		case err := <-failed:
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("%w%s", err, w.logTail())
		case <-limit:
			return fmt.Errorf("not ready after %s%s", startLimit, w.logTail())
		case <-ctx.Done():
			return nil
		}
	}
}

// startCluster starts every part in order and returns the path of the kubeconfig
// of a cluster that is ready for use. Parts that fail later report to failed.
func startCluster(ctx context.Context, w *workFolder, nodes int, failed chan<- error) (string, error) {
	ln, err := listen(ctx)
	if err != nil {
		return "", fmt.Errorf("opening the API server's listener: %w", err)
	}
	server := "https://" + ln.Addr().String()
	creds, err := writeCredentials(w, server)
	if err != nil {
		return "", fmt.Errorf("making credentials: %w", err)
	}
	if err := startEtcd(ctx, w); err != nil {
		return "", fmt.Errorf("starting etcd: %w", err)
	}
	if err := startAPIServer(ctx, w, ln, failed); err != nil {
		return "", fmt.Errorf("starting the API server: %w", err)
	}
	api, err := connect(creds.admin)
	if err != nil {
		return "", fmt.Errorf("connecting to the API server: %w", err)
	}
	if err := api.waitReady(ctx); err != nil {
		return "", fmt.Errorf("waiting for the API server: %w", err)
	}
	if err := startControllerManager(ctx, w, creds.controllerManager, failed); err != nil {
		return "", fmt.Errorf("starting the controller manager: %w", err)
	}
	if err := startScheduler(ctx, creds.scheduler, failed); err != nil {
		return "", fmt.Errorf("starting the scheduler: %w", err)
	}
	if err := startKubelets(ctx, api, creds.admin, w, nodes); err != nil {
		return "", fmt.Errorf("starting the simulated kubelets: %w", err)
	}
	if err := startMetrics(ctx, api, creds.authority); err != nil {
		return "", fmt.Errorf("serving pod metrics: %w", err)
	}
	if err := api.waitUsable(ctx, nodes); err != nil {
		return "", fmt.Errorf("waiting for the cluster: %w", err)
	}
	return creds.admin, nil
}

// logToFile sends the log of all parts to one file: standard output and standard
// error belong to whoever started the process.
func logToFile(path string, verbosity int) error {
	f, err := os.Create(filepath.Clean(path))
	if err != nil {
		return err
	}
	fs := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(fs)
	for name, value := range map[string]string{
		"logtostderr":     "false",
		"stderrthreshold": "FATAL",
		"one_output":      "true",
		"v":               strconv.Itoa(verbosity),
	} {
		if err := fs.Set(name, value); err != nil {
			return fmt.Errorf("setting klog's %s: %w", name, err)
		}
	}
	klog.SetOutput(f)
	return nil
}
