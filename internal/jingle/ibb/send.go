package ibb

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"jetsend/internal/stanza"
)

// sender is the sending half of a [Conn], guarded by its lock. As in TCP, buf
// holds what is not acknowledged, and its beginning is what is on the way.
type sender struct {
	buf      bytes.Buffer
	flight   []*block // on the way, in order
	inFlight int      // bytes of flight
	acked    uint64   // blocks acknowledged: the number of the first in flight
	running  bool     // the goroutine was started

	window  int           // the most blocks in flight; halved when somebody cannot cope
	floor   int           // what the window was at first
	grows   bool          // see [Params]
	most    int           // what it may become
	peak    int           // the most blocks that were in flight so far
	trip    time.Duration // the shortest round trip of a block so far
	size    int           // of our blocks, at most what was agreed on; halved likewise
	retries int           // in a row
	pause   deadline
}

// block is one block on the way.
type block struct {
	no       uint64
	n        int       // bytes
	at       time.Time // when it was given to the port
	answered bool
	err      error  // in the answer; may pass
	forget   func() // gives up the answer
}

// resize sets the block size of a sender that has sent nothing yet.
func (s *sender) resize(size int) {
	s.size = size
	s.window = min(s.window, max(1, windowBytes/size))
	s.floor, s.most = s.window, s.window
	if s.grows {
		s.most = max(s.window, min(maxGrown, grownBytes/size))
	}
}

// room is how many bytes buf may take: a window and a block.
func (s *sender) room() int { return (s.window+1)*s.size - s.buf.Len() }

// drop forgets all data and returns what gives up the outstanding answers.
func (s *sender) drop() []func() {
	s.pause.stop()
	var forget []func()
	for _, b := range s.flight {
		if b.forget != nil {
			forget = append(forget, b.forget)
		}
	}
	s.flight, s.inFlight, s.buf = nil, 0, bytes.Buffer{}
	return forget
}

// send sends blocks until the stream ends or CloseWrite is through. It is the
// only goroutine of a Conn, and only of one that was written to.
func (c *Conn) send() {
	var data []byte
	for {
		var b *block
		if b, data = c.next(data[:0]); b == nil {
			return
		}
		seq := uint16(b.no % c.modulo)
		forget, err := c.m.cfg.Port.BulkIQ(c.ctx, c.key.peer, func(dst []byte, id string) []byte {
			return AppendData(dst, id, c.key.peer, c.key.sid, seq, data)
		}, func(err error) { c.answered(b, err) })
		c.mu.Lock()
		switch {
		case err != nil:
			c.fail(fmt.Errorf("send block %d: %w", b.no, err))
			forget = nil
		case c.state == open:
			b.forget, forget = forget, nil
		}
		c.mu.Unlock()
		if forget != nil {
			forget()
		}
	}
}

// next waits until a block may be sent and returns it, its data in data. It
// returns nil when there will be none.
func (c *Conn) next(data []byte) (*block, []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if c.state != open || c.broken != nil || c.peerClosed || c.closing && c.out.buf.Len() == 0 {
			return nil, data
		}
		if b := c.out.cut(c.closing); b != nil {
			rest := c.out.buf.Bytes()[c.out.inFlight:]
			c.out.flight = append(c.out.flight, b)
			c.out.inFlight += b.n
			c.out.peak = max(c.out.peak, len(c.out.flight))
			return b, append(data, rest[:b.n]...)
		}
		c.wake.Wait()
	}
}

// cut returns the next block, or nil if none may be sent now. A block that is
// not full waits for more data while others are on the way, unless no more will come.
func (s *sender) cut(last bool) *block {
	paused := !s.pause.at.IsZero() && !s.pause.passed()
	unsent := s.buf.Len() - s.inFlight
	if paused || unsent == 0 || len(s.flight) >= s.window || s.refused() {
		return nil
	}
	if unsent < s.size && len(s.flight) > 0 && !last {
		return nil
	}
	return &block{no: s.acked + uint64(len(s.flight)), n: min(unsent, s.size), at: time.Now()}
}

