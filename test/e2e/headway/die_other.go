//go:build !linux

package headway

import "syscall"

func dieWithParent() *syscall.SysProcAttr { return nil }
