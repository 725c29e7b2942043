package ibb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"jetsend/internal/stanza"
)

// state is the life of a [Conn]: expecting (they open) or opening (we do) ->
// open -> closed, and straight to closed from each. The events of an open
// stream before we close it are in the flags of Conn.
type state uint8

const (
	expecting state = iota // for the peer's <open/>
	opening                // our <open/> is under way
	open
	closed // by us, locally
)

// Conn is one end of a bytestream. All methods may be called from any
// goroutine.
//
// There is no half-closed bytestream in XEP-0047: [Conn.CloseWrite] closes both
// directions, though only after all data has been taken.
type Conn struct {
	m      *Manager
	key    key
	modulo uint64        // of block numbers
	ready  chan struct{} // closed when the peer has opened the stream

	ctx    context.Context // ends with Close: what the port waits for on our behalf
	cancel context.CancelFunc

	mu   sync.Mutex
	wake *sync.Cond // anything below has changed

	state      state
	block      int   // the largest block of either side, bytes
	owesClose  bool  // the peer may think that the stream is open
	closing    bool  // CloseWrite was called
	peerClosed bool  // the peer sent <close/>
	closeDone  bool  // the peer answered ours
	broken     error // why nothing works any more; wraps ErrBroken

	in            receiver
	out           sender
	forgetClose   func() // gives up the answer to our <close/>; nil when there is none
	readDeadline  deadline
	writeDeadline deadline
}

var _ net.Conn = (*Conn)(nil)

func newConn(m *Manager, p Params, s state) *Conn {
	c := &Conn{
		m: m, key: key{p.Peer, p.Transport.SID}, modulo: 1 << 16,
		ready: make(chan struct{}), state: s, block: clamp(p.Transport.BlockSize),
	}
	if p.Modulo65535 {
		c.modulo--
	}
	c.wake = sync.NewCond(&c.mu)
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.out.window = maxWindow
	if p.Window > 0 {
		c.out.window = min(p.Window, maxWindow)
	}
	c.out.grows = p.Grows
	c.out.resize(c.block)
	return c
}

// Read implements io.Reader. After the peer's <close/>, and after its answer to
// ours, it returns the data that is left and then io.EOF. Some peers never
// close: count bytes where the length is known.
func (c *Conn) Read(p []byte) (int, error) {
	n, released, err := c.read(p)
	for _, w := range released {
		w.reply(nil, nil)
	}
	return n, err
}

func (c *Conn) read(p []byte) (int, []withheld, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case c.state == closed:
			return 0, nil, net.ErrClosed
		case c.readDeadline.passed():
			return 0, nil, os.ErrDeadlineExceeded
		case len(p) == 0:
			return 0, nil, nil
		case c.in.buf.Len() > 0:
			n, released := c.in.take(p)
			return n, released, nil
		case c.peerClosed:
			return 0, nil, io.EOF
		case c.broken != nil:
			return 0, nil, c.broken
		case c.closeDone:
			return 0, nil, io.EOF
		}
		c.wake.Wait()
	}
}

// Write implements io.Writer. It returns when the data is in the send buffer,
// which holds a window and a block; an error that comes later is returned by a
// later call. Only [Conn.CloseWrite] knows that all was taken.
func (c *Conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for {
		switch {
		case c.state == closed:
			return n, net.ErrClosed
		case c.broken != nil:
			return n, c.broken
		case c.peerClosed:
			return n, ErrPeerClosed
		case c.closing:
			return n, fmt.Errorf("write after the end of an in-band bytestream: %w", io.ErrClosedPipe)
		case c.writeDeadline.passed():
			return n, os.ErrDeadlineExceeded
		case n == len(p):
			return n, nil
		}
		if k := min(len(p)-n, c.out.room()); k > 0 {
			c.out.buf.Write(p[n : n+k])
			n += k
			if !c.out.running {
				c.out.running = true
				c.m.wg.Go(c.send)
			}
			c.wake.Broadcast()
			continue
		}
		c.wake.Wait()
	}
}

