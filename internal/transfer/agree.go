package transfer

import (
	"context"
	"fmt"
	"slices"

	"jetsend/internal/conversation"
	"jetsend/internal/omemo"
	"jetsend/internal/profile"
)

// checkAccept reads the accept of our offer: what the receiver wants, and in c.Prefix the
// SHA-256 of what it has before that.
func (u *upload) checkAccept(c *conversation.Conversation) (s profile.Span, err error) {
	a, err := c.Dialect.ReadAccept(c.Agreed, u.src.Size, u.e.sessionLimit())
	if err != nil || !c.Dialect.Form().Seals() {
		return a.Span, err
	}
	if (a.Offset > 0) != (a.Prefix != "") || c.Dialect.Sealed().Restart && a.Offset > 0 {
		return s, fmt.Errorf("%w: an accept from byte %d", profile.ErrSealed, a.Offset)
	}
	for _, d := range c.Devices {
		if d.ID == a.Device {
			u.e.contacts().RememberJetsend(context.Background(), d)
		}
	}
	c.Prefix = a.Prefix
	return a.Span, nil
}

// checkAccept opens the sealed accept of our request. A sender whose file does not begin
// with what we have sends all of it. From here on the device that has sealed it is the
// one of the session, by its own word: each that the envelope is for could say so.
func (d *download) checkAccept(c *conversation.Conversation) (s profile.Span, err error) {
	a, err := c.Dialect.ReadAccept(c.Agreed, d.file.Size, d.e.sessionLimit())
	if err != nil {
		return s, err
	}
	s = a.Span
	i := slices.IndexFunc(c.Devices, func(d omemo.Device) bool { return d.ID == a.Device })
	if row := d.sink.Row(); i < 0 || !row.HasKey(c.Devices[i].IdentityKey) {
		return s, fmt.Errorf("%w: an accept of another device", profile.ErrSealed)
	}
	d.sender = c.Devices[i : i+1]
	if err := d.judge(c.Devices[i]); err != nil {
		return s, err
	}
	switch s.Offset {
	case d.sink.Have():
		return s, nil
	case 0:
		return s, d.sink.Restart()
	}
	return s, fmt.Errorf("%w: an accept from byte %d", profile.ErrSealed, s.Offset)
}
