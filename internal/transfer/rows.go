package transfer

import (
	"errors"

	"jetsend/internal/clean"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
	"jetsend/internal/rows"
)

// rows are what the journal has of our transfers.
func (e *core) rows() rows.Rows {
	return rows.Rows{Journal: e.journal, Discard: rows.Discard(e.cfg.StateDir, e.cfg.Session.JID), Log: e.log}
}

// rowKey is the row of a transfer in the journal.
func rowKey(h event.Head) journal.Key {
	return journal.Key{ID: h.Transfer, Direction: journal.Direction(h.Direction)}
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
		e.rows().Pause(row.Key)
	}
	f := fault.New(err, false)
	e.cfg.Report(failedWith(headOf(row, row.Peer), f, row.State == journal.Interrupted))
	return f.Code
}
