package transfer

import (
	"context"
	"errors"
	"fmt"

	"jetsend/internal/contact"
	"jetsend/internal/dialect"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/journal"
	"jetsend/internal/rows"
	"jetsend/internal/source"
	"jetsend/internal/tally"
)

// Resume goes on with interrupted transfers, one after the other, and returns nil
// when every one is complete, else a *Failure. Every transfer gets exactly one
// terminal event.
func (e *Endpoint) Resume(ctx context.Context, opt ResumeOptions) error {
	e.LimitRate(opt.LimitRate)
	e.routes.Prepare(opt.Route)
	e.tellOnline()
	if !opt.Named { // a user who names one wants it, however old it is
		e.rows().Expire(ctx, e.cfg.KeepFor)
	}
	var codes []exitcode.Code
	for _, key := range opt.Transfers {
		code, err := e.resumeOne(ctx, key, opt)
		if err != nil {
			return fault.New(fault.Cause(ctx, err), false)
		}
		codes = append(codes, code)
	}
	if code := exitcode.Combine(codes...); code != exitcode.OK {
		return &fault.Failure{Code: code, Reason: "not every transfer is complete", Reported: true}
	}
	return nil
}

// resumeOne goes on with one transfer.
func (e *core) resumeOne(ctx context.Context, key journal.Key, opt ResumeOptions) (exitcode.Code, error) {
	row, err := e.rows().Now(ctx, journal.Row{Key: key})
	if err != nil {
		return 0, err
	}
	over := rows.OverSince(row)
	switch {
	case row.Released, !opt.Named && (over != nil || row.State.Live()):
		return exitcode.OK, nil
	case over != nil:
		return e.notResumed(row, over), nil
	case row.State.Live():
		return e.notResumed(row, fault.ErrRunning), nil
	case row.Insecure():
		row.State = journal.Failed // for everybody
		return e.notResumed(row, fmt.Errorf("%w: it went without encryption", fault.ErrRefused)), nil
	}
	if key.Direction == journal.Send {
		return e.resumeSend(ctx, row, opt), nil
	}
	return e.resumeReceive(ctx, row, opt), nil
}

// resumeSend offers the file again.
func (e *core) resumeSend(ctx context.Context, row journal.Row, opt ResumeOptions) exitcode.Code {
	g, err := e.opener().Again(ctx, &row)
	if err == nil {
		defer g.Close()
	}
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return e.notResumed(row, cause)
	}
	if err != nil {
		if errors.Is(err, source.ErrChanged) {
			e.rows().Fail(row, err)
			row.State = journal.Failed
		}
		f := &fault.Failure{Code: exitcode.LocalFile, Reason: "file to send", Err: err}
		if opt.Anew != nil {
			f.Hints = []string{opt.Anew(&row)}
		}
		return e.notResumed(row, f)
	}
	send := SendOptions{
		To: row.Peer, Wait: opt.Wait, AnswerTimeout: opt.AnswerTimeout, Route: opt.Route, Retry: opt.Retry,
		Description: row.Description,
	}
	if !row.Profile {
		send.Encryption = dialect.ChooseOther
	}
	peers, err := e.takers(ctx, send, row.Profile, g.Set != nil)
	if err != nil {
		return e.notResumed(row, fault.Cause(ctx, err))
	}
	if !row.Profile {
		e.cfg.Report(event.Warning{Text: contact.StartsOver(row.Peer.String())})
	}
	o := e.offering(send, g.Sources[0], g.Set)
	o.unnamed, o.resumed = !opt.Named, true
	return o.start(ctx, peers, row.ID)
}

// takers are the clients that a file or a set can be offered to again.
func (e *core) takers(ctx context.Context, send SendOptions, ours, set bool) ([]*contact.Peer, error) {
	least := dialect.FormJET
	if ours {
		least = dialect.FormJetsend
	}
	peers, err := e.await(ctx, send, least)
	if err == nil {
		err = e.contacts().GuardForm(ctx, peers[0], contactOptions(send))
	}
	if err == nil && set {
		if peers = contact.SetsFirst(peers); !peers[0].Sets {
			err = contact.NoSets(peers[0])
		}
	}
	return peers, err
}

// resumeReceive asks the contact for the rest, until it is there.
func (e *core) resumeReceive(ctx context.Context, row journal.Row, opt ResumeOptions) exitcode.Code {
	if !row.Profile {
		return e.notResumed(row, fmt.Errorf("%w: the sender's client cannot resume a file", fault.ErrRefused))
	}
	if row.Phase.Verified() && e.settle(ctx, row, keeping{}) { // what goes wrong shows again when the rest is asked for
		return exitcode.OK
	}
	q := &asking{
		e: e, life: ctx, row: row, opt: opt, wait: opt.Wait,
		retry: opt.Retry.attempts(e.timing.retries, row.Durable),
		head:  tally.HeadOfRow(row, row.Peer),
	}
	run(ctx, q)
	return q.code
}
