package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"jetsend/internal/config"
	"jetsend/internal/event"
	"jetsend/internal/omemo"
	"jetsend/internal/policy"
	"jetsend/internal/session"
)

// TestReload: SIGHUP in receive reads the file anew. A setting that cannot be
// changed is reported, and a file that cannot be used changes nothing.
func TestReload(t *testing.T) {
	f := newFixture(t)
	socket := filepath.Join(t.TempDir(), "n")
	next := listenNotify(t, socket)
	f.env["NOTIFY_SOCKET"] = socket
	log := filepath.Join(t.TempDir(), "log")
	const file = ".config/jetsend/config.yaml"
	f.file(file, "receive: {accept: contacts, max_size: 1MB}\n")
	self, _ := os.FindProcess(os.Getpid())
	hup := func() {
		if err := self.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		if got := next(); !strings.HasPrefix(got, "RELOADING=1\n") {
			t.Errorf("notified %q", got)
		}
	}
	f.endpoint.during = func(ctx context.Context, e *fakeEndpoint) error {
		e.report(event.Online{JID: "juliet@capulet.example/jetsend.1a2b3c4d"})
		const ready = "READY=1\nSTATUS=waiting for files as juliet@capulet.example/jetsend.1a2b3c4d"
		if got := next(); got != ready {
			t.Errorf("notified %q", got)
		}
		f.file(file, "trust: verified\ncontacts: {romeo: romeo@montague.example}\nreceive: {accept: verified, from: [romeo], max_size: 2MB, priority: 3, drain: 50s}\ntransports: {order: [ibb], s5b: {listen_ports: [5000]}}\n")
		hup()
		c := <-e.received[0].Changes
		close(c.Applied)
		if o := c.Options; o.Accept != policy.Verified || o.MaxSize != 2e6 || len(o.From) != 1 || o.LimitRate != 5e6 || o.Route.Transports[0] != "ibb" || o.Trust != omemo.VerifiedMode {
			t.Errorf("changed to %+v", o)
		}
		if got := next(); got != ready {
			t.Errorf("notified %q", got)
		}
		if err := os.Rename(log, log+".1"); err != nil {
			t.Error(err)
		}
		f.file(file, "receive: {accept: nobody}\n")
		hup()
		if got := next(); !strings.HasPrefix(got, "READY=1\nSTATUS=the configuration was not reloaded: ") {
			t.Errorf("notified %q", got)
		}
		select {
		case c := <-e.received[0].Changes:
			t.Errorf("a broken file made %+v", c.Options)
		default:
		}
		// The manager is told to wait for the drain in force, and the farewell.
		if err := self.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if got := next(); got != "STOPPING=1\nEXTEND_TIMEOUT_USEC=70000000\nSTATUS=stopping" {
			t.Errorf("notified %q", got)
		}
		e.report(event.Online{JID: "juliet@capulet.example/jetsend.1a2b3c4d"}) // back from a loss: still stopping
		e.report(event.Warning{Text: "the last word"})
		if got := next(); got != "STATUS=the last word" {
			t.Errorf("notified %q", got)
		}
		return nil
	}
	f.wants(0, []string{
		"the configuration was reloaded\n",
		"changes that need a restart: trust, receive.priority, transports.s5b.listen_ports\n",
		"warning: the configuration was not reloaded: ",
	}, "receive", "--dir", f.env["HOME"], "--limit-rate", "5MB", "--log-file", log)
	for name, want := range map[string]string{log + ".1": "configuration reloaded", log: "configuration not reloaded"} {
		if text, err := os.ReadFile(name); err != nil || strings.Count(string(text), want) != 1 {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
	}
}

// TestTerminalGone: a user who closes the terminal does not want to leave a
// program behind.
func TestTerminalGone(t *testing.T) {
	f := newFixture(t)
	f.tty = &fakeTTY{}
	self, _ := os.FindProcess(os.Getpid())
	f.endpoint.during = func(ctx context.Context, e *fakeEndpoint) error {
		f.tty = nil
		if err := self.Signal(syscall.SIGHUP); err != nil {
			t.Error(err)
		}
		select {
		case <-e.received[0].Stop:
		case <-time.After(time.Minute):
			t.Error("nothing came of SIGHUP")
		}
		return nil
	}
	f.wants(0, nil, "receive", "--dir", f.env["HOME"])
}

func TestLogLevels(t *testing.T) {
	for word, want := range map[string]slog.Level{"": slog.LevelInfo, "trace": session.LevelTrace, "debug": slog.LevelDebug, "warn": slog.LevelWarn, "error": slog.LevelError} {
		if got, err := logLevel(word); err != nil || got != want {
			t.Errorf("%q: %v, %v", word, got, err)
		}
	}
	var b bytes.Buffer
	log := slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: session.LevelTrace, ReplaceAttr: nameTrace}))
	log.Log(t.Context(), session.LevelTrace, "x")
	log.Info("y", "level", "z")
	if s := b.String(); !strings.Contains(s, "level=TRACE msg=x") || !strings.Contains(s, "level=INFO msg=y level=z") {
		t.Errorf("%s", s)
	}
}

