package jingle

import (
	"context"
	"errors"
	"sync"
	"testing"

	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

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
