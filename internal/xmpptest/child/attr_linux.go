package child

import "syscall"

// dieWithParent makes the kernel kill the child when this process dies, so
// that a test run that panics or is killed leaves nothing behind.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