// refused reports whether a block in flight was refused, and so nothing after it
// can be accepted.
func (s *sender) refused() bool {
	for _, b := range s.flight {
		if b.err != nil {
			return true
		}
	}
	return false
}

// answered takes the answer to a block, from the port.
func (c *Conn) answered(b *block, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != open || c.broken != nil {
		return
	}
	b.answered, b.err, b.forget = true, err, nil
	if err != nil && !passing(err) {
		c.fail(fmt.Errorf("block %d: %w", b.no, err))
		return
	}
	c.settle()
	c.wake.Broadcast()
}

// passing reports whether what was refused so may be sent again later: somebody
// on the way cannot cope now, or with blocks of this size (XEP-0047 section 2.2).
func passing(err error) bool {
	var se *stanza.Error
	return errors.As(err, &se) && (se.Type == "wait" || se.Condition == stanza.ResourceConstraint || se.Condition == stanza.PolicyViolation)
}

// settle draws the conclusions from the answers so far. The caller holds c.mu.
func (c *Conn) settle() {
	s := &c.out
	for len(s.flight) > 0 && s.flight[0].answered && s.flight[0].err == nil {
		n := s.flight[0].n
		s.pace(time.Since(s.flight[0].at))
		s.buf.Next(n)
		s.inFlight -= n
		s.acked++
		s.retries = 0
		s.flight = s.flight[1:]
	}
	if len(s.flight) == 0 || s.flight[0].err == nil {
		return
	}
	first := s.flight[0]
	if c.peerClosed {
		c.fail(fmt.Errorf("block %d: %w: %w", first.no, ErrPeerClosed, first.err))
		return
	}
	for _, b := range s.flight[1:] {
		if !b.answered {
			return // until all are answered nobody knows where to go on
		}
		if b.err == nil {
			c.fail(fmt.Errorf("%w: block %d accepted, but not %d before it: %w", ErrProtocol, b.no, first.no, first.err))
			return
		}
	}
	if s.retries == maxRetries {
		c.fail(fmt.Errorf("block %d: %w", first.no, first.err))
		return
	}
	c.m.cfg.Log.Debug("in-band block refused, will try again", "peer", c.key.peer.String(), "block", first.no, "error", first.err)
	s.goBack(first.err)
	s.pause.set(time.Now().Add(retryWait<<(s.retries-1)), c.wakeAll)
}

// A round trip that is this much longer than the shortest so far, and slack besides, is one that
// waits in somebody's queue: then the window is large enough, or too large.
const (
	tripEnough = 2
	tripMuch   = 4
	tripSlack  = 10 * time.Millisecond
)

// pace adjusts the window to the round trip of a block that was acknowledged. It grows by one with each,
// which doubles it in a round trip, as long as the blocks wait nowhere: neither at a server that lets
// only so much through, nor for a reader. Of blocks that wait long it becomes smaller
// again, down to what it was.
func (s *sender) pace(trip time.Duration) {
	if s.trip == 0 || trip < s.trip {
		s.trip = trip
	}
	switch {
	case trip <= tripEnough*s.trip+tripSlack && 2*s.peak >= s.window:
		s.window = min(s.window+1, s.most)
	case trip > tripMuch*s.trip+tripSlack:
		s.window = max(s.window-1, min(s.window, s.floor))
	}
}

// goBack makes everything in flight unsent, and less demanding.
func (s *sender) goBack(err error) {
	s.retries++
	s.flight, s.inFlight = nil, 0
	s.window = max(1, s.window/2)
	s.floor, s.most = s.window, s.window
	var se *stanza.Error
	if errors.As(err, &se) && se.Condition == stanza.ResourceConstraint && s.size/2 >= minBlockSize {
		s.size /= 2
	}
}
