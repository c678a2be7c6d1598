package kube

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/headway-rollouts/headway/test/kube/scratch"
)

// stopLimit is what a process gets to clean up after SIGTERM: a second, or many when others keep
// the machine busy.
const stopLimit = 30 * time.Second

// process is a child that has said READY. It holds the child's standard input open:
// when this process dies, however it dies, the child reads the end and stops.
type process struct {
	cmd    *exec.Cmd
	dir    string // Holds its temporary files.
	stdin  io.Closer
	exited chan struct{}
	once   sync.Once
	ready  string // The rest of the READY line.
}

// startProcess runs the binary and waits for a line "READY <label>=<value>".
func startProcess(ctx context.Context, path, label string, args ...string) (*process, error) {
	// The context bounds the start; the process goes on after it.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), path, append([]string{"--die-with-parent"}, args...)...) //nolint:gosec // A binary of ours.
	program, _, _ := strings.Cut(filepath.Base(path), "-")
	dir, err := scratch.Dir(program)
	if err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, dir: dir, exited: make(chan struct{})}
	ready, stderr, err := p.start(label)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	select {
	case value, ok := <-ready:
		if !ok {
			p.stop()
			return nil, fmt.Errorf("it ended before it was ready: %s", stderr)
		}
		p.ready = value
		return p, nil
	case <-ctx.Done():
		p.stop()
		return nil, fmt.Errorf("waiting until it is ready: %w: %s", ctx.Err(), stderr)
	}
}

// start starts the child. The channel has what it says when it is ready, and is closed when it ends.
func (p *process) start(label string) (<-chan string, *tail, error) {
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, nil, fmt.Errorf("opening its input: %w", err)
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, nil, fmt.Errorf("opening its output: %w", err)
	}
	stderr := &tail{}
	p.stdin, p.cmd.Stderr = stdin, stderr
	p.cmd.Env = append(os.Environ(), "TMPDIR="+p.dir)
	detach(p.cmd)
	if err := p.cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("starting it: %w", err)
	}
	ready := make(chan string, 1)
	go func() {
		defer close(p.exited)
		defer close(ready)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			if value, ok := strings.CutPrefix(lines.Text(), "READY "+label+"="); ok {
				ready <- value
			}
		}
		_ = p.cmd.Wait()
	}()
	return ready, stderr, nil
}

// stop ends the child, waits for its end and removes what it left. Stopping twice changes nothing.
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
		_ = os.RemoveAll(p.dir)
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
