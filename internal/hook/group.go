package hook

import (
	"os/exec"
	"syscall"
)

// apart gives the hook a process group of its own, so that a Ctrl-C at the
// terminal does not reach it in the middle of its work, and so that its children
// can be stopped with it.
func apart(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
}

// sweep kills what is left of a hook that was stopped.
func sweep(cmd *exec.Cmd) {
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // fails when nobody is left
	}
}
