//go:build linux

package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"jetsend/internal/xmpptest"
)

// told are the documents whose commands are run, every one of them.
var told = []string{"README.md", "docs/tasks.md"}

// placeholders are the words of the documents that stand for something else, and what that
// is in a script; one with a $ is a variable of the script.
var placeholders = [][2]string{
	{"capulet.example", xmppDomain},
	{"montague.example", xmppDomain},
	{"/srv/", "$WORK/srv/"},
	{"/run/secrets/", "$WORK/secrets/"},
	{"preauth=TOKEN", "preauth=$TOKEN"}, // of the server's own invitation
	{" 0a3c", " $ID"},                   // of a transfer or an invitation
	{" 27183", " $DEVICE"},
	{"--min-free 5GB", "--min-free 1MB"}, // a test may run in memory
}

const xmppDomain = "jet.test"

// unrun are the commands of the documents that no script runs, with the reason.
var unrun = map[string]string{
	"make deb":                              "testdata/script/deb.txtar does the same with a program that is built",
	"make dist":                             "it builds for every platform, which takes minutes: `make dist-check` does that",
	"sh scripts/install.sh --from bin/dist": "it needs what `make dist` makes: testdata/script/install_sh.txtar runs it on other archives",
	"systemctl --user enable --now jetsend-receive@home": "it needs a service manager of the user, which must stay as it is: testdata/online/daemon.txtar speaks to one that the test plays",
}

// book has the commands that scripts have run, and the scripts.
type book struct {
	mu      sync.Mutex
	run     map[commandLine]bool
	scripts int
}

func (b *book) enter(user string, lines []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, line := range lines {
		b.run[commandLine{user, line}], b.run[commandLine{"", line}] = true, true
	}
}

// TestDocsCommands runs the scripts of testdata/docs, which run every command of the README
// and of docs/tasks.md as it stands there, but for the placeholders. A command that fails, or
// that no script runs and unrun does not name, fails the test.
func TestDocsCommands(t *testing.T) {
	if testing.Short() || serverSoftware() != xmpptest.Prosody {
		t.Skip("needs Prosody")
	}
	b := &book{run: map[commandLine]bool{}}
	t.Run("scripts", func(t *testing.T) {
		p := onlineParams(testscript.Params{Dir: "testdata/docs"})
		maps.Copy(p.Cmds, b.commands())
		setup := p.Setup
		p.Setup = func(e *testscript.Env) error {
			b.mu.Lock()
			b.scripts++
			b.mu.Unlock()
			return setup(e)
		}
		p.Condition = func(name string) (bool, error) {
			return false, fmt.Errorf("no command may be left out, by [%s] either", name)
		}
		testscript.Run(t, p)
	})
	all, err := filepath.Glob("testdata/docs/*.txtar")
	if err != nil || t.Failed() || b.scripts != len(all) {
		t.Logf("%d of %d scripts were run, %v", b.scripts, len(all), err)
		return // -run has asked for some of them
	}
	b.compare(t)
}

// compare holds what was run against the documents.
func (b *book) compare(t *testing.T) {
	inDocuments := map[commandLine]bool{}
	for _, name := range told {
		text := document(t, name)
		lines := asTold(text)
		if fence := regexp.MustCompile("(?m)^(?:[ \t]*~~~.*|[ \t]*```.*)$").FindAllString(text, -1); len(lines) < 10 || !onlyShell(fence) {
			t.Errorf("%s has %d commands, and blocks %q: those of a shell alone are looked at", name, len(lines), fence)
		}
		for _, c := range lines {
			inDocuments[c], inDocuments[commandLine{"", c.line}] = true, true
			if !b.run[c] && unrun[c.line] == "" {
				t.Errorf("%s: no script of testdata/docs runs %q as %q", name, c.line, c.who)
			}
		}
	}
	for c := range b.run {
		if !inDocuments[commandLine{"", c.line}] {
			t.Errorf("a script runs %q, which no document has", c.line)
		}
	}
	makefile := document(t, "Makefile")
	for line := range unrun {
		if !inDocuments[commandLine{"", line}] {
			t.Errorf("no document has %q", line)
		}
		words := strings.Fields(line)
		switch words[0] {
		case "make":
			if !regexp.MustCompile(`(?m)^` + words[1] + `:`).MatchString(makefile) {
				t.Errorf("there is nothing to make for %q", line)
			}
		case "sh":
			_ = document(t, words[1]) // which has to be there
		}
	}
}

// onlyShell reports whether the lines that begin and end blocks are those of a shell.
func onlyShell(fences []string) bool {
	return !slices.ContainsFunc(fences, func(fence string) bool { return fence != "```" && fence != "```sh" })
}

