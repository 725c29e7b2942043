package transfer

import (
	"context"
	"fmt"
	"time"

	"jetsend/internal/jingle"
	"jetsend/internal/xmltree"
)

// asksNobody tells whether an offer is answered by the receiver's program alone: of
// a transfer that it took before, unless it is a client to which every offer is a new
// one. An attempt that ended before its answer is none that somebody has said yes to.
func (o *outgoing) asksNobody() bool {
	row := o.row.Row()
	return o.profile() && (o.accepted || row.Moved.After(row.Created))
}

// patience is how long the answer to an offer may take; 0 is for ever. Who asks
// nobody has work to do first: it reads what it has of the file, or ends a release
// that a crash has cut.
func (o *outgoing) patience() time.Duration {
	p := o.opt.AnswerTimeout
	if p == 0 || !o.asksNobody() {
		return p
	}
	return max(p, o.receiptPatience()) + checkTime(o.src.Size)
}

// awaitAccept waits for the answer, until late: an accept, or the receipt of a file
// that the receiver has released already; then o.released is set.
func (o *outgoing) awaitAccept(ctx context.Context, late <-chan time.Time) (c jingle.Content, err error) {
	t := o.talk
	gone, stop := t.watch(ctx)
	defer stop()
	look := func(info *xmltree.Element) (_ bool, err error) {
		if t.offer != nil { // other clients seal no receipt
			o.released, err = o.checkReceipt(t, info, o.src.Size)
		}
		return o.released, err
	}
	for {
		found, err := t.heard.look(look)
		switch {
		case t.heard.accepted != nil:
			return *t.heard.accepted, nil
		case found:
			o.goodbye(ctx, t)
			return c, err
		case err != nil:
			return c, err
		case t.heard.ended:
			err := t.ended()
			if t.offer != nil && saysSuccess(err) { // and does not prove it
				err = errUnconfirmed
			}
			return c, err
		}
		select {
		case ev, open := <-t.sess.Events():
			t.heard.add(ev, open)
		case <-gone:
			if found, err := t.lookNow(look); found || err != nil {
				return c, err
			}
			return c, errPeerGone
		case <-late:
			if o.asksNobody() {
				return c, errSilent
			}
			return c, errNoAnswer
		case <-o.lost:
			return c, errStreamLost
		case <-ctx.Done():
			return c, context.Cause(ctx)
		}
	}
}

// checkAccept opens the sealed accept. It returns what the receiver wants, and
// the SHA-256 of what it has before that.
func (o *outgoing) checkAccept(c jingle.Content) (s span, prefix string, err error) {
	size := o.src.Size
	if o.talk.offer == nil { // other clients seal nothing, and a range that they echo means nothing
		return span{0, size, size}, "", nil
	}
	x, err := o.talk.unseal(kindAccept, c.Extra...)
	if err != nil {
		return s, "", err
	}
	a, err := parseAccept(x)
	if err != nil {
		return s, "", err
	}
	s = span{a.Offset, a.Length, size}
	if err := sealedAccept(c, a, o.talk.offer, s, o.e.sessionLimit()); err != nil {
		return s, "", err
	}
	if (s.offset > 0) != (a.Prefix != "") || o.restart && s.offset > 0 {
		return s, "", fmt.Errorf("%w: an accept from byte %d", errSealed, s.offset)
	}
	for _, d := range o.env.Devices {
		if d.ID == a.Device {
			o.e.rememberJetsend(context.Background(), d)
		}
	}
	return s, a.Prefix, nil
}

// sealAccept makes c an accept of the span: a range in the clear, and the sealed
// element that proves it.
func (t *talk) sealAccept(c *jingle.Content, s span, prefix string) error {
	c.Description = jingle.Description(&jingle.File{Size: s.size, Range: s.wire(), HashUsed: []string{"sha-256"}})
	a := accept{
		Transfer: t.offer.Transfer, Offset: s.offset, Length: s.length, Size: s.size, Prefix: prefix,
		Digest: contentDigest(*c), Device: t.e.omemo.DeviceID(),
	}
	sealed, err := t.seal(kindAccept, a.Element())
	if err != nil {
		return err
	}
	c.Extra = []*xmltree.Element{sealed}
	return nil
}
