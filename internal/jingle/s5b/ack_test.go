package s5b

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"jetsend/internal/xmltree"
)

// TestUnacknowledged: with a jetsend the connection is used while our report is not
// acknowledged; other clients have to know of it before anything comes.
func TestUnacknowledged(t *testing.T) {
	for _, jetsend := range []bool{true, false} {
		cfg := local(t)
		cfg.Jetsend = jetsend
		a, b := newPair(t, cfg, local(t))
		a.n.timing.ack = limit
		var acked atomic.Bool
		release, returned := make(chan struct{}), make(chan struct{})
		send := a.sender(b)
		held := func(ctx context.Context, e *xmltree.Element) error {
			_ = send(ctx, e)
			select {
			case <-release:
			case <-ctx.Done():
			}
			return ctx.Err()
		}
		remote, theirs := a.n.Element(), b.n.Element()
		other := make(chan outcomeOf, 1)
		go func() {
			c, err := b.n.Connect(t.Context(), remote, b.infos, b.sender(a))
			other <- outcomeOf{c, err}
			if jetsend { // too late
				select {
				case <-returned:
				case <-time.After(2 * time.Second):
				}
			}
			acked.Store(true)
			close(release)
		}()
		c, err := a.n.Connect(t.Context(), theirs, a.infos, held)
		early := !acked.Load()
		close(returned)
		y := <-other
		if err != nil || y.err != nil {
			t.Fatal(err, y.err)
		}
		if early != jetsend {
			t.Errorf("to a jetsend %t: before the acknowledgement %t", jetsend, early)
		}
		checkStream(t, c, y.c)
		_, _ = c.Close(), y.c.Close()
	}
}

// TestCertain: a connection that wins whatever a jetsend reports is used before it reports.
func TestCertain(t *testing.T) {
	const best, above, below = 8300000, 8300001, 8299999
	for _, tt := range []struct {
		name      string
		initiator bool
		theirs    uint32
		jetsend   bool
		want      outcome
	}{
		{"the responder's is better", false, above, true, ours},
		{"the responder's is equal", false, best, true, undecided},
		{"the responder's is worse", false, below, true, undecided},
		{"the initiator's is better", true, above, true, ours},
		{"the initiator's is equal", true, best, true, ours},
		{"the initiator's is worse", true, below, true, undecided},
		{"another client", true, above, false, undecided},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := &Negotiation{cfg: Config{Jetsend: tt.jetsend}, initiator: tt.initiator, own: []offered{
				{Candidate: Candidate{Priority: 5}}, {Candidate: Candidate{Priority: best}, sealed: true},
			}}
			r := &run{n: n}
			if r.outcome() != undecided {
				t.Error("decided about nothing")
			}
			r.mine = report{said: true}
			if r.outcome() != undecided {
				t.Error("decided without a connection of ours")
			}
			r.mine.used = &Candidate{Priority: tt.theirs}
			if got := r.outcome(); got != tt.want {
				t.Errorf("%d", got)
			}
			for _, o := range n.own { // and nothing that comes is another outcome
				peers := report{said: true, used: &o.Candidate}
				if got := nominate(tt.initiator, r.mine, peers); tt.want != undecided && got != tt.want {
					t.Errorf("%d, and then %d", tt.want, got)
				}
			}
		})
	}
}

// TestUsedBeforeReport: the one side uses its connection while the other has not reported,
// and what it writes is there when that has concluded the same. A report that is refused
// ends the connection, unless the other writes into it.
func TestUsedBeforeReport(t *testing.T) {
	refused := errors.New("refused")
	for name, tt := range map[string]struct{ refuse, written bool }{
		"acknowledged": {}, "refused": {refuse: true}, "refused, and known": {refuse: true, written: true},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := local(t)
			cfg.Jetsend = true
			a, b := newPair(t, local(t), cfg)
			b.n.own = b.n.own[:1]
			b.n.own[0].Priority = 1
			answer := make(chan error)
			used := make(chan *xmltree.Element, 1)
			c, err := b.n.Connect(t.Context(), a.n.Element(), b.infos, func(ctx context.Context, e *xmltree.Element) error {
				used <- e
				select {
				case err := <-answer:
					return err
				case <-ctx.Done():
					return ctx.Err()
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := c.Write([]byte("early")); err != nil {
				t.Fatal(err)
			}
			a.infos <- <-used
			x, err := a.n.Connect(t.Context(), b.n.Element(), a.infos, a.sender(nil))
			if err != nil {
				t.Fatal(err)
			}
			defer x.Close()
			got := make([]byte, 5)
			if _, err := io.ReadFull(x, got); err != nil || string(got) != "early" {
				t.Fatalf("%q, %v", got, err)
			}
			if tt.written {
				_, _ = x.Write([]byte("known"))
				_, _ = io.ReadFull(c, got)
			}
			if !tt.refuse {
				answer <- nil
				checkStream(t, x, c)
				return
			}
			answer <- refused
			if tt.written {
				checkStream(t, x, c)
				return
			}
			if _, err := c.Read(got); !errors.Is(err, refused) {
				t.Errorf("read: %v", err)
			}
			if _, err := c.Write(got); !errors.Is(err, refused) {
				t.Errorf("written: %v", err)
			}
		})
	}
}
