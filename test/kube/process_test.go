package kube

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// child starts a shell script in place of a binary of ours.
func child(t *testing.T, script string) (*process, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "child-1")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700); err != nil { //nolint:gosec // It is run.
		t.Fatal(err)
	}
	return startProcess(t.Context(), path, "folder")
}

func TestNothingIsLeftOfAChildThatWasKilled(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	p, err := child(t, `mkdir "$TMPDIR/data" && echo "READY folder=$TMPDIR/data" && exec sleep 600`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(p.ready); err != nil || !strings.HasPrefix(p.ready, tmp) {
		t.Fatalf("the child has no folder in %s: %s, %v", tmp, p.ready, err)
	}
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.stop()
	empty(t, tmp)
}

func TestNothingIsLeftOfAChildThatDoesNotStart(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	if _, err := child(t, `touch "$TMPDIR/data"; echo the reason >&2; exit 3`); err == nil || !strings.Contains(err.Error(), "the reason") {
		t.Errorf("error %v, want the reason", err)
	}
	empty(t, tmp)
}

func empty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Errorf("left behind: %s", e.Name())
	}
}
