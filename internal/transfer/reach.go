package transfer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"jetsend/internal/contact"
	"jetsend/internal/conversation"
	"jetsend/internal/dialect"
	"jetsend/internal/event"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/profile"
	"jetsend/internal/route"
	"jetsend/internal/stanza"
	"jetsend/internal/stream"
)

// converse is a conversation that has no session yet. life is the context of its actor.
func (e *core) converse(life context.Context, head event.Head) *conversation.Conversation {
	return conversation.New(life, conversation.World{
		Account: e.sess, Timing: e.timing.Timing, Back: e.back.Load, Report: e.cfg.Report, Log: e.log,
	}, head)
}

// answer accepts what the contact offers or asks for.
func (e *core) answer(c *conversation.Conversation, paths route.Options, s profile.Span, prefix string, accepting func()) error {
	return c.Answer(e.routes, paths, s, prefix, e.omemo.DeviceID(), accepting)
}

// ackTime bounds the acknowledgement of an offer, which no person has to give. It
// is as long as a path may be silent: where the line is slow, what an in-band stream
// has under way is in front of the offer, for half a minute on a modem's.
const ackTime = stream.Idle

// initiate delivers an offer. A client that does not even acknowledge it is not
// there; a session that comes with an error is the caller's to end.
func (e *core) initiate(ctx context.Context, to jid.JID, sid string, content jingle.Content, patience time.Duration) (*jingle.Session, error) {
	late := fault.ErrNotThere
	if patience > 0 && patience < ackTime {
		late = fault.ErrNoAnswer
	} else {
		patience = ackTime
	}
	wait, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	s, err := e.jingle.Initiate(wait, to, sid, content)
	switch {
	case err == nil:
		return s, nil
	case context.Cause(ctx) != nil:
		return s, context.Cause(ctx)
	case errors.Is(err, context.DeadlineExceeded):
		return s, late
	}
	var answer *stanza.Error
	if errors.As(err, &answer) {
		err = &fault.OfferError{Answer: answer}
	}
	return s, fmt.Errorf("offer to %s: %w", to, err)
}

// reach is initiate with a client that was chosen. Once its receiver has come back with
// another resource, as after it was killed, the client is not there, and not waited for.
func (e *core) reach(ctx context.Context, to *contact.Peer, sid string, content jingle.Content, patience time.Duration) (*jingle.Session, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for {
			changed := e.sess.PresenceChanged()
			if to.ReplacedAmong(e.sess.Resources(to.JID.Bare())) {
				cancel(fault.ErrNotThere)
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}()
	defer func() { cancel(nil); <-watched }()
	return e.initiate(ctx, to.JID, sid, content, patience)
}

// offerRoute makes the transport for an offer to a peer.
func (e *core) offerRoute(ctx context.Context, to *contact.Peer, opt route.Options) (*route.Route, error) {
	return e.routes.Offer(ctx, route.Peer{
		JID: to.JID, Transports: to.Transports, Reports: slices.Contains(to.Takes, dialect.FormJetsend), Modulo65535: to.Software == dialect.Libervia,
	}, opt)
}

// rebuilt begins new OMEMO sessions with the devices of a contact and reports whether
// there is one: the two sides may have different ones.
func (e *core) rebuilt(ctx context.Context, with jid.JID) bool {
	err := e.omemo.Rebuild(ctx, e.sess, with.Bare())
	if err != nil {
		e.log.Warn("rebuild sessions", "with", with.Bare(), "error", err)
	}
	return err == nil
}
