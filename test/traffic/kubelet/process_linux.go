package kubelet

import "syscall"

// dieWithParent ends the process with the kubelet, however that ends, and keeps a
// terminal's Ctrl-C from it.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
