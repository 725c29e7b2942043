package transfer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"jetsend/internal/jingle"
	"jetsend/internal/omemo"
	"jetsend/internal/profile"
)

// checkAccept reads the accept of our offer: what the receiver wants, and in c.prefix the
// SHA-256 of what it has before that.
func (u *upload) checkAccept(c *conversation) (s profile.Span, err error) {
	a, err := c.d.ReadAccept(c.agreed, u.src.Size, u.e.sessionLimit())
	if err != nil || !c.d.Form().Seals() {
		return a.Span, err
	}
	if (a.Offset > 0) != (a.Prefix != "") || c.d.Sealed().Restart && a.Offset > 0 {
		return s, fmt.Errorf("%w: an accept from byte %d", errSealed, a.Offset)
	}
	for _, d := range c.devices {
		if d.ID == a.Device {
			u.e.rememberJetsend(context.Background(), d)
		}
	}
	c.prefix = a.Prefix
	return a.Span, nil
}

// checkAccept opens the sealed accept of our request. A sender whose file does not begin
// with what we have sends all of it. From here on the device that has sealed it is the
// one of the session, by its own word: each that the envelope is for could say so.
func (d *download) checkAccept(c *conversation) (s profile.Span, err error) {
	a, err := c.d.ReadAccept(c.agreed, d.file.Size, d.e.sessionLimit())
	if err != nil {
		return s, err
	}
	s = a.Span
	i := slices.IndexFunc(c.devices, func(d omemo.Device) bool { return d.ID == a.Device })
	if row := d.sink.Row(); i < 0 || !row.HasKey(c.devices[i].IdentityKey) {
		return s, fmt.Errorf("%w: an accept of another device", errSealed)
	}
	d.sender = c.devices[i : i+1]
	if err := d.judge(c.devices[i]); err != nil {
		return s, err
	}
	switch s.Offset {
	case d.sink.Have():
		return s, nil
	case 0:
		return s, d.sink.Restart()
	}
	return s, fmt.Errorf("%w: an accept from byte %d", errSealed, s.Offset)
}

// answer accepts an offer or request of the contact for the span, with a sealed accept
// where that is understood.
func (c *conversation) answer(s profile.Span, prefix string) error {
	return c.step(needs{server: true}, func(ctx context.Context) error {
		offered := c.sess.Content()
		r, err := c.e.answerRoute(ctx, c.sess.Peer(), c.paths, offered.Transport, c.d.Libervia())
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
		if err := c.d.Accept(&accepted, s, prefix, c.e.omemo.DeviceID()); err != nil {
			return err
		}
		c.reportAccepted(s.Offset)
		return c.sess.Accept(ctx, accepted)
	})
}
