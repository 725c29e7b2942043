package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"jetsend/internal/event"
	"jetsend/internal/inbox"
	"jetsend/internal/jid"
	"jetsend/internal/policy"
	"jetsend/internal/profile"
	"jetsend/internal/transfer"
)

func TestReceiveOptions(t *testing.T) {
	f := newFixture(t)
	in := filepath.Join(f.env["HOME"], "in")
	if err := os.Mkdir(in, 0o700); err != nil {
		t.Fatal(err)
	}
	f.file(".config/jetsend/config.yaml", "contacts: {romeo: romeo@montague.example}\nreceive: {dir: ../../in, max_size: 1GB, min_free: 1GiB, on_conflict: skip, priority: 5, drain: 1m, retries: 2, auto_resume: 1d12h}\n")
	f.wants(0, []string{"waiting for files as juliet@capulet.example/jetsend.1a2b3c4d, in " + in},
		"receive", "--from", "romeo", "--from", "paris@verona.example/tomb", "--limit-rate", "5MB", "--once", "--no-direct", "--no-serve", "--retry-for", "1h", "--on-conflict", "overwrite")
	o := f.endpoint.received[0]
	if o.Dir != in || o.Accept != policy.From || o.MaxSize != 1e9 || o.MinFree != 1<<30 || o.OnConflict != inbox.Overwrite ||
		o.LimitRate != 5e6 || !o.Once || !o.Route.NoDirect || o.Drain != time.Minute || o.Ask != nil || o.Stop == nil {
		t.Errorf("got %+v", o)
	}
	if o.Retry != (transfer.RetryOptions{Retries: 2, For: time.Hour}) || !o.NoServe || o.AutoResume != 36*time.Hour || o.KeepFor != 30*24*time.Hour {
		t.Errorf("retry %+v, serve %v, resume %v, keep %v", o.Retry, !o.NoServe, o.AutoResume, o.KeepFor)
	}
	if o.PerSender || o.Hook != nil || o.Out != nil {
		t.Errorf("got %+v", o)
	}
	if len(o.From) != 2 || o.From[0].String() != "romeo@montague.example" || o.From[1].String() != "paris@verona.example/tomb" {
		t.Errorf("from %v", o.From)
	}
	if d := f.dialled[0]; !d.Receiver || d.Priority != 5 {
		t.Errorf("dialled %+v", d)
	}
}

// TestDelivery: where received files go beside their directory, and what cannot be
// meant.
func TestDelivery(t *testing.T) {
	f := newFixture(t)
	script := f.file("hooks/sort", "#!/bin/sh\n")
	receive := func(args ...string) []string {
		return append([]string{"receive", "--accept", "contacts", "--dir", f.env["HOME"]}, args...)
	}
	f.file(".config/jetsend/config.yaml", "receive: {exec: ../../hooks/sort, per_sender: true}\n")
	f.wants(12, []string{"is not executable", "hint: run `chmod +x " + script + "`"}, receive()...)
	if err := os.Chmod(script, 0o700); err != nil {
		t.Fatal(err)
	}
	f.wants(0, nil, receive()...)
	if o := f.endpoint.received[0]; !o.PerSender || o.Hook == nil || o.Hook.Path != script || o.Out != nil {
		t.Errorf("got %+v", o)
	}
	f.wants(2, []string{"nothing for --exec or --per-sender"}, receive("--once", "--stdout")...)
	f.wants(0, nil, receive("--once", "--stdout", "--exec=", "--per-sender=false")...)
	if o := f.endpoint.received[1]; o.Out == nil || o.Hook != nil {
		t.Errorf("got %+v", o)
	}
	f.wants(2, []string{"--stdout is for one file", "hint: add --once"}, receive("--stdout")...)
	f.wants(2, []string{"both want standard output"}, receive("--once", "--stdout", "--json")...)
	f.wants(12, []string{"is not a regular file"}, receive("--exec", f.env["HOME"])...)
	f.wants(12, []string{"no such file"}, receive("--exec", "missing")...)
}

