//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/xmpptest"
)

// theSecret has what a shell, YAML, URLs and JSON would each write in another way.
const theSecret = `c0rrect-h0rse+"battery'/$staple`

// theWrongOne differs in every byte that a message could cut it down to.
const theWrongOne = `wr0ng-d0nkey+"socket'/$clip`

// spellings are the forms in which a password could get out.
func spellings(password string) []string {
	sasl := "\x00keeper\x00" + password // PLAIN (RFC 4616, section 2)
	quoted := strconv.Quote(password)
	return []string{
		password, quoted[1 : len(quoted)-1], url.QueryEscape(password), url.PathEscape(password), hex.EncodeToString([]byte(password)),
		base64.StdEncoding.EncodeToString([]byte(password)), base64.StdEncoding.EncodeToString([]byte(sasl)),
		password[:len(password)/2], password[len(password)/2:],
	}
}

// passwordSource is a place where a password comes from.
type passwordSource struct {
	name   string
	env    func(password, file string) string // a variable, "" for none
	config func(password, file string) string // a line of the account, "" for none
	typed  bool
	child  string // a word of the command line of a child that must have been seen
}

// seenSuffix makes of the name of a file that of another one, which is there once the
// child has been seen: until then it lives, however rarely a busy machine lets us look.
const seenSuffix = ".seen"

func sources() []passwordSource {
	none := func(string, string) string { return "" }
	return []passwordSource{
		{name: "environment", env: func(password, _ string) string { return "JETSEND_PASSWORD=" + password }, config: none},
		{name: "file of the environment", env: func(_, file string) string { return "JETSEND_PASSWORD_FILE=" + file }, config: none},
		{name: "configuration", env: none, config: func(password, _ string) string {
			return "password: '" + strings.ReplaceAll(password, "'", "''") + "'"
		}},
		{name: "file", env: none, config: func(_, file string) string { return "password_file: " + file }},
		{name: "command", env: none, config: func(_, file string) string {
			return "password_command: cat '" + file + "'; until test -e '" + file + seenSuffix + "'; do sleep 0.05; done"
		}, child: "sleep"},
		{name: "prompt", env: none, config: none, typed: true},
	}
}

// TestSecretsStaySecret runs jetsend as a process of its own with a password from
// every source, right and wrong, logging everything it can, and looks for the
// password wherever others could see it: the command lines of the process and of
// its children all the while, both outputs, the log, and what is left on disk.
func TestSecretsStaySecret(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a server")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	server, err := xmpptest.StartServer(ctx, t.TempDir(), xmpptest.Options{Software: serverSoftware()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop() })
	if err := server.AddAccount("keeper", theSecret); err != nil {
		t.Fatal(err)
	}
	for _, s := range sources() {
		t.Run(s.name, func(t *testing.T) {
			for password, code := range map[string]int{theSecret: 0, theWrongOne: 4} {
				keepsSecret(ctx, t, server, s, password, code)
			}
		})
	}
}

// keepsSecret is one login. With the right password `contacts` ends with 0.
func keepsSecret(ctx context.Context, t *testing.T, server *xmpptest.Server, s passwordSource, password string, code int) {
	t.Helper()
	dir := t.TempDir()
	given := filepath.Join(dir, "given") // what holds the password by intent
	write := func(name, text string) string {
		file := filepath.Join(given, name)
		if err := errors.Join(os.MkdirAll(given, 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
		return file
	}
	file := write("password", password+"\n")
	conf := write("config.yaml", fmt.Sprintf("accounts:\n  home:\n    jid: %s\n    server: %s\n    tls_ca_file: %s\n    %s\n",
		server.JID("keeper"), server.Addr, server.CAFile, s.config(password, file)))
	log := filepath.Join(dir, "log")
	cmd := exec.CommandContext(ctx, "jetsend", "--config", conf, "--state-dir", filepath.Join(dir, "state"), "--log-level", "debug", "--log-file", log, "--json", "contacts")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TERM=dumb", s.env(password, file)}
	said, seen := runWatched(t, cmd, s, file, password)
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Fatalf("it ended with %d, want %d:\n%s", got, code, said)
	}
	logged, err := os.ReadFile(log)
	if err != nil || !bytes.Contains(logged, []byte("level=DEBUG")) {
		t.Errorf("the log is not that of the lowest level: %v\n%s", err, logged)
	}
	if !strings.Contains(seen, "contacts") || !strings.Contains(seen, s.child) {
		t.Errorf("not every command line was seen: %q", seen)
	}
	places := map[string]string{"output": said, "command lines": seen}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if path == given {
				err = fs.SkipDir
			}
			return err
		}
		data, err := os.ReadFile(path)
		places[path] = string(data)
		return err
	})
	if err != nil || code == 0 && !strings.Contains(fmt.Sprint(slices.Sorted(maps.Keys(places))), "/state/") {
		t.Fatalf("the state was not looked through: %v", err)
	}
	for place, text := range places {
		for _, spelling := range spellings(password) {
			if strings.Contains(text, spelling) {
				t.Errorf("%s: the password is there, as %q", place, spelling)
			}
		}
	}
}