// TestLogFile: a log that was renamed is begun anew; one that cannot be is gone
// on with.
func TestLogFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, err := openLogFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		t.Helper()
		if _, err := l.Write([]byte(text)); err != nil {
			t.Error(err)
		}
	}
	write("one")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	write("two")
	if err := l.Reopen(); err != nil {
		t.Error(err)
	}
	write("three")
	if err := os.Rename(path, path+".2"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := l.Reopen(); err == nil {
		t.Error("a directory was opened")
	}
	write("four")
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]string{path + ".1": "onetwo", path + ".2": "threefour"} {
		if got, err := os.ReadFile(name); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if info, err := os.Stat(name); err == nil && info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v", name, info.Mode())
		}
	}
}

// TestLogFileMode: a log that is there keeps what its group may do and nothing else.
func TestLogFileMode(t *testing.T) {
	for mode, want := range map[os.FileMode]os.FileMode{0o644: 0o640, 0o666: 0o660, 0o640: 0o640, 0o600: 0o600} {
		path := filepath.Join(t.TempDir(), "log")
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
		l, err := openLogFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%o: %v, %v", mode, info.Mode(), err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

// unitFile reads the systemd unit. setting gives the value of a key in it.
func unitFile(t *testing.T) (text string, setting func(key string) string) {
	t.Helper()
	data, err := os.ReadFile("../../packaging/systemd/jetsend-receive@.service")
	if err != nil {
		t.Fatal(err)
	}
	return string(data), func(key string) string {
		for line := range strings.Lines(string(data)) {
			if value, ok := strings.CutPrefix(strings.TrimSpace(line), key+"="); ok {
				return value
			}
		}
		t.Errorf("no %s", key)
		return ""
	}
}

// TestUnit holds the systemd unit against the program: its exit codes, its
// command line, the time that it gives.
func TestUnit(t *testing.T) {
	text, setting := unitFile(t)
	codes := map[string]bool{}
	for _, m := range meanings() {
		codes[strconv.Itoa(int(m.code))] = true
	}
	for _, key := range []string{"RestartPreventExitStatus", "SuccessExitStatus"} {
		for _, code := range strings.Fields(setting(key)) {
			if !codes[code] {
				t.Errorf("%s: %s is no exit code", key, code)
			}
		}
	}
	f := newFixture(t)
	delete(f.env, "JETSEND_JID")
	f.file(".config/jetsend/config.yaml", "accounts: {home: {jid: juliet@capulet.example}}\nreceive: {accept: contacts, dir: "+f.env["HOME"]+"}\n")
	f.wants(0, nil, strings.Fields(strings.Replace(setting("ExecStart"), "%i", "home", 1))[1:]...)
	stop, err := strconv.Atoi(setting("TimeoutStopSec"))
	if err != nil || time.Duration(stop)*time.Second != config.Default().Receive.Drain+farewell || farewell < 2*closeTimeout {
		t.Errorf("TimeoutStopSec %d: %v", stop, err)
	}
	if analyze, err := exec.LookPath("systemd-analyze"); err == nil {
		unit := filepath.Join(t.TempDir(), "jetsend-receive@home.service")
		runnable := strings.NewReplacer("ExecStart=jetsend", "ExecStart="+os.Args[0], "Documentation=", "#").Replace(text)
		if err := os.WriteFile(unit, []byte(runnable), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(analyze, "--user", "verify", unit)
		cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+t.TempDir())
		out, err := cmd.CombinedOutput()
		if strings.Contains(string(out), "initialize manager") {
			t.Logf("systemd-analyze does not work here: %s", out)
		} else if err != nil || len(out) > 0 {
			t.Errorf("%v\n%s", err, out)
		}
	}
}
