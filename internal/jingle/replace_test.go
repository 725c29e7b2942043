package jingle

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

func second[T any](_ T, err error) error { return err }

type answer struct {
	t   *xmltree.Element
	err error
}

// replace has s propose the transport "two".
func replace(s *Session) <-chan answer {
	c := make(chan answer, 1)
	go func() {
		x, err := s.ReplaceTransport(context.Background(), transport("two"))
		c <- answer{x, err}
	}()
	return c
}

func TestReplaceTransport(t *testing.T) {
	a, b := newPair(t, nil)
	s, r := active(t, a, b)
	c := replace(s)
	if got := heard(t, r, TransportReplace); got.Attr("sid") != "two" {
		t.Errorf("replace %s", got)
	}
	if err := r.RejectTransport(t.Context(), transport("two")); err != nil {
		t.Fatal(err)
	}
	if got := await(t, c); !errors.Is(got.err, ErrTransportRejected) {
		t.Errorf("rejected: %v", got.err)
	}
	c = replace(s)
	heard(t, r, TransportReplace)
	if err := r.AcceptTransport(t.Context(), transport("three")); err != nil {
		t.Fatal(err)
	}
	if got := await(t, c); got.err != nil || got.t.Attr("sid") != "three" {
		t.Errorf("accepted: %v, %v", got.t, got.err)
	}
	if err := r.AcceptTransport(t.Context(), transport("three")); !errors.Is(err, ErrOutOfOrder) {
		t.Errorf("second transport-accept sent: %v", err)
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

// A transport that a responder proposes is rejected, and leaves the initiator
// free to propose and to begin.
func TestReplaceByResponder(t *testing.T) {
	a, b := newPair(t, nil)
	s, r := active(t, a, b)
	for range 2 {
		if got := await(t, replace(r)); !errors.Is(got.err, ErrTransportRejected) {
			t.Errorf("responder's: %v, %v", got.t, got.err)
		}
	}
	if s.State() != Active || unread(s) != 0 {
		t.Errorf("%s, %d proposals", s.State(), unread(s))
	}
	// While the peer keeps us waiting for the answers to some rejects there is no other.
	s.awaitRejects(t)
	gate, told := make(chan struct{}), make(chan struct{}, maxRejects+1)
	a.setHook(func(_ context.Context, e *xmltree.Element) (bool, error) {
		if e.Attr("action") == "transport-reject" {
			told <- struct{}{}
			<-gate
			return true, nil
		}
		return false, nil
	})
	el := xmltree.New(NS, "content", transport("four")).Set("name", "a-file-offer").Set("creator", "initiator")
	for range maxRejects {
		wantError(t, say(a, juliet, TransportReplace, s.ID(), el), "", "")
		await(t, told)
	}
	wantError(t, say(a, juliet, TransportReplace, s.ID(), el), stanza.ResourceConstraint, "")
	close(gate)
	c := replace(s)
	heard(t, r, TransportReplace)
	if err := r.AcceptTransport(t.Context(), transport("five")); err != nil {
		t.Fatal(err)
	}
	if got := await(t, c); got.err != nil {
		t.Errorf("initiator's: %v", got.err)
	}
	if err := s.BeginStream(); err != nil {
		t.Error(err)
	}
	if len(told) != 0 {
		t.Error("one reject more")
	}
}

// awaitRejects waits until the rejects of s are answered, and the answers noticed.
func (s *Session) awaitRejects(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(limit); ; time.Sleep(time.Millisecond) {
		s.m.mu.Lock()
		n := s.rejecting
		s.m.mu.Unlock()
		if n == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatal("rejects without answer")
		}
	}
}

// A stream that begins rejects what nobody has answered yet, be it that somebody has
// taken it.
func TestReplaceMeetsStream(t *testing.T) {
	for _, taken := range []bool{false, true} {
		a, b := newPair(t, nil)
		s, r := active(t, a, b)
		c := replace(s)
		got := await(t, r.Events())
		if !taken {
			r.events <- got
		}
		if err := r.BeginStream(); err != nil {
			t.Fatal(err)
		}
		if got := await(t, c); !errors.Is(got.err, ErrTransportRejected) {
			t.Errorf("%v, %v", got.t, got.err)
		}
		if r.State() != Streaming || s.State() != Active {
			t.Errorf("%s, %s", r.State(), s.State())
		}
		if err := r.AcceptTransport(t.Context(), transport("two")); !errors.Is(err, ErrOutOfOrder) {
			t.Errorf("accepted too late: %v", err)
		}
		if err := s.BeginStream(); err != nil {
			t.Error(err)
		}
	}
}

func TestReplaceEndsEarly(t *testing.T) {
	a, b := newPair(t, nil)
	s, r := active(t, a, b)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- second(s.ReplaceTransport(ctx, transport("two"))) }()
	heard(t, r, TransportReplace)
	cancel()
	if err := await(t, done); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	// An answer that nobody waits for does not become that of the next.
	if err := r.RejectTransport(t.Context(), transport("two")); err != nil {
		t.Fatal(err)
	}
	go func() { done <- second(s.ReplaceTransport(t.Context(), transport("two"))) }()
	heard(t, r, TransportReplace)
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
	if got := heard(t, r, TransportReplace); got.Attr("sid") != "s" {
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
	if s.State() != Active || r.State() != Active || unread(s) != 0 {
		t.Errorf("%s, %s", s.State(), r.State())
	}
}