// runWatched runs a command, on a terminal where the password is typed, and
// returns what it wrote and the command lines of it and of all below it.
func runWatched(t *testing.T, cmd *exec.Cmd, s passwordSource, file, password string) (said, seen string) {
	t.Helper()
	typed := s.typed
	out := new(growing)
	cmd.Stdout, cmd.Stderr = out, out
	var control *os.File
	copied := make(chan struct{})
	if typed {
		var terminal *os.File
		var err error
		if control, terminal, err = openPTY(); err != nil {
			t.Fatal(err)
		}
		cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
		defer func() { _ = terminal.Close() }()
		go func() {
			defer close(copied)
			_, _ = io.Copy(out, control) // ends with the process's end of it
		}()
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // the exit code tells
	}()
	var lines strings.Builder
	for sent := !typed; ; {
		commandLines(cmd.Process.Pid, &lines)
		if s.child != "" && strings.Contains(lines.String(), s.child) {
			if err := os.WriteFile(file+seenSuffix, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if !sent && strings.Contains(out.String(), "password of") {
			sent = true
			if _, err := io.WriteString(control, password+"\r"); err != nil {
				t.Fatal(err)
			}
		}
		select {
		case <-ended:
			if typed {
				_ = cmd.Stdin.(io.Closer).Close() // the last one of the terminal
				<-copied
				_ = control.Close()
			}
			return out.String(), lines.String()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// commandLines adds those of a process and of all below it.
func commandLines(pid int, to *strings.Builder) {
	process := fmt.Sprintf("/proc/%d", pid)
	line, _ := os.ReadFile(process + "/cmdline") // gone is seen no more
	to.Write(append(line, '\n'))
	tasks, _ := filepath.Glob(process + "/task/*/children")
	for _, task := range tasks {
		children, _ := os.ReadFile(task)
		for _, child := range strings.Fields(string(children)) {
			if n, err := strconv.Atoi(child); err == nil {
				commandLines(n, to)
			}
		}
	}
}

// TestKeyringStaysSecret is the same for a keyring, which is not there in a test:
// in this process, with a fake one.
func TestKeyringStaysSecret(t *testing.T) {
	f := newFixture(t)
	delete(f.env, "JETSEND_PASSWORD")
	const juliet = "juliet@capulet.example"
	f.file(".config/jetsend/config.yaml", "accounts: {home: {jid: "+juliet+", keyring: true}}\n")
	f.ring.m[juliet] = theSecret
	f.endpoint.own = []device{{JID: jid.MustParse(juliet), ID: 1}}
	for _, result := range []error{nil, errors.New("lost")} {
		f.endpoint.result = result
		f.run("--json", "--log-level", "debug", "contacts")
		if d := f.dialled[len(f.dialled)-1]; d.Password != theSecret {
			t.Fatal("the password is not that of the keyring")
		}
		for _, spelling := range spellings(theSecret) {
			if strings.Contains(f.out.String()+f.err.String(), spelling) {
				t.Errorf("the password is shown, as %q", spelling)
			}
		}
	}
}

// TestMistakesStaySecret: a configuration that is wrong just where the password
// is, is not quoted.
func TestMistakesStaySecret(t *testing.T) {
	for _, value := range []string{
		"*hunter2", "&hunter2", "!hunter2", "@hunter2", `"hunter2`, "[hunter2, b]", "{hunter2: b}", "%hunter2", "hunter2: b", "`hunter2", "!!binary hunter2", "!!int hunter2",
	} {
		f := newFixture(t)
		delete(f.env, "JETSEND_PASSWORD")
		f.file(".config/jetsend/config.yaml", "accounts:\n  home:\n    jid: a@b.example\n    password: "+value+"\n")
		code := f.run("contacts")
		if code != 3 && code != 0 || strings.Contains(f.err.String(), "hunter2") {
			t.Errorf("%s: code %d: %s", value, code, f.err.String())
		}
	}
}