// commands are the script commands for what a document says:
//
//	people [KIND]                    start the server, as `prosody KIND` does; everybody has a home, and
//	                                 an account in the configuration if the server has one
//	doc USER LINE...                 run these lines of a document in a shell; it must end with 0
//	docstart NAME USER LINE...       run them in the background
//	docpty NAME USER LINE...         run them on a terminal
//	docends NAME                     wait for the end of those; it must be 0
//	sh USER LINE...                  run what no document says; it must end with 0
//	shstart NAME USER LINE...        the same in the background
//	shpty NAME USER LINE...          the same on a terminal
//
// builder is a user whose place is the source tree.
func (b *book) commands() map[string]func(ts *testscript.TestScript, neg bool, args []string) {
	var mu sync.Mutex
	begun := map[*proc]func(){} // what is entered when it has ended well
	start := func(terminal, said bool) func(ts *testscript.TestScript, neg bool, args []string) {
		return func(ts *testscript.TestScript, neg bool, args []string) {
			usage(ts, neg, len(args) >= 3, "COMMAND NAME USER LINE...")
			p := shell(ts, args[1], args[2:], said)
			if line := p.cmd.Args[2]; !strings.ContainsAny(line, "|&;\n=") { // so that signals reach it
				p.cmd.Args[2] = "exec " + line
			}
			if terminal {
				startOnTerminal(ts, args[0], p)
			} else {
				p.cmd.Stdout, p.cmd.Stderr = p.out, p.err
				ts.Check(p.cmd.Start())
				follow(ts, args[0], p)
			}
			mu.Lock()
			defer mu.Unlock()
			if said {
				begun[p] = func() { b.enter(args[1], args[2:]) }
			}
		}
	}
	run := func(said bool) func(ts *testscript.TestScript, neg bool, args []string) {
		return func(ts *testscript.TestScript, neg bool, args []string) {
			usage(ts, neg, len(args) >= 2, "COMMAND USER LINE...")
			p := shell(ts, args[0], args[1:], said)
			p.cmd.Stdout, p.cmd.Stderr = ts.Stdout(), ts.Stderr()
			if err := p.cmd.Run(); err != nil {
				ts.Fatalf("%s: %q: %v", args[0], args[1:], err)
			}
			if said {
				b.enter(args[0], args[1:])
			}
		}
	}
	return map[string]func(ts *testscript.TestScript, neg bool, args []string){
		"people": cmdPeople,
		"doc":    run(true), "docstart": start(false, true), "docpty": start(true, true),
		"sh": run(false), "shstart": start(false, false), "shpty": start(true, false),
		"docends": func(ts *testscript.TestScript, neg bool, args []string) {
			usage(ts, neg, len(args) == 1, "docends NAME")
			cmdEnds(ts, false, []string{args[0], "0"})
			mu.Lock()
			defer mu.Unlock()
			begun[procOf(ts, args[0])]()
		},
	}
}

// shell prepares lines of a document for a user.
func shell(ts *testscript.TestScript, user string, lines []string, said bool) *proc {
	text := strings.Join(lines, "\n")
	if said {
		text = placed(ts, text)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 4*patience) // some live as long as their script
	ts.Defer(cancel)
	cmd := exec.CommandContext(ctx, "sh", "-c", text)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second // for what the shell leaves behind
	home := ts.MkAbs(user)
	cmd.Dir = home
	cmd.Env = []string{
		"PATH=" + ts.MkAbs("bin") + ":" + ts.Getenv("PATH"), "HOME=" + home, "TERM=xterm", "TMPDIR=" + ts.Getenv("TMPDIR"),
		"XDG_RUNTIME_DIR=" + ts.Getenv("RUN_"+user),
		"JETSEND_SERVER=" + ts.Getenv("SERVER"), "JETSEND_TLS_CA_FILE=" + ts.Getenv("CA"),
	}
	if user == "builder" {
		cmd.Dir = ts.Getenv("SOURCE")
		cmd.Env = append(cmd.Env, "BINARY="+programOf(ts, user), "DESTDIR="+ts.MkAbs("root"), "SOURCE_DATE_EPOCH=0")
	}
	return &proc{cmd: cmd, out: &growing{}, err: &growing{}, done: make(chan struct{})}
}

// placed is a line with what its placeholders stand for.
func placed(ts *testscript.TestScript, line string) string {
	for _, p := range placeholders {
		if !strings.Contains(line, p[0]) {
			continue
		}
		line = strings.ReplaceAll(line, p[0], os.Expand(p[1], func(name string) string {
			if ts.Getenv(name) == "" {
				ts.Fatalf("the script has not said what $%s is, for %q", name, line)
			}
			return ts.Getenv(name)
		}))
	}
	if strings.Contains(line, ".example") {
		ts.Fatalf("an address of %q stands for nothing", line)
	}
	return line
}

func cmdPeople(ts *testscript.TestScript, neg bool, args []string) {
	cmdProsody(ts, neg, args)
	w := worldOf(ts)
	accounts := len(args) == 0 || !slices.Contains([]string{"open", "invites"}, args[0])
	if accounts && !slices.Contains(args, "strangers") {
		ts.Check(w.server.Subscribe("juliet", "nurse"))
	}
	for _, user := range users {
		run, err := os.MkdirTemp("", "jetsend-") // a script's own directory may be too long for a socket
		ts.Check(err)
		ts.Defer(func() { _ = os.RemoveAll(run) })
		ts.Setenv("RUN_"+user, run)
		config := ts.MkAbs(user + "/.config/jetsend/config.yaml")
		ts.Check(os.MkdirAll(filepath.Dir(config), 0o700))
		ts.Check(os.MkdirAll(ts.MkAbs(user+"/Downloads"), 0o700))
		if accounts {
			others := ""
			for _, other := range users {
				if other != user {
					others += fmt.Sprintf("  %s: %s\n", other, w.server.JID(other))
				}
			}
			ts.Check(os.WriteFile(config, fmt.Appendf(nil, "accounts:\n  home:\n    jid: %s\n    password: %spw\ncontacts:\n%s", w.server.JID(user), user, others), 0o600))
		}
	}
	for _, dir := range []string{"srv/in", "srv/backup", "secrets"} {
		ts.Check(os.MkdirAll(ts.MkAbs(dir), 0o755))
	}
}
