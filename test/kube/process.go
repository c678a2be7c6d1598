package kube

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// stopLimit is what a process gets to clean up after SIGTERM.
const stopLimit = 5 * time.Second

// process is a child that has said READY. It holds the child's standard input open:
// when this process dies, however it dies, the child reads the end and stops.
type process struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	exited chan struct{}
	once   sync.Once
	ready  string // The rest of the READY line.
}

// startProcess runs the binary and waits for a line "READY <label>=<value>".
func startProcess(ctx context.Context, path, label string, args ...string) (*process, error) {
	// The context bounds the start; the process goes on after it.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), path, append([]string{"--die-with-parent"}, args...)...) //nolint:gosec // A binary of ours.
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("opening its input: %w", err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("opening its output: %w", err)
	}
	var stderr tail
	cmd.Stderr = &stderr
	detach(cmd)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting it: %w", err)
	}
	p := &process{cmd: cmd, stdin: stdin, exited: make(chan struct{})}
	ready := make(chan string, 1)
	go func() {
		defer close(p.exited)
		defer close(ready)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			if value, ok := strings.CutPrefix(lines.Text(), "READY "+label+"="); ok {
				ready <- value
			}
		}
		_ = cmd.Wait()
	}()
	select {
	case value, ok := <-ready:
		if !ok {
			p.stop()
			return nil, fmt.Errorf("it ended before it was ready: %s", stderr.String())
		}
		p.ready = value
		return p, nil
	case <-ctx.Done():
		p.stop()
		return nil, fmt.Errorf("waiting until it is ready: %w: %s", ctx.Err(), stderr.String())
	}
}

// stop ends the child and waits for its end. Stopping twice changes nothing.
func (p *process) stop() {
	p.once.Do(func() {
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			_ = p.cmd.Process.Kill()
		}
		select {
		case <-p.exited:
		case <-time.After(stopLimit):
			_ = p.cmd.Process.Kill()
			<-p.exited
		}
		_ = p.stdin.Close()
	})
}

// tail keeps the last bytes written to it.
type tail struct {
	mu   sync.Mutex
	data []byte
}

func (t *tail) Write(p []byte) (int, error) {
	const most = 16 << 10
	t.mu.Lock()
	defer t.mu.Unlock()
	t.data = append(t.data, p...)
	t.data = t.data[max(0, len(t.data)-most):]
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.data)
}
