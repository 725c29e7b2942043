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
	"jetsend/internal/journal"
	"jetsend/internal/outset"
	"jetsend/internal/records"
	"jetsend/internal/set"
	"jetsend/internal/source"
	"jetsend/internal/tally"
)

// setPatience is how long the other end of a set may get nothing on: it may have a large
// file to read, or a slow disk to write to.
const setPatience = 15 * time.Minute

// goods are what a `send` is about: one source that is a set, or one for each file.
type goods struct {
	sources []*source.Source
	set     *outset.Set // nil: it goes as files
}

func (g *goods) close() { source.Close(g.sources...) }

// files are the sources of which each goes as a file, whoever takes them.
func (g *goods) files() []*source.Source {
	if g.set != nil {
		return nil
	}
	return g.sources
}

// setsFirst are the clients with the best form that take sets, or all of them when none does.
func setsFirst(peers []*contact.Peer) []*contact.Peer {
	var take []*contact.Peer
	for _, p := range peers {
		if p.Sets && p.Form == peers[0].Form {
			take = append(take, p)
		}
	}
	if len(take) == 0 {
		return peers
	}
	return take
}

// lister lists sets.
func (e *core) lister() outset.Lister { return outset.Lister{Dir: e.cfg.StateDir, Journal: e.journal} }

// goods opens what is to be sent, as a set where that may be.
func (e *core) goods(ctx context.Context, opt SendOptions) (*goods, error) {
	if opt.AllOrNothing || opt.Encryption != dialect.ChooseBest || !outset.Fits(opt.Files) {
		sources, err := e.openSources(ctx, opt)
		return &goods{sources: sources}, err
	}
	s, err := e.lister().List(ctx, opt.To, opt.Files, opt.Checksum)
	if err != nil {
		return nil, sourceFailure(ctx, err)
	}
	for _, text := range s.LeftOut() {
		e.cfg.Report(event.Warning{Text: text})
	}
	return &goods{[]*source.Source{s.Source()}, s}, nil
}

// apart opens again, for a client that takes no sets, what was listed as one.
func (e *core) apart(ctx context.Context, opt SendOptions, g *goods, to *contact.Peer) (*goods, error) {
	if devices, err := e.omemo.Devices(ctx, to.JID.Bare()); err == nil && to.Form == dialect.FormJetsend && e.contacts().KnownSets(ctx, to.JID.Bare(), devices) {
		e.cfg.Report(event.Warning{Text: contact.WithoutSets(clean.Text(to.JID.Bare().String()))})
	}
	sources, err := e.openSources(ctx, opt)
	if err != nil {
		return g, err
	}
	g.close()
	return &goods{sources: sources}, checkPeer(to, opt, sources)
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

// argumentsOf are the arguments of a set that the journal knows.
func (e *core) argumentsOf(key journal.Key) []journal.Argument {
	all, err := e.journal.ArgumentsOf(context.Background(), key)
	if err != nil {
		e.log.Warn("journal", "transfer", key.ID, "error", err)
	}
	return all
}

// codeOf is how a transfer has ended that is complete.
func (e *core) codeOf(row journal.Row) exitcode.Code { return tally.CodeOf(e.argumentsOf(row.Key)) }

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
