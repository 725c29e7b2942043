//go:build linux

package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"

	"github.com/rogpeppe/go-internal/testscript"
)

// olderCommit is the last jetsend that knows no sets: it sends each file in a session of
// its own, and a folder as an archive.
const olderCommit = "9554f659141a3aeb7adea432905c6271b1da0af3"

// history is the root of the repository that this package is in.
const history = "../.."

// olderCommands are the script commands about a jetsend of another version:
//
//	older USER...    these users run the one of olderCommit from now on; see the condition [history]
//	newer USER...    they run the present one again, with the state that they have
//	unsaid REGEXP    fail if the text of a stanza that has passed the tap matches
func olderCommands() map[string]func(ts *testscript.TestScript, neg bool, args []string) {
	return map[string]func(ts *testscript.TestScript, neg bool, args []string){
		"older": cmdOlder, "newer": cmdNewer, "unsaid": cmdUnsaid,
	}
}

// hasHistory reports whether olderCommit is at hand: it is not in an archive of the
// source, nor in a shallow clone.
func hasHistory() bool {
	return exec.Command("git", "-C", history, "cat-file", "-e", olderCommit+"^{commit}").Run() == nil
}

func cmdOlder(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) > 0, "older USER...")
	program, err := filepath.Abs(filepath.Join(history, "bin", "jetsend-"+olderCommit))
	ts.Check(err)
	if _, err := os.Stat(program); err != nil {
		buildOlder(ts, program)
	}
	for _, user := range args {
		ts.Setenv("PROGRAM_"+user, program)
	}
}

func cmdNewer(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) > 0, "newer USER...")
	for _, user := range args {
		ts.Setenv("PROGRAM_"+user, "")
	}
}

// buildOlder builds the jetsend of olderCommit from what is in the repository and in the
// module cache, with the environment of the test and not that of the script. It takes as
// long as the rest of the script or longer, so the program stays beside the present one.
func buildOlder(ts *testscript.TestScript, program string) {
	source, archive, built := ts.MkAbs("older"), ts.MkAbs("older.tar"), ts.MkAbs("older/jetsend")
	ts.Check(os.Mkdir(source, 0o700))
	output := func(cmd *exec.Cmd) {
		out, err := cmd.CombinedOutput()
		ts.Logf("%s", out)
		ts.Check(err)
	}
	output(exec.Command("git", "-C", history, "archive", "--format=tar", "--output="+archive, olderCommit))
	output(exec.Command("tar", "-xf", archive, "-C", source))
	build := exec.Command("go", "build", "-buildvcs=false", "-o", built, "./cmd/jetsend")
	build.Dir, build.Env = source, append(os.Environ(), "CGO_ENABLED=0")
	output(build)
	ts.Check(os.MkdirAll(filepath.Dir(program), 0o755))
	whole, err := os.CreateTemp(filepath.Dir(program), "older-")
	ts.Check(err)
	b, err := os.ReadFile(built)
	ts.Check(err)
	_, err = whole.Write(b)
	ts.Check(errors.Join(err, whole.Chmod(0o755), whole.Close(), os.Rename(whole.Name(), program)))
}

// programOf is the jetsend that a user runs.
func programOf(ts *testscript.TestScript, user string) string {
	if program := ts.Getenv("PROGRAM_" + user); program != "" {
		return program
	}
	return filepath.Join(filepath.SplitList(ts.Getenv("PATH"))[0], "jetsend")
}

func cmdUnsaid(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "unsaid REGEXP")
	re, err := regexp.Compile(args[0])
	ts.Check(err)
	all := worldOf(ts).tap.Stanzas()
	if len(all) == 0 {
		ts.Fatalf("nothing has passed the tap")
	}
	for _, s := range all {
		if re.Match(s.Raw) {
			ts.Fatalf("%s %s", s.Dir, s.Raw)
		}
	}
}
