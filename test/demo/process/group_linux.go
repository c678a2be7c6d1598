package process

import "syscall"

// ownGroup puts a child in its own process group; the kernel kills it when its
// parent dies, however that happens.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
