package kubelet

import (
	"bytes"
	"os/exec"
	"syscall"
	"time"
)

// process is a container that runs.
type process struct {
	cmd     *exec.Cmd
	started time.Time
	output  bytes.Buffer // Written by the process alone until ended is closed.
	ended   chan struct{}
}

// start starts a program that ends when this process does, however that ends.
func start(path string, args, env []string) (*process, error) {
	p := &process{cmd: exec.Command(path, args...), started: time.Now(), ended: make(chan struct{})} //nolint:gosec // A program of the tests.
	p.cmd.Env = env
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	p.cmd.SysProcAttr = dieWithParent()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // How it ended is in the process' state.
	}()
	return p, nil
}

// stop sends SIGTERM, waits for the grace period and sends SIGKILL.
func (p *process) stop(grace time.Duration) {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(grace):
		p.kill()
	}
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// exit is how an ended process ended, and the end of what it printed.
func (p *process) exit() (code int32, message string) {
	const most = 2000
	out := p.output.Bytes()
	return int32(p.cmd.ProcessState.ExitCode()), string(out[max(0, len(out)-most):]) //nolint:gosec // Exit codes are small.
}
