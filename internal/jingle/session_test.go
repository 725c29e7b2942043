package jingle

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// The life of a session, seen from both ends.
func TestLife(t *testing.T) {
	a, b := newPair(t, nil)
	offer := content()
	offer.Extra = []*xmltree.Element{xmltree.New(NSJetsend, "sealed")}
	s, err := a.m.Initiate(t.Context(), juliet, "851ba2", offer)
	if err != nil {
		t.Fatal(err)
	}
	r := await(t, b.offers)
	if s.State() != Pending || r.State() != Pending {
		t.Errorf("offered: %s, %s", s.State(), r.State())
	}
	for _, x := range []*Session{s, r} {
		if x.ID() != "851ba2" || x.InitiatorJID() != romeo || x.ResponderJID() != juliet || x.Initiator() != (x == s) {
			t.Errorf("%s: initiator %s, responder %s", x.ID(), x.InitiatorJID(), x.ResponderJID())
		}
	}
	if s.Peer() != juliet || r.Peer() != romeo {
		t.Error("peers")
	}
	want := offer
	want.Creator, want.Senders = "initiator", "initiator"
	if d := cmp.Diff(want, r.Content()); d != "" {
		t.Error(d)
	}
	if got := a.sent[0].Attr("initiator"); got != romeo.String() {
		t.Errorf("initiator attribute %q", got)
	}

	answer := content()
	answer.Security = nil
	if err := r.Accept(t.Context(), answer); err != nil {
		t.Fatal(err)
	}
	if got := b.sent[0].Attr("responder"); got != juliet.String() {
		t.Errorf("responder attribute %q", got)
	}
	answer.Creator, answer.Senders = "initiator", "initiator"
	if d := cmp.Diff(Event{Action: SessionAccept, Content: &answer}, await(t, s.Events())); d != "" {
		t.Error(d)
	}
	for _, x := range []struct{ from, to *Session }{{s, r}, {r, s}} {
		if err := x.from.TransportInfo(t.Context(), transport("info")); err != nil {
			t.Error(err)
		}
		if got := heard(t, x.to, TransportInfo); got.Attr("sid") != "info" {
			t.Errorf("transport-info %s", got)
		}
		if err := x.from.Info(t.Context(), xmltree.New(NSFile, "received")); err != nil {
			t.Error(err)
		}
		if got := heard(t, x.to, SessionInfo); !got.Is(NSFile, "received") {
			t.Errorf("session-info %s", got)
		}
	}
	for _, x := range []*Session{s, r} {
		if err := x.BeginStream(); err != nil || x.State() != Streaming {
			t.Errorf("begin: %v, %s", err, x.State())
		}
	}
	reason := Reason{Condition: Success, Text: "done", Detail: xmltree.New(NSJetsend, "reason-detail")}
	if err := r.Terminate(t.Context(), reason); err != nil {
		t.Error(err)
	}
	wantEnd(t, r, Success, false)
	wantEnd(t, s, Success, true)
	got, _ := s.Ended()
	if d := cmp.Diff(reason, got); d != "" {
		t.Error(d)
	}
	if err := s.Info(t.Context(), xmltree.New(NSJetsend, "x")); !errors.Is(err, ErrEnded) {
		t.Errorf("info after the end: %v", err)
	}
	wantError(t, say(a, juliet, SessionInfo, "851ba2"), stanza.ItemNotFound, "unknown-session")
}

