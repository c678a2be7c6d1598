package process_test

import (
	"context"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/headway-rollouts/headway/test/demo/process"
)

func TestProcess(t *testing.T) {
	t.Run("a program that ends by itself is a failure that quotes its log", func(t *testing.T) {
		p := start(t, "echo the reason >&2; exit 3")
		wait(t, p)
		err := p.Failure()
		if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "the reason") {
			t.Fatalf("Failure() = %v", err)
		}
	})
	t.Run("stopping ends the whole group, also twice", func(t *testing.T) {
		p := start(t, "sleep 600 & wait")
		if err := p.Failure(); err != nil {
			t.Fatalf("a running program is no failure: %v", err)
		}
		for range 2 {
			if err := p.Stop(); err != nil {
				t.Fatal(err)
			}
		}
		for deadline := time.Now().Add(5 * time.Second); syscall.Kill(-p.PID(), 0) == nil; {
			if time.Now().After(deadline) {
				t.Fatal("the group outlives Stop")
			}
		}
	})
	t.Run("output that is cut short by its context is an error", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := process.Output(ctx, process.Program{Path: "sh", Args: []string{"-c", "sleep 600"}}); err == nil {
			t.Fatal("no error")
		}
	})
}

func start(t *testing.T, script string) *process.Process {
	t.Helper()
	p, err := process.Start(process.Program{Path: "/bin/sh", Args: []string{"-c", script}, Log: filepath.Join(t.TempDir(), "log")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Stop() })
	return p
}

func wait(t *testing.T, p *process.Process) {
	t.Helper()
	select {
	case <-p.Exited():
	case <-time.After(10 * time.Second):
		t.Fatal("still running")
	}
}
