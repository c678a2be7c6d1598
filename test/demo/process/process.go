// Package process starts programs that live no longer than whoever started them:
// the controller under test, the plugin, the Go compiler. The demo and the
// benchmarks use it. It knows nothing of Kubernetes.
package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// grace is the time a program has to end after SIGTERM; the API server's watches
// end at once, so a controller needs well under a second.
const grace = 15 * time.Second

// Program is what to start.
type Program struct {
	// Path of the binary.
	Path string
	// Args of the program, without its name.
	Args []string
	// Env is added to this process's environment.
	Env []string
	// Log is the file that receives standard output and standard error.
	Log string
}

// Process is a program that was started.
type Process struct {
	cmd    *exec.Cmd
	log    string
	exited chan struct{}
	err    error
}

// Start starts the program in a process group of its own, so that an interrupt
// typed at the terminal reaches it only through Stop.
func Start(p Program) (*Process, error) {
	log, err := os.Create(filepath.Clean(p.Log))
	if err != nil {
		return nil, fmt.Errorf("creating the log of %s: %w", p.Path, err)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(p.Path, p.Args...) //nolint:gosec // the demo and the benchmarks choose what they run
	cmd.Env = append(os.Environ(), p.Env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = ownGroup()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", p.Path, err)
	}
	started := &Process{cmd: cmd, log: p.Log, exited: make(chan struct{})}
	go func() {
		started.err = cmd.Wait()
		close(started.exited)
	}()
	return started, nil
}

// PID is the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Exited is closed when the program has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Stop asks the program to end, ends it by force when it does not within 15 s,
// and returns once it is gone. Stopping twice is the same as once.
func (p *Process) Stop() error {
	_ = syscall.Kill(-p.PID(), syscall.SIGTERM)
	select {
	case <-p.exited:
		return nil
	case <-time.After(grace):
	}
	_ = syscall.Kill(-p.PID(), syscall.SIGKILL)
	<-p.exited
	return fmt.Errorf("%s did not end within %s of SIGTERM and was killed", p.cmd.Path, grace)
}

// Failure says how a program that should still be running ended, with the end of
// its log. It is nil while the program runs.
func (p *Process) Failure() error {
	select {
	case <-p.exited:
		reason := "exit code 0"
		if p.err != nil {
			reason = p.err.Error()
		}
		return fmt.Errorf("%s ended by itself (%s); its log ends with:\n%s", filepath.Base(p.cmd.Path), reason, p.LogTail())
	default:
		return nil
	}
}

// logTail is how much of a log a failure quotes, in bytes.
const logTail = 4000

// LogTail is the end of the program's log.
func (p *Process) LogTail() string {
	data, err := os.ReadFile(p.log)
	if err != nil {
		return fmt.Sprintf("(its log cannot be read: %v)", err)
	}
	if len(data) > logTail {
		data = data[len(data)-logTail:]
	}
	return string(bytes.TrimSpace(data))
}

// Output runs the program to its end and returns what it printed, which also is
// part of the error when it fails.
func Output(ctx context.Context, p Program) (string, error) {
	cmd := exec.CommandContext(ctx, p.Path, p.Args...) //nolint:gosec // the demo and the benchmarks choose what they run
	cmd.Env = append(os.Environ(), p.Env...)
	cmd.SysProcAttr = ownGroup()
	// A compiler has children of its own: the whole group has to go.
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("running %s: %w\n%s", filepath.Base(p.Path), errors.Join(err, ctx.Err()), bytes.TrimSpace(out))
	}
	return string(out), nil
}

// FreePort is a loopback TCP port that nobody uses at the moment.
func FreePort() (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("looking for a free port: %w", err)
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().(*net.TCPAddr).Port, nil
}