// The responder's accept, and its end of the session, may be faster than its ack.
func TestFasterThanAck(t *testing.T) {
	t.Run("accept", func(t *testing.T) {
		a, b := newPair(t, nil)
		a.setHook(func(ctx context.Context, e *xmltree.Element) (bool, error) {
			if e.Attr("action") != "session-initiate" {
				return false, nil
			}
			if _, err := b.receive(ctx, stanza.IQ{From: romeo, To: juliet, Type: stanza.Set, Payload: e.Clone()}); err != nil {
				t.Error(err)
			}
			r := await(t, b.offers)
			if err := r.Accept(ctx, content()); err != nil {
				t.Error(err)
			}
			if err := r.TransportInfo(ctx, transport("early")); err != nil {
				t.Error(err)
			}
			return true, nil
		})
		s, err := a.m.Initiate(t.Context(), juliet, "sid", content())
		if err != nil {
			t.Fatal(err)
		}
		if s.State() != Active {
			t.Errorf("state %s", s.State())
		}
		heard(t, s, SessionAccept)
		heard(t, s, TransportInfo)
	})
	t.Run("accept, and the ack is lost", func(t *testing.T) {
		a, _ := newPair(t, nil)
		a.setHook(func(_ context.Context, e *xmltree.Element) (bool, error) {
			if e.Attr("action") != "session-initiate" {
				return false, nil
			}
			if err := say(a, juliet, SessionAccept, "sid", content().Element()); err != nil {
				t.Error(err)
			}
			return true, context.DeadlineExceeded
		})
		s, err := a.m.Initiate(t.Context(), juliet, "sid", content())
		if err != nil || s.State() != Active {
			t.Fatal(err)
		}
	})
	t.Run("terminate", func(t *testing.T) {
		a, _ := newPair(t, nil)
		a.setHook(func(ctx context.Context, e *xmltree.Element) (bool, error) {
			if e.Attr("action") != "session-initiate" {
				return false, nil
			}
			if err := say(a, juliet, SessionTerminate, "sid", Reason{Condition: Busy}.Element()); err != nil {
				t.Error(err)
			}
			<-ctx.Done() // the end of the session ends the wait for the ack
			return true, ctx.Err()
		})
		s, err := a.m.Initiate(t.Context(), juliet, "sid", content())
		if err != nil {
			t.Fatal(err)
		}
		wantEnd(t, s, Busy, true)
		if n := a.count(SessionTerminate); n != 0 {
			t.Errorf("%d terminates of ours", n)
		}
	})
}

