package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/windows"
)

// stoppable has nothing to do: what has a console gets the Ctrl-C as well.
func stoppable(*exec.Cmd) {}

// interrupted reports whether a Ctrl-C has ended a command.
func interrupted(exit *exec.ExitError) bool {
	return uint32(exit.ExitCode()) == uint32(windows.STATUS_CONTROL_C_EXIT)
}

// ignoreBrokenPipe has nothing to do: a reader that has gone is an error of the writing.
func ignoreBrokenPipe() {}

// openWithoutWaiting opens a file for reading.
func openWithoutWaiting(path string) (*os.File, error) { return os.Open(path) }

// executable says why a file cannot be run. A batch file would be run by a shell, which
// takes what others have named for commands.
func executable(_ fs.FileInfo, path string) (why, hint string) {
	if strings.EqualFold(filepath.Ext(strings.Trim(path, `"'`)), ".exe") {
		return "", ""
	}
	return "is no program", "name an .exe file: scripts are run by a shell, which may take a name for a command"
}

// The variables of the directories.
const (
	homeVariable   = "USERPROFILE"
	stateVariable  = "LOCALAPPDATA"
	configVariable = "APPDATA"
)

// directoriesHelp tells of them.
const directoriesHelp = `  APPDATA                holds jetsend\config.yaml
  LOCALAPPDATA           holds jetsend\, the state
  USERPROFILE            what ~/ in a path means
`

// belowHome is where they are when these are not set.
func belowHome(home, variable string) string {
	if variable == stateVariable {
		return filepath.Join(home, "AppData", "Local")
	}
	return filepath.Join(home, "AppData", "Roaming")
}

// erases reports whether the console knows the sequences of a terminal, which it is asked
// to.
func erases(stream any, _ func(string) string) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	h := windows.Handle(f.Fd())
	var mode uint32
	if err := windows.GetConsoleMode(h, &mode); err != nil {
		return false
	}
	return mode&windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING != 0 || windows.SetConsoleMode(h, mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) == nil
}

// colours reports whether it has colours: they are sequences as well.
func colours(stream any, env func(string) string) bool { return erases(stream, env) }
