package jingle

import (
	"context"
	"errors"
	"fmt"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// Session is one Jingle session. Its methods may be called from any goroutine.
//
// The actions of the peer come out of [Session.Events].
type Session struct {
	m          *Manager
	key        key
	initiator  bool
	self, peer jid.JID
	offer      Content

	events  chan Event            // filled under m.mu
	answers chan *xmltree.Element // nil is a transport-reject

	ctx    context.Context // cancelled when the session ends
	cancel context.CancelFunc

	// guarded by m.mu
	state     State
	reason    Reason
	byPeer    bool
	heard     int              // weight of what the peer has said
	rejecting int              // content-rejects and transport-rejects on their way
	proposed  *xmltree.Element // the peer's transport, while we are answering
}

func newSession(m *Manager, peer jid.JID, sid string, initiator bool, offer Content) *Session {
	s := &Session{
		m: m, key: key{peer, sid}, initiator: initiator, self: m.cfg.Self(), peer: peer,
		offer:   offer.filled(Content{Creator: SenderInitiator, Senders: SenderInitiator}),
		events:  make(chan Event, maxUnread+2), // and the accept, and the end
		answers: make(chan *xmltree.Element, 1),
		state:   Pending,
	}
	if initiator {
		s.state = Initiating
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// ID returns the session id.
func (s *Session) ID() string { return s.key.sid }

// Peer returns the peer's full JID.
func (s *Session) Peer() jid.JID { return s.peer }

// Initiator reports whether we opened the session.
func (s *Session) Initiator() bool { return s.initiator }

// InitiatorJID returns the full JID of the side that opened the session.
func (s *Session) InitiatorJID() jid.JID {
	if s.initiator {
		return s.self
	}
	return s.peer
}

// ResponderJID returns the full JID of the other side.
func (s *Session) ResponderJID() jid.JID {
	if s.initiator {
		return s.peer
	}
	return s.self
}

// Content returns the content as it was offered, creator and senders filled in.
func (s *Session) Content() Content { return s.offer }

// State returns the state the session is in.
func (s *Session) State() State {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	return s.state
}

// Done is closed when the session has ended.
func (s *Session) Done() <-chan struct{} { return s.ctx.Done() }

// Ended returns why the session ended, and whether the peer ended it. It is
// valid once [Session.Done] is closed.
func (s *Session) Ended() (r Reason, byPeer bool) {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	return s.reason, s.byPeer
}

// Accept accepts the peer's offer and returns when the peer acknowledged it.
// The actions that the peer sends in answer may come before that. When the peer
// refuses the accept, the session is ended.
func (s *Session) Accept(ctx context.Context, c Content) error {
	return s.act(ctx, SessionAccept, c.Element())
}

// TransportInfo sends a transport-info and returns when it is acknowledged.
func (s *Session) TransportInfo(ctx context.Context, transport *xmltree.Element) error {
	return s.act(ctx, TransportInfo, s.transportContent(transport))
}

// Info sends a session-info and returns when it is acknowledged.
func (s *Session) Info(ctx context.Context, payload *xmltree.Element) error {
	return s.act(ctx, SessionInfo, payload)
}

// Conclude sends a session-info and, right behind it, the end of the session for that reason.
// It returns when the info is acknowledged: then the session is over, and the peer's answer
// to its end is awaited as by [Session.Terminate]. On an error it is not over here: the
// peer has got neither, or answers that it knows no such session. Without Config.Begin it is
// [Session.Info].
func (s *Session) Conclude(ctx context.Context, payload *xmltree.Element, r Reason) error {
	if s.m.cfg.Begin == nil {
		return s.Info(ctx, payload)
	}
	s.m.mu.Lock()
	err := s.step(input{sent, SessionInfo})
	if err == nil {
		s.m.wg.Add(1)
		defer s.m.wg.Done()
	}
	s.m.mu.Unlock()
	if err == nil {
		err = s.conclude(ctx, payload, r)
	}
	if err != nil {
		return fmt.Errorf("%s of session with %s: %w", SessionInfo, s.peer, err)
	}
	return nil
}

// BeginStream says that data starts to flow: from now on neither side replaces
// the transport, and transport-infos are acknowledged and dropped. A transport
// that the peer has proposed meanwhile is rejected. It fails when the session is
// not [Active] or [Answering].
func (s *Session) BeginStream() error {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	pending := s.state == Answering
	if err := s.step(input{kind: began}); err != nil {
		return err
	}
	if pending {
		s.later(s.ctx, s.element(TransportReject, s.transportContent(s.proposed)))
	}
	return nil
}

// ReplaceTransport proposes another transport and returns the peer's form of
// it, or [ErrTransportRejected], or [ErrSuperseded] when the peer's own
// proposal, now among [Session.Events], overrules ours.
func (s *Session) ReplaceTransport(ctx context.Context, transport *xmltree.Element) (*xmltree.Element, error) {
	err := s.act(ctx, TransportReplace, s.transportContent(transport))
	var refused *stanza.Error
	switch {
	case errors.As(err, &refused) && refused.App.Local == "tie-break":
		return nil, fmt.Errorf("%s of session with %s: %w", TransportReplace, s.peer, ErrSuperseded)
	case err != nil:
		return nil, err
	}
	select {
	case t := <-s.answers:
		return s.answer(t)
	case <-s.ctx.Done():
		return nil, fmt.Errorf("%s of session with %s: %w", TransportReplace, s.peer, ErrEnded)
	case <-ctx.Done():
		return nil, fmt.Errorf("%s of session with %s: %w", TransportReplace, s.peer, context.Cause(ctx))
	}
}

// answer reads what the peer, or its competing proposal, made of ours.
func (s *Session) answer(t *xmltree.Element) (*xmltree.Element, error) {
	switch t {
	case nil:
		return nil, fmt.Errorf("session with %s: %w", s.peer, ErrTransportRejected)
	case superseded:
		return nil, fmt.Errorf("session with %s: %w", s.peer, ErrSuperseded)
	}
	return t, nil
}

// AcceptTransport accepts the transport that the peer proposed.
func (s *Session) AcceptTransport(ctx context.Context, transport *xmltree.Element) error {
	return s.act(ctx, TransportAccept, s.transportContent(transport))
}

// RejectTransport refuses the transport that the peer proposed.
func (s *Session) RejectTransport(ctx context.Context, transport *xmltree.Element) error {
	return s.act(ctx, TransportReject, s.transportContent(transport))
}

// Terminate ends the session and tells the peer. The session is over at once,
// whatever becomes of the stanza; the peer's answer is awaited for at most two
// seconds, also when ctx is cancelled. Terminating an ended session is nil.
func (s *Session) Terminate(ctx context.Context, r Reason) error {
	s.m.mu.Lock()
	if !s.end(input{sent, SessionTerminate}, r, false) {
		s.m.mu.Unlock()
		return nil
	}
	s.m.wg.Add(1)
	s.m.mu.Unlock()
	defer s.m.wg.Done()
	err := s.farewell(ctx, r)
	var answer *stanza.Error
	if errors.As(err, &answer) && answer.Condition == stanza.ItemNotFound {
		return nil // the peer had ended it, too
	}
	if err != nil {
		return fmt.Errorf("terminate session with %s: %w", s.peer, err)
	}
	return nil
}
