//go:build unix

package kube

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// tryLock takes the file's lock, or returns errBusy.
func tryLock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errBusy
	}
	return err
}

// detach keeps a terminal's Ctrl-C from the child: its parent decides when it stops.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
