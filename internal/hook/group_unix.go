//go:build unix

package hook

import (
	"os/exec"
	"syscall"
)

// Apart gives a command a process group of its own, so that a Ctrl-C at the
// terminal does not reach it in the middle of its work, and so that its children
// can be stopped with it.
func Apart(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
}

// Group is a command that runs apart, with its children.
type Group struct{ leader int }

// Gather takes a command that has just begun and is apart, with all that it begins.
func Gather(cmd *exec.Cmd) *Group { return &Group{cmd.Process.Pid} }

// Sweep kills what is left of them.
func (g *Group) Sweep() { _ = syscall.Kill(-g.leader, syscall.SIGKILL) } // fails when nobody is left

// Close lets go of what is left of them.
func (g *Group) Close() {}
