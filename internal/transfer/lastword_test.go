package transfer

import (
	"bytes"
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/jingle"
	"jetsend/internal/journal"
	"jetsend/internal/policy"
	"jetsend/internal/xmltree"
	"jetsend/internal/xmpptest"
)

// count is how many events of type T there were.
func count[T event.Event](e *events) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ev := range e.all {
		if _, is := ev.(T); is {
			n++
		}
	}
	return n
}

// stopped waits for a receive that was told to end.
func stopped(t *testing.T, ended <-chan error) {
	t.Helper()
	if err := <-ended; err == nil {
		t.Error("a cancelled receive returned nil")
	}
}

// losing is a server that acknowledges words of a session and hands them to
// nobody: it makes pings of them.
func losing(words ...string) xmpptest.Rewrite {
	return func(dir xmpptest.Direction, raw []byte) [][]byte {
		iq, err := xmltree.Parse(raw)
		if err != nil || dir != xmpptest.ToServer || iq.Name.Local != "iq" {
			return [][]byte{raw}
		}
		j := iq.Child(jingle.NS, "jingle")
		if j == nil {
			return [][]byte{raw}
		}
		for _, w := range words {
			if j.Attr("action") == w || j.Child(jingle.NSFile, w) != nil {
				iq.Children = []*xmltree.Element{xmltree.New("urn:xmpp:ping", "ping")}
				iq.Set("type", "get")
				return [][]byte{iq.Append(nil, "")}
			}
		}
		return [][]byte{raw}
	}
}

// behind puts juliet online once more, behind a tap and instead of the one that
// the stage has.
func (st *stage) behind(t *testing.T, tap *xmpptest.Tap) *Endpoint {
	t.Helper()
	cfg := st.juliet.cfg.S5B
	st.juliet = online(t, st.server, tap.Addr, "juliet", true, st.in.report)
	listenAs(st.juliet, cfg)
	return st.juliet
}

// TestLastWordLost: the receipt, the end of the session, or both are lost after
// the file was released. The sender does not say sent before it knows; the next
// offer gets the receipt, no byte crosses and no second file is made.
func TestLastWordLost(t *testing.T) {
	for name, tt := range map[string]struct {
		words []string
		known bool // the sender has the receipt
	}{
		"receipt":            {[]string{"received"}, false},
		"terminate":          {[]string{"session-terminate"}, true},
		"receipt, terminate": {[]string{"received", "session-terminate"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			st := setStage(t, 300_000)
			tap := xmpptest.StartTap(t, st.server, losing(tt.words...))
			receiving(t, st.behind(t, tap), ReceiveOptions{Dir: st.dir, Accept: policy.Contacts})
			err := st.send(t, RetryOptions{})
			if tt.known != (err == nil) {
				t.Fatal(err)
			}
			st.arrived(t)
			if !tt.known {
				wantCode(t, err, exitcode.Interrupted)
				if failed, _ := last[event.Failed](&st.out); !failed.Resumable || count[event.Sent](&st.out) > 0 {
					t.Errorf("%+v", failed)
				}
				tap.SetRewrite(nil)
				once := carried(st.relay)
				if err := st.send(t, RetryOptions{}); err != nil {
					t.Fatal(err)
				}
				if n := carried(st.relay); n != once {
					t.Errorf("%d bytes crossed again", n-once)
				}
				st.arrived(t)
			}
			if count[event.Received](&st.in) != 1 || count[event.Sent](&st.out) != 1 {
				t.Errorf("%d received, %d sent", count[event.Received](&st.in), count[event.Sent](&st.out))
			}
		})
	}
}

// TestChecksumNeverAcknowledged: the receiver has the checksum, and its acknowledgement is
// lost. Its receipt proves that the file is there, whatever the sender waits for.
func TestChecksumNeverAcknowledged(t *testing.T) {
	st := setStage(t, 300_000)
	st.romeo.cfg.SessionLimit = 200_000 // two sessions: they have one
	var mu sync.Mutex
	var asked string
	tap := xmpptest.StartTap(t, st.server, func(_ xmpptest.Direction, raw []byte) [][]byte {
		mu.Lock()
		defer mu.Unlock()
		iq, err := xmltree.Parse(raw)
		switch {
		case err != nil || iq.Name.Local != "iq":
		case word(iq) == "checksum":
			asked = iq.Attr("id")
		case asked != "" && iq.Attr("id") == asked:
			return nil
		}
		return [][]byte{raw}
	})
	receiving(t, st.behind(t, tap), ReceiveOptions{Dir: st.dir, Accept: policy.Contacts})
	if err := st.send(t, RetryOptions{Retries: 3, For: time.Minute}); err != nil {
		t.Error(err)
	}
	st.arrived(t)
	if asked == "" || count[event.Sent](&st.out) != 1 || count[event.Interrupted](&st.out) != 0 {
		t.Errorf("%q, %d sent, %d interrupted", asked, count[event.Sent](&st.out), count[event.Interrupted](&st.out))
	}
}

