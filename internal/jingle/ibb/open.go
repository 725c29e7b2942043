package ibb

import (
	"context"
	"net"

	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// requestOpen sends <open/> with that block size and waits for the answer. The
// peer's data may arrive before its answer is looked at.
func (c *Conn) requestOpen(ctx context.Context, size int) error {
	c.mu.Lock()
	if c.state != opening {
		c.mu.Unlock()
		return net.ErrClosed
	}
	c.owesClose, c.block = true, size
	c.out.resize(size)
	c.mu.Unlock()
	answer := make(chan error, 1)
	forget, err := c.m.cfg.Port.BeginIQ(ctx, c.key.peer, openElement(c.key.sid, size), func(err error) { answer <- err })
	if err != nil {
		return err
	}
	defer forget()
	select {
	case err := <-answer:
		return err
	case <-c.ctx.Done():
		return net.ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// finishOpen makes the stream usable.
func (c *Conn) finishOpen() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != opening {
		return net.ErrClosed
	}
	c.state = open
	return nil
}

// notOpened notes that the peer refused to open the stream.
func (c *Conn) notOpened() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.owesClose = false
}

// gotOpen takes the peer's <open/>. Blocks larger than agreed on are refused
// with resource-constraint (XEP-0261 section 2.2); after any refusal the peer
// may try again.
func (c *Conn) gotOpen(e *xmltree.Element, reply func(*xmltree.Element, error)) *stanza.Error {
	size, ok := parseBlockSize(e)
	if !ok {
		return cancelError(stanza.BadRequest)
	}
	switch e.Attr("stanza") {
	case "", stanzaIQ:
	case "message":
		return cancelError(stanza.NotAcceptable)
	default:
		return cancelError(stanza.BadRequest)
	}
	c.mu.Lock()
	switch {
	case c.state != expecting:
		c.mu.Unlock()
		return cancelError(stanza.NotAcceptable)
	case size > c.block:
		c.mu.Unlock()
		return &stanza.Error{Type: "modify", Condition: stanza.ResourceConstraint}
	case size == 0:
		size = c.block
	}
	c.state, c.block, c.owesClose = open, size, true
	c.out.resize(size)
	c.mu.Unlock()
	reply(nil, nil) // before anybody can write
	close(c.ready)
	return nil
}

// gotClose takes the peer's <close/>. Data that was received stays readable.
func (c *Conn) gotClose(reply func(*xmltree.Element, error)) *stanza.Error {
	c.mu.Lock()
	if c.state != open && c.state != opening {
		c.mu.Unlock()
		return cancelError(stanza.ItemNotFound)
	}
	c.peerClosed, c.owesClose = true, false
	c.settle()
	c.wake.Broadcast()
	c.mu.Unlock()
	reply(nil, nil)
	return nil
}
