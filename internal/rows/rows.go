// Package rows is the journal as the ends of transfers use it while nobody is at one: its
// row as it is now, paused, failed, too old, or given up, with what there is of it on the
// disk.
package rows

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"jetsend/internal/clean"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
	"jetsend/internal/profile"
	"jetsend/internal/sink"
	"jetsend/internal/source"
	"jetsend/internal/tally"
)

// Rows are those of an account. What cannot be read or written is logged, where the
// caller can go on without it.
type Rows struct {
	Journal *journal.Journal
	Discard journal.Discard
	Log     *slog.Logger
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

// Now is the row of a transfer as it is now. One that is gone has expired, and is as good
// as forgotten.
func (r Rows) Now(ctx context.Context, row journal.Row) (journal.Row, error) {
	now, err := r.Journal.Load(ctx, row.Key)
	if errors.Is(err, journal.ErrUnknown) {
		row.State = journal.Forgotten
		return row, nil
	}
	return now, err
}

// OverSince says that somebody else has put an end to a transfer since it was
// chosen, and not a good one; or nothing.
func OverSince(row journal.Row) error {
	switch {
	case row.Released:
	case row.State == journal.Forgotten:
		return &fault.Failure{Code: exitcode.Usage, Reason: "the transfer was forgotten"}
	case row.State == journal.Failed:
		return &fault.Failure{Code: exitcode.Usage, Reason: "the transfer has failed: " + clean.Text(row.LastError)}
	}
	return nil
}

// Arguments are the arguments of a set that the journal knows.
func (r Rows) Arguments(key journal.Key) []journal.Argument {
	all, err := r.Journal.ArgumentsOf(context.Background(), key)
	if err != nil {
		r.Log.Warn("journal", "transfer", key.ID, "error", err)
	}
	return all
}

// Code is how a transfer has ended that is complete.
func (r Rows) Code(key journal.Key) exitcode.Code { return tally.CodeOf(r.Arguments(key)) }

// Pause notes that the user has stopped a transfer by hand while no session was at it.
func (r Rows) Pause(key journal.Key) {
	err := r.Journal.Pause(context.Background(), key, journal.PausedHere)
	if err != nil && !errors.Is(err, journal.ErrRunning) && !errors.Is(err, journal.ErrUnknown) {
		r.Log.Error("journal", "transfer", key.ID, "error", err)
	}
}

// Fail ends a transfer that nobody is at for good, and removes what there is of it.
func (r Rows) Fail(row journal.Row, cause error) (failed bool) {
	h, err := r.Journal.Begin(context.Background(), row)
	if err == nil {
		err = h.Fail(cause)
		failed = err == nil
		if failed {
			err = r.Discard(row)
		}
		err = errors.Join(err, h.Release())
	}
	if err != nil {
		r.Log.Error("journal", "transfer", row.ID, "error", err)
	}
	return failed
}

// Expire throws the transfers away that are too old.
func (r Rows) Expire(ctx context.Context, keep time.Duration) {
	gone, err := r.Journal.Expire(ctx, keep, r.Discard)
	for _, row := range gone {
		r.Log.Info("transfer expired", "transfer", row.ID, "peer", row.Peer, "state", string(row.State))
	}
	if err != nil {
		r.Log.Warn("expire transfers", "error", err)
	}
}

// Drop throws interrupted transfers away of which a contact has too many, and returns those
// that are gone.
func (r Rows) Drop(ctx context.Context, crowd []journal.Row) []journal.Row {
	gone, err := r.Journal.Drop(ctx, crowd, r.Discard)
	for _, row := range gone {
		r.Log.Info("transfer dropped, its contact has too many interrupted ones", "transfer", row.ID, "peer", row.Peer, "bytes", row.Durable)
	}
	if err != nil {
		r.Log.Warn("too many interrupted transfers", "error", err)
	}
	return gone
}

// Interrupted are the received transfers that could go on.
func (r Rows) Interrupted(ctx context.Context) []journal.Row {
	all, err := r.Journal.List(ctx, journal.Filter{Direction: journal.Receive, States: []journal.State{journal.Interrupted}})
	if err != nil {
		r.Log.Warn("journal", "error", err)
	}
	return all
}

// Abandoned are the ids of the transfers to a contact that were given up here, which
// the next offer tells: a receiver that was told of a pause asks for nothing by itself.
func (r Rows) Abandoned(ctx context.Context, to jid.JID) (ids []string) {
	all, err := r.Journal.Abandoned(ctx, to, profile.MaxGone)
	if err != nil {
		r.Log.Warn("journal", "error", err)
	}
	for _, row := range all {
		ids = append(ids, row.ID)
	}
	return ids
}
