package headway

import "syscall"

// dieWithParent ends the controller with the test binary, however that ends, and
// keeps a terminal's Ctrl-C from it: its parent decides when it stops.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