// TestOnConflict: each word of the flag is a rule of its own, in the configuration too.
func TestOnConflict(t *testing.T) {
	f := newFixture(t)
	for word, want := range map[string]inbox.Conflict{"rename": inbox.Rename, "skip": inbox.Skip, "overwrite": inbox.Overwrite, "update": inbox.Update} {
		f.endpoint.received = nil
		f.file(".config/jetsend/config.yaml", "receive: {accept: contacts, on_conflict: "+word+"}")
		f.wants(0, nil, "receive", "--dir", f.env["HOME"])
		f.wants(0, nil, "receive", "--dir", f.env["HOME"], "--on-conflict", word)
		for _, o := range f.endpoint.received {
			if o.OnConflict != want {
				t.Errorf("%s is %v", word, o.OnConflict)
			}
		}
		if len(f.endpoint.received) != 2 {
			t.Errorf("%s: %d runs", word, len(f.endpoint.received))
		}
	}
}

func TestAcceptPolicy(t *testing.T) {
	for _, tt := range []struct {
		name, config string
		args         []string
		tty          bool
		code         int
		want         policy.Accept
	}{
		{name: "script, nothing said", code: 2},
		{name: "script, ask", args: []string{"--accept=ask"}, code: 2},
		{name: "script, ask in the file", config: "receive: {accept: ask}", code: 2},
		{name: "script, from", args: []string{"--from=a@b.example"}, want: policy.From},
		{name: "script, from in the file", config: "receive: {from: [a@b.example]}", want: policy.From},
		{name: "script, contacts", args: []string{"--accept=contacts"}, want: policy.Contacts},
		{name: "script, narrowed", args: []string{"--accept=verified", "--from=a@b.example"}, want: policy.Verified},
		{name: "script, all in the file", config: "receive: {accept: all}", want: policy.All},
		{name: "terminal, nothing said", tty: true, want: policy.Ask},
		{name: "terminal, from", tty: true, args: []string{"--from=a@b.example"}, want: policy.From},
		{name: "terminal, ask narrowed", tty: true, args: []string{"--accept=ask", "--from=a@b.example"}, want: policy.Ask},
		{name: "terminal, file", tty: true, config: "receive: {accept: contacts}", want: policy.Contacts},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			if tt.tty {
				f.tty = &fakeTTY{}
			}
			if tt.config != "" {
				f.file(".config/jetsend/config.yaml", tt.config)
			}
			f.wants(tt.code, nil, append([]string{"receive", "--dir", f.env["HOME"]}, tt.args...)...)
			if tt.code != 0 {
				if len(f.dialled) > 0 || !strings.Contains(f.err.String(), "jetsend: hint:") {
					t.Errorf("dialled %d times:\n%s", len(f.dialled), f.err.String())
				}
				return
			}
			if o := f.endpoint.received[0]; o.Accept != tt.want || (o.Ask != nil) != (tt.want == policy.Ask) {
				t.Errorf("policy %s", o.Accept)
			}
		})
	}
}

func TestAsk(t *testing.T) {
	q := transfer.Question{
		Peer: jid.MustParse("romeo@montague.example/orchard"), Name: "a\x1b[2J.iso", Size: 1500, Description: "for\u202eyou",
		Device: event.DeviceInfo{ID: 7, Fingerprint: strings.Repeat("01234567", 8), Trust: "blind", New: true},
	}
	for answer, want := range map[string]bool{"y": true, "YES": true, "": false, "n": false, "yep": false} {
		f := newFixture(t)
		f.tty = &fakeTTY{answers: []string{answer}}
		f.endpoint.during = func(ctx context.Context, e *fakeEndpoint) error {
			got, err := e.received[0].Ask(ctx, q)
			if got != want || err != nil {
				t.Errorf("%q means %v, %v", answer, got, err)
			}
			return nil
		}
		f.wants(0, nil, "receive", "--dir", f.env["HOME"])
		const shown = "\a" + `  "for` + "\ufffd" + `you"
  device 7 (blind, new), with the key
  01234567 01234567 01234567 01234567
  01234567 01234567 01234567 01234567
Accept a` + "\ufffd" + `[2J.iso (1.5 kB) from romeo@montague.example? [y/N] `
		if len(f.tty.shown) != 1 || f.tty.shown[0] != shown {
			t.Errorf("asked %q", f.tty.shown)
		}
	}
}

