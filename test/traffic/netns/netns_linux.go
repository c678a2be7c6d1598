package netns

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// Run runs this process' program with its arguments in a new namespace, and returns
// its exit code. It ends with this process. The error is ErrRefused when there is no
// leave to make a namespace.
func Run() (int, error) {
	var refusals []error
	for _, attributes := range []*syscall.SysProcAttr{unprivileged(), {Cloneflags: syscall.CLONE_NEWNET}} {
		attributes.Pdeathsig = syscall.SIGKILL
		cmd := exec.Command(os.Args[0], os.Args[1:]...) //nolint:gosec // This program itself.
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		cmd.Env = append(os.Environ(), marker+"=1")
		cmd.SysProcAttr = attributes
		if err := cmd.Start(); err != nil {
			refusals = append(refusals, err)
			continue
		}
		return wait(cmd)
	}
	return 0, fmt.Errorf("%w: %w", ErrRefused, errors.Join(refusals...))
}

// unprivileged makes a user namespace too, in which this user is root: that is the
// leave to configure the network namespace.
func unprivileged() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
}

// wait passes signals on, so that go test's own can end the run and show its stacks.
func wait(cmd *exec.Cmd) (int, error) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGINT)
	defer signal.Stop(signals)
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s)
		}
	}()
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 0, fmt.Errorf("waiting for the run in a namespace: %w", err)
	}
	if code := cmd.ProcessState.ExitCode(); code >= 0 {
		return code, nil
	}
	return 0, fmt.Errorf("the run in a namespace ended: %w", err)
}
