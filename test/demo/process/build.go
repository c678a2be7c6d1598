package process

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/headway-rollouts/headway/test/kube/scratch"
)

// heartbeat is how often a long build says that it is still at work.
const heartbeat = 15 * time.Second

// Build compiles commands of the module at root, e.g. headway, into its bin
// folder, telling say about the progress.
func Build(ctx context.Context, root string, say func(string), commands ...string) error {
	// An interrupted compiler leaves its files behind; here they are removed.
	tmp, err := scratch.Dir("build")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	args := []string{"-C", root, "build", "-buildvcs=false", "-o", filepath.Join(root, "bin") + string(filepath.Separator)}
	for _, command := range commands {
		args = append(args, "./cmd/"+command)
	}
	done := Heartbeat(say, "building")
	defer done()
	if _, err := Output(ctx, Program{Path: "go", Args: args, Env: []string{"GOTMPDIR=" + tmp}}); err != nil {
		return fmt.Errorf("building %v: %w", commands, err)
	}
	return nil
}

// Heartbeat tells say every 15 s how long something has been going on, until the
// function it returns is called.
func Heartbeat(say func(string), doing string) (done func()) {
	started := time.Now()
	ticker := time.NewTicker(heartbeat)
	stop := make(chan struct{})
	go func() {
		for {
			select {
			case <-ticker.C:
				say(fmt.Sprintf("  still %s, %s so far", doing, time.Since(started).Round(time.Second)))
			case <-stop:
				return
			}
		}
	}()
	return func() {
		ticker.Stop()
		close(stop)
	}
}
