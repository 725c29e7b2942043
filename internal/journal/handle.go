package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"jetsend/internal/clean"
	"jetsend/internal/state"
)

// ErrReleased means that the lock of the transfer has been given back.
var ErrReleased = errors.New("transfer was released")

// ErrBytes means a number of durable bytes that cannot be.
var ErrBytes = errors.New("durable bytes")

// Handle is the right to work on a transfer: the lock that is held. It is safe
// for concurrent use; the order of calls is the caller's.
//
// A method that ends an attempt or throws bytes away takes no context: the last word about
// a transfer has to be written, and waits no longer than [state.LastWord] for its turn.
type Handle struct {
	j *Journal

	mu   sync.Mutex
	lock *state.Lock // nil after Release
	row  Row         // as last written
}

// take takes the lock out of the handle, or returns nil.
func (h *Handle) take() *state.Lock {
	l := h.lock
	h.lock = nil
	return l
}

// Row returns the row as this handle last wrote it.
func (h *Handle) Row() Row {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.row
}

// Offer records that an offer goes out, or an own answer to one: to which
// resource, and for which identity keys its envelope was made. The row is
// offered afterwards; from interrupted, that counts as a retry. It is committed
// before the stanza leaves, so that the keys know who may ask for the file.
func (h *Handle) Offer(ctx context.Context, resource string, keys ...[]byte) error {
	return h.update(ctx, "offer", func(r *Row) error {
		if err := checkKeys(keys); err != nil {
			return err
		}
		if r.State == Interrupted {
			r.retry()
		}
		r.Resource, r.Keys = resource, append(r.Keys, keys...)
		return r.change(Offered, h.j.at())
	})
}

// retry counts an attempt after the first one.
func (r *Row) retry() {
	r.Retries++
	if r.Phase == PhaseOffered {
		r.Phase = PhaseKnown
	}
}

// Run records that the session of the moment begins to move bytes.
func (h *Handle) Run(ctx context.Context) error {
	return h.update(ctx, "run", func(r *Row) error { return r.change(Running, h.j.at()) })
}

// Progress records that the first durable bytes of the file are synced in the
// partial file; it must not be called before they are. When sending, that the
// receiver has confirmed them. It only goes forward, but for a set: a file of it that has
// changed since the session before counts anew.
func (h *Handle) Progress(ctx context.Context, durable int64) error {
	return h.update(ctx, "progress", func(r *Row) error {
		if r.State != Running {
			return fmt.Errorf("%w: %s", ErrState, r.State)
		}
		back := durable < r.Durable && (r.Source != SourceSet || durable < 0)
		if back || durable > r.Size {
			return fmt.Errorf("%w: %d after %d of %d", ErrBytes, durable, r.Durable, r.Size)
		}
		r.Updated = h.j.at().time()
		if durable != r.Durable {
			r.Durable, r.Moved = durable, r.Updated
		}
		return nil
	})
}

// Rewind records that only the first durable bytes still count, and that the file
// is not verified. It comes before the partial file is cut or removed.
func (h *Handle) Rewind(durable int64) error {
	return h.finally("rewind", func(r *Row) error {
		if r.State.Over() {
			return fmt.Errorf("%w: %s", ErrState, r.State)
		}
		if durable < 0 || durable > r.Durable {
			return fmt.Errorf("%w: back to %d from %d", ErrBytes, durable, r.Durable)
		}
		r.rewind(durable)
		r.Updated = h.j.at().time()
		return nil
	})
}

// rewind forgets bytes. A source keeps its path.
func (r *Row) rewind(durable int64) {
	r.Durable = durable
	if r.Direction == Receive {
		r.Path = ""
	}
	if r.Phase.Verified() {
		r.Phase = PhaseKnown
	}
}

// Hash records the SHA-256 of the whole file.
func (h *Handle) Hash(ctx context.Context, sum []byte) error {
	return h.update(ctx, "hash", func(r *Row) error {
		if r.State.Over() {
			return fmt.Errorf("%w: %s", ErrState, r.State)
		}
		r.SHA256 = sum
		return checkSum(sum)
	})
}

// Place records that the file is whole, verified and synced, and which name it
// gets next: an absolute path in the row's directory. It comes before the name
// is made, and again before the next name is tried. sum is the SHA-256 of the
// file, or nil when it was not computed.
func (h *Handle) Place(path string, sum []byte) error {
	return h.finally("place", func(r *Row) error {
		if err := r.verified(PhaseVerified, path, sum, h.j.at()); err != nil {
			return err
		}
		if !filepath.IsAbs(path) || filepath.Dir(path) != filepath.Clean(r.Dir) {
			return fmt.Errorf("%q is not in %q", path, r.Dir)
		}
		return nil
	})
}

// Pour records that the file is whole, verified and synced, and that all of it was
// written to an output. It comes before the partial file is removed. sum is as for Place.
func (h *Handle) Pour(sum []byte) error {
	return h.finally("pour", func(r *Row) error { return r.verified(PhasePoured, "", sum, h.j.at()) })
}

