package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"jetsend/internal/state"
)

// Discard removes what a transfer may still have on the disk: its partial file
// in row.Dir, a spooled source. Not the file that was released, nor the user's
// source. It is called while the lock of the transfer is held, with the row as
// it was before, and must not mind when there is nothing to remove.
type Discard func(row Row) error

// removeAtOnce bounds the rows that one transaction removes: every other writer waits for it.
const removeAtOnce = 100

// Forget takes a transfer out of sight and has its remains discarded. The row
// keeps, for FinishedFor, who was sent how many bytes, so that a file that was
// released is not released again. ErrRunning when somebody is at it, ErrUnknown
// when there is no such row or it was forgotten before.
func (j *Journal) Forget(ctx context.Context, k Key, discard Discard) error {
	err := j.drop(ctx, k, discard, func(r *Row) bool { return r.State != Forgotten || r.remains() }, false)
	if err != nil {
		return fmt.Errorf("forget transfer %s: %w", k, err)
	}
	return nil
}

// clear has discarded what the row knows of.
func (r *Row) clear(discard Discard) error {
	if !r.remains() {
		return nil
	}
	return discard(*r)
}

// remains reports whether the row knows of something that Discard may have to remove.
func (r *Row) remains() bool { return r.Dir != "" || r.Path != "" }

// Expire removes old rows and has their remains discarded: interrupted ones
// of which no byte has moved for maxAge (0 keeps them for ever), unless they are
// verified, and those that are over for FinishedFor, or for maxAge if that is longer;
// the package comment has the rule. Folders that are no more are forgotten too. It returns the rows that are gone, as they were; the error
// tells of the others, which the next call tries again.
func (j *Journal) Expire(ctx context.Context, maxAge time.Duration, discard Discard) (gone []Row, err error) {
	now := j.at().time()
	old := func(r *Row) bool {
		until, goes := r.until(maxAge)
		return goes && !now.Before(until)
	}
	rows, err := j.aged(ctx, now, maxAge)
	if err != nil {
		return nil, fmt.Errorf("expire transfers: %w", err)
	}
	gone, err = j.purge(ctx, rows, old, discard)
	errs := []error{err}
	for i := range rows {
		if rows[i].keep() != keepDiscard || old(&rows[i]) {
			continue
		}
		err := j.Forget(ctx, rows[i].Key, discard) // one was cut
		if err != nil && !errors.Is(err, ErrRunning) && !errors.Is(err, ErrUnknown) {
			errs = append(errs, fmt.Errorf("expire transfer %s: %w", rows[i].Key, err))
		}
	}
	if err := errors.Join(j.trim(ctx, gone), j.write(ctx, j.sweep), j.ForgetFolders(ctx)); err != nil {
		errs = append(errs, fmt.Errorf("expire transfers: %w", err))
	}
	return gone, errors.Join(errs...)
}

// Drop removes transfers that are interrupted and not verified yet, however old they
// are, as Expire does. Those that somebody has taken up since stay.
func (j *Journal) Drop(ctx context.Context, rows []Row, discard Discard) (gone []Row, err error) {
	return j.purge(ctx, rows, func(r *Row) bool { return r.keep() == keepResume }, discard)
}

// purge removes those rows that answer to ok, and returns them as they were.
func (j *Journal) purge(ctx context.Context, rows []Row, ok func(*Row) bool, discard Discard) (gone []Row, err error) {
	void := func(r *Row) bool {
		return ok(r) && (r.State.Over() || r.Direction == Receive && r.Durable == 0 && !r.Phase.Verified())
	}
	var errs []error
	for some := range slices.Chunk(filter(rows, void), removeAtOnce) {
		removed, err := j.removeSome(ctx, some, discard, void)
		gone = append(gone, removed...)
		errs = append(errs, err)
	}
	for i := range rows {
		if void(&rows[i]) || !ok(&rows[i]) {
			continue
		}
		switch err := j.drop(ctx, rows[i].Key, discard, ok, true); {
		case err == nil:
			gone = append(gone, rows[i])
		case !errors.Is(err, ErrRunning) && !errors.Is(err, ErrUnknown): // else taken up, or removed, by another
			errs = append(errs, fmt.Errorf("expire transfer %s: %w", rows[i].Key, err))
		}
	}
	return gone, errors.Join(errs...)
}

func filter(rows []Row, ok func(*Row) bool) (out []Row) {
	for i := range rows {
		if ok(&rows[i]) {
			out = append(out, rows[i])
		}
	}
	return out
}

// removeSome removes rows of which no byte counts, with their remains, in one transaction:
// one for each of thousands would take longer than the file that somebody wants to
// send. So the order of drop is not needed,
// and a row that is still there after a loss is removed by the next call.
func (j *Journal) removeSome(ctx context.Context, rows []Row, discard Discard, ok func(*Row) bool) (gone []Row, err error) {
	var errs []error
	err = j.write(ctx, func(tx *sql.Tx) error {
		for i := range rows {
			r, l, err := j.held(ctx, tx, rows[i].Key)
			switch {
			case errors.Is(err, ErrUnknown), errors.Is(err, ErrRunning): // removed, or looked at, by another
				continue
			case err != nil:
				return err
			}
			removed, kept, err := j.removeHeld(ctx, tx, r, discard, ok)
			if err := errors.Join(err, j.unlock(tx, r.Key, l)); err != nil {
				return err
			}
			errs = append(errs, kept)
			if removed {
				gone = append(gone, *r)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("expire transfers: %w", err)
	}
	return gone, errors.Join(errs...)
}

// removeHeld removes a row whose lock is held, if it still answers to ok. kept says why
// its remains could not be discarded; then it stays.
func (j *Journal) removeHeld(ctx context.Context, tx *sql.Tx, r *Row, discard Discard, ok func(*Row) bool) (removed bool, kept, err error) {
	if !ok(r) {
		return false, nil, nil
	}
	if err := r.clear(discard); err != nil {
		return false, fmt.Errorf("expire transfer %s: %w", r.Key, err), nil
	}
	err = j.remove(ctx, tx, r)
	return err == nil, nil, err
}

// held reads a row and takes the lock of its transfer.
func (j *Journal) held(ctx context.Context, tx *sql.Tx, k Key) (*Row, *state.Lock, error) {
	r, err := load(ctx, tx, k)
	if err != nil {
		return nil, nil, err
	}
	l, err := j.lock(tx, k)
	return r, l, err
}

// aged are all rows whose time has come, and those to be discarded; and few others, since
// it is asked at every start of a command. Row.until decides.
func (j *Journal) aged(ctx context.Context, now time.Time, maxAge time.Duration) (rows []Row, err error) {
	const where = `state = 'interrupted' AND moved <= ? OR finished <= ? OR state = 'forgotten' AND (dir <> '' OR path <> '')
		ORDER BY created, id, direction`
	moved := int64(-1) // never
	if maxAge > 0 {
		moved = now.Add(-maxAge).UnixMilli()
	}
	finished := now.Add(-max(maxAge, FinishedFor)).UnixMilli()
	err = j.read(ctx, func(tx *sql.Tx) (err error) {
		rows, err = find(ctx, tx, where, moved, finished)
		return err
	})
	return rows, err
}

// drop forgets a row that still answers to ok, has its remains discarded, and
// then removes it or what it says. The bytes stop counting before they go, and
// the row knows where they are until they are gone: so a loss between any two
// steps leaves a forgotten row, which Expire takes up again.
func (j *Journal) drop(ctx context.Context, k Key, discard Discard, ok func(*Row) bool, whole bool) error {
	before, l, err := j.strike(ctx, k, ok)
	if err != nil {
		return err
	}
	if err := before.clear(discard); err != nil {
		return errors.Join(err, l.Release()) // the file is swept later
	}
	freed := false
	err = j.write(ctx, func(tx *sql.Tx) error {
		err := blank(ctx, tx, k)
		if whole {
			err = j.remove(ctx, tx, &before)
		}
		if err != nil {
			return err
		}
		freed = true
		return j.unlock(tx, k, l)
	})
	if !freed {
		err = errors.Join(err, l.Release())
	}
	return err
}

// strike takes the lock and makes the row forgotten. It returns the row as it
// was before.
func (j *Journal) strike(ctx context.Context, k Key, ok func(*Row) bool) (before Row, l *state.Lock, err error) {
	err = j.write(ctx, func(tx *sql.Tx) error {
		r, held, err := j.held(ctx, tx, k)
		if err != nil {
			return err
		}
		before, err = strike(ctx, tx, r, ok, j.at())
		if err != nil {
			return errors.Join(err, j.unlock(tx, k, held))
		}
		l = held
		return nil
	})
	if err != nil && l != nil { // the commit failed
		err = errors.Join(err, l.Release())
	}
	return before, l, err
}

// strike is the part of it that the lock is held for.
func strike(ctx context.Context, tx *sql.Tx, r *Row, ok func(*Row) bool, at milli) (before Row, err error) {
	if r.State.Live() { // the lock was free
		if err := r.crash(); err != nil {
			return before, err
		}
	}
	if !ok(r) {
		return before, ErrUnknown
	}
	before = *r
	if r.State == Forgotten {
		return before, nil
	}
	if err := r.change(Forgotten, at); err != nil {
		return before, err
	}
	if !r.Released && r.Direction == Receive {
		r.rewind(0)
	}
	return before, save(ctx, tx, r)
}

// blank takes out of a forgotten row what only a person would want to know.
func blank(ctx context.Context, tx *sql.Tx, k Key) error {
	const query = `UPDATE transfers SET batch = '', resource = '', name = '', dir = '', path = '', error = '',
		mtime_s = NULL, mtime_ns = NULL, mode = 0, manifest = NULL, description = '' WHERE id = ? AND direction = ?`
	const arguments = `UPDATE arguments SET name = '', path = '', patterns = '', error = '' WHERE id = ? AND direction = ?`
	_, err := tx.ExecContext(ctx, query, k.ID, string(k.Direction))
	if err == nil {
		_, err = tx.ExecContext(ctx, arguments, k.ID, string(k.Direction))
	}
	return err
}
