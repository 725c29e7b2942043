package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"jetsend/internal/config"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
	"jetsend/internal/local"
	"jetsend/internal/outbox"
	"jetsend/internal/session"
	"jetsend/internal/source"
	"jetsend/internal/state"
	"jetsend/internal/transfer"
)

// receiving has a receive run on a fake endpoint until the test ends, or stop is called. What
// others have it send is done by sending.
func receiving(t *testing.T, sending func(context.Context, transfer.SendOptions) error) (f *fixture, stop func()) {
	t.Helper()
	f = newFixture(t)
	up, end, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	f.endpoint.sending = sending
	f.endpoint.during = func(_ context.Context, e *fakeEndpoint) error {
		f.dialled[0].Connection(session.State{Up: true})
		e.report(event.Online{JID: e.self.String()})
		close(up)
		<-end
		return nil
	}
	go func() {
		defer close(done)
		if code := f.run("receive", "--dir", f.env["HOME"], "--accept", "contacts"); code != 0 {
			t.Errorf("receive ended with %d:\n%s", code, f.err.String())
		}
	}()
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			close(end)
		}
		<-done
	}
	t.Cleanup(stop)
	<-up
	return f, stop
}

// beside is a send of the same account.
func beside(t *testing.T, f *fixture) *fixture {
	other := newFixture(t)
	other.env = f.env
	return other
}

// TestVia: a send by the running receive is told as one of its own, and ends as it.
func TestVia(t *testing.T) {
	head := event.Head{Transfer: "11111111-1111-4111-8111-111111111111", Direction: event.Send, Peer: "romeo@montague.example/x", Name: "a.txt"}
	var got transfer.SendOptions
	var end error
	f, _ := receiving(t, func(_ context.Context, o transfer.SendOptions) error {
		got = o
		o.Report(event.Warning{Text: "mind the gap"})
		o.Report(event.Offer{Head: head, Size: 4})
		if end == nil {
			o.Report(event.Sent{Head: head, Size: 4, VerifiedByPeer: true})
		}
		return end
	})
	s := beside(t, f)
	s.endpoint.sending = func(context.Context, transfer.SendOptions) error { return nil }
	a, b := s.file("a.txt", "text"), s.file("b.txt", "more")
	s.wants(0, []string{"warning: mind the gap\n", "sent a.txt to romeo"}, "send", "--via-daemon", "--wait=3s", "--answer-timeout=7s", "--checksum", "--transport=ibb", a, "romeo@montague.example")
	if got.To.String() != "romeo@montague.example" || got.Wait.Seconds() != 3 || !got.Patient || got.AnswerTimeout.Seconds() != 7 || !got.Checksum ||
		got.LimitRate != transfer.KeepRate || len(got.Files) != 1 || got.Files[0].Path != a || strings.Join(got.Route.Transports, "") != "ibb" {
		t.Errorf("sent with %+v", got)
	}
	end = &fault.Failure{Code: exitcode.Offline, Reason: "nobody is there", Hints: []string{"wait for romeo"}}
	s.wants(6, []string{"error: nobody is there\n", "hint: wait for romeo\n"}, "send", "--via-daemon", a, "romeo@montague.example")
	end = &fault.NotBegunError{Failure: &fault.Failure{Code: exitcode.Cancelled, Reason: "x", Reported: true}, Sources: got.Files[:0]}
	s.wants(130, nil, "send", "--via-daemon", a, "romeo@montague.example")
	if len(s.dialled) != 0 {
		t.Errorf("it has logged in %d times", len(s.dialled))
	}
	for _, args := range [][]string{
		{a}, {"--via-daemon=false", a}, {"--no-port-mapping", "--via-daemon", a}, {"--via-daemon", "--limit-rate=1MB", a},
		{"--via-daemon", "-"}, {"--via-daemon", "--insecure-plaintext", a}, {"--via-daemon", "--to=nurse@capulet.example", "--to", "romeo@montague.example", b},
	} {
		s.dialled = nil
		if args[len(args)-1] != b {
			args = append(args, "romeo@montague.example")
		}
		if s.run(append([]string{"send"}, args...)...); len(s.dialled) != 1 {
			t.Errorf("%q: %d logins", args, len(s.dialled))
		}
	}
}

// TestViaRest: the files that a run of several had not come to are named as they were typed.
func TestViaRest(t *testing.T) {
	f, _ := receiving(t, func(_ context.Context, o transfer.SendOptions) error {
		return &fault.NotBegunError{Failure: &fault.Failure{Code: exitcode.Declined, Reason: "not every file was sent", Reported: true}, Sources: o.Files[1:]}
	})
	s := beside(t, f)
	a, b := s.file("a.txt", "text"), s.file("b.txt", "more")
	s.wants(8, []string{"hint: run `jetsend send --via-daemon " + b + " romeo@montague.example` to send the files that were not begun"}, "send", "--via-daemon", a, b, "romeo@montague.example")
}

