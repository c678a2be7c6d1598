//go:build !linux

package kubelet

import "syscall"

// dieWithParent does nothing: the live tests need Linux.
func dieWithParent() *syscall.SysProcAttr { return nil }
