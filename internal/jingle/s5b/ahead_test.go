package s5b

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"jetsend/internal/xmltree"
)

// TestAhead: what was dialled ahead of Connect is not dialled again, and reported only then.
func TestAhead(t *testing.T) {
	cfg := local(t)
	var dials atomic.Int32
	cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		dials.Add(1)
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	a, b := newPair(t, local(t), cfg)
	b.n.timing.stagger = limit
	remote := a.n.Element()
	b.n.Ahead(remote)
	awaitReached(t, a.n.srv)
	if n := dials.Load(); n != 1 || len(b.reports()) != 0 {
		t.Fatalf("%d dials and %d reports ahead", n, len(b.reports()))
	}
	x, y := connect(t, a, b, only(b.n.Element(), func(Candidate) bool { return false }), remote)
	if x.err != nil || y.err != nil {
		t.Fatal(x.err, y.err)
	}
	if n := dials.Load(); n != 1 {
		t.Errorf("%d dials", n)
	}
	checkStream(t, x.c, y.c)
}

// TestAheadInVain: an accept that comes to nothing leaves no connection behind, and nothing is
// dialled for a peer that makes no sense, or twice.
func TestAheadInVain(t *testing.T) {
	cfg := local(t)
	made := make(chan net.Conn, maxDialled)
	cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		made <- c
		return c, err
	}
	a, b := newPair(t, local(t), cfg)
	b.n.Ahead(xmltree.New("urn:x", "transport"))
	b.n.Ahead(a.n.Element())
	b.n.Ahead(a.n.Element())
	awaitReached(t, a.n.srv)
	if err := b.n.Close(); err != nil {
		t.Fatal(err)
	}
	b.n.Ahead(a.n.Element())
	close(made)
	for c := range made {
		if err := c.SetDeadline(time.Time{}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a connection is left: %v", err)
		}
	}
}

// awaitReached waits until the peer of s has made a connection.
func awaitReached(t *testing.T, s *server) {
	t.Helper()
	for late := time.Now().Add(limit); !s.reached(); time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			t.Fatal("nobody came")
		}
	}
}
