package transfer

import (
	"context"
	"time"

	"jetsend/internal/clean"
	"jetsend/internal/contact"
	"jetsend/internal/conversation"
	"jetsend/internal/dialect"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/goods"
	"jetsend/internal/outset"
	"jetsend/internal/records"
	"jetsend/internal/set"
	"jetsend/internal/source"
	"jetsend/internal/tally"
)

// setPatience is how long the other end of a set may get nothing on: it may have a large
// file to read, or a slow disk to write to.
const setPatience = 15 * time.Minute

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
		Sets: !opt.AllOrNothing && opt.Encryption == dialect.ChooseBest, Checksum: opt.Checksum,
	}
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

// enter writes down what the set is made of, and has it in the book.
func (u *upload) enter(ctx context.Context) error {
	if u.set == nil {
		return nil
	}
	if err := u.row.SetArguments(ctx, u.set.Entries()); err != nil {
		return err
	}
	all, err := u.row.Arguments(ctx)
	if err != nil {
		return err
	}
	u.tally = u.e.book.Open(u.head, len(all), all)
	return nil
}

// moveSet is Move for a set.
func (u *upload) moveSet(c *conversation.Conversation) error {
	c.ReportPath()
	return c.Step(conversation.Needs{Path: true}, func(ctx context.Context) error {
		if err := c.Session.BeginStream(); err != nil {
			return err
		}
		if err := u.row.Run(ctx); err != nil {
			return err
		}
		link, err := records.Open(ctx, c.Dialect, c.Path, &u.e.sending, &u.e.receiving)
		if err != nil {
			return err
		}
		u.marked = true
		u.e.goesOn(u.head, u.row.Row())
		run := tally.NewRun(u.tally, u.row, u.e.log, u.src.Size)
		_, err = set.Send(ctx, link, u.set.Begin(u.head.Transfer), set.SendOptions{Settled: run.Settled, Moved: run.Moved, Patience: setPatience})
		u.moved = run.Close(false)
		return err
	})
}

// confirmSet is Confirm for a set: what was said in the stream is the receipt.
func (u *upload) confirmSet(c *conversation.Conversation) error {
	u.released = true
	u.sent(c)
	c.Goodbye()
	return nil
}

// arrived writes down and reports the arguments of which the stream has not told the end:
// of a set that had arrived before.
func (u *upload) arrived() {
	ended := u.tally.Arrived(u.lost)
	if len(ended) == 0 {
		return
	}
	if err := u.row.UpdateArguments(context.Background(), ended); err != nil {
		u.e.log.Error("journal", "transfer", u.head.Transfer, "error", err)
	}
}

// noSets is why a set cannot go on.
func noSets(to *contact.Peer) *fault.Failure {
	who := clean.Text(to.JID.String())
	return &fault.Failure{
		Code: exitcode.Incapable, Reason: "the client " + who + " takes no sets, and the transfer is one",
		Hints: []string{"send it again with --no-resume"},
	}
}
