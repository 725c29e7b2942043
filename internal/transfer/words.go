package transfer

import (
	"context"
	"errors"

	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jingle"
	"jetsend/internal/profile"
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

// seal wraps x for the other end.
func (c *conversation) seal(kind string, x *xmltree.Element) (*xmltree.Element, error) {
	return seal(c.ts, kind, c.offer.Context(), x)
}

// unseal opens the sealed element of that kind.
func (c *conversation) unseal(kind string, elements ...*xmltree.Element) (*xmltree.Element, error) {
	return unseal(c.ts, kind, c.offer.Context(), elements...)
}

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
		Head: c.head, Transport: c.path.Transport, Candidate: c.path.Candidate, Cipher: c.ts.Suite().Name(),
		Encryption: c.encryption, Devices: deviceInfos(c.devices),
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
	reason := jingle.Reason{}
	if no := (*fault.Refusal)(nil); errors.As(err, &no) {
		reason = no.Reason
	} else {
		reason = c.reasonFor(err)
	}
	_ = c.sess.Terminate(context.Background(), reason)
}

// reasonFor is what the peer is told about err, with the detail sealed where that changes
// what it keeps.
func (c *conversation) reasonFor(err error) jingle.Reason {
	k := fault.Of(err)
	r := k.Reason()
	if c.offer == nil || c.ts == nil || !k.Sealed() {
		return r
	}
	sealed, serr := c.seal(kindReason, c.word(k.Detail, c.sess.Initiator()).Element())
	if serr != nil {
		c.e.log.Warn("seal reason", "transfer", c.offer.Transfer, "error", serr)
		return r
	}
	r.Detail.Add(sealed)
	return r
}

// word is the detail as it is sealed: who says it, about which transfer.
func (c *conversation) word(detail string, initiator bool) profile.Reason {
	by := jingle.SenderResponder
	if initiator {
		by = jingle.SenderInitiator
	}
	return profile.Reason{Transfer: c.offer.Transfer, By: by, Detail: detail}
}

// endedWith is the peer's end of the session as an error.
func (c *conversation) endedWith(r jingle.Reason) *fault.Ended {
	ended := &fault.Ended{Reason: r}
	if name := fault.DetailOf(r); name != "" && c.offer != nil && c.ts != nil {
		x, err := c.unseal(kindReason, r.Detail.Children...)
		ended.Proven = err == nil && c.word(name, !c.sess.Initiator()).Is(x)
	}
	return ended
}
