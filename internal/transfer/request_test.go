package transfer

import (
	"context"

	"jetsend/internal/contact"
	"jetsend/internal/conversation"
	"jetsend/internal/fault"
	"jetsend/internal/journal"
	"jetsend/internal/omemo"
	"jetsend/internal/route"
	"jetsend/internal/sink"
)

// request1 asks a client of the contact for the rest of a file, in one session, as a run
// does; begun is told of its conversation.
func request1(ctx context.Context, e *Endpoint, row journal.Row, to *contact.Peer, paths route.Options, begun func(*conversation.Conversation)) error {
	d := newDownload(&e.core, row, to.JID, keeping{Options: sink.Options{Known: true}})
	d.life, d.judge, d.told = ctx, func(omemo.Device) error { return nil }, func() {}
	if err := d.resume(ctx, row); err != nil {
		return fault.Cause(ctx, err)
	}
	c, err := (&question{down: d, paths: paths}).ask([]*contact.Peer{to})
	if err == nil {
		begun(c)
		err = converse(c, d)
		c.Close()
	}
	d.leave(leaving(d, err))
	return fault.Cause(ctx, err)
}