// TestAskBatch: a yes to several files is asked for all of them.
func TestAskBatch(t *testing.T) {
	q := transfer.Question{
		Peer: jid.MustParse("romeo@montague.example/orchard"), Name: "note.txt", Size: 3,
		Batch: &profile.Batch{ID: "b", Index: 2, Count: 3, Bytes: 3e6},
	}
	for directory, want := range map[bool]string{
		false: "\nAccept 3 files (note.txt and 2 more, 3.0 MB) from romeo@montague.example? [y/N] ",
		true:  "\nAccept 3 files (directory note.txt and 2 more, 3.0 MB) from romeo@montague.example? [y/N] ",
	} {
		q.Directory = directory
		if got := question(q); !strings.HasSuffix(got, want) {
			t.Errorf("asked %q", got)
		}
	}
	q.Directory, q.Batch.Count = false, 1
	if got := question(q); !strings.Contains(got, "Accept note.txt (3 B) from") {
		t.Errorf("asked %q", got)
	}
}

// TestSignals sends this process what an operating system sends.
func TestSignals(t *testing.T) {
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	send := func(sig os.Signal) {
		if err := self.Signal(sig); err != nil {
			t.Error(err)
		}
	}
	wait := func(what string, c <-chan struct{}) {
		select {
		case <-c:
		case <-time.After(time.Minute):
			t.Error("nothing came of", what)
		}
	}
	t.Run("SIGTERM in receive is graceful, a second one is not", func(t *testing.T) {
		f := newFixture(t)
		f.endpoint.during = func(ctx context.Context, e *fakeEndpoint) error {
			send(syscall.SIGTERM)
			wait("SIGTERM", e.received[0].Stop)
			if ctx.Err() != nil {
				t.Error("the context ended with the first SIGTERM")
			}
			send(syscall.SIGTERM)
			wait("the second SIGTERM", ctx.Done())
			return context.Cause(ctx)
		}
		f.wants(143, nil, "receive", "--accept", "all", "--dir", f.env["HOME"])
		if f.endpoint.closed != 1 {
			t.Error("the session was not closed")
		}
	})
	t.Run("SIGTERM while logging in to receive", func(t *testing.T) {
		f := newFixture(t)
		f.dialling = func(ctx context.Context) error {
			send(syscall.SIGTERM)
			wait("SIGTERM", ctx.Done())
			return ctx.Err()
		}
		f.wants(0, nil, "receive", "--accept", "all", "--dir", f.env["HOME"])
	})
	t.Run("SIGINT in receive, twice", func(t *testing.T) {
		f := newFixture(t)
		f.endpoint.during = func(ctx context.Context, _ *fakeEndpoint) error {
			send(os.Interrupt)
			wait("SIGINT", ctx.Done())
			send(os.Interrupt)
			select {
			case code := <-f.left:
				if code != 130 {
					t.Errorf("the second SIGINT left with %d", code)
				}
			case <-time.After(time.Minute):
				t.Error("nothing came of the second SIGINT")
			}
			return context.Cause(ctx)
		}
		f.wants(130, []string{"interrupted"}, "receive", "--accept", "all", "--dir", f.env["HOME"])
	})
	t.Run("SIGTERM and SIGHUP in send", func(t *testing.T) {
		for _, sig := range []os.Signal{syscall.SIGTERM, syscall.SIGHUP} {
			f := newFixture(t)
			f.endpoint.during = func(ctx context.Context, _ *fakeEndpoint) error {
				send(sig)
				wait("signal", ctx.Done())
				return ctx.Err()
			}
			f.wants(143, []string{"terminated"}, "send", f.file("a.txt", ""), "romeo@montague.example")
		}
	})
}
