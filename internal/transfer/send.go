package transfer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"jetsend/internal/batch"
	"jetsend/internal/contact"
	"jetsend/internal/dialect"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/goods"
	"jetsend/internal/journal"
	"jetsend/internal/outset"
	"jetsend/internal/rows"
	"jetsend/internal/session"
	"jetsend/internal/source"
)

// sendingAtOnce bounds the sessions of one `send`: enough that the line is not
// idle while one file is being agreed on or confirmed, and few enough that one
// large file gets most of it.
const sendingAtOnce = 3

// Send offers the files, sendingAtOnce at a time, and returns nil when every one is
// complete at the other end, else a *Failure. Every file gets exactly one
// terminal event; a failure before that is not Reported.
func (e *Endpoint) Send(ctx context.Context, opt SendOptions) error {
	return e.telling(opt.Report).send(ctx, opt)
}

func (e *core) send(ctx context.Context, opt SendOptions) error {
	if err := goods.CheckTexts(opt.Description, opt.Files); err != nil {
		return err
	}
	e.sending.Set(opt.LimitRate)
	e.routes.Prepare(opt.Route)
	e.rows().Expire(ctx, e.cfg.KeepFor)
	g, err := e.opener().Open(ctx, opt.order())
	if err != nil {
		return err
	}
	defer func() { g.Close() }() // whatever they are then
	e.tellOnline()
	if opt.Encryption == dialect.ChoosePlaintext {
		e.cfg.Report(event.Warning{Text: sendsPlaintext})
	}
	peers, err := e.chosen(ctx, opt, g.Files())
	if err == nil {
		peers, err = e.suit(ctx, opt, &g, peers)
	}
	if err != nil {
		return e.Ended(ctx, err)
	}
	return e.sendAll(ctx, opt, g, peers)
}

// sendAll sends everything, some of it at the same time.
func (e *core) sendAll(ctx context.Context, opt SendOptions, g *goods.Goods, peers []*contact.Peer) error {
	sources := g.Sources
	several, queue := g.Batch(), batch.NewQueue()
	codes, all := make([]exitcode.Code, len(sources)), make([]*offering, len(sources))
	var group errgroup.Group
	group.SetLimit(sendingAtOnce)
	if opt.LimitRate > 0 {
		group.SetLimit(1) // the first ones are there the sooner
	}
	for i, src := range sources {
		o := e.offering(opt, src, g.Set)
		all[i], o.turn = o, queue.Join()
		if several != nil {
			b := *several
			b.Index = i + 1
			o.batch = &b
		}
		group.Go(func() error {
			defer o.turn.Begin() // or the next one waits for a file that has ended
			codes[i] = o.start(ctx, peers, opt.transfer(i, len(sources)))
			return nil
		})
	}
	_ = group.Wait() // the codes tell
	code := exitcode.Combine(codes...)
	if code == exitcode.OK {
		return nil
	}
	f := &fault.NotBegunError{Failure: &fault.Failure{Code: code, Reason: "not every file was sent", Reported: true}}
	for i, o := range all {
		switch {
		case o.late && o.set != nil:
			f.Sources = opt.Files
		case o.late:
			f.Sources = append(f.Sources, opt.Files[i])
		}
	}
	if len(f.Sources) == 0 {
		return f.Failure
	}
	return f
}

// transfer is the id of the transfer of one of several sources; empty: none is asked for.
func (opt SendOptions) transfer(number, of int) string {
	if opt.ID == "" || of == 1 {
		return opt.ID
	}
	return uuid.NewSHA1(uuid.MustParse(opt.ID), fmt.Append(nil, number)).String()
}

// offering is that of a file that has not begun.
func (e *core) offering(opt SendOptions, src *source.Source, of *outset.Set) *offering {
	id := uuid.NewString()
	if src.Transfer != "" {
		id = src.Transfer
	}
	o := &offering{
		upload: upload{
			e: e, src: src, set: of, check: opt.Checksum, begun: time.Now(),
			head: event.Head{Direction: event.Send, Name: src.Name, Peer: opt.To.String()},
		},
		opt: opt,
	}
	o.called(id)
	return o
}

// called gives the transfer its id.
func (u *upload) called(id string) {
	u.head.Transfer = id
	if u.set != nil {
		u.head.Set = id
	}
}

