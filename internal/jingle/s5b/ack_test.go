package s5b

import (
	"context"
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
