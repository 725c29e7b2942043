package hook

import (
	"os/exec"
	"syscall"

	"golang.org/x/sys/windows"
)

// apart gives the hook a process group of its own, so that a Ctrl-C on the console
// does not reach it in the middle of its work. Its end is a Ctrl-Break, which it may
// take as one; without a console it is killed.
func apart(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP}
	cmd.Cancel = func() error {
		if windows.GenerateConsoleCtrlEvent(windows.CTRL_BREAK_EVENT, uint32(cmd.Process.Pid)) == nil {
			return nil
		}
		return cmd.Process.Kill()
	}
}

// group is a hook that runs, with its children: a job, 0 where there is none.
type group struct{ job windows.Handle }

// gather puts a hook that has just begun into a job. A child that it has had before stays
// outside.
func gather(cmd *exec.Cmd) *group {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return &group{}
	}
	g := &group{job}
	p, err := windows.OpenProcess(windows.PROCESS_SET_QUOTA|windows.PROCESS_TERMINATE, false, uint32(cmd.Process.Pid))
	if err == nil {
		err = windows.AssignProcessToJobObject(job, p)
		_ = windows.CloseHandle(p) // only named
	}
	if err != nil {
		g.close()
		return &group{}
	}
	return g
}

// sweep kills what is left of a hook that was stopped.
func (g *group) sweep() {
	if g.job != 0 {
		_ = windows.TerminateJobObject(g.job, 1) // nobody is left, or it is done
	}
}

func (g *group) close() {
	if g.job != 0 {
		_ = windows.CloseHandle(g.job) // only named
	}
}
