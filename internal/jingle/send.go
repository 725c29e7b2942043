package jingle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// superseded in a session's answers stands for the peer's own proposal.
var superseded = xmltree.New(NS, "superseded")

// step is the one function that changes the state of a session. It returns
// nil, [ErrEnded], [ErrOutOfOrder] or errTieBreak. The caller holds m.mu.
func (s *Session) step(e input) error {
	st, v := next(s.state, s.initiator, e)
	switch v {
	case unknownSession:
		return ErrEnded
	case outOfOrder:
		return ErrOutOfOrder
	case tieBreak:
		return errTieBreak
	}
	s.state = st
	return nil
}

// errTieBreak means that the peer's action loses against the same of ours.
var errTieBreak = errors.New("tie break")

// end ends the session locally by in; false if it has ended. The caller holds
// m.mu.
func (s *Session) end(in input, r Reason, byPeer bool) bool {
	if s.step(in) != nil {
		return false
	}
	s.reason, s.byPeer = r, byPeer
	delete(s.m.sessions, s.key)
	if in.kind == sent {
		s.m.leaving[s.key] = true
	}
	s.events <- Event{Action: SessionTerminate, Reason: r, ByPeer: byPeer}
	close(s.events)
	s.cancel()
	return true
}

// terminateLater ends the session and tells the peer without waiting. The
// caller holds m.mu.
func (s *Session) terminateLater(ctx context.Context, r Reason, byPeer bool) {
	if !s.end(input{sent, SessionTerminate}, r, byPeer) {
		return
	}
	s.m.wg.Go(func() { s.logged(SessionTerminate, s.farewell(ctx, r)) })
}

// farewell tells the peer that the session is over.
func (s *Session) farewell(ctx context.Context, r Reason) error {
	err := s.requestDetached(ctx, s.element(SessionTerminate, r.Element()))
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	delete(s.m.leaving, s.key)
	return err
}

// conclude is Conclude where the state allows it.
func (s *Session) conclude(ctx context.Context, payload *xmltree.Element, r Reason) error {
	told, ended := make(chan error, 1), make(chan error, 1)
	forget, err := s.m.cfg.Begin(ctx, s.peer, s.element(SessionInfo, payload), func(err error) { told <- err })
	if err != nil {
		return err
	}
	defer forget()
	forget, err = s.m.cfg.Begin(ctx, s.peer, s.element(SessionTerminate, r.Element()), func(err error) { ended <- err })
	if err == nil {
		defer forget()
	}
	select {
	case terr := <-told:
		if terr != nil || err != nil {
			return terr // and with nil the end is still to be told
		}
	case <-s.ctx.Done():
		return ErrEnded
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	s.m.mu.Lock()
	over := s.end(input{sent, SessionTerminate}, r, false)
	s.m.mu.Unlock()
	if !over {
		return nil
	}
	late := time.NewTimer(terminateTimeout)
	defer late.Stop()
	select {
	case err = <-ended:
		s.logged(SessionTerminate, err)
	case <-late.C:
	}
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	delete(s.m.leaving, s.key)
	return nil
}

// later sends e without waiting; [Manager.Close] waits for it. The caller
// holds m.mu, and the session was alive when it took it.
func (s *Session) later(ctx context.Context, e *xmltree.Element) {
	s.m.wg.Go(func() { s.logged(Action(e.Attr("action")), s.requestDetached(ctx, e)) })
}

// logged writes down what became of an action that nobody waits for.
func (s *Session) logged(a Action, err error) {
	if err != nil {
		s.m.cfg.Log.Debug("jingle action without answer", "action", string(a), "peer", s.peer.String(), "error", err)
	}
}

// act sends an action of ours if the state allows it, and waits for the ack.
func (s *Session) act(ctx context.Context, a Action, child *xmltree.Element) error {
	s.m.mu.Lock()
	err := s.step(input{sent, a})
	if err == nil && a == TransportReplace {
		s.forgetAnswers()
	}
	s.m.mu.Unlock()
	if err == nil {
		err = s.request(ctx, s.element(a, child))
	}
	if err == nil {
		return nil
	}
	var refused *stanza.Error
	if errors.As(err, &refused) {
		switch a {
		case SessionAccept:
			_ = s.Terminate(ctx, Reason{Condition: GeneralError, Text: "accept refused"})
		case TransportReplace:
			s.withdraw()
		}
	}
	return fmt.Errorf("%s of session with %s: %w", a, s.peer, err)
}

// forgetAnswers drops an answer that nobody waited for any more, so that each
// transport-replace finds room for its own. The caller holds m.mu.
func (s *Session) forgetAnswers() {
	select {
	case <-s.answers:
	default:
	}
}

// withdraw goes back to active when the peer refused our transport-replace.
func (s *Session) withdraw() {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	if s.state == Replacing {
		_ = s.step(input{received, TransportReject}) // an error is as good as a reject
	}
}

// request sends e to the peer and waits for the ack, as long as the session lives.
func (s *Session) request(ctx context.Context, e *xmltree.Element) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	_, err := s.m.cfg.Port.IQ(ctx, s.peer, stanza.Set, e)
	var answer *stanza.Error
	if err != nil && !errors.As(err, &answer) && s.ctx.Err() != nil {
		return ErrEnded
	}
	return err
}

// requestDetached sends e to the peer even if ctx is cancelled and the session
// has ended, and waits a short time for the ack.
func (s *Session) requestDetached(ctx context.Context, e *xmltree.Element) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), terminateTimeout)
	defer cancel()
	_, err := s.m.cfg.Port.IQ(ctx, s.peer, stanza.Set, e)
	return err
}

// element makes the <jingle/> for an action. XEP-0166 section 7.1 wants the
// initiator in a session-initiate and the responder in a session-accept.
func (s *Session) element(a Action, children ...*xmltree.Element) *xmltree.Element {
	e := xmltree.New(NS, "jingle", children...).Set("action", string(a)).Set("sid", s.key.sid)
	switch a {
	case SessionInitiate:
		e.Set("initiator", s.InitiatorJID().String())
	case SessionAccept:
		e.Set("responder", s.ResponderJID().String())
	}
	return e
}

// transportContent wraps a transport for a transport action.
func (s *Session) transportContent(transport *xmltree.Element) *xmltree.Element {
	return xmltree.New(NS, "content", transport).Set("creator", s.offer.Creator).Set("name", s.offer.Name)
}
