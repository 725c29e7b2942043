package jingle

import (
	"context"

	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// Event is something that the peer did in a session, or the end of the session.
type Event struct {
	// Action says which: [SessionAccept], [SessionInfo], [TransportInfo],
	// [TransportReplace], or [SessionTerminate] for the end, whoever made it.
	Action Action
	// Content is that of a session-accept, which comes at most once. Its name,
	// creator and senders are those of the offer.
	Content *Content
	// Payload is one payload of a session-info, in a name space that this program
	// knows, or the transport element of a transport-info or a transport-replace.
	// Transport-infos may come before the session is accepted. A transport-replace
	// is to be answered by [Session.AcceptTransport] or [Session.RejectTransport];
	// [Session.BeginStream] rejects one that was not.
	Payload *xmltree.Element
	// Reason and ByPeer are those of the end, as [Session.Ended] returns them.
	Reason Reason
	ByPeer bool
}

// Events yields what the peer does, in the order of arrival, and the end of the
// session as the last event. Then it is closed: what came before the end is there
// to be read after it.
func (s *Session) Events() <-chan Event { return s.events }

// queue hands an event of the peer to the owner of the session. The caller holds
// m.mu, and nobody else fills the channel: a place that is free stays free. There
// is always one for the accept and one for the end.
func (s *Session) queue(ctx context.Context, a Action, payload *xmltree.Element) *stanza.Error {
	if err := s.charge(ctx, payload); err != nil {
		return err
	}
	if len(s.events) >= maxUnread {
		return s.overflow(ctx)
	}
	s.events <- Event{Action: a, Payload: payload}
	return nil
}

// charge counts what the peer says over the life of the session.
func (s *Session) charge(ctx context.Context, e *xmltree.Element) *stanza.Error {
	if s.heard += e.Weight(); s.heard > maxHeard {
		return s.overflow(ctx)
	}
	return nil
}

// overflow ends a session whose owner does not keep up with the peer, which is no
// reason to hold up the stream, or whose peer says more than there can be to say.
func (s *Session) overflow(ctx context.Context) *stanza.Error {
	s.terminateLater(ctx, Reason{Condition: GeneralError, Text: "too many messages at once"}, false)
	return stanza.NewError(stanza.ResourceConstraint)
}

// answered hands the peer's answer to [Session.ReplaceTransport]: nil is a
// transport-reject. There is one answer to each proposal of ours, and place for it.
func (s *Session) answered(ctx context.Context, transport *xmltree.Element) *stanza.Error {
	if err := s.charge(ctx, transport); err != nil {
		return err
	}
	s.answers <- transport
	return nil
}
