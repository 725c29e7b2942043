package jingle

import (
	"context"
	"errors"

	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// handle answers an action of the peer. The caller holds m.mu.
func (s *Session) handle(ctx context.Context, r request) *stanza.Error {
	if !s.speaksTruth(r) {
		if r.action == SessionAccept {
			return s.misfit(ctx, r, "accepted by somebody else")
		}
		return badRequest("initiator or responder does not match the session")
	}
	switch r.action {
	case SessionAccept:
		return s.handleAccept(ctx, r)
	case SessionTerminate:
		s.end(input{received, SessionTerminate}, ParseReason(r.reason), true)
		return nil
	case SessionInfo:
		return s.handleInfo(ctx, r)
	case TransportInfo, TransportReplace, TransportAccept, TransportReject:
		return s.handleTransport(ctx, r)
	case ContentAdd, ContentModify, ContentRemove:
		return s.handleContent(ctx, r)
	case DescriptionInfo, SecurityInfo:
		// Neither file transfer nor JET defines one.
		if err := s.received(r.action); err != nil {
			return err
		}
		return unsupportedInfoError()
	}
	return s.received(r.action) // session-initiate, content-accept, content-reject
}

// received moves the state by an action of the peer and returns the error to
// answer if it may not be.
func (s *Session) received(a Action) *stanza.Error {
	err := s.step(input{received, a})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrEnded):
		return unknownSessionError()
	case errors.Is(err, errTieBreak):
		return tieBreakError()
	}
	return outOfOrderError()
}

// may reports whether the state allows an action, without moving it.
func (s *Session) may(a Action) bool {
	_, v := next(s.state, s.initiator, input{received, a})
	return v == allowed
}

func (s *Session) handleAccept(ctx context.Context, r request) *stanza.Error {
	if !s.may(SessionAccept) {
		return s.received(SessionAccept)
	}
	if len(r.contents) != 1 {
		return s.misfit(ctx, r, "accept without exactly one content")
	}
	c := r.contents[0].filled(s.offer)
	c.Inferred = c.Inferred || r.responder == ""
	if c.Name != s.offer.Name || c.Creator != s.offer.Creator || c.Senders != s.offer.Senders {
		return s.misfit(ctx, r, "accept of another content")
	}
	if c.Transport == nil || s.offer.Transport != nil && c.Transport.Name != s.offer.Transport.Name {
		return s.misfit(ctx, r, "accept with another transport")
	}
	if err := s.received(SessionAccept); err != nil {
		return err
	}
	s.events <- Event{Action: SessionAccept, Content: &c} // the state machine lets one through
	return nil
}

// misfit refuses a session-accept that does not fit the offer and ends the
// session: the peer takes it for running, and a second accept cannot be told
// from an attack.
func (s *Session) misfit(ctx context.Context, r request, text string) *stanza.Error {
	if !s.may(SessionAccept) {
		return s.received(r.action)
	}
	s.terminateLater(ctx, Reason{Condition: IncompatibleParameters, Text: text}, false)
	return badRequest(text)
}

func (s *Session) handleInfo(ctx context.Context, r request) *stanza.Error {
	if err := s.received(SessionInfo); err != nil {
		return err
	}
	for _, p := range r.payloads {
		if !knownInfo(p.Name.Space) {
			return unsupportedInfoError()
		}
	}
	for _, p := range r.payloads { // none: a ping
		if err := s.queue(ctx, SessionInfo, p); err != nil {
			return err
		}
	}
	return nil
}

func (s *Session) handleTransport(ctx context.Context, r request) *stanza.Error {
	if !s.may(r.action) {
		return s.received(r.action)
	}
	if len(r.contents) != 1 {
		return badRequest("not exactly one content")
	}
	c := r.contents[0]
	if c.Name != "" && c.Name != s.offer.Name {
		return stanza.NewError(stanza.ItemNotFound)
	}
	if c.Transport == nil {
		return badRequest("content without transport")
	}
	before := s.state
	if err := s.received(r.action); err != nil {
		return err
	}
	switch r.action {
	case TransportReplace:
		if s.initiator {
			return s.reject(ctx, s.element(TransportReject, s.transportContent(c.Transport)))
		}
		if before == Replacing {
			s.answers <- superseded
		}
		s.proposed = c.Transport
		return s.queue(ctx, TransportReplace, c.Transport)
	case TransportAccept:
		return s.answered(ctx, c.Transport)
	case TransportReject:
		return s.answered(ctx, nil)
	}
	if s.state == Streaming {
		return nil // too late to matter
	}
	return s.queue(ctx, TransportInfo, c.Transport)
}

// handleContent answers content-add, -modify and -remove: a session has its
// one content as long as it lives.
func (s *Session) handleContent(ctx context.Context, r request) *stanza.Error {
	if err := s.received(r.action); err != nil {
		return err
	}
	if len(r.contents) == 0 {
		return stanza.NewError(stanza.BadRequest)
	}
	if r.action == ContentAdd {
		return s.rejectContents(ctx, r.contents)
	}
	for _, c := range r.contents {
		if c.Name != s.offer.Name {
			return stanza.NewError(stanza.ItemNotFound)
		}
	}
	if r.action == ContentModify {
		if r.contents[0].filled(s.offer).Senders != s.offer.Senders {
			return stanza.NewError(stanza.NotAcceptable)
		}
		return nil
	}
	// Nothing is left: XEP-0166 section 7.2.5 wants the session terminated.
	reason := Reason{Condition: Cancel}
	if r.reason != nil {
		reason = ParseReason(r.reason)
	}
	s.terminateLater(ctx, reason, true)
	return nil
}

// rejectContents rejects a content-add, as XEP-0166 section 7.2.2 has it.
func (s *Session) rejectContents(ctx context.Context, cs []Content) *stanza.Error {
	if s.state == Initiating {
		return stanza.NewError(stanza.ResourceConstraint)
	}
	e := s.element(ContentReject)
	for _, c := range cs {
		e.Add(xmltree.New(NS, "content").Set("creator", orInitiator(c.Creator)).Set("name", c.Name))
	}
	return s.reject(ctx, e.Add(Reason{Condition: UnsupportedApplications}.Element()))
}

// maxRejects is how many rejects of one session may be on their way. More than
// one, because a peer that has answered one may say the next thing before we have
// noticed the answer.
const maxRejects = 4

// reject has the peer's action acknowledged and sends e, which rejects it; a few
// at a time, so that nobody has us send without end.
func (s *Session) reject(ctx context.Context, e *xmltree.Element) *stanza.Error {
	if s.rejecting == maxRejects {
		return stanza.NewError(stanza.ResourceConstraint)
	}
	s.rejecting++
	s.m.wg.Go(func() {
		if err := s.requestDetached(ctx, e); err != nil {
			s.m.cfg.Log.Debug("reject without answer", "action", e.Attr("action"), "peer", s.peer.String(), "error", err)
		}
		s.m.mu.Lock()
		s.rejecting--
		s.m.mu.Unlock()
	})
	return nil
}
