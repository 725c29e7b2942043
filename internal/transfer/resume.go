package transfer

import (
	"context"
	"errors"
	"fmt"

	"jetsend/internal/contact"
	"jetsend/internal/dialect"
	"jetsend/internal/event"
	"jetsend/internal/fault"

	"jetsend/internal/source"

	"jetsend/internal/clean"
	"jetsend/internal/exitcode"
	"jetsend/internal/journal"
)

// Resume goes on with interrupted transfers, one after the other, and returns nil
// when every one is complete, else a *Failure. Every transfer gets exactly one
// terminal event.
func (e *Endpoint) Resume(ctx context.Context, opt ResumeOptions) error {
	e.limitRate(opt.LimitRate)
	e.cfg.Report(event.Online{JID: e.sess.JID().String()})
	if !opt.Named { // whoever names one wants it, however old it is
		e.expire(ctx, e.cfg.KeepFor)
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
func (e *Endpoint) resumeOne(ctx context.Context, key journal.Key, opt ResumeOptions) (exitcode.Code, error) {
	row, err := e.rowNow(ctx, journal.Row{Key: key})
	if err != nil {
		return 0, err
	}
	over := overSince(row)
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

// rowNow is the row of a transfer as it is now. One that is gone has expired, and
// is as good as forgotten.
func (e *Endpoint) rowNow(ctx context.Context, row journal.Row) (journal.Row, error) {
	now, err := e.journal.Load(ctx, row.Key)
	if errors.Is(err, journal.ErrUnknown) {
		row.State = journal.Forgotten
		return row, nil
	}
	return now, err
}

// overSince says that somebody else has put an end to a transfer since it was
// chosen, and not a good one; or nothing.
func overSince(row journal.Row) error {
	switch {
	case row.Released:
	case row.State == journal.Forgotten:
		return &fault.Failure{Code: exitcode.Usage, Reason: "the transfer was forgotten"}
	case row.State == journal.Failed:
		return &fault.Failure{Code: exitcode.Usage, Reason: "the transfer has failed: " + clean.Text(row.LastError)}
	}
	return nil
}

// notResumed reports a transfer that could not even be taken up.
func (e *Endpoint) notResumed(row journal.Row, err error) exitcode.Code {
	if errors.Is(err, fault.ErrInterrupted) {
		e.pause(row.Key)
	}
	f := fault.New(err, false)
	e.cfg.Report(event.Failed{
		Head: event.Head{Transfer: row.ID, Direction: event.Direction(row.Direction), Peer: row.Peer.String(), Name: clean.Text(row.Name)},
		Code: int(f.Code), Reason: clean.Error(f), Resumable: row.State == journal.Interrupted, Hints: f.Hints,
	})
	return f.Code
}

// resumeSend offers the file again.
func (e *Endpoint) resumeSend(ctx context.Context, row journal.Row, opt ResumeOptions) exitcode.Code {
	src, err := e.opener().Reopen(ctx, &row)
	if err == nil {
		defer source.Close(src)
	}
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return e.notResumed(row, cause)
	}
	if err != nil {
		if errors.Is(err, source.ErrChanged) {
			e.failRow(row, err)
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
	least := dialect.FormJET
	if row.Profile {
		least = dialect.FormJetsend
	}
	peers, err := e.await(ctx, send, least)
	if err == nil {
		err = e.contacts().GuardForm(ctx, peers[0], contactOptions(send))
	}
	if err != nil {
		return e.notResumed(row, fault.Cause(ctx, err))
	}
	if !row.Profile {
		e.cfg.Report(event.Warning{Text: contact.StartsOver(row.Peer.String())})
	}
	o := e.offering(send, src)
	o.unnamed, o.resumed = !opt.Named, true
	return o.start(ctx, peers, row.ID)
}

// pause notes that the user has stopped a transfer by hand while no session was at it.
func (e *Endpoint) pause(key journal.Key) {
	err := e.journal.Pause(context.Background(), key, journal.PausedHere)
	if err != nil && !errors.Is(err, journal.ErrRunning) && !errors.Is(err, journal.ErrUnknown) {
		e.log.Error("journal", "transfer", key.ID, "error", err)
	}
}

// failRow ends a transfer that nobody is at for good, and removes what there is of it.
func (e *Endpoint) failRow(row journal.Row, cause error) (failed bool) {
	ctx := context.Background()
	h, err := e.journal.Begin(ctx, row)
	if err == nil {
		err = h.Fail(cause)
		failed = err == nil
		if failed {
			err = Discard(row)
		}
		err = errors.Join(err, h.Release())
	}
	if err != nil {
		e.log.Error("journal", "transfer", row.ID, "error", err)
	}
	return failed
}

// resumeReceive asks the contact for the rest, until it is there.
func (e *Endpoint) resumeReceive(ctx context.Context, row journal.Row, opt ResumeOptions) exitcode.Code {
	if !row.Profile {
		return e.notResumed(row, fmt.Errorf("%w: the sender's client cannot resume a file", fault.ErrRefused))
	}
	if row.Phase.Verified() && e.settle(ctx, row, keeping{}) { // what goes wrong shows again when the rest is asked for
		return exitcode.OK
	}
	q := &asking{
		e: e, life: ctx, row: row, opt: opt, wait: opt.Wait,
		retry: opt.Retry.attempts(e.timing.retries, row.Durable),
		head:  event.Head{Transfer: row.ID, Direction: event.Receive, Peer: row.Peer.String(), Name: clean.Text(row.Name)},
	}
	(&actor{e, row.Key, q, ctx}).run()
	return q.code
}
