//go:build unix

package scratch

import (
	"errors"
	"syscall"
)

// ended reports whether there is no such process: not merely one that may not be signalled.
func ended(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }
