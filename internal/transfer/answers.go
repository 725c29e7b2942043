package transfer

import (
	"context"
	"fmt"
	"time"

	"jetsend/internal/jingle"
	"jetsend/internal/xmltree"
)

// awaitAccept waits for the answer and checks the sealed accept in it.
func (o *outgoing) awaitAccept(ctx context.Context, answerBy time.Time) (jingle.Content, error) {
	var late <-chan time.Time
	if o.opt.AnswerTimeout > 0 {
		t := time.NewTimer(time.Until(answerBy))
		defer t.Stop()
		late = t.C
	}
	select {
	case c := <-o.sess.Accepted():
		return c, o.checkAccept(c)
	case <-o.sess.Done():
		return jingle.Content{}, o.ended()
	case <-late:
		return jingle.Content{}, errNoAnswer
	case <-o.e.sess.Done():
		return jingle.Content{}, errStreamLost
	case <-ctx.Done():
		return jingle.Content{}, context.Cause(ctx)
	}
}

func (o *outgoing) checkAccept(c jingle.Content) error {
	if o.offer == nil {
		return nil // other clients seal nothing
	}
	x, err := unseal(o.ts, kindAccept, o.offer.context(), c.Extra...)
	if err != nil {
		return err
	}
	a, err := parseAccept(x)
	if err != nil {
		return err
	}
	if c.Inferred || a.Transfer != o.offer.Transfer || a.Offset != 0 || a.Size != o.src.size || a.Digest != contentDigest(c) ||
		c.Name != o.offer.Content || c.Creator != jingle.SenderInitiator || c.Senders != o.offer.Senders {
		return fmt.Errorf("%w: the accept was changed on its way", errSealed)
	}
	for _, d := range o.env.Devices {
		if d.ID == a.Device {
			o.e.rememberJetsend(context.Background(), d)
		}
	}
	return nil
}

// awaitEnd waits for what the peer has to say about a file that was sent whole.
func (o *outgoing) awaitEnd(ctx context.Context, digest string) error {
	if o.offer != nil {
		return o.awaitReceipt(ctx, digest)
	}
	late := time.NewTimer(receiptTime)
	defer late.Stop()
	for {
		select {
		case <-o.sess.Infos(): // a <received/> proves nothing
		case <-o.sess.Done():
			if r, _ := o.sess.Ended(); r.Condition != jingle.Success {
				return o.ended()
			}
			return nil
		case <-late.C:
			return errUnconfirmed
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-o.e.sess.Done():
			return errStreamLost
		}
	}
}

// awaitReceipt waits for the sealed receipt. Nothing else is success.
func (o *outgoing) awaitReceipt(ctx context.Context, digest string) error {
	late := time.NewTimer(receiptTime)
	defer late.Stop()
	for {
		select {
		case info := <-o.sess.Infos():
			ok, err := o.checkReceipt(info, digest)
			if err != nil {
				return err
			}
			if ok {
				o.goodbye(ctx)
				return nil
			}
		case <-o.sess.Done():
			return o.lastWord(digest)
		case <-late.C:
			return errUnconfirmed
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-o.e.sess.Done():
			return errStreamLost
		}
	}
}

// lastWord looks for a receipt that came right before the end of the session.
func (o *outgoing) lastWord(digest string) error {
	for {
		select {
		case info := <-o.sess.Infos():
			if ok, err := o.checkReceipt(info, digest); err != nil || ok {
				return err
			}
		default:
			if r, _ := o.sess.Ended(); r.Condition != jingle.Success {
				return o.ended()
			}
			return errUnconfirmed
		}
	}
}

// checkReceipt tells whether info is the receipt. A <received/> that does not
// open is a lie about one and ends the transfer.
func (o *outgoing) checkReceipt(info *xmltree.Element, digest string) (bool, error) {
	if !info.Is(jingle.NSFile, "received") {
		return false, nil
	}
	if info.Attr("creator") != o.offer.Senders || info.Attr("name") != o.offer.Content {
		return false, fmt.Errorf("%w: the receipt was changed on its way", errSealed)
	}
	x, err := unseal(o.ts, kindReceipt, o.offer.context(), info.Children...)
	if err != nil {
		return false, fmt.Errorf("%w: %w", errUnconfirmed, err)
	}
	r, err := parseReceipt(x)
	if err != nil {
		return false, fmt.Errorf("%w: %w", errUnconfirmed, err)
	}
	if r.Transfer != o.offer.Transfer || r.Size != o.src.size || digest != "" && r.SHA256 != digest {
		return false, fmt.Errorf("%w: the receipt is for something else", errSealed)
	}
	return true, nil
}

// goodbye leaves the end of the session to the receiver, for a while.
func (o *outgoing) goodbye(ctx context.Context) {
	select {
	case <-o.sess.Done():
	case <-o.e.sess.Done():
	case <-time.After(goodbyeTime):
		_ = o.sess.Terminate(ctx, jingle.Reason{Condition: jingle.Success})
	}
}

// ended is the end of the session as an error. When we ended it ourselves, that
// was because of what the peer said in our back: an answer that does not fit.
func (o *outgoing) ended() error {
	r, byPeer := o.sess.Ended()
	switch {
	case byPeer:
		return &endedByPeer{r}
	case o.streamLost():
		return errStreamLost
	case o.offer != nil:
		return fmt.Errorf("%w: the answer does not fit the offer (%s)", errSealed, r.Condition)
	}
	return fmt.Errorf("%w: the answer does not fit the offer (%s)", errUnfit, r.Condition)
}

func (o *outgoing) streamLost() bool {
	select {
	case <-o.e.sess.Done():
		return true
	default:
		return false
	}
}

// reasoned prefers the peer's own word over what its leaving did to our socket.
func (o *outgoing) reasoned(err error) error {
	return reasoned(o.sess, err)
}
