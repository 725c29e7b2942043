package transfer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"jetsend/internal/jingle"
	"jetsend/internal/omemo"
	"jetsend/internal/xmltree"
)

// checkAccept opens the sealed accept of our offer: what the receiver wants, and in
// c.prefix the SHA-256 of what it has before that.
func (u *upload) checkAccept(c *conversation) (s span, err error) {
	size := u.src.Size
	if c.offer == nil { // other clients seal nothing, and a range that they echo means nothing
		return span{0, size, size}, nil
	}
	a, s, err := c.openAccept(size)
	if err != nil {
		return s, err
	}
	if (s.offset > 0) != (a.Prefix != "") || c.offer.Restart && s.offset > 0 {
		return s, fmt.Errorf("%w: an accept from byte %d", errSealed, s.offset)
	}
	for _, d := range c.devices {
		if d.ID == a.Device {
			u.e.rememberJetsend(context.Background(), d)
		}
	}
	c.prefix = a.Prefix
	return s, nil
}

// checkAccept opens the sealed accept of our request. A sender whose file does not begin
// with what we have sends all of it. From here on the device that has sealed it is the
// one of the session, by its own word: each that the envelope is for could say so.
func (d *download) checkAccept(c *conversation) (s span, err error) {
	a, s, err := c.openAccept(d.file.Size)
	if err != nil {
		return s, err
	}
	i := slices.IndexFunc(c.devices, func(d omemo.Device) bool { return d.ID == a.Device })
	if row := d.row.Row(); i < 0 || !row.HasKey(c.devices[i].IdentityKey) {
		return s, fmt.Errorf("%w: an accept of another device", errSealed)
	}
	d.sender = c.devices[i : i+1]
	if err := d.judge(c.devices[i]); err != nil {
		return s, err
	}
	switch s.offset {
	case d.offset():
		return s, nil
	case 0:
		return s, d.restart(c.ctx)
	}
	return s, fmt.Errorf("%w: an accept from byte %d", errSealed, s.offset)
}

// openAccept opens the sealed accept, and holds it against the stanza that carried it and
// the offer or request that it answers.
func (c *conversation) openAccept(size int64) (a accept, s span, err error) {
	x, err := c.unseal(kindAccept, c.agreed.Extra...)
	if err != nil {
		return a, s, err
	}
	if a, err = parseAccept(x); err != nil {
		return a, s, err
	}
	s = span{a.Offset, a.Length, size}
	return a, s, sealedAccept(c.agreed, a, c.offer, s, c.e.sessionLimit())
}

// answer accepts an offer or request of the contact for the span, with a sealed accept
// where that is understood.
func (c *conversation) answer(s span, prefix string) error {
	return c.step(needs{server: true}, func(ctx context.Context) error {
		offered := c.sess.Content()
		r, err := c.e.answerRoute(ctx, c.sess.Peer(), c.paths, offered.Transport, c.libervia)
		if errors.Is(err, errNoTransport) {
			return refuse(err, jingle.Reason{Condition: jingle.UnsupportedTransports})
		}
		if err != nil {
			return err
		}
		c.route, c.remote = r, offered.Transport
		accepted := jingle.Content{
			Creator: offered.Creator, Name: offered.Name, Senders: offered.Senders, Description: offered.Description, Transport: r.Element(),
		}
		if c.offer != nil {
			if err := c.sealAccept(&accepted, s, prefix); err != nil {
				return err
			}
		}
		c.reportAccepted(s.offset)
		return c.sess.Accept(ctx, accepted)
	})
}

// sealAccept makes content an accept of the span: a range in the clear, and the sealed
// element that proves it.
func (c *conversation) sealAccept(content *jingle.Content, s span, prefix string) error {
	content.Description = jingle.Description(&jingle.File{Size: s.size, Range: s.wire(), HashUsed: []string{"sha-256"}})
	a := accept{
		Transfer: c.offer.Transfer, Offset: s.offset, Length: s.length, Size: s.size, Prefix: prefix,
		Digest: contentDigest(*content), Device: c.e.omemo.DeviceID(),
	}
	sealed, err := c.seal(kindAccept, a.Element())
	if err != nil {
		return err
	}
	content.Extra = []*xmltree.Element{sealed}
	return nil
}
