//go:build !linux

package process

import "syscall"

// ownGroup puts a child in its own process group.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
