package transfer

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"jetsend/internal/crypto"
	"jetsend/internal/dialect"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/jingle/ibb"
	"jetsend/internal/jingle/s5b"
	"jetsend/internal/journal"
	"jetsend/internal/omemo"
	"jetsend/internal/route"
	"jetsend/internal/xmltree"
	"jetsend/internal/xmpptest"
)

// TestFalseSuccess: Conversations without the key of a file stores the ciphertext and
// says success as soon as <size/> bytes are there (captured of 2.19.5 after its sessions
// were lost). The tag is held back until then, so it is known to be false, in-band.
func TestFalseSuccess(t *testing.T) {
	for _, size := range []int{0, 1, ibb.DefaultBlockSize, 300_000} {
		for name, tt := range map[string]struct {
			late time.Duration // how long after the last byte before the tag she says so
			code exitcode.Code
		}{"at once": {0, exitcode.Integrity}, "within the time": {usual.tagHold - 1, exitcode.Integrity}, "with the tag": {usual.tagHold, exitcode.OK}} {
			synctest.Test(t, func(t *testing.T) {
				p := newScripted(t, size+crypto.TagSize, ibb.NewTransport(0).Element())
				p.tagHold = usual.tagHold
				says := func() { time.AfterFunc(tt.late, func() { p.ends(jingle.Success) }) }
				if size == 0 {
					p.begun = says
				}
				p.block = func(p *scripted, last bool, answered func(error)) {
					answered(nil)
					p.mu.Lock()
					whole := p.got == size
					p.mu.Unlock()
					if whole && tt.code != exitcode.OK || last && tt.code == exitcode.OK {
						says()
					}
				}
				if tt.code == exitcode.OK && size == 0 {
					return // says success in any case
				}
				mgr := ibb.NewManager(ibb.Config{Port: p})
				conn, err := mgr.Open(t.Context(), ibb.Params{Peer: replayJuliet, Transport: ibb.Transport{SID: "s"}})
				if err != nil {
					t.Fatal(err)
				}
				begun := time.Now()
				err = p.send(route.Inband(conn))
				code := exitcode.OK
				if err != nil {
					code = fault.New(err, true).Code
				}
				want, got := time.Duration(0), size
				if want = tt.late; tt.code == exitcode.OK {
					want, got = usual.tagHold, p.size
				}
				if took := time.Since(begun); code != tt.code || took != want || p.got != got {
					t.Errorf("%s, %d bytes: code %d after %v with %d bytes: %v", name, size, code, took, p.got, err)
				}
				mgr.Close()
				time.Sleep(2 * route.LateAcks) // for the script to end
			})
		}
	}
}

// TestFalseSuccessOverSockets is the same over SOCKS5, where time is not the test's: it
// is held back for as long as she reads.
func TestFalseSuccessOverSockets(t *testing.T) {
	const size = 100_000
	p := newScripted(t, size+crypto.TagSize, xmltree.New(s5b.NS, "transport").Set("sid", "s"))
	p.tagHold = time.Hour
	a, b := pair(t)
	done := make(chan error, 1)
	go func() {
		_, err := io.CopyN(io.Discard, b, size)
		p.ends(jingle.Success)
		done <- errors.Join(err, b.Close())
	}()
	err := p.send(route.Socket(a, "direct", true))
	if err == nil || fault.New(err, true).Code != exitcode.Integrity {
		t.Errorf("sent: %v", err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestTagNotHeld: between jetsends and of a plain file nothing is held back.
func TestTagNotHeld(t *testing.T) {
	for f, held := range map[dialect.Form]bool{dialect.FormJetsend: false, dialect.FormPlaintext: false, dialect.FormJET: true, dialect.FormDraft: true, dialect.FormEncryptedFile: true, dialect.FormConversations: true} {
		if f.HoldsTag() != held {
			t.Errorf("form %d: held back: %t", f, !held)
		}
	}
	st := newFormStage(t)
	st.romeo.timing.tagHold = time.Hour
	if err := st.send(t, SendOptions{}); err != nil {
		t.Fatal(err)
	}
	st.arrived(t)
}

// lose has an endpoint lose its OMEMO sessions, as one whose state was put back.
func lose(t *testing.T, e *Endpoint) {
	t.Helper()
	if _, err := e.db.ExecContext(t.Context(), `DELETE FROM sessions`); err != nil {
		t.Fatal(err)
	}
}

// TestLostSession: a receiver that has lost the sessions which it had answered in gets
// the file all the same: a jetsend by a second offer, after it has refused the first for
// the sake of security; a client that may not refuse it by an offer that begins a session.
func TestLostSession(t *testing.T) {
	st := newFormStage(t)
	for _, tt := range []struct {
		how    dialect.Choice
		offers int
	}{{dialect.ChooseBest, 2}, {dialect.ChooseJET, 1}, {dialect.ChooseDraft, 1}, {dialect.ChooseEncryptedFile, 1}} {
		for range 2 {
			// They have a session in which each has answered the other.
			ts := crypto.NewSecret(crypto.AES128GCM)
			env, err := st.juliet.omemo.WrapKey(t.Context(), st.juliet.sess, st.romeo.sess.JID(), ts, omemo.Kept)
			ts.Wipe()
			if err == nil {
				_, err = st.romeo.omemo.Unwrap(t.Context(), st.romeo.sess, st.juliet.sess.JID(), env.Element)
			}
			if err != nil {
				t.Fatal(err)
			}
			yesterday(t, st.romeo)
			lose(t, st.juliet)
			if err := st.send(t, SendOptions{Encryption: tt.how}); err != nil {
				t.Fatalf("%s: %v", tt.how, err)
			}
			st.arrived(t)
			if n := count[event.Offer](&st.out); n != tt.offers {
				t.Errorf("%s: %d offers", tt.how, n)
			}
		}
	}
	// A receiver that refuses again is asked no third time.
	if err := st.juliet.omemo.Distrust(t.Context(), jid.MustParse("romeo@jet.test"), st.romeo.omemo.Fingerprint()); err != nil {
		t.Fatal(err)
	}
	wantCode(t, st.send(t, SendOptions{}), exitcode.Untrusted)
	if n := count[event.Offer](&st.out); n != 2 {
		t.Errorf("%d offers to one who refuses", n)
	}
	if f, _ := last[event.Failed](&st.out); !strings.Contains(f.Hints[0], "`jetsend trust reset juliet@jet.test`") {
		t.Errorf("%q", f.Hints)
	}
}

// yesterday makes what an endpoint has heard, and what it has begun, a day old.
func yesterday(t *testing.T, e *Endpoint) {
	t.Helper()
	const day = 24 * 60 * 60 * 1000
	if _, err := e.db.ExecContext(t.Context(), `UPDATE upkeep SET alive = alive - ?1`, day); err != nil {
		t.Fatal(err)
	}
}

// TestLostSessionAsked: the same of a sender who is asked for the rest of a file.
func TestLostSessionAsked(t *testing.T) {
	st := setStage(t, 1<<20, xmpptest.CutAt(1<<19))
	row := st.cutForGood(t)
	lose(t, st.romeo)
	st.in.reset()
	err := st.juliet.Resume(t.Context(), ResumeOptions{
		Transfers: []journal.Key{{ID: row.ID, Direction: journal.Receive}}, Named: true, Wait: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	st.came(t)
}
