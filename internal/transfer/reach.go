package transfer

import (
	"context"
	"slices"
	"time"

	"jetsend/internal/contact"
	"jetsend/internal/conversation"
	"jetsend/internal/dialect"
	"jetsend/internal/event"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/profile"
	"jetsend/internal/route"
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

// reach delivers an offer to a client that was chosen.
func (e *core) reach(ctx context.Context, c *conversation.Conversation, to *contact.Peer, sid string, content jingle.Content, patience time.Duration) error {
	ctx, stop := e.contacts().WhileThere(ctx, to)
	defer stop()
	return c.Initiate(ctx, e.jingle, to.JID, sid, content, patience)
}

// offerRoute makes the transport for an offer to a peer.
func (e *core) offerRoute(ctx context.Context, to *contact.Peer, opt route.Options) (*route.Route, error) {
	return e.routes.Offer(ctx, route.Peer{
		JID: to.JID, Transports: to.Transports, Reports: slices.Contains(to.Takes, dialect.FormJetsend), Modulo65535: to.Software == dialect.Libervia, Jetsend: to.Software == dialect.Jetsend,
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
