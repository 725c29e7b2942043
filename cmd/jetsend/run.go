package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"jetsend/internal/acquaint"
	"jetsend/internal/config"
	"jetsend/internal/exitcode"
	"jetsend/internal/invite"
	"jetsend/internal/session"
	"jetsend/internal/shortname"
)

// system is the world around a run: what a process gets from its operating
// system, so that a run can be had in a test as well.
type system struct {
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	Env     func(string) string // the value of a variable, "" when it is not set
	Environ func() []string     // all variables, for the hooks
	Exit    func(code int)      // leaves at once; only for a second SIGINT
	// OpenTTY opens the controlling terminal for questions.
	OpenTTY func() (terminal, error)
}

// app is one run of jetsend: the system, what the global flags say, and the
// doors to the network and the state, which tests replace by fakes.
type app struct {
	system
	global  globalFlags
	signals *signals
	console *console
	print   printer // set once the global flags are known
	log     *slog.Logger
	logFile *logFile // nil without --log-file
	person  bool     // standard input or standard error is a terminal
	outside string   // see [config.Secrets.Outside]; set when the password is looked up
	// stdinFor is what standard input is read for; see claim.
	stdinFor string

	keyring       config.Keyring
	dial          func(context.Context, dialOptions) (endpoint, error)
	openTransfers func(ctx context.Context, stateDir string, account *config.Chosen) (transfers, error)
	openKeys      func(ctx context.Context, stateDir string, account *config.Chosen, trust string) (keys, error)
	openNames     func(ctx context.Context, stateDir string, account *config.Chosen, do func(*shortname.Names) error) error
	openBook      func(ctx context.Context, stateDir string, account *config.Chosen, do func(*acquaint.Book, invite.Names) error) error
	register      func(ctx context.Context, o dialOptions, token string, fill func(context.Context, *session.Form) error) error
	now           func() time.Time
}

// run does what the arguments say and returns the exit code.
func run(ctx context.Context, args []string, sys system) int {
	a := newApp(sys)
	wire(a)
	return a.run(ctx, args)
}

func newApp(sys system) *app {
	a := &app{system: sys, log: slog.New(slog.DiscardHandler), now: time.Now, person: isTerminal(sys.Stdin) || isTerminal(sys.Stderr)}
	a.console = newConsole(sys.Stderr, isTerminal(sys.Stderr), sys.Env)
	a.console.pasted = a.pasted
	a.keyring = config.NoKeyring{}
	if hasKeyring(sys.Env) {
		a.keyring = config.SystemKeyring{}
	}
	return a
}

func (a *app) run(ctx context.Context, args []string) int {
	ctx, a.signals = watchSignals(ctx, a.exitNow)
	defer a.signals.close()
	root := newRootCommand(a)
	if len(args) > 0 && strings.HasPrefix(args[0], cobra.ShellCompRequestCmd) {
		unquoted(root)
	}
	root.SetArgs(args)
	root.SetIn(a.Stdin)
	root.SetOut(a.Stdout)
	root.SetErr(a.console)
	err := root.ExecuteContext(ctx)
	if a.print == nil { // the flags were not understood
		a.print = a.newPrinter(a.global.json || slices.Contains(args, "--json"))
	}
	code := a.finish(ctx, err)
	if err := a.logFile.Close(); err != nil && code == exitcode.OK {
		a.console.warn("log file: %v", err)
	}
	return int(code)
}

// finish reports the error of a run and returns its exit code.
func (a *app) finish(ctx context.Context, err error) exitcode.Code {
	a.print.Close()
	if err == nil {
		if err := a.print.Err(); err != nil { // a script that lost our events must not read 0
			return a.report(&failure{code: exitcode.LocalFile, reason: "write to standard output: " + err.Error()})
		}
		return exitcode.OK
	}
	return a.report(a.explain(ctx, err))
}

func (a *app) report(f *failure) exitcode.Code {
	if f.reported {
		a.console.hints(f.hints)
	} else {
		a.print.Fail(f)
	}
	return f.code
}

// exitNow leaves without a farewell.
func (a *app) exitNow(code int) {
	a.console.leave()
	a.Exit(code)
}

// interactive reports whether a person is there to be asked: standard input or
// standard error is a terminal, and so a controlling terminal can be opened.
func (a *app) interactive() bool {
	if !a.person {
		return false
	}
	t, err := a.OpenTTY()
	if err != nil {
		return false
	}
	return t.Close() == nil
}

// isTerminal reports whether a stream is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// home is the user's home directory, or "".
func (a *app) home() string { return a.Env(homeVariable) }

// envPath is a path of the environment, where a service manager leaves ~/ alone.
func (a *app) envPath(variable string) string {
	path := a.Env(variable)
	if expanded, err := config.ExpandHome(path, a.home()); err == nil {
		return expanded
	}
	return path
}

// stateDir is where the OMEMO keys and the journal are.
func (a *app) stateDir() (string, error) {
	dir := a.global.stateDir.value
	if dir == "" {
		dir = a.envPath("JETSEND_STATE_DIR")
	}
	if dir == "" {
		base, err := a.base(stateVariable)
		if err != nil {
			return "", &config.Error{Msg: "no place for the state", Err: err, Hints: []string{"give one with --state-dir or JETSEND_STATE_DIR"}}
		}
		dir = filepath.Join(base, "jetsend")
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", &config.Error{Msg: "state directory", Err: err}
	}
	return abs, nil
}

// configFile returns the file to read, and whether the user named it.
func (a *app) configFile() (file string, named bool, err error) {
	for _, file := range []string{a.global.config.value, a.envPath("JETSEND_CONFIG")} {
		if file != "" {
			abs, err := filepath.Abs(file)
			return abs, true, err
		}
	}
	base, err := a.base(configVariable)
	if err != nil {
		return "", false, nil // no home, no file: the environment may say everything
	}
	return filepath.Join(base, "jetsend", "config.yaml"), false, nil
}

// errNoHome: neither the variable of the directory nor that of the home is set.
var errNoHome = errors.New(homeVariable + " is not set")

// base returns a base directory. Relative paths in the variables are ignored,
// as the XDG base directory specification demands.
func (a *app) base(variable string) (string, error) {
	if dir := a.Env(variable); filepath.IsAbs(dir) {
		return dir, nil
	}
	if a.home() == "" {
		return "", errNoHome
	}
	return belowHome(a.home(), variable), nil
}

// hasKeyring reports whether asking the keyring makes sense. On a machine without
// a session bus the keyring library would start one.
func hasKeyring(env func(string) string) bool {
	if !keyringNeedsBus || env("DBUS_SESSION_BUS_ADDRESS") != "" {
		return true
	}
	if dir := env("XDG_RUNTIME_DIR"); dir != "" {
		info, err := os.Stat(filepath.Join(dir, "bus"))
		return err == nil && info.Mode()&fs.ModeSocket != 0
	}
	return false
}
