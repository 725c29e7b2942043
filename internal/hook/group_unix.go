//go:build unix

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

// group is a hook that runs, with its children.
type group struct{ leader int }

func gather(cmd *exec.Cmd) *group { return &group{cmd.Process.Pid} }

// sweep kills what is left of a hook that was stopped.
func (g *group) sweep() { _ = syscall.Kill(-g.leader, syscall.SIGKILL) } // fails when nobody is left

func (g *group) close() {}
