package headway

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Options are how a controller is started.
type Options struct {
	// Kubeconfig is the path of the file with which it reaches the API server.
	Kubeconfig string
	// Args are added to the command line.
	Args []string
	// Env is added to the environment.
	Env []string
}

// Process is one incarnation of the controller.
type Process struct {
	cmd    *exec.Cmd
	log    logBuffer
	exited chan struct{}
	err    error
}

// Run starts a controller without leader election and on free ports. It runs until Stop or Kill.
func Run(o Options) (*Process, error) {
	path, err := binary()
	if err != nil {
		return nil, err
	}
	args := append([]string{
		"--kubeconfig", o.Kubeconfig, "--leader-elect=false", "--metricsPort", "0", "--healthzPort", "0", "--loglevel", "info",
		"--metric-address-policy", "allow:loopback", // the metric sources of tests are on this machine
	}, o.Args...)
	p := &Process{cmd: exec.Command(path, args...), exited: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), o.Env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	p.cmd.SysProcAttr = dieWithParent()
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the controller: %w", err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// Start runs a controller until the test ends. A test that failed shows its log.
func Start(t testing.TB, o Options) *Process {
	t.Helper()
	p, err := Run(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Stop()
		if t.Failed() {
			t.Logf("log of the controller, process %d:\n%s", p.PID(), p.Log())
		}
	})
	return p
}

// PID is the id of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Kill ends the process with SIGKILL, at once, and waits until it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// grace is what a controller gets to end by itself.
const grace = 20 * time.Second

// Stop asks the process to end and waits until it is gone. Stopping twice is the same as once.
func (p *Process) Stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(grace):
		p.Kill()
	}
}

// Running is an error that says how the process ended, or nil while it runs.
func (p *Process) Running() error {
	select {
	case <-p.exited:
		return fmt.Errorf("the controller ended: %w", p.err)
	default:
		return nil
	}
}

// serving is what the log says when a port is open.
var serving = regexp.MustCompile(`msg="starting server" name=(\w+) addr=\S+:(\d+)`)

// Address is where the process serves its metrics or its health on this machine;
// an error until it has said so.
func (p *Process) Address(name string) (string, error) {
	for _, line := range serving.FindAllStringSubmatch(p.Log(), -1) {
		if line[1] == name {
			return "http://127.0.0.1:" + line[2], nil
		}
	}
	return "", fmt.Errorf("the controller does not serve %s yet", name)
}

// Log is the end of what the process has logged.
func (p *Process) Log() string { return p.log.String() }

// logBuffer keeps the last bytes of a log.
type logBuffer struct {
	mu   sync.Mutex
	data []byte
}

// Write keeps what fits.
func (b *logBuffer) Write(data []byte) (int, error) {
	const most = 256 << 10
	b.mu.Lock()
	defer b.mu.Unlock()
	b.data = append(b.data, data...)
	if len(b.data) > 2*most {
		b.data = bytes.Clone(b.data[len(b.data)-most:])
	}
	return len(data), nil
}

// String is what was kept.
func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.data)
}
