package transfer

import (
	"errors"

	"jetsend/internal/clean"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/journal"
	"jetsend/internal/rows"
	"jetsend/internal/tally"
)

// rows are what the journal has of our transfers.
func (e *core) rows() rows.Rows {
	return rows.Rows{Journal: e.journal, Discard: rows.Discard(e.cfg.StateDir, e.cfg.Session.JID), Log: e.log}
}

// failedWith is the event for the end of a transfer without its file.
func failedWith(head event.Head, f *fault.Failure, resumable bool) event.Failed {
	return event.Failed{Head: head, Code: int(f.Code), Reason: clean.Error(f), Resumable: resumable, Hints: f.Hints}
}

// notResumed reports a transfer that could not even be taken up.
func (e *core) notResumed(row journal.Row, err error) exitcode.Code {
	if errors.Is(err, fault.ErrInterrupted) {
		e.rows().Pause(row.Key)
	}
	f := fault.New(err, false)
	e.cfg.Report(failedWith(tally.HeadOfRow(row, row.Peer), f, row.State == journal.Interrupted))
	return f.Code
}
