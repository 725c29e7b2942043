package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"jetsend/internal/machine"
)

// TestMain makes the test binary answer to the name jetsend, so that scripts
// run it as a process of its own, with real signals and exit codes. That one waits less
// for what the scripts are not about.
func TestMain(m *testing.M) {
	if signal.Ignored(syscall.SIGHUP) { // by nohup: what jetsend does with it is tested all the same
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
	testscript.Main(m, map[string]func(){"jetsend": func() {
		quick = true
		if os.Getenv(filesystemVariable) == "fat" {
			machine.Watch(likeFAT)
		}
		main()
	}})
}

// scriptCommands are the commands of scripts beside those of testscript and
// jetsend itself. Each set is one map, so that a file of tests can bring its own.
func scriptCommands() map[string]func(ts *testscript.TestScript, neg bool, args []string) {
	commands := map[string]func(ts *testscript.TestScript, neg bool, args []string){
		"exits": cmdExits,
		"mode":  cmdMode,
	}
	maps.Copy(commands, stateCommands())
	return commands
}

// scriptSetups prepare the environment of each script.
func scriptSetups() []func(*testscript.Env) error {
	return []func(*testscript.Env) error{cleanEnv}
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		Cmds:                scriptCommands(),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			for _, setup := range scriptSetups() {
				if err := setup(e); err != nil {
					return err
				}
			}
			return nil
		},
	})
}

// cleanEnv gives a script a home of its own and no keyring.
func cleanEnv(e *testscript.Env) error {
	root, err := filepath.Abs("../..")
	if err != nil {
		return err
	}
	home := filepath.Join(e.WorkDir, "home")
	e.Setenv("HOME", home)
	e.Setenv("SOURCE", root)
	e.Setenv("SOURCE_DATE_EPOCH", "0")
	for _, v := range []string{"XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"} {
		e.Setenv(v, "")
	}
	return os.MkdirAll(home, 0o700)
}

// cmdExits runs jetsend and compares its exit code: exits CODE ARG...
// Standard output and error can be looked at afterwards, as after exec.
func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: exits CODE ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec("jetsend", args[1:]...)
	got := 0
	if err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("jetsend: %v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("jetsend %s exited with %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

// cmdMode compares the permissions of a file: mode FILE OCTAL
func cmdMode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mode FILE OCTAL")
	}
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode()&fs.ModePerm); got != args[1] {
		ts.Fatalf("%s has mode %s, want %s", args[0], got, args[1])
	}
}
