package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"jetsend/internal/clean"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/route"
	"jetsend/internal/session"
	"jetsend/internal/source"
	"jetsend/internal/transfer"
)

// file makes a file in the fixture's home and returns its path.
func (f *fixture) file(name, text string) string {
	f.t.Helper()
	path := filepath.Join(f.env["HOME"], name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
	return path
}

func TestSendOptions(t *testing.T) {
	romeo := jid.MustParse("romeo@montague.example")
	paths := route.Options{Transports: []string{"s5b", "ibb"}}
	retry := transfer.RetryOptions{Retries: 5, For: 10 * time.Minute}
	for _, tt := range []struct {
		name, config string
		args         []string
		tty          bool
		want         transfer.SendOptions
	}{
		{
			name: "defaults, in a script", args: nil,
			want: transfer.SendOptions{Wait: 10 * time.Second, AnswerTimeout: 5 * time.Minute, Route: paths, Retry: retry},
		},
		{
			name: "defaults, on a terminal", tty: true,
			want: transfer.SendOptions{Wait: 10 * time.Second, Route: paths, Retry: retry},
		},
		{
			name: "the configuration", config: "send: {wait: 1m, answer_timeout: 2m, limit_rate: 1MB, no_direct: true, checksum: true, all_or_nothing: true, description: hello, retries: 0, retry_for: 1d, no_resume: true}",
			want: transfer.SendOptions{Wait: time.Minute, Patient: true, AnswerTimeout: 2 * time.Minute, LimitRate: 1e6, Route: route.Options{Transports: []string{"s5b", "ibb"}, NoDirect: true}, Checksum: true, AllOrNothing: true, Description: "hello", Retry: transfer.RetryOptions{For: 24 * time.Hour}, NoResume: true},
		},
		{
			name: "flags over it", config: "send: {wait: 1m, answer_timeout: 2m, limit_rate: 1MB, no_direct: true, retries: 9, no_resume: true, all_or_nothing: true}",
			args: []string{"--wait=0", "--answer-timeout=0", "--limit-rate=2MiB/s", "--no-direct=false", "--cipher=aes-256-gcm", "--retries=07", "--retry-for=30s", "--no-resume=false", "--all-or-nothing=false"},
			want: transfer.SendOptions{Patient: true, LimitRate: 2 << 20, Cipher: "aes-256-gcm", Route: paths, Retry: transfer.RetryOptions{Retries: 7, For: 30 * time.Second}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			a := f.file("a.txt", "text")
			if tt.config != "" {
				f.file(".config/jetsend/config.yaml", tt.config)
			}
			if tt.tty {
				f.tty = &fakeTTY{}
			}
			f.wants(0, nil, append(append([]string{"send"}, tt.args...), a, a, "romeo@montague.example")...)
			tt.want.To, tt.want.Files = romeo, []source.Named{{Path: a}, {Path: a}}
			if diff := cmp.Diff([]transfer.SendOptions{tt.want}, f.endpoint.sent, cmp.Comparer(func(a, b jid.JID) bool { return a == b })); diff != "" {
				t.Error(diff)
			}
			if f.endpoint.closed != 1 {
				t.Errorf("the session was closed %d times", f.endpoint.closed)
			}
		})
	}
}

func TestSendInput(t *testing.T) {
	f := newFixture(t)
	f.file(".config/jetsend/config.yaml", "send: {max_spool: 1GB}\n")
	f.wants(0, nil, "send", "-", f.env["HOME"], "--name=", "romeo@montague.example")
	o := f.endpoint.sent[0]
	if o.MaxSpool != 1e9 || len(o.Files) != 2 || o.Files[0].Input == nil || o.Files[0].Path != "" || o.Files[1].Input != nil || o.Files[1].Path != f.env["HOME"] {
		t.Errorf("got %+v", o)
	}
	f.wants(0, nil, "send", "--name", "x.sql", "--max-spool", "1KiB", "-", "romeo@montague.example")
	if o := f.endpoint.sent[1]; o.MaxSpool != 1024 || o.Files[0].Name != "x.sql" {
		t.Errorf("got %+v", o)
	}
	f.wants(2, []string{"given 2 times"}, "send", "-", "-", "romeo@montague.example")
}

func TestSendNamesAndContacts(t *testing.T) {
	f := newFixture(t)
	a := f.file("a.txt", "text")
	f.file(".config/jetsend/config.yaml", "contacts: {Romeo: romeo@montague.example/orchard}\n")
	f.wants(0, nil, "send", "--name", "b c.txt", a, "ROMEO")
	if got := f.endpoint.sent[0]; got.To.String() != "romeo@montague.example/orchard" || got.Files[0].Name != "b c.txt" {
		t.Errorf("got %+v", got)
	}
	f.wants(2, []string{"neither an address"}, "send", a, "mercutio")
	f.wants(2, nil, "send", "--name", "x/y", a, "romeo")
}

// TestOrderOfChecks: usage, configuration, local files, and only then the network.
func TestOrderOfChecks(t *testing.T) {
	f := newFixture(t)
	broken := f.file("broken.yaml", "nonsense: 1\n")
	f.wants(2, nil, "--config", broken, "send", "-", "-", "romeo@montague.example")
	f.wants(3, []string{"unknown key"}, "--config", broken, "send", "missing", "romeo@montague.example")
	f.wants(12, nil, "send", "missing", "romeo@montague.example")
	if len(f.dialled) != 0 {
		t.Error("the network was used for a command that could not work")
	}
	f.dialErr = &session.AuthError{Condition: "not-authorized"}
	f.wants(4, []string{"wrong password", "JETSEND_PASSWORD"}, "send", f.file("a.txt", ""), "romeo@montague.example")
}

func TestReportedFailureIsNotSaidTwice(t *testing.T) {
	f := newFixture(t)
	f.endpoint.during = func(_ context.Context, e *fakeEndpoint) error {
		e.report(event.Failed{Head: event.Head{Name: "a.txt", Peer: "romeo@montague.example/x"}, Code: 8, Reason: "declined"})
		return &fault.Failure{Code: exitcode.Declined, Reason: "not every file was sent", Reported: true}
	}
	f.wants(8, []string{"jetsend: error: a.txt: declined"}, "send", f.file("a.txt", ""), "romeo@montague.example")
	if n := strings.Count(f.err.String(), "jetsend: error:"); n != 1 {
		t.Errorf("%d errors:\n%s", n, f.err.String())
	}
	if f.run("--json", "send", f.file("a.txt", ""), "romeo@montague.example"); strings.Count(f.out.String(), "\n") != 1 {
		t.Errorf("events:\n%s", f.out.String())
	}
}

func TestUnexpectedAsksForAReport(t *testing.T) {
	f := newFixture(t)
	f.endpoint.result = errors.New("boom")
	f.wants(1, []string{"jetsend: error: boom", "please report it"}, "send", f.file("a.txt", ""), "romeo@montague.example")
}

func TestAccountAndSecrets(t *testing.T) {
	f := newFixture(t)
	a := f.file("a.txt", "text")
	f.env["JETSEND_SERVER"] = "127.0.0.1:5222"
	f.env["JETSEND_STATE_DIR"] = filepath.Join(f.env["HOME"], "state")
	f.wants(0, []string{"warning: a new OMEMO device was made for juliet@capulet.example", f.env["JETSEND_STATE_DIR"]}, "send", a, "romeo@montague.example")
	o := f.dialled[0]
	if o.Password != "secret" || !o.Account.Ephemeral || o.Account.Server != "127.0.0.1:5222" || o.StateDir != f.env["JETSEND_STATE_DIR"] || o.Receiver || o.Priority != -1 || o.KeepFor != 30*24*time.Hour {
		t.Errorf("dialled %+v", o)
	}
	if strings.Contains(f.err.String(), "secret") {
		t.Error("the password was shown")
	}

	// An account of the file, its password in the keyring.
	delete(f.env, "JETSEND_PASSWORD")
	f.file(".config/jetsend/config.yaml", "accounts: {home: {jid: juliet@capulet.example, keyring: true, allow_plain: true, allow_sasl_downgrade: true, socks5: '127.0.0.1:9050'}}\ntrust: verified\n")
	f.ring.m["juliet@capulet.example"] = "kept"
	f.wants(0, nil, "send", "--state-dir", f.env["HOME"], a, "romeo@montague.example")
	o = f.dialled[1]
	if o.Password != "kept" || o.Account.Ephemeral || !o.Account.AllowPlain || !o.Account.AllowSASLDowngrade || o.Account.SOCKS5 == "" || o.Trust != "verified" || o.StateDir != f.env["HOME"] {
		t.Errorf("dialled %+v", o)
	}
	if strings.Contains(f.err.String(), "warning") {
		t.Error("an account of the file is no surprise:", f.err.String())
	}

	// Typed, when nothing else says it and somebody is there.
	delete(f.ring.m, "juliet@capulet.example")
	f.wants(3, []string{"the keyring holds no password", "jetsend login juliet@capulet.example"}, "send", a, "romeo@montague.example")
	f.file(".config/jetsend/config.yaml", "accounts: {home: {jid: juliet@capulet.example}}\n")
	f.wants(3, []string{"no terminal to ask"}, "send", a, "romeo@montague.example")
	f.tty = &fakeTTY{answers: []string{"typed"}}
	f.wants(0, nil, "send", a, "romeo@montague.example")
	if got := f.dialled[len(f.dialled)-1].Password; got != "typed" {
		t.Errorf("password %q", got)
	}
	f.tty = &fakeTTY{err: fault.ErrInterrupted}
	f.wants(130, []string{"interrupted"}, "send", a, "romeo@montague.example")
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{"": "''", "a.txt": "a.txt", "a b": "'a b'", "it's": `'it'\''s'`, "$HOME": "'$HOME'", "a@b/c": "a@b/c", "-x\n": "'-x\n'"} {
		if got := clean.Argument(in); got != want {
			t.Errorf("clean.Argument(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestDurationText(t *testing.T) {
	for in, want := range map[time.Duration]string{0: "0", 10 * time.Second: "10s", 5 * time.Minute: "5m", time.Hour: "1h", 90 * time.Minute: "1h30m", 80 * time.Second: "1m20s", 100 * time.Minute: "1h40m", 1500 * time.Millisecond: "1.5s", 20 * time.Hour: "20h"} {
		d := duration(in)
		if got := d.String(); got != want {
			t.Errorf("%v is written %s, want %s", in, got, want)
		}
		if err := d.Set(d.String()); err != nil && in != 0 || time.Duration(d) != in {
			t.Errorf("%s is read back as %v, %v", want, time.Duration(d), err)
		}
	}
}
