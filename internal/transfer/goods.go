package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"jetsend/internal/carry"
	"jetsend/internal/clean"
	"jetsend/internal/contact"
	"jetsend/internal/conversation"
	"jetsend/internal/dialect"
	"jetsend/internal/event"
	"jetsend/internal/fault"
	"jetsend/internal/goods"
	"jetsend/internal/jingle"
	"jetsend/internal/outset"
	"jetsend/internal/source"
	"jetsend/internal/tally"
)

// opener opens what our account sends.
func (e *core) opener() goods.Opener {
	return goods.Opener{
		Sources: source.Opener{Spools: source.Spools(e.cfg.StateDir, e.cfg.Session.JID), Log: e.log},
		Sets:    outset.Lister{Dir: e.cfg.StateDir, Journal: e.journal},
		Warn:    func(text string) { e.cfg.Report(event.Warning{Text: text}) },
	}
}

// order is what a send is about.
func (opt SendOptions) order() goods.Order {
	return goods.Order{
		To: opt.To, Files: opt.Files, Limits: source.Limits{MaxSize: opt.MaxSpool, Empty: opt.AllowEmpty},
		Sets: !opt.AllOrNothing && opt.Encryption == dialect.ChooseBest, Checksum: opt.Checksum, Reader: opt.Reader,
	}
}

// suit has the goods be what the clients take, as a set or not, and returns those of the
// clients that take them.
func (e *core) suit(ctx context.Context, opt SendOptions, g **goods.Goods, peers []*contact.Peer) ([]*contact.Peer, error) {
	if (*g).Set == nil {
		return peers, nil
	}
	if peers = contact.SetsFirst(peers); peers[0].Sets {
		e.opener().WarnOf((*g).Set)
		return peers, nil
	}
	var err error
	*g, err = e.apart(ctx, opt, *g, peers[0])
	return peers, err
}

// apart opens again, for a client that takes no sets, what was listed as one.
func (e *core) apart(ctx context.Context, opt SendOptions, g *goods.Goods, to *contact.Peer) (*goods.Goods, error) {
	if devices, err := e.omemo.Devices(ctx, to.JID.Bare()); err == nil && to.Form == dialect.FormJetsend && e.contacts().KnownSets(ctx, to.JID.Bare(), devices) {
		e.cfg.Report(event.Warning{Text: contact.WithoutSets(clean.Text(to.JID.Bare().String()))})
	}
	files, err := e.opener().Apart(ctx, opt.order())
	if err != nil {
		return g, err
	}
	g.Close()
	return files, checkPeer(to, opt, files.Sources)
}

// carrier carries our sets.
func (e *core) carrier() carry.Carrier {
	return carry.Carrier{Book: e.book, Sending: &e.sending, Receiving: &e.receiving, Report: e.cfg.Report, Log: e.log}
}

// enter has the set in the book.
func (u *upload) enter(ctx context.Context) (err error) {
	if u.set != nil {
		u.tally, err = u.e.carrier().Enter(ctx, u.head, u.set, u.row)
	}
	return err
}

// sentDir is where what was sent of folders is remembered.
func (e *core) sentDir() string { return outset.Sent(e.cfg.StateDir, e.cfg.Session.JID) }

// remember keeps what of the set has arrived, for the next dry run.
func (u *upload) remember() {
	for n := range u.set.Arguments() {
		whole := false
		u.tally.Argument(n, func(a *tally.Argument) { whole = a.Whole() })
		if err := u.set.Remember(u.e.sentDir(), n, whole); err != nil {
			u.e.log.Warn("journal", "transfer", u.head.Transfer, "error", err)
		}
	}
}

// moveSet is Move for a set.
func (u *upload) moveSet(c *conversation.Conversation) error {
	c.ReportPath()
	err := c.Step(conversation.Needs{Path: true, Heard: true}, func(ctx context.Context) error {
		s, err := u.e.carrier().Begin(ctx, c, u.row.Run)
		if err != nil {
			return err
		}
		if err := u.row.Hash(ctx, u.set.Digest()); err != nil {
			return err
		}
		u.marked = true
		u.moved, err = s.Send(ctx, u.set, u.tally, u.row)
		return err
	})
	var ended *fault.Ended
	if errors.As(err, &ended) && ended.Reason.Condition == jingle.Success {
		return fmt.Errorf("%w with success, before all was said", fault.ErrEnded) // which proves nothing
	}
	return err
}

// arrivedOther is the error of a set that has arrived before, by the receiver's word, and is
// not what is listed now. Of what a session carries, the session says so.
func (u *upload) arrivedOther() error {
	if was := u.row.Row().SHA256; u.set == nil || was == nil || bytes.Equal(was, u.set.Digest()) {
		return nil
	}
	return &source.Error{Err: fmt.Errorf("what has arrived is what was there before: %w", source.ErrChanged)}
}

// confirmSet is Confirm for a set: what was said in the stream is the receipt.
func (u *upload) confirmSet(c *conversation.Conversation) error {
	u.released = true
	u.sent(c)
	c.Goodbye()
	return nil
}