// verified notes that all of the file is here and right.
func (r *Row) verified(now Phase, path string, sum []byte, at milli) error {
	if r.Direction != Receive || !r.State.Live() {
		return fmt.Errorf("%w: %s, %s", ErrState, r.Direction, r.State)
	}
	if sum != nil {
		r.SHA256 = sum
	}
	r.Phase, r.Path, r.Durable = now, path, r.Size
	r.Updated, r.Moved = at.time(), at.time()
	return checkSum(sum)
}

// Pause notes that somebody stopped an interrupted transfer by hand while nobody was at
// it; see [Handle.Pause]. One in another state stays as it is. ErrRunning when somebody
// is at it, ErrUnknown when there is no such row.
func (j *Journal) Pause(ctx context.Context, k Key, by Pause) error {
	err := j.write(ctx, func(tx *sql.Tx) error {
		r, l, err := j.held(ctx, tx, k)
		if err != nil {
			return err
		}
		if r.State == Interrupted {
			r.Paused = by
			err = save(ctx, tx, r)
		}
		return errors.Join(err, j.unlock(tx, k, l))
	})
	if err != nil {
		return fmt.Errorf("pause transfer %s: %w", k, err)
	}
	return nil
}

// Complete records the good end: when receiving, after Place, when the file has
// its final name and the directory is synced, or after Pour; when sending, after a valid
// receipt, or what passes for one with other clients. A set is complete when all of its
// arguments have come to their ends, which they tell: see [Handle.UpdateArguments].
func (h *Handle) Complete() error {
	return h.finally("complete", func(r *Row) error {
		switch {
		case r.Direction == Send, r.Source == SourceSet:
			r.Durable = r.Size
		case !r.Phase.Verified():
			return fmt.Errorf("%w: not placed", ErrState)
		}
		r.Released, r.LastError = true, ""
		return r.change(Complete, h.j.at())
	})
}

// Interrupt records that the attempt ended and that another one may go on. The
// lock stays with the handle, for Offer or for Release.
func (h *Handle) Interrupt(cause error) error {
	return h.Pause(NotPaused, cause)
}

// Pause is Interrupt for an attempt that somebody stopped by hand, at this end or at
// the other. The next attempt, whoever makes it, ends the pause.
func (h *Handle) Pause(by Pause, cause error) error {
	return h.finally("interrupt", func(r *Row) error {
		r.LastError = line(cause)
		err := r.change(Interrupted, h.j.at())
		r.Paused = by
		return err
	})
}

// Fail records that the transfer ended without its file, for good. No byte of
// it counts any more: the caller then removes the partial file, before Release.
func (h *Handle) Fail(cause error) error { return h.fail(cause, false) }

// Decline is Fail for a file that the receiver did not want.
func (h *Handle) Decline(cause error) error { return h.fail(cause, true) }

func (h *Handle) fail(cause error, declined bool) error {
	return h.finally("fail", func(r *Row) error {
		r.LastError = line(cause)
		r.rewind(0)
		err := r.change(Failed, h.j.at())
		r.Declined = declined
		return err
	})
}

// line is the text of an error as it is kept: one clean line.
func line(err error) string {
	if err == nil {
		return ""
	}
	return clean.Error(err)
}

// Release gives the lock back. A row that is still offered or running then is
// interrupted. Further calls do nothing. When the database cannot be written
// the lock is free all the same, and the next one to look settles the row.
func (h *Handle) Release() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lock == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), state.LastWord)
	defer cancel()
	err := h.j.write(ctx, func(tx *sql.Tx) error {
		r, err := load(ctx, tx, h.row.Key)
		if err != nil {
			return err
		}
		if r.State.Live() {
			if err := errors.Join(r.change(Interrupted, h.j.at()), save(ctx, tx, r)); err != nil {
				return err
			}
		}
		h.row = *r
		return h.j.unlock(tx, h.row.Key, h.take())
	})
	if l := h.take(); l != nil {
		err = errors.Join(err, l.Release())
	}
	if err != nil {
		return fmt.Errorf("release transfer %s: %w", h.row.Key, err)
	}
	return nil
}

// finally is update for what has to be written, whoever has stopped waiting for it.
func (h *Handle) finally(what string, f func(*Row) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), state.LastWord)
	defer cancel()
	return h.update(ctx, what, f)
}

// update reads the row, lets f change it, and writes it back. When f fails
// nothing is written.
func (h *Handle) update(ctx context.Context, what string, f func(*Row) error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var now *Row
	err := ErrReleased
	if h.lock != nil {
		err = h.j.write(ctx, func(tx *sql.Tx) (err error) {
			if now, err = load(ctx, tx, h.row.Key); err != nil {
				return err
			}
			if err = f(now); err != nil {
				return err
			}
			if err = save(ctx, tx, now); err != nil {
				return err
			}
			now, err = load(ctx, tx, h.row.Key)
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("%s transfer %s: %w", what, h.row.Key, err)
	}
	h.row = *now
	return nil
}