func TestInitiateFails(t *testing.T) {
	a, _ := newPair(t, nil)
	a.setHook(func(context.Context, *xmltree.Element) (bool, error) {
		return true, stanza.NewError(stanza.NotAcceptable)
	})
	s, err := a.m.Initiate(t.Context(), juliet, "sid", content())
	wantError(t, err, stanza.NotAcceptable, "")
	if s != nil {
		t.Error("a session after the refusal")
	}
	if got := a.actions(); !slices.Equal(got, []string{"session-initiate"}) {
		t.Errorf("sent %v", got)
	}
	// No answer: the peer may have got it.
	a, _ = newPair(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	a.setHook(func(ctx context.Context, e *xmltree.Element) (bool, error) {
		if e.Attr("action") == "session-initiate" {
			cancel()
			return true, ctx.Err()
		}
		return true, nil
	})
	if s, err = a.m.Initiate(ctx, juliet, "sid", content()); !errors.Is(err, context.Canceled) || s == nil {
		t.Fatalf("cancelled: %v, %v", s, err)
	}
	if err := s.Terminate(ctx, Reason{Condition: Cancel, Text: "why"}); err != nil {
		t.Error(err)
	}
	if got := a.actions(); !slices.Equal(got, []string{"session-initiate", "session-terminate"}) {
		t.Errorf("sent %v", got)
	}
	if a.sent[1].Child(NS, "reason").ChildText(NS, "text") != "why" {
		t.Errorf("terminated with %s", a.sent[1])
	}
	a.setHook(nil)
	// The sid is free again, until it is taken.
	if _, err := a.m.Initiate(t.Context(), juliet, "sid", content()); err != nil {
		t.Fatal(err)
	}
	if _, err := a.m.Initiate(t.Context(), juliet, "sid", content()); !errors.Is(err, ErrDuplicateSID) {
		t.Errorf("same sid: %v", err)
	}
}

func TestAcceptRefused(t *testing.T) {
	a, b := newPair(t, nil)
	s, r := pending(t, a, b)
	b.setHook(func(_ context.Context, e *xmltree.Element) (bool, error) {
		if e.Attr("action") == "session-accept" {
			return true, outOfOrderError()
		}
		return false, nil
	})
	wantError(t, r.Accept(t.Context(), content()), stanza.UnexpectedRequest, "out-of-order")
	wantEnd(t, r, GeneralError, false)
	wantEnd(t, s, GeneralError, true)
	if err := r.Accept(t.Context(), content()); !errors.Is(err, ErrEnded) {
		t.Errorf("accept after the end: %v", err)
	}
}

// Calls that do not fit the state send nothing.
func TestOutOfOrderCalls(t *testing.T) {
	a, b := newPair(t, nil)
	s, r := pending(t, a, b)
	ctx := t.Context()
	for name, err := range map[string]error{
		"initiator accepts":  s.Accept(ctx, content()),
		"replace in pending": second(s.ReplaceTransport(ctx, transport("x"))),
		"accept no replace":  r.AcceptTransport(ctx, transport("x")),
		"reject no replace":  r.RejectTransport(ctx, transport("x")),
		"stream in pending":  r.BeginStream(),
	} {
		if !errors.Is(err, ErrOutOfOrder) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(b.actions()) != 0 || len(a.actions()) != 1 {
		t.Errorf("sent %v, %v", a.actions(), b.actions())
	}
	if err := r.Accept(ctx, content()); err != nil {
		t.Fatal(err)
	}
	if err := r.Accept(ctx, content()); !errors.Is(err, ErrOutOfOrder) {
		t.Errorf("second accept: %v", err)
	}
	if r.State() != Active {
		t.Errorf("state %s", r.State())
	}
}

// Both sides, and several goroutines of one side, terminate at once.
func TestTerminateRace(t *testing.T) {
	for range 20 {
		a, b := newPair(t, nil)
		s, r := active(t, a, b)
		var wg sync.WaitGroup
		for _, x := range []*Session{s, r, s, r} {
			wg.Go(func() {
				if err := x.Terminate(t.Context(), Reason{Condition: Cancel}); err != nil {
					t.Error(err)
				}
			})
			wg.Go(func() { _ = x.Info(t.Context(), xmltree.New(NSJetsend, "x")) })
		}
		wg.Wait()
		await(t, s.Done())
		await(t, r.Done())
		if n, m := a.count(SessionTerminate), b.count(SessionTerminate); n > 1 || m > 1 || n+m == 0 {
			t.Errorf("%d and %d terminates", n, m)
		}
	}
}

// A cancelled caller still tells the peer; a peer that never answers is not
// waited for long.
func TestTerminateDetached(t *testing.T) {
	a, b := newPair(t, nil)
	s, r := active(t, a, b)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Terminate(ctx, Reason{Condition: Cancel}); err != nil {
		t.Error(err)
	}
	wantEnd(t, r, Cancel, true)

	s, _ = active(t, a, b)
	a.setHook(func(ctx context.Context, _ *xmltree.Element) (bool, error) {
		if _, ok := ctx.Deadline(); !ok {
			t.Error("no deadline")
		}
		<-ctx.Done()
		return true, ctx.Err()
	})
	if err := s.Terminate(t.Context(), Reason{Condition: Cancel}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no answer: %v", err)
	}
	wantEnd(t, s, Cancel, false)
}

// Close tells every peer and leaves nothing behind.
func TestManagerClose(t *testing.T) {
	a, b := newPair(t, nil)
	s1, r1 := pending(t, a, b)
	r2, s2 := active(t, b, a)
	a.m.Close(t.Context())
	wantEnd(t, s1, Gone, false)
	wantEnd(t, s2, Gone, false)
	wantEnd(t, r1, Gone, true)
	wantEnd(t, r2, Gone, true)
	if _, err := a.m.Initiate(t.Context(), juliet, NewSID(), content()); !errors.Is(err, ErrEnded) {
		t.Errorf("initiate after close: %v", err)
	}
	_, err := b.m.Initiate(t.Context(), romeo, NewSID(), content())
	wantError(t, err, stanza.ResourceConstraint, "")
	a.m.Close(t.Context())
}

// TestCrossed: a peer that asks for the session while our terminate is on its way is not
// told that it is not known, which would overtake the reason.
func TestCrossed(t *testing.T) {
	a, b := newPair(t, nil)
	s, r := active(t, a, b)
	a.setHook(func(_ context.Context, e *xmltree.Element) (bool, error) {
		if e.Attr("action") == "session-terminate" {
			wantError(t, say(a, juliet, SessionInfo, s.ID()), stanza.UnexpectedRequest, "out-of-order")
		}
		return false, nil
	})
	if err := s.Terminate(t.Context(), Reason{Condition: Busy}); err != nil {
		t.Fatal(err)
	}
	wantEnd(t, r, Busy, true)
	wantError(t, say(a, juliet, SessionInfo, s.ID()), stanza.ItemNotFound, "unknown-session")
}

func TestInitiateLimit(t *testing.T) {
	a, b := newPair(t, func(c *Config) { c.MaxSessions = 2 })
	pending(t, a, b)
	s, _ := pending(t, a, b)
	if _, err := a.m.Initiate(t.Context(), juliet, NewSID(), content()); !errors.Is(err, ErrTooManySessions) {
		t.Errorf("third: %v", err)
	}
	pending(t, b, a) // the peers' are counted apart
	if err := s.Terminate(t.Context(), Reason{Condition: Cancel}); err != nil {
		t.Fatal(err)
	}
	pending(t, a, b)
}

func TestUnreachablePeer(t *testing.T) {
	a, _ := newPair(t, nil)
	_, err := a.m.Initiate(t.Context(), jid.MustParse("nobody@capulet.lit/x"), NewSID(), content())
	wantError(t, err, stanza.ServiceUnavailable, "")
}
