package transfer

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"jetsend/internal/batch"
	"jetsend/internal/dialect"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/inbox"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/journal"
	"jetsend/internal/policy"
	"jetsend/internal/route"
	"jetsend/internal/source"
	"jetsend/internal/xmltree"
	"jetsend/internal/xmpptest"
)

// TestNothingToldBeforeTheYes: a sender that offers a file to somebody who is asked is
// told one and the same, and not before the answer, whether or not it is there already or
// would fit. Nobody is asked about what the rules refuse, and this end hears that. After
// a yes it is told what it is.
func TestNothingToldBeforeTheYes(t *testing.T) {
	s := prosody(t)
	tap := xmpptest.StartTap(t, s, xmpptest.Pass)
	var in events
	juliet := online(t, s, s.Addr, "juliet", true, in.report)
	romeo := online(t, s, tap.Addr, "romeo", false, nil)
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "f"), 0o700); err != nil {
		t.Fatal(err)
	}
	asked, says := 0, false
	receiving(t, juliet, ReceiveOptions{Dir: dir, Accept: policy.Ask, Ask: func(context.Context, Question) (bool, error) { asked++; return says, nil }})
	said := ""
	for _, tt := range []struct {
		what   string
		change func(*ReceiveOptions)
		asked  int
		code   exitcode.Code
	}{
		{"a no", func(*ReceiveOptions) {}, 1, exitcode.Declined},
		{"the name is taken", func(o *ReceiveOptions) { o.OnConflict = inbox.Skip }, 2, exitcode.Declined},
		{"no space", func(o *ReceiveOptions) { o.OnConflict, o.MinFree = inbox.Rename, 1<<60 }, 3, exitcode.Declined},
		{"too large", func(o *ReceiveOptions) { o.MinFree, o.MaxSize = 0, 1 }, 3, exitcode.Declined},
	} {
		allow(t, juliet, tt.change)
		since := len(tap.Stanzas())
		if code := offeredBy(t, romeo, &source.Source{Name: "f"}, []byte("text"), ""); code != exitcode.Declined {
			t.Errorf("%s: the sender ends with %d", tt.what, code)
		}
		waitIdle(t, juliet)
		if f, _ := last[event.Failed](&in); f.Code != int(tt.code) {
			t.Errorf("%s: here it is %+v", tt.what, f)
		}
		got := ""
		for _, st := range tap.Stanzas()[since:] {
			if x, err := xmltree.Parse(st.Raw); err == nil && x.Child(jingle.NS, "jingle").Attr("action") == "session-terminate" {
				got = x.Child(jingle.NS, "jingle").Child(jingle.NS, "reason").String()
			}
		}
		if said == "" {
			said = got
		}
		if got == "" || got != said || asked != tt.asked {
			t.Errorf("%s: told %q, want %q; asked %d times", tt.what, got, said, asked)
		}
	}
	says = true
	allow(t, juliet, func(o *ReceiveOptions) { o.MaxSize, o.OnConflict = 0, inbox.Skip })
	if code := offeredBy(t, romeo, &source.Source{Name: "f"}, []byte("text"), ""); code != exitcode.LocalFile || asked != 4 {
		t.Errorf("the name is taken, after a yes: the sender ends with %d; asked %d times", code, asked)
	}
}

// TestOnceAfterNoSpace: what was not accepted is not what --once waits for, and so is
// what there is no room for after a yes.
func TestOnceAfterNoSpace(t *testing.T) {
	s := prosody(t)
	juliet := online(t, s, s.Addr, "juliet", true, nil)
	romeo := online(t, s, s.Addr, "romeo", false, nil)
	path := testFile(t, "text")
	opt := ReceiveOptions{Dir: t.TempDir(), Accept: policy.Contacts, Once: true, MinFree: 1 << 60, PerSender: true}
	stop := receiving(t, juliet, opt)
	send := SendOptions{To: jid.MustParse("juliet@jet.test"), Files: []source.Named{{Path: path}}, Wait: time.Minute}
	var f *fault.Failure
	for i := range 3 {
		if i == 2 {
			stop()
			opt.PerSender, opt.Accept = false, policy.Ask
			opt.Ask = func(context.Context, Question) (bool, error) { return true, nil }
			receiving(t, juliet, opt)
		}
		if err := romeo.Send(t.Context(), send); !errors.As(err, &f) || f.Code != exitcode.LocalFile {
			t.Fatalf("%v", err)
		}
	}
	eventually(t, func() bool { return free(juliet) })
}

