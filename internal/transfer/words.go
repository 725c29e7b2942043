package transfer

import (
	"context"
	"errors"
	"time"

	"jetsend/internal/dialect"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jingle"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

const (
	// wordTries is how often it is tried to bring the peer a word of ours while the peer, or
	// we, cannot be reached.
	wordTries = 4
	// watchMisses is how often the contact's client must be missing until it is gone.
	watchMisses = 3
)

// reportAccepted says that the receiver has said yes, and from where on.
func (c *conversation) reportAccepted(offset int64) {
	c.e.cfg.Report(Accepted{Head: c.head})
	if offset > 0 {
		c.e.cfg.Report(Resumed{Head: c.head, Offset: offset})
	}
}

// reportPath says that a bytestream stands, and what protects it.
func (c *conversation) reportPath() {
	c.e.cfg.Report(Negotiated{
		Head: c.head, Transport: c.path.Transport, Candidate: c.path.Candidate, Cipher: c.d.Secret().Suite().Name(),
		Encryption: c.d.Form().Word(), Devices: deviceInfos(c.devices),
	})
}

// tell brings the peer a session-info that matters, and tries again while one
// of us cannot be reached and the actor lives; once in any case. What the peer thinks of
// it is its business.
func (c *conversation) tell(life context.Context, payload *xmltree.Element) error {
	pauses := c.e.timing.words
	for try := 1; ; try++ {
		err := c.tellOnce(payload)
		var refused *stanza.Error
		switch {
		case err == nil, errors.As(err, &refused) && (codeOfIQ(refused) != exitcode.Offline || refused.Condition == stanza.ItemNotFound):
			return nil // item-not-found is an answer: the session is not known any more
		case errors.Is(err, jingle.ErrEnded), try == wordTries:
			return err
		}
		if c.e.sleep(life, pauses.Next()) != nil {
			return err
		}
	}
}

func (c *conversation) tellOnce(payload *xmltree.Element) error {
	ctx, cancel := context.WithTimeout(context.Background(), c.e.timing.wordTime) // also when the actor is stopped
	defer cancel()
	if err := c.e.sess.WaitOnline(ctx); err != nil {
		return err
	}
	return c.sess.Info(ctx, payload)
}

// terminate ends the session because of err, and says so to the peer. The session is over
// at once, whatever the peer gets to know; its answer is awaited for a moment.
func (c *conversation) terminate(err error) {
	reason := c.reasonFor(err)
	if no := fault.Of(err).Refusal; no != nil && !c.sess.Initiator() { // of the contact's offer, which it answers
		reason = no.Reason
	}
	_ = c.sess.Terminate(context.Background(), reason)
}

// reasonFor is what the peer is told about err, with the detail sealed where that changes
// what it keeps.
func (c *conversation) reasonFor(err error) jingle.Reason {
	k := fault.Of(err)
	r := k.Reason()
	if c.d == nil || !k.Sealed() {
		return r
	}
	sealed, serr := c.d.Reason(k.Detail, role(c.sess.Initiator()))
	if serr != nil {
		c.e.log.Warn("seal reason", "transfer", c.d.Sealed().Transfer, "error", serr)
	} else if sealed != nil {
		r.Detail.Add(sealed)
	}
	return r
}

// role is the one of an end of a session.
func role(initiator bool) string {
	if initiator {
		return jingle.SenderInitiator
	}
	return jingle.SenderResponder
}

// endedWith is the peer's end of the session as an error.
func (c *conversation) endedWith(r jingle.Reason) *fault.Ended {
	ended := &fault.Ended{Reason: r}
	if name := fault.DetailOf(r); name != "" && c.d != nil {
		ended.Proven = c.d.Proves(name, role(!c.sess.Initiator()), r.Detail.Children)
	}
	return ended
}

// tellTrailer tells the receiver the checksum of what was sent. A receiver that
// has left by then does without.
func (c *conversation) tellTrailer(life context.Context) {
	word := c.d.Trailer()
	if word == nil {
		return
	}
	if err := c.tell(life, word); err != nil {
		c.e.log.Debug("checksum behind the bytes", "peer", c.sess.Peer(), "error", err)
	}
}

// awaitTrailer is await for a checksum of the sender, which need not come in every form.
func (c *conversation) awaitTrailer(patience time.Duration, late error, look func(*xmltree.Element) (bool, error)) error {
	if patience == 0 {
		if found, err := c.lookNow(look); found || err != nil {
			return err
		}
		return late
	}
	if patience <= dialect.ChecksumTime { // for what need not come
		patience = min(patience, c.e.timing.checksumTime)
	}
	err := c.await(patience, late, look)
	if err != nil {
		c.e.log.Debug("no checksum", "peer", c.sess.Peer(), "error", err)
	}
	return err
}
