package hook

import (
	"os/exec"
	"syscall"

	"golang.org/x/sys/windows"
)

// Apart gives a command a process group of its own, so that a Ctrl-C on the console
// does not reach it in the middle of its work. Its end is a Ctrl-Break, which it may
// take as one; without a console it is killed.
func Apart(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP}
	cmd.Cancel = func() error {
		if windows.GenerateConsoleCtrlEvent(windows.CTRL_BREAK_EVENT, uint32(cmd.Process.Pid)) == nil {
			return nil
		}
		return cmd.Process.Kill()
	}
}

// Group is a command that runs apart, with its children: a job, 0 where there is none.
type Group struct{ job windows.Handle }

// Gather puts a command that has just begun and is apart into a job. A child that it has had
// before stays outside.
func Gather(cmd *exec.Cmd) *Group {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return &Group{}
	}
	g := &Group{job}
	p, err := windows.OpenProcess(windows.PROCESS_SET_QUOTA|windows.PROCESS_TERMINATE, false, uint32(cmd.Process.Pid))
	if err == nil {
		err = windows.AssignProcessToJobObject(job, p)
		_ = windows.CloseHandle(p) // only named
	}
	if err != nil {
		g.Close()
		return &Group{}
	}
	return g
}

// Sweep kills what is left of them.
func (g *Group) Sweep() {
	if g.job != 0 {
		_ = windows.TerminateJobObject(g.job, 1) // nobody is left, or it is done
	}
}

// Close lets go of what is left of them.
func (g *Group) Close() {
	if g.job != 0 {
		_ = windows.CloseHandle(g.job) // only named
	}
}
