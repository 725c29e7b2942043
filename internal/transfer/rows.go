package transfer

import (
	"context"
	"errors"
	"time"

	"jetsend/internal/clean"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
	"jetsend/internal/sink"
	"jetsend/internal/source"
)

// rowNow is the row of a transfer as it is now. One that is gone has expired, and
// is as good as forgotten.
func (e *core) rowNow(ctx context.Context, row journal.Row) (journal.Row, error) {
	now, err := e.journal.Load(ctx, row.Key)
	if errors.Is(err, journal.ErrUnknown) {
		row.State = journal.Forgotten
		return row, nil
	}
	return now, err
}

// headOf is what events call the transfer of a row, with a client of the contact.
func headOf(row journal.Row, peer jid.JID) event.Head {
	head := event.Head{Transfer: row.ID, Direction: event.Direction(row.Direction), Peer: peer.String(), Name: clean.Text(row.Name)}
	if row.Source == journal.SourceSet {
		head.Set = row.ID
	}
	return head
}

// failedWith is the event for the end of a transfer without its file.
func failedWith(head event.Head, f *fault.Failure, resumable bool) event.Failed {
	return event.Failed{Head: head, Code: int(f.Code), Reason: clean.Error(f), Resumable: resumable, Hints: f.Hints}
}

// notResumed reports a transfer that could not even be taken up.
func (e *core) notResumed(row journal.Row, err error) exitcode.Code {
	if errors.Is(err, fault.ErrInterrupted) {
		e.pause(row.Key)
	}
	f := fault.New(err, false)
	e.cfg.Report(failedWith(headOf(row, row.Peer), f, row.State == journal.Interrupted))
	return f.Code
}

// pause notes that the user has stopped a transfer by hand while no session was at it.
func (e *core) pause(key journal.Key) {
	err := e.journal.Pause(context.Background(), key, journal.PausedHere)
	if err != nil && !errors.Is(err, journal.ErrRunning) && !errors.Is(err, journal.ErrUnknown) {
		e.log.Error("journal", "transfer", key.ID, "error", err)
	}
}

// failRow ends a transfer that nobody is at for good, and removes what there is of it.
func (e *core) failRow(row journal.Row, cause error) (failed bool) {
	ctx := context.Background()
	h, err := e.journal.Begin(ctx, row)
	if err == nil {
		err = h.Fail(cause)
		failed = err == nil
		if failed {
			err = e.discard()(row)
		}
		err = errors.Join(err, h.Release())
	}
	if err != nil {
		e.log.Error("journal", "transfer", row.ID, "error", err)
	}
	return failed
}

// expire throws the transfers away that are too old.
func (e *core) expire(ctx context.Context, keep time.Duration) {
	gone, err := e.journal.Expire(ctx, keep, e.discard())
	for _, row := range gone {
		e.log.Info("transfer expired", "transfer", row.ID, "peer", row.Peer, "state", string(row.State))
	}
	if err != nil {
		e.log.Warn("expire transfers", "error", err)
	}
}

// Discard returns what removes what an interrupted transfer of an account has on the disk:
// the partial file of a received one, what was read from an input for a sent one. Other
// sources are the user's.
func Discard(stateDir string, account jid.JID) journal.Discard {
	sets := sink.Sets(stateDir, account)
	return func(row journal.Row) error {
		if row.Source == journal.SourceSpool {
			return source.Discard(&row)
		}
		return sink.Discard(sets, &row)
	}
}

// discard is that of our account.
func (e *core) discard() journal.Discard { return Discard(e.cfg.StateDir, e.cfg.Session.JID) }

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
