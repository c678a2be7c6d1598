// Command demo shows Headway at work on a machine with nothing but Go: a release
// that its measurements promote, one that they roll back, and why.
//
// It starts a real Kubernetes control plane and a real Prometheus, installs Headway
// from config/ and runs the controller with the token of the installed
// ServiceAccount. Only the nodes, the application and its users are simulated. It
// ends with exit code 1 when any part of the story does not happen, and leaves
// nothing behind. `make demo` runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := demo(ctx, os.Args[1:], os.Stdout)
	interrupted := ctx.Err() != nil
	stop()
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return
	case interrupted:
		fmt.Fprintln(os.Stderr, "demo: interrupted; everything is stopped and removed")
	default:
		fmt.Fprintln(os.Stderr, "demo:", err)
	}
	os.Exit(1)
}

// demo parses the flags and shows the story.
func demo(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	transcript := flags.String("transcript", "", "file that receives a copy of what is shown")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *transcript != "" {
		file, err := os.Create(filepath.Clean(*transcript))
		if err != nil {
			return fmt.Errorf("creating the transcript: %w", err)
		}
		defer func() { _ = file.Close() }()
		out = io.MultiWriter(out, file)
	}
	return play(ctx, &screen{out: out})
}
