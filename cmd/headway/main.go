// Command headway is the controller: it reads flags, wires the controllers to one manager, and runs
// until it is told to stop. It decides nothing about a Rollout; that is in controllers.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once, for a person who does not want to wait.
	context.AfterFunc(ctx, stop)
	os.Exit(execute(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