// TestOnceEndedByAnother: what another process brings to its end, while an offer of it
// waits for that, is not what --once waits for.
func TestOnceEndedByAnother(t *testing.T) {
	s := prosody(t)
	juliet := online(t, s, s.Addr, "juliet", true, nil)
	romeo := online(t, s, s.Addr, "romeo", false, nil)
	row := journal.Row{
		Key: journal.Key{ID: uuid.NewString(), Direction: journal.Receive}, Peer: jid.MustParse("romeo@jet.test"), Profile: true,
		Name: "f", Dir: t.TempDir(), Size: 3, Source: journal.SourceFile, Keys: [][]byte{romeo.omemo.IdentityKey()},
	}
	other, err := juliet.journal.Begin(t.Context(), row)
	if err != nil {
		t.Fatal(err)
	}
	ended, sent := make(chan error, 1), make(chan exitcode.Code, 1)
	go func() {
		ended <- juliet.Receive(t.Context(), ReceiveOptions{Dir: row.Dir, Accept: policy.Contacts, Once: true})
	}()
	go func() { sent <- offeredBy(t, romeo, &source.Source{Name: row.Name}, []byte("abc"), row.ID) }()
	eventually(t, func() bool {
		return !free(juliet) && juliet.receiver.Load().once.Open(batch.KeyOf(row.Peer, "", row.ID))
	})
	err = errors.Join(other.Run(t.Context()), other.Place(filepath.Join(row.Dir, row.Name), nil),
		other.Complete(), other.Release())
	if code := <-sent; err != nil || code != exitcode.OK { // by the receipt
		t.Fatalf("%v, the sender ended with %d", err, code)
	}
	eventually(t, func() bool { return free(juliet) })
	if code := offeredBy(t, romeo, &source.Source{Name: "g"}, []byte("abc"), ""); code != exitcode.OK {
		t.Errorf("the next one: %d", code)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// free reports whether --once can still take any batch; else it waits for one.
func free(e *Endpoint) bool {
	r := e.receiver.Load()
	return r == nil || r.once.Open(batch.Key{})
}

// TestInbandSuccess: a client that says success before the blocks were
// acknowledged has not got the file.
func TestInbandSuccess(t *testing.T) {
	s := prosody(t)
	tap := xmpptest.StartTap(t, s, xmpptest.Pass)
	var out events
	juliet := online(t, s, s.Addr, "juliet", true, nil)
	romeo := online(t, s, tap.Addr, "romeo", false, out.report)
	receiving(t, juliet, ReceiveOptions{Dir: t.TempDir(), Accept: policy.Contacts})
	tap.SetRewrite(func(dir xmpptest.Direction, raw []byte) [][]byte {
		if dir == xmpptest.ToServer && contains(raw, "<data ") { // dropped, and called a success
			for _, st := range tap.Stanzas() {
				if contains(st.Raw, "session-initiate") {
					_ = tap.Inject(xmpptest.ToClient, []byte(success(st.Raw, romeo.JID(), juliet.JID())))
				}
			}
			return nil
		}
		return [][]byte{raw}
	})
	err := romeo.Send(t.Context(), SendOptions{
		To: jid.MustParse("juliet@jet.test"), Files: []source.Named{{Path: testFile(t, "something to keep")}}, Wait: time.Minute,
		Encryption: dialect.ChooseJET, Route: route.Options{Transports: []string{route.IBB}},
	})
	var f *fault.Failure
	if !errors.As(err, &f) || f.Code != exitcode.Integrity {
		t.Errorf("%v", err)
	}
	if _, ok := last[event.Sent](&out); ok {
		t.Error("event sent")
	}
}

// TestInterruptedAtTheEnd: a signal is obeyed also while the receipt is awaited.
func TestInterruptedAtTheEnd(t *testing.T) {
	s := prosody(t)
	tap := xmpptest.StartTap(t, s, func(_ xmpptest.Direction, raw []byte) [][]byte {
		if contains(raw, "<received") || contains(raw, "session-terminate") {
			return nil
		}
		return [][]byte{raw}
	})
	juliet := online(t, s, tap.Addr, "juliet", true, nil)
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	romeo := online(t, s, s.Addr, "romeo", false, func(ev event.Event) {
		if _, ok := ev.(event.Negotiated); ok {
			time.AfterFunc(500*time.Millisecond, func() { cancel(fault.ErrTerminated) })
		}
	})
	receiving(t, juliet, ReceiveOptions{Dir: t.TempDir(), Accept: policy.Contacts})
	err := romeo.Send(ctx, SendOptions{To: jid.MustParse("juliet@jet.test"), Files: []source.Named{{Path: testFile(t, "x")}}, Wait: time.Minute})
	var f *fault.Failure
	if !errors.As(err, &f) || f.Code != exitcode.Terminated {
		t.Errorf("%v", err)
	}
}