// CloseWrite sends what is in the buffer, waits until the peer has acknowledged
// all of it, and closes the bytestream: some peers finish only then. It does not
// wait for the answer to that. The write deadline counts. Data that the peer
// sent before can still be read.
func (c *Conn) CloseWrite() error {
	if err := c.flush(); err != nil {
		return err
	}
	c.sendClose()
	return nil
}

func (c *Conn) flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != closed {
		c.closing = true
		c.wake.Broadcast()
	}
	for {
		switch {
		case c.state == closed:
			return net.ErrClosed
		case c.out.buf.Len() == 0:
			return nil
		case c.broken != nil:
			return c.broken
		case c.peerClosed && c.out.buf.Len() > c.out.inFlight:
			return ErrPeerClosed
		case c.writeDeadline.passed():
			return os.ErrDeadlineExceeded
		}
		c.wake.Wait()
	}
}

// Close ends the bytestream at once and tells the peer, unless either was done
// before. Data that was not acknowledged is lost: call [Conn.CloseWrite] first.
// It may be called more than once and wakes all other calls.
func (c *Conn) Close() error {
	c.mu.Lock()
	if c.state == closed {
		c.mu.Unlock()
		return nil
	}
	c.state = closed
	unread := c.in.drop()
	forget := c.out.drop()
	if c.forgetClose != nil {
		forget = append(forget, c.forgetClose)
		c.forgetClose = nil
	}
	c.readDeadline.stop()
	c.writeDeadline.stop()
	c.wake.Broadcast()
	c.mu.Unlock()

	c.cancel()
	c.m.remove(c)
	for _, f := range forget {
		f()
	}
	for _, w := range unread {
		w.reply(nil, cancelError(stanza.ItemNotFound))
	}
	c.sendClose()
	return nil
}

// sendClose sends <close/>, once (XEP-0047 section 2.3). An error in answer to
// it means that the peer has closed already, which is as good.
func (c *Conn) sendClose() {
	c.mu.Lock()
	owed := c.owesClose
	c.owesClose = false
	c.mu.Unlock()
	if !owed {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), closeTime)
	defer cancel()
	forget, err := c.m.cfg.Port.BeginIQ(ctx, c.key.peer, element("close", c.key.sid), c.closeAnswered)
	if err != nil {
		c.m.cfg.Log.Debug("in-band bytestream closed without telling the peer", "peer", c.key.peer.String(), "error", err)
		c.closeAnswered(err)
		return
	}
	c.mu.Lock()
	isClosed := c.state == closed
	if !isClosed {
		c.forgetClose = forget
	}
	c.mu.Unlock()
	if isClosed {
		forget() // nobody is interested any more, and some peers never answer
	}
}

// closeAnswered ends the reading side.
func (c *Conn) closeAnswered(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var refused *stanza.Error
	if err != nil && !errors.As(err, &refused) {
		c.fail(err)
	}
	c.closeDone = true
	c.wake.Broadcast()
}

// fail notes why the stream cannot go on. The caller holds c.mu.
func (c *Conn) fail(err error) {
	if c.broken == nil {
		c.broken = fmt.Errorf("%w: %w", ErrBroken, err)
	}
	c.wake.Broadcast()
}

// BlockSize returns the size in bytes of the largest block, as it was opened.
func (c *Conn) BlockSize() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.block
}

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr { return Addr{SID: c.key.sid} }

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return Addr{JID: c.key.peer, SID: c.key.sid} }

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadline(&c.readDeadline, t) }

// SetWriteDeadline implements net.Conn. It counts for [Conn.CloseWrite] too.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setDeadline(&c.writeDeadline, t) }

func (c *Conn) setDeadline(d *deadline, t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == closed {
		return net.ErrClosed
	}
	d.set(t, c.wakeAll)
	c.wake.Broadcast()
	return nil
}

// wakeAll has everybody look at the state again.
func (c *Conn) wakeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wake.Broadcast()
}