// TestViaEnds: a receive that ends leaves an interruption, and nothing is sent by others.
func TestViaEnds(t *testing.T) {
	for _, tt := range []struct {
		began bool
		code  int
	}{{false, 5}, {true, 11}} {
		begun := make(chan struct{})
		f, stop := receiving(t, func(ctx context.Context, o transfer.SendOptions) error {
			h := event.Head{Transfer: "11111111-1111-4111-8111-111111111111", Direction: event.Send, Peer: "romeo@montague.example/x", Name: "a.txt"}
			if tt.began {
				o.Report(event.Offer{Head: h, Size: 4})
			}
			close(begun)
			<-ctx.Done()
			o.Report(event.Failed{Head: h, Code: 143, Reason: "terminated"})
			return context.Cause(ctx)
		})
		s := beside(t, f)
		a := s.file("a.txt", "text")
		go func() { <-begun; stop() }()
		s.wants(tt.code, []string{"the receive that was sending has ended"}, "send", "--via-daemon", a, "romeo@montague.example")
		if strings.Contains(s.err.String(), "terminated") || len(s.dialled) != 0 {
			t.Errorf("%d logins:\n%s", len(s.dialled), s.err.String())
		}
		stop()
	}
}

// TestLend: what a receive does not do for others, and how many times at once.
func TestLend(t *testing.T) {
	begun, end := make(chan struct{}, lendings), make(chan struct{})
	f, _ := receiving(t, func(context.Context, transfer.SendOptions) error {
		begun <- struct{}{}
		<-end
		return nil
	})
	dir := filepath.Join(f.env["HOME"], ".local/state/jetsend")
	account := &config.Chosen{Account: config.Account{JID: "juliet@capulet.example"}, Addr: jid.MustParse("juliet@capulet.example")}
	path, _ := local.Socket(state.Path(dir, account.Addr), "")
	a := f.file("a.txt", "text")
	c := config.Default()
	good := func() *sendRequest {
		files := []outbox.File{{Path: a}}
		id, err := identity(files)
		if err != nil {
			t.Fatal(err)
		}
		return &sendRequest{Like: likeness(&c, account), To: "romeo@montague.example", Files: files, Identity: id, Options: c.Send, Transports: c.Transports.Order}
	}
	call := func(body any) (items int, err error) {
		err = local.Call(t.Context(), path, requestSend, body, func(json.RawMessage) error { items++; return nil })
		return items, err
	}
	for name, change := range map[string]func(*sendRequest){
		"another version":  func(r *sendRequest) { r.Like = "0.0" + r.Like },
		"another file":     func(r *sendRequest) { r.Identity = strings.Repeat("00", 64) },
		"no file":          func(r *sendRequest) { r.Files, r.Identity = nil, "" },
		"a file not there": func(r *sendRequest) { r.Files[0].Path = a + "x" },
		"no contact":       func(r *sendRequest) { r.To = "" },
		"no address":       func(r *sendRequest) { r.To = "@" },
		"bad patterns":     func(r *sendRequest) { r.Options.Exclude = []string{"["} },
	} {
		r := good()
		change(r)
		var refused *local.Error
		if items, err := call(r); items != 0 || !errors.As(err, &refused) {
			t.Errorf("%s: %d items, %v", name, items, err)
		}
	}
	if items, err := call("x"); items != 0 || err == nil {
		t.Errorf("no request: %d items, %v", items, err)
	}
	// One of the same path that has come in the place of the other.
	r := good()
	if err := errors.Join(os.WriteFile(a+"2", []byte("text"), 0o600), os.Rename(a+"2", a)); err != nil {
		t.Fatal(err)
	}
	if items, err := call(r); items != 0 || err == nil {
		t.Errorf("another one: %d items, %v", items, err)
	}
	ended := make(chan error, lendings)
	for range lendings {
		go func() { _, err := call(good()); ended <- err }()
	}
	for range lendings {
		<-begun
	}
	if items, err := call(good()); items != 0 || err == nil {
		t.Errorf("one too many: %d items, %v", items, err)
	}
	close(end)
	for range lendings {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// left is a journal of one transfer.
type left struct {
	noTransfers
	rows []journal.Row // as it is found, one time after the other
}

func (l *left) Get(context.Context, string) (journal.Row, int, error) {
	row := l.rows[0]
	l.rows = l.rows[min(1, len(l.rows)-1):]
	return row, -1, nil
}

// TestLeftAs: what the journal knows of a transfer that its process has left is how it ended.
func TestLeftAs(t *testing.T) {
	h := event.Head{Transfer: "1", Direction: event.Send, Name: "a"}
	f := &failure{code: exitcode.Interrupted, reason: "gone"}
	failed := func(resumable bool) event.Event {
		return event.Failed{Head: h, Code: 11, Reason: "gone", Resumable: resumable}
	}
	for name, tt := range map[string]struct {
		from transfers
		want event.Event
	}{
		"unknown":     {noTransfers{}, failed(false)},
		"interrupted": {&left{rows: []journal.Row{{State: journal.Running}, {State: journal.Interrupted}}}, failed(true)},
		"failed":      {&left{rows: []journal.Row{{State: journal.Failed}}}, failed(false)},
		"complete":    {&left{rows: []journal.Row{{State: journal.Complete, Released: true, Size: 4, Profile: true}}}, event.Sent{Head: h, Size: 4, VerifiedByPeer: true}},
	} {
		if got := leftAs(t.Context(), tt.from, h, f); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestUnseen: of several files those were not begun of which nothing was told.
func TestUnseen(t *testing.T) {
	b := &borrower{files: []source.Named{{Path: "/x/a"}, {Path: "/y/a"}, {Path: "/d"}, {Path: "/z", Name: "b"}, {Path: "/c"}}}
	for _, name := range []string{"a", "d.tar", "b"} {
		b.all = append(b.all, &borrowed{Head: event.Head{Name: name}})
	}
	if got := b.unseen(); len(got) != 2 || got[0].Path != "/y/a" || got[1].Path != "/c" {
		t.Errorf("%+v", got)
	}
}
