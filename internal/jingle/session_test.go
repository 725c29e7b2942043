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
	if d := cmp.Diff(answer, await(t, s.Accepted())); d != "" {
		t.Error(d)
	}
	for _, x := range []struct{ from, to *Session }{{s, r}, {r, s}} {
		if err := x.from.TransportInfo(t.Context(), transport("info")); err != nil {
			t.Error(err)
		}
		if got := await(t, x.to.TransportInfos()); got.Attr("sid") != "info" {
			t.Errorf("transport-info %s", got)
		}
		if err := x.from.Info(t.Context(), (&Received{Name: "a-file-offer"}).Element()); err != nil {
			t.Error(err)
		}
		if got := await(t, x.to.Infos()); !got.Is(NSFile, "received") {
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
		await(t, s.Accepted())
		await(t, s.TransportInfos())
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
	_, err := a.m.Initiate(t.Context(), juliet, "sid", content())
	wantError(t, err, stanza.NotAcceptable, "")
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
	if _, err = a.m.Initiate(ctx, juliet, "sid", content()); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if got := a.actions(); !slices.Equal(got, []string{"session-initiate", "session-terminate"}) {
		t.Errorf("sent %v", got)
	}
	if a.sent[1].Child(NS, "reason").Child(NS, "cancel") == nil {
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

func second[T any](_ T, err error) error { return err }

func TestReplaceTransport(t *testing.T) {
	type answer struct {
		t   *xmltree.Element
		err error
	}
	replace := func(s *Session) <-chan answer {
		c := make(chan answer, 1)
		go func() {
			x, err := s.ReplaceTransport(context.Background(), transport("two"))
			c <- answer{x, err}
		}()
		return c
	}
	a, b := newPair(t, nil)
	s, r := active(t, a, b)
	for _, x := range []struct{ from, to *Session }{{s, r}, {r, s}} {
		c := replace(x.from)
		if got := await(t, x.to.TransportReplaces()); got.Attr("sid") != "two" {
			t.Errorf("replace %s", got)
		}
		if err := x.to.RejectTransport(t.Context(), transport("two")); err != nil {
			t.Fatal(err)
		}
		if got := await(t, c); !errors.Is(got.err, ErrTransportRejected) {
			t.Errorf("rejected: %v", got.err)
		}
		c = replace(x.from)
		await(t, x.to.TransportReplaces())
		if err := x.to.AcceptTransport(t.Context(), transport("three")); err != nil {
			t.Fatal(err)
		}
		if got := await(t, c); got.err != nil || got.t.Attr("sid") != "three" {
			t.Errorf("accepted: %v, %v", got.t, got.err)
		}
		if err := x.to.AcceptTransport(t.Context(), transport("three")); !errors.Is(err, ErrOutOfOrder) {
			t.Errorf("second transport-accept sent: %v", err)
		}
	}
	el := xmltree.New(NS, "content", transport("four")).Set("name", "a-file-offer").Set("creator", "initiator")
	wantError(t, say(a, juliet, TransportAccept, s.ID(), el), stanza.UnexpectedRequest, "out-of-order")
	wantError(t, say(b, romeo, TransportReject, s.ID(), el), stanza.UnexpectedRequest, "out-of-order")
	if err := s.BeginStream(); err != nil {
		t.Fatal(err)
	}
	wantError(t, say(a, juliet, TransportReplace, s.ID(), el), stanza.UnexpectedRequest, "out-of-order")
	if got := await(t, replace(s)); !errors.Is(got.err, ErrOutOfOrder) {
		t.Errorf("replace while streaming: %v", got.err)
	}
	// The peer refuses with an error, and then the session ends.
	got := await(t, replace(r))
	wantError(t, got.err, stanza.UnexpectedRequest, "out-of-order")
	if r.State() != Active {
		t.Errorf("after an error: %s", r.State())
	}
}

func TestReplaceEndsEarly(t *testing.T) {
	a, b := newPair(t, nil)
	s, r := active(t, a, b)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- second(s.ReplaceTransport(ctx, transport("two"))) }()
	await(t, r.TransportReplaces())
	cancel()
	if err := await(t, done); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	// An answer that nobody waits for does not become that of the next.
	if err := r.RejectTransport(t.Context(), transport("two")); err != nil {
		t.Fatal(err)
	}
	go func() { done <- second(s.ReplaceTransport(t.Context(), transport("two"))) }()
	await(t, r.TransportReplaces())
	if err := r.Terminate(t.Context(), Reason{Condition: FailedTransport}); err != nil {
		t.Fatal(err)
	}
	if err := await(t, done); !errors.Is(err, ErrEnded) {
		t.Errorf("ended: %v", err)
	}
}

// Both replace the transport at once: the initiator's proposal counts.
func TestReplaceGlare(t *testing.T) {
	a, b := newPair(t, nil)
	s, r := active(t, a, b)
	// Each sees the other's proposal only after it has sent its own.
	var both sync.WaitGroup
	both.Add(2)
	hold := func(_ context.Context, e *xmltree.Element) (bool, error) {
		if e.Attr("action") == "transport-replace" {
			both.Done()
			both.Wait()
		}
		return false, nil
	}
	a.setHook(hold)
	b.setHook(hold)
	fromR := make(chan error, 1)
	go func() { fromR <- second(r.ReplaceTransport(context.Background(), transport("r"))) }()
	fromS := make(chan *xmltree.Element, 1)
	go func() {
		x, err := s.ReplaceTransport(context.Background(), transport("s"))
		if err != nil {
			t.Error(err)
		}
		fromS <- x
	}()
	if got := await(t, r.TransportReplaces()); got.Attr("sid") != "s" {
		t.Errorf("proposal %s", got)
	}
	if err := await(t, fromR); !errors.Is(err, ErrSuperseded) {
		t.Errorf("responder's: %v", err)
	}
	if err := r.AcceptTransport(t.Context(), transport("s")); err != nil {
		t.Fatal(err)
	}
	if got := await(t, fromS); got.Attr("sid") != "s" {
		t.Errorf("agreed on %s", got)
	}
	if s.State() != Active || r.State() != Active || len(s.TransportReplaces()) != 0 {
		t.Errorf("%s, %s", s.State(), r.State())
	}
	// The responder can propose again.
	a.setHook(nil)
	b.setHook(nil)
	go func() { fromR <- second(r.ReplaceTransport(context.Background(), transport("r2"))) }()
	await(t, s.TransportReplaces())
	if err := s.AcceptTransport(t.Context(), transport("r2")); err != nil {
		t.Fatal(err)
	}
	if err := await(t, fromR); err != nil {
		t.Error(err)
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
