package transfer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/omemo"
	"jetsend/internal/stanza"
)

// ackTime bounds the acknowledgement of an offer, which no person has to give. It
// is as long as a path may be silent: where the line is slow, what an in-band stream
// has under way is in front of the offer, for half a minute on a modem's.
const ackTime = idle

// initiate delivers an offer. A client that does not even acknowledge it is not
// there.
func (e *Endpoint) initiate(ctx context.Context, to jid.JID, sid string, content jingle.Content, patience time.Duration) (*jingle.Session, error) {
	late := errNotThere
	if patience > 0 && patience < ackTime {
		late = errNoAnswer
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
		return nil, context.Cause(ctx)
	case errors.Is(err, context.DeadlineExceeded):
		return nil, late
	}
	var answer *stanza.Error
	if errors.As(err, &answer) {
		err = &offerRefused{Answer: answer}
	}
	return nil, fmt.Errorf("offer to %s: %w", to, err)
}

// reach is initiate with a client that was chosen. Once its receiver has come back with
// another resource, as after it was killed, the client is not there, and not waited for.
func (e *Endpoint) reach(ctx context.Context, to *peer, sid string, content jingle.Content, patience time.Duration) (*jingle.Session, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for {
			changed := e.sess.PresenceChanged()
			if to.ReplacedAmong(e.sess.Resources(to.JID.Bare())) {
				cancel(errNotThere)
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

// prepare makes the route, the envelope and the content.
func (o *outgoing) prepare(ctx context.Context, sid string) (c jingle.Content, err error) {
	paths, err := o.paths()
	if err != nil {
		return c, err
	}
	if o.route, err = o.e.offerRoute(ctx, o.to, paths); err != nil {
		return c, err
	}
	c = jingle.Content{
		Creator: jingle.SenderInitiator, Name: contentName, Senders: jingle.SenderInitiator,
		Description: jingle.Description(o.publicFile()), Transport: o.route.Element(),
	}
	if !o.profile() {
		err = o.dress(ctx, &c)
	} else {
		o.talk.offer = o.sealedOffer(sid, c, o.e.abandoned(ctx, o.to.JID))
		payload := o.talk.offer.Payload(o.talk.ts)
		o.env, err = o.e.omemo.WrapPayload(ctx, o.e.sess, o.to.JID.Bare(), payload, omemo.Kept)
		clear(payload)
	}
	if err != nil {
		o.route.Close()
		return c, wrapFailed(o.to, err)
	}
	if o.profile() {
		c.Security = (&jingle.Security{Name: c.Name, Cipher: o.talk.offer.Cipher, Type: envelopeType, Envelope: o.env.Element}).Element()
	}
	return c, nil
}

// publicFile is what the servers get to see. Other clients need the name there.
func (o *outgoing) publicFile() *jingle.File {
	f := &jingle.File{Size: o.src.Size, HashUsed: []string{"sha-256"}}
	if !o.profile() {
		f.Name, f.Date, f.Description = o.src.Name, o.src.MTime, o.opt.Description
		return f
	}
	f.Range = &jingle.Range{Length: -1} // the receiver says from where
	if limit := o.e.sessionLimit(); o.src.Size > limit {
		f.Range.Length = limit
	}
	return f
}

func (o *outgoing) sealedOffer(sid string, c jingle.Content, gone []string) *offer {
	f := &jingle.File{Name: o.src.Name, Size: o.src.Size, Date: o.src.MTime, Description: o.opt.Description}
	if o.check {
		f.HashUsed = []string{"sha-256"} // asks for it in the receipt
	}
	return &offer{
		Transfer: o.head.Transfer, SID: sid, Content: c.Name, Senders: c.Senders, Cipher: o.talk.ts.Suite().URN(),
		Initiator: o.e.sess.JID(), Responder: o.to.JID, Device: o.e.omemo.DeviceID(), Digest: contentDigest(c),
		File: f, Batch: o.batch, Restart: o.restart, Directory: directoryOf(o.src), Mode: o.src.Mode, Gone: gone,
	}
}