// start takes the row of the transfer, the one with that id or else that of the
// same send before, if that has not ended, and runs it.
func (o *offering) start(ctx context.Context, peers []*contact.Peer, id string) exitcode.Code {
	o.form = peers[0].Form
	o.head.Peer = peers[0].JID.String()
	o.nameArchive()
	row := o.rowOf()
	same := false
	if id == "" && !o.opt.NoResume && row.Profile {
		before, err := o.before(ctx, row)
		switch {
		case err == nil:
			id, same = before.ID, true
		case !errors.Is(err, journal.ErrUnknown):
			o.e.log.Warn("look for the same send before", "error", err)
		}
	}
	if id != "" {
		o.called(id)
		row.ID = id
	}
	var err error
	if o.row, err = o.e.journal.Begin(ctx, row); err != nil {
		return o.notBegun(ctx, row.Key, same, err)
	}
	if err = o.enter(ctx); err != nil {
		o.life = ctx
		o.fail(err)
		_ = o.close()
		return o.code
	}
	o.run(ctx, peers)
	_ = o.close() // which has been logged
	return o.code
}

// before is the transfer of the same send before.
func (o *offering) before(ctx context.Context, row journal.Row) (journal.Row, error) {
	if o.set != nil {
		return o.e.journal.FindSet(ctx, row.Peer, o.set.Entries())
	}
	return o.e.journal.Find(ctx, row)
}

// notBegun reports a transfer whose row cannot be had. Somebody else of this
// account may be at it, or have brought it to its end. same: it is that of the
// same send before.
func (o *offering) notBegun(ctx context.Context, key journal.Key, same bool, err error) exitcode.Code {
	row, lerr := o.e.rows().Now(context.Background(), journal.Row{Key: key})
	switch over := rows.OverSince(row); {
	case errors.Is(err, journal.ErrOver) && lerr == nil && row.Released:
		o.src.Settled(row)
		o.e.cfg.Report(event.Sent{Head: o.head, Size: row.Size, VerifiedByPeer: row.Profile})
		return o.e.rows().Code(row.Key)
	case (errors.Is(err, journal.ErrRunning) || errors.Is(err, journal.ErrOver)) && o.unnamed:
		return exitcode.OK
	case errors.Is(err, journal.ErrOver) && over != nil:
		err = over
	case errors.Is(err, journal.ErrRunning):
		hint := "wait until it ends"
		if same {
			hint += ", or send the file once more with --no-resume"
		}
		err = &fault.Failure{Code: exitcode.LocalFile, Err: fault.ErrRunning, Reason: fault.ErrRunning.Error(), Hints: []string{hint}}
	}
	f := fault.New(fault.Cause(ctx, err), false)
	f.Resumable = lerr == nil && row.State == journal.Interrupted && !errors.Is(err, fault.ErrRunning)
	if o.late = ctx.Err() != nil && lerr == nil && row.State == journal.Forgotten; o.late {
		f.Reason, f.Err = "not begun", nil
	}
	o.e.cfg.Report(failedWith(o.head, f, f.Resumable))
	return f.Code
}

// Choose returns the client that a Send of the sources would offer them to first. Of an
// error, Ended says what the Send would end with.
func (e *Endpoint) Choose(ctx context.Context, opt SendOptions) (*contact.Peer, error) {
	peers, err := e.chosen(ctx, opt, nil)
	if err != nil {
		return nil, err
	}
	return peers[0], nil
}

// chosen are the clients that the sources are offered to, the best first.
func (e *core) chosen(ctx context.Context, opt SendOptions, sources []*source.Source) ([]*contact.Peer, error) {
	peers, err := e.contacts().Choose(ctx, contactOptions(opt))
	if err == nil {
		err = e.contacts().GuardForm(ctx, peers[0], contactOptions(opt))
	}
	if err == nil {
		err = checkPeer(peers[0], opt, sources)
	}
	return peers, err
}

// Ended is the *Failure that a run would end with because of err; nil for nil.
func (e *core) Ended(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fault.ErrStreamLost), errors.Is(err, session.ErrSessionLost):
		return e.unreachable()
	}
	return fault.New(fault.Cause(ctx, err), false)
}
