package main

import (
	"context"
	"fmt"
	"slices"

	"jetsend/internal/clean"
	"jetsend/internal/event"
	"jetsend/internal/journal"
	"jetsend/internal/outbox"
)

// list are the records of all transfers, the oldest first.
func (a *app) list(ctx context.Context, t transfers) ([]transferRecord, error) {
	rows, err := t.List(ctx)
	if err != nil {
		return nil, err
	}
	records, err := a.recordsOf(ctx, t, rows)
	if err != nil {
		return nil, err
	}
	queued, err := t.Queued(ctx)
	for i := range queued {
		e := &queued[i]
		if !slices.ContainsFunc(rows, func(r journal.Row) bool { return r.ID == e.Transfer() && r.Direction == journal.Send }) {
			records = append(records, a.queuedTransfer(e))
		}
	}
	return records, err
}

// queuedState is that of a transfer which is in the outbox and has not begun.
const queuedState journal.State = "queued"

// wordHeld is for people the state of a queued one that waits for the user.
const wordHeld = "held"

// queuedTransfer is the record of what is queued.
func (a *app) queuedTransfer(e *outbox.Entry) transferRecord {
	row := &journal.Row{
		Key: journal.Key{ID: e.Transfer(), Direction: journal.Send}, Peer: e.Peer, Name: e.Name, Size: e.Size, Path: e.Files[0].Path,
		State: queuedState, Created: e.Queued, Updated: e.Queued, LastError: e.Why,
	}
	r := a.transferRecord(row)
	r.Until, r.Path = stamp(e.Until), e.Files[0].Path
	if e.State == outbox.Held {
		r.word = wordHeld
	}
	return r
}

// recordsOf are the transfers of rows as they are listed: each argument of a set is one.
// A set of which no argument is known yet is one itself.
func (a *app) recordsOf(ctx context.Context, t transfers, rows []journal.Row) ([]transferRecord, error) {
	var records []transferRecord
	for i := range rows {
		r := &rows[i]
		if r.Source != journal.SourceSet {
			records = append(records, a.transferRecord(r))
			continue
		}
		arguments, err := t.Arguments(ctx, r.Key)
		if err != nil {
			return nil, err
		}
		records = append(records, a.argumentRecords(r, arguments)...)
	}
	return records, nil
}

func (a *app) argumentRecords(row *journal.Row, arguments []journal.Argument) (records []transferRecord) {
	if len(arguments) == 0 {
		return []transferRecord{a.transferRecord(row)}
	}
	for i := range arguments {
		records = append(records, a.argumentRecord(row, &arguments[i]))
	}
	return records
}

// argumentRecord is the record of an argument of a set.
func (a *app) argumentRecord(row *journal.Row, arg *journal.Argument) transferRecord {
	r := a.transferRecord(row)
	r.argument = arg
	r.Transfer, r.Name = journal.ArgumentID(row.ID, arg.Number, row.Items), clean.Text(arg.Name)
	r.Size, r.Bytes, r.Path = arg.Size, arg.Durable, arg.Path
	if arg.Folder {
		r.Entries, r.EntriesDone, r.EntriesFailed = arg.Entries, arg.Done, arg.Failed
		r.New, r.Changed, r.Equal, r.Kept = max(arg.Done-arg.Changed-arg.Equal, 0), arg.Changed, arg.Equal, arg.Kept
	}
	if state := argumentState(row, arg); state != row.State {
		r.State, r.word, r.Paused, r.Declined, r.Resumable = string(state), string(state), "", false, false
		r.Reason = clean.Text(arg.LastError)
	}
	return r
}

// argumentState is the state of an argument: its own once it has come to its end, else that
// of the set. What had not come to its end when the set did has failed.
func argumentState(row *journal.Row, arg *journal.Argument) journal.State {
	switch {
	case arg.State == journal.ArgumentFailed, arg.State == journal.ArgumentPlaced && arg.Failed > 0:
		return journal.Failed
	case arg.State == journal.ArgumentPlaced:
		return journal.Complete
	case row.State == journal.Complete:
		return journal.Failed
	}
	return row.State
}

// wholeWord is the word for the state of a transfer, or of all those of a set: one that has
// ended has failed if anything of it has.
func wholeWord(row *journal.Row, arguments []journal.Argument) string {
	if row.State == journal.Complete {
		for i := range arguments {
			if argumentState(row, &arguments[i]) == journal.Failed {
				return string(journal.Failed)
			}
		}
	}
	return stateWord(row)
}

// entriesDone tells how far an argument of a set is: a directory by its entries.
func (r transferRecord) entriesDone() string {
	if r.State == string(journal.Complete) {
		return percent(0, 0)
	}
	return fmt.Sprintf("%d of %d", r.EntriesDone, r.Entries)
}

// entriesLine tells what has become of the entries of a directory.
func (r transferRecord) entriesLine() string {
	if r.Entries == 0 {
		return ""
	}
	c := event.Counts{
		Entries: int(r.Entries), EntriesFailed: int(r.EntriesFailed),
		New: int(r.New), Changed: int(r.Changed), Equal: int(r.Equal), Kept: int(r.Kept),
	}
	s := fmt.Sprintf("%d of %d are there%s", r.EntriesDone, r.Entries, counted(c, int(r.argument.Renamed)))
	if r.EntriesFailed > 0 {
		s += fmt.Sprintf(", %d failed", r.EntriesFailed)
	}
	return s
}
