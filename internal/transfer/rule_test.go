package transfer

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"jetsend/internal/contact"
	"jetsend/internal/conversation"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/journal"
	"jetsend/internal/policy"
	"jetsend/internal/route"
	"jetsend/internal/xmpptest"
)

// gate keeps the first stanza of a client that has word in it, once it is shut.
type gate struct {
	word string
	shut atomic.Bool
	kept chan []byte // has room for it
}

func (g *gate) rewrite(dir xmpptest.Direction, raw []byte) [][]byte {
	if dir == xmpptest.ToServer && contains(raw, g.word) && g.shut.CompareAndSwap(true, false) {
		g.kept <- bytes.Clone(raw)
		return nil
	}
	return [][]byte{raw}
}

// gatedStage is a stage with a gate between romeo and the server. A file was cut
// in the middle; both ends receive.
func gatedStage(t *testing.T, word string) (st *stage, id string, g *gate, tap *xmpptest.Tap) {
	t.Helper()
	g = &gate{word: word, kept: make(chan []byte, 1)}
	s := prosody(t)
	tap = xmpptest.StartTap(t, s, g.rewrite)
	st = &stage{server: s}
	st.have(t, noise(1<<20))
	st.meet(t, s, tap.Addr, true)
	st.through(t, xmpptest.CutAt(1<<19))
	receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts})
	receiving(t, st.romeo, ReceiveOptions{Dir: t.TempDir(), Accept: policy.Contacts})
	wantCode(t, st.send(t, RetryOptions{}), exitcode.Interrupted)
	waitIdle(t, st.juliet)
	failed, _ := last[event.Failed](&st.out)
	st.through(t)
	st.in.reset()
	st.out.reset()
	g.shut.Store(true)
	return st, failed.Transfer, g, tap
}

// resume goes on with a transfer by one end of it.
func (st *stage) resume(t *testing.T, e *Endpoint, id string, dir journal.Direction) <-chan error {
	ended := make(chan error, 1)
	go func() {
		ended <- e.Resume(t.Context(), ResumeOptions{
			Transfers: []journal.Key{{ID: id, Direction: dir}}, Named: true, Wait: time.Minute,
			Retry: RetryOptions{Retries: 5, For: time.Minute}, Route: route.Options{Transports: []string{route.S5B}},
		})
	}()
	return ended
}

// TestSenderWins: both sides take a transfer up at once, and the request comes to
// a sender whose own offer is on its way. It is answered with conflict; the offer
// brings the file, and both runs end well.
func TestSenderWins(t *testing.T) {
	st, id, g, tap := gatedStage(t, "session-initiate")
	sending := st.resume(t, st.romeo, id, journal.Send)
	offer := <-g.kept
	asking := st.resume(t, st.juliet, id, journal.Receive)
	eventually(t, func() bool { return count[event.Interrupted](&st.in) > 0 })
	if i, _ := last[event.Interrupted](&st.in); !strings.HasSuffix(i.Reason, "ended by the contact: busy (conflict)") {
		t.Errorf("the request was answered with %q", i.Reason)
	}
	if err := tap.Inject(xmpptest.ToServer, offer); err != nil {
		t.Fatal(err)
	}
	if err := <-sending; err != nil {
		t.Errorf("sender: %v", err)
	}
	if err := <-asking; err != nil {
		t.Errorf("receiver: %v", err)
	}
	st.once(t, id)
}

// TestSupersededAtOnce: the contact's own session comes while a request is still
// taking the transfer. That is no failure.
func TestSupersededAtOnce(t *testing.T) {
	st, id := cutStage(t)
	row := load(t, st.juliet, journal.Key{ID: id, Direction: journal.Receive})
	ctx, stop := context.WithCancelCause(t.Context())
	stop(fault.ErrSuperseded)
	err := request1(ctx, st.juliet, row, &contact.Peer{JID: st.romeo.sess.JID()}, route.Options{}, func(*conversation.Conversation) {})
	if !errors.Is(err, fault.ErrSuperseded) || !fault.Of(err).Retryable(fault.Standing{Receiving: true, Started: true}) {
		t.Errorf("%v", err)
	}
}

// TestRequestWins: the sender's own run comes while the file is handed out to the
// receiver that asked for it. It ends with 12, and the request goes on.
func TestRequestWins(t *testing.T) {
	st, id, g, tap := gatedStage(t, "session-accept")
	asking := st.resume(t, st.juliet, id, journal.Receive)
	accept := <-g.kept
	wantCode(t, <-st.resume(t, st.romeo, id, journal.Send), exitcode.LocalFile)
	if f, _ := last[event.Failed](&st.out); f.Transfer != id || f.Reason != fault.ErrRunning.Error() {
		t.Errorf("%+v", f)
	}
	st.out.reset()
	if err := tap.Inject(xmpptest.ToServer, accept); err != nil {
		t.Fatal(err)
	}
	if err := <-asking; err != nil {
		t.Errorf("receiver: %v", err)
	}
	st.once(t, id)
}

// once fails unless the second half of the file came, once, and nobody says
// anything else.
func (st *stage) once(t *testing.T, id string) {
	t.Helper()
	waitIdle(t, st.romeo)
	st.arrived(t)
	if s, _ := last[event.Sent](&st.out); s.Transfer != id || count[event.Sent](&st.out) != 1 || count[event.Failed](&st.out) != 0 {
		t.Errorf("sender: %d sent, %d failed", count[event.Sent](&st.out), count[event.Failed](&st.out))
	}
	if count[event.Failed](&st.in) != 0 || count[event.Received](&st.in) == 0 {
		t.Errorf("receiver: %d received, %d failed", count[event.Received](&st.in), count[event.Failed](&st.in))
	}
	if n := carried(st.relay); n > 1<<19+1<<17 {
		t.Errorf("%d bytes for the second half", n)
	}
}

// TestOfferWhileHeld: an offer comes while another process of the receiver's
// account is at the transfer. It waits for that for a while, and is then told so;
// the transfer stays what it was.
func TestOfferWhileHeld(t *testing.T) {
	st, id := cutStage(t)
	receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts})
	key := journal.Key{ID: id, Direction: journal.Receive}
	hold := func() *journal.Handle {
		h, err := st.juliet.journal.Begin(t.Context(), load(t, st.juliet, key))
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	h := hold()
	wantCode(t, st.send(t, RetryOptions{}), exitcode.Declined)
	if f, _ := last[event.Failed](&st.out); f.Reason != "ended by the contact: busy (conflict)" || !f.Resumable {
		t.Errorf("%+v", f)
	}
	waitIdle(t, st.juliet)
	if _, reported := last[event.Failed](&st.in); !reported {
		t.Error("the receiver says nothing of the offer")
	}
	if err := h.Release(); err != nil {
		t.Fatal(err)
	}
	st.in.reset()
	h = hold()
	sent := make(chan error, 1)
	go func() { sent <- st.send(t, RetryOptions{}) }()
	eventually(t, func() bool { return count[event.Offer](&st.in) > 0 })
	if err := h.Release(); err != nil {
		t.Fatal(err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	st.arrived(t)
	if r, ok := last[event.Resumed](&st.out); !ok || r.Transfer != id {
		t.Errorf("%+v", r)
	}
}
