package ibb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// Config is what a [Manager] needs. Port is required.
type Config struct {
	Port Port
	// Admit, when set, is asked before anything that belongs to no bytestream
	// with its sender is looked at; an error is the answer. So strangers can be
	// refused with service-unavailable, as if we were offline. It must not block.
	Admit func(from jid.JID) *stanza.Error
	Log   *slog.Logger
}

// Manager owns the in-band bytestreams of an account.
type Manager struct {
	cfg Config

	mu      sync.Mutex // never held together with that of a Conn
	streams map[key]*Conn
	closed  bool

	// wg counts the senders of all streams. Add is called under the lock of an
	// open Conn, and Close waits only after it has closed all of them.
	wg sync.WaitGroup
}

// key identifies a bytestream: its id is only unique between two parties.
type key struct {
	peer jid.JID
	sid  string
}

// NewManager makes a manager without bytestreams.
func NewManager(cfg Config) *Manager {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Manager{cfg: cfg, streams: map[key]*Conn{}}
}

// Open opens a bytestream that was agreed on, as the initiator of the Jingle
// session has to (XEP-0261 section 2.2), and returns when the peer accepted it.
// A peer that would have smaller blocks gets them. The *[stanza.Error] of a
// refusal is in the error.
func (m *Manager) Open(ctx context.Context, p Params) (*Conn, error) {
	c, err := m.register(p, opening)
	if err != nil {
		return nil, fmt.Errorf("open in-band bytestream to %s: %w", p.Peer, err)
	}
	for size := c.BlockSize(); ; size /= 2 {
		err := c.requestOpen(ctx, size)
		if err == nil {
			err = c.finishOpen()
		}
		if err == nil {
			return c, nil
		}
		var refused *stanza.Error
		if errors.As(err, &refused) {
			if refused.Condition == stanza.ResourceConstraint && size/2 >= minBlockSize {
				continue
			}
			c.notOpened()
		}
		_ = c.Close() // tells the peer unless it refused: it may have accepted
		return nil, fmt.Errorf("open in-band bytestream to %s: %w", p.Peer, err)
	}
}

// Expect prepares for the peer's <open/>. It must be called before the peer is
// told that its offer is accepted.
func (m *Manager) Expect(p Params) (*Expected, error) {
	c, err := m.register(p, expecting)
	if err != nil {
		return nil, fmt.Errorf("expect in-band bytestream from %s: %w", p.Peer, err)
	}
	return &Expected{c}, nil
}

// Expected is a bytestream that the peer is to open.
type Expected struct{ c *Conn }

// Accept waits until the peer has opened the bytestream. It is to be called
// once; the caller then owns the Conn.
func (e *Expected) Accept(ctx context.Context) (*Conn, error) {
	select {
	case <-e.c.ready:
		return e.c, nil
	case <-e.c.ctx.Done():
		return nil, fmt.Errorf("wait for in-band bytestream from %s: %w", e.c.key.peer, ErrBroken)
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for in-band bytestream from %s: %w", e.c.key.peer, context.Cause(ctx))
	}
}

// Close ends the bytestream, whether it is open yet or not. It is not needed
// after Accept has returned a Conn, but allowed, and then closes that.
func (e *Expected) Close() error { return e.c.Close() }

// register makes a stream known, so that the peer can find it.
func (m *Manager) register(p Params, s state) (*Conn, error) {
	switch {
	case p.Peer.IsZero():
		return nil, errors.New("in-band bytestream without address")
	case p.Transport.SID == "" || len(p.Transport.SID) > maxSID:
		return nil, fmt.Errorf("%w: stream id of %d bytes", ErrMalformed, len(p.Transport.SID))
	}
	c := newConn(m, p, s)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		c.cancel()
		return nil, ErrBroken
	}
	if _, ok := m.streams[c.key]; ok {
		c.cancel()
		return nil, ErrDuplicate
	}
	m.streams[c.key] = c
	return c, nil
}

// remove makes a stream unknown.
func (m *Manager) remove(c *Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.streams[c.key] == c {
		delete(m.streams, c.key)
	}
}

// Close closes all bytestreams and waits for their goroutines, which end at
// once when the [Port] heeds its context. Afterwards there are no new ones.
func (m *Manager) Close() {
	m.mu.Lock()
	m.closed = true
	all := slices.Collect(maps.Values(m.streams))
	m.mu.Unlock()
	for _, c := range all {
		_ = c.Close()
	}
	m.wg.Wait()
}

// HandleIQ takes an iq of the name space [NS] and has reply called once with
// the answer: nil for a result, or a *[stanza.Error]. Calls must come from one
// goroutine in the order of arrival. HandleIQ itself never waits; when there is
// no room for data the answer comes later, from the goroutine that reads the
// data or closes the [Conn].
func (m *Manager) HandleIQ(_ context.Context, iq stanza.IQ, reply func(*xmltree.Element, error)) {
	err := m.handle(iq, reply)
	if err == nil {
		return
	}
	m.cfg.Log.Debug("in-band request refused", "from", iq.From.String(), "error", err)
	reply(nil, err)
}

// handle answers iq by reply or returns the error that is the answer.
func (m *Manager) handle(iq stanza.IQ, reply func(*xmltree.Element, error)) *stanza.Error {
	sid := iq.Payload.Attr("sid")
	m.mu.Lock()
	c := m.streams[key{iq.From, sid}]
	m.mu.Unlock()
	if c == nil && m.cfg.Admit != nil {
		if err := m.cfg.Admit(iq.From); err != nil {
			return err
		}
	}
	if iq.Type != stanza.Set || iq.Payload == nil || iq.Payload.Name.Space != NS {
		return cancelError(stanza.BadRequest)
	}
	switch name := iq.Payload.Name.Local; name {
	case "open", "data", "close":
		switch {
		case sid == "":
			return cancelError(stanza.BadRequest)
		case c == nil && name == "open": // not agreed on by Jingle
			return cancelError(stanza.NotAcceptable)
		case c == nil:
			return cancelError(stanza.ItemNotFound)
		case name == "open":
			return c.gotOpen(iq.Payload, reply)
		case name == "data":
			return c.gotData(iq.Payload, reply)
		}
		return c.gotClose(reply)
	}
	return cancelError(stanza.FeatureNotImplemented)
}

// cancelError returns an error of type cancel, as XEP-0047 has it where it
// differs from RFC 6120: a sender takes wait for a reason to try again.
func cancelError(condition string) *stanza.Error {
	return &stanza.Error{Type: "cancel", Condition: condition}
}