// crashes are what a receiver that dies between the last byte and Complete leaves.
// All bytes are durable and the row says where the file goes.
var crashes = map[string]struct {
	leave func(part, final string) error
	again bool // nothing is left: the file is sent anew
}{
	"placed":  {func(string, string) error { return nil }, false},
	"linked":  {os.Link, false},
	"renamed": {os.Rename, false},
	"neither": {func(part, _ string) error { return os.Remove(part) }, true},
}

// crash cuts a transfer and then makes of what is there what a crash in the
// release would have left.
func crash(t *testing.T, st *stage, leave func(part, final string) error) journal.Key {
	t.Helper()
	stop := receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts})
	wantCode(t, st.send(t, RetryOptions{}), exitcode.Interrupted)
	waitIdle(t, st.juliet)
	stop()
	st.in.reset()
	failed, _ := last[event.Failed](&st.out)
	row, err := st.juliet.journal.Load(t.Context(), journal.Key{ID: failed.Transfer, Direction: journal.Receive})
	if err != nil {
		t.Fatal(err)
	}
	part, final := filepath.Join(st.dir, ".jetsend-"+row.ID+".part"), filepath.Join(st.dir, "f")
	if err := os.WriteFile(part, st.data, 0o600); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(st.data)
	h, err := st.juliet.journal.Begin(t.Context(), row)
	for _, step := range []func() error{
		func() error { return err },
		func() error { return h.Run(t.Context()) },
		func() error { return h.Progress(t.Context(), row.Size) },
		func() error { return h.Place(final, sum[:]) },
		func() error { return leave(part, final) },
		h.Release,
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	return row.Key
}

// TestCrashInRelease: the process died between Place and Complete. The side that
// looks first, the receiver as it begins or the contact with a new offer, ends
// what was begun: one file, once reported, and the receipt for the sender.
func TestCrashInRelease(t *testing.T) {
	for name, tt := range crashes {
		for _, first := range []string{"receiver", "sender", "resume"} {
			t.Run(name+", "+first+" first", func(t *testing.T) {
				st := setStage(t, 300_000, xmpptest.CutAt(150_000))
				key := crash(t, st, tt.leave)
				st.through(t)
				switch {
				case first == "resume" && tt.again:
					return // has nobody to ask
				case first == "resume":
					if err := st.juliet.Resume(t.Context(), ResumeOptions{Transfers: []journal.Key{key}, Named: true}); err != nil {
						t.Fatal(err)
					}
				}
				receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts})
				if first == "receiver" && !tt.again {
					eventually(t, func() bool { return count[event.Received](&st.in) == 1 })
				}
				if err := st.send(t, RetryOptions{Retries: 1, For: time.Minute}); err != nil {
					t.Fatal(err)
				}
				st.arrived(t)
				// The contact may have the receipt before the end of the release is reported.
				eventually(t, func() bool { return count[event.Received](&st.in) > 0 })
				if n := count[event.Received](&st.in); n != 1 {
					t.Errorf("received reported %d times", n)
				}
				sent, _ := last[event.Sent](&st.out)
				if sent.Transfer != key.ID || !sent.VerifiedByPeer || count[event.Sent](&st.out) != 1 {
					t.Errorf("%+v", sent)
				}
				if n := carried(st.relay); (n > 0) != tt.again {
					t.Errorf("%d bytes crossed", n)
				}
			})
		}
	}
}

// TestLastWords: the receiver ends the session right behind its receipt, while that is not
// acknowledged; and the sender says sent when it has the receipt, though the end never comes.
func TestLastWords(t *testing.T) {
	st := setStage(t, 1000)
	var mu sync.Mutex
	var receipt string
	var said []string
	var held []byte // the receipt, until the end is there
	tap := xmpptest.StartTap(t, st.server, func(dir xmpptest.Direction, raw []byte) [][]byte {
		iq, err := xmltree.Parse(raw)
		if err != nil || iq.Name.Local != "iq" {
			return [][]byte{raw}
		}
		mu.Lock()
		defer mu.Unlock()
		j := iq.Child(jingle.NS, "jingle")
		switch {
		case dir == xmpptest.ToServer && word(iq) == "received":
			receipt, held = iq.Attr("id"), bytes.Clone(raw)
			said = append(said, "receipt")
			return nil
		case iq.Attr("id") == receipt:
			said = append(said, "acknowledged")
		case j == nil || j.Attr("action") != "session-terminate":
		case dir == xmpptest.ToServer:
			said = append(said, "end")
			return append([][]byte{held}, losing("session-terminate")(dir, raw)...)
		case count[event.Sent](&st.out) == 1:
			said = append(said, "sent")
		default:
			said = append(said, "not sent")
		}
		return [][]byte{raw}
	})
	receiving(t, st.behind(t, tap), ReceiveOptions{Dir: st.dir, Accept: policy.Contacts})
	if err := st.send(t, RetryOptions{}); err != nil {
		t.Fatal(err)
	}
	st.arrived(t)
	mu.Lock()
	defer mu.Unlock()
	if got := strings.Join(said, ", "); got != "receipt, end, acknowledged, sent" {
		t.Error(got)
	}
}
