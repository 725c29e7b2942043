//go:build unix

package main

import (
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
)

// stoppable lets a command be told to end.
func stoppable(cmd *exec.Cmd) {
	cmd.Cancel = func() error { return syscall.Kill(cmd.Process.Pid, syscall.SIGTERM) }
}

// interrupted reports whether a Ctrl-C has ended a command.
func interrupted(exit *exec.ExitError) bool {
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGINT
}

// ignoreBrokenPipe makes a reader that has gone an error of the writing.
func ignoreBrokenPipe() { signal.Ignore(syscall.SIGPIPE) }

// openWithoutWaiting opens a file for reading that may wait for what to say.
func openWithoutWaiting(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

// executable says why a file cannot be run, and what makes it one that can.
func executable(info fs.FileInfo, path string) (why, hint string) {
	if info.Mode().Perm()&0o111 == 0 {
		return "is not executable", "run `chmod +x " + path + "`"
	}
	return "", ""
}

// The variables of the directories that are below home where these are not set.
const (
	homeVariable   = "HOME"
	stateVariable  = "XDG_STATE_HOME"
	configVariable = "XDG_CONFIG_HOME"
)

// directoriesHelp tells of them.
const directoriesHelp = `  XDG_CONFIG_HOME        ~/.config; holds jetsend/config.yaml
  XDG_STATE_HOME         ~/.local/state; holds jetsend/, the state
`

// belowHome is where they are then.
func belowHome(home, variable string) string {
	if variable == stateVariable {
		return filepath.Join(home, ".local", "state")
	}
	return filepath.Join(home, ".config")
}

// erases reports whether the terminal knows how to wipe the rest of a line, and colours it
// whether it has some.
func erases(_ any, env func(string) string) bool { return env("TERM") != "" && env("TERM") != "dumb" }

func colours(_ any, env func(string) string) bool { return env("TERM") != "dumb" }
